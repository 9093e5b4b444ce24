"""Runs of every shape that a run can have, for property tests of what is made of them.

Names and texts have no letter n, so that "None", "nan" and "inf" in a page can only be figures
that went wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.metrics.base import corpus_value, score_corpus
from harness.metrics.registry import build_metric
from harness.schema import (
    CellKind,
    CellResult,
    Checkpoint,
    DataReport,
    Environment,
    Example,
    Finding,
    LogEntry,
    Manifest,
    Measurement,
    Prediction,
    Score,
    TrainingRun,
    Variant,
)
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.spec import Suite

Status = Literal["done", "bare", "empty", "failed", "skipped", "absent"]
"""``bare``: values without statistics; ``empty``: no value at all; ``absent``: no such cell."""

SPLITS = ("select", "report")
LETTERS = "abcdefgh XYZ019_-./<&>\"'{}%$#|*`\\éßعربي字😀"
ENVIRONMENT = Environment(
    versions={"torch": "2.13.0"},
    python="3.11.7",
    platform="Linux",
    device="cpu",
    device_name="a CPU",
    cpu_count=2,
    memory_bytes=16_000_000_000,
    compute_dtype="fp32",
    fingerprint="9f3b1c2d",
)

texts = st.text(LETTERS, max_size=60)
names = st.text(LETTERS, min_size=1, max_size=24).filter(str.strip)
amounts = st.one_of(
    st.sampled_from((0.0, 1e-12, 3e-7, 1.0, 99.996, 1e5, 1e12, 1e30)), st.floats(1e-6, 1e6)
)
maybe = st.one_of(st.none(), amounts)


@dataclass(frozen=True)
class MadeUp:
    """What a run is made of.

    Attributes:
        variants: Ids; the first is the baseline.
        tasks: Suite tasks by name, with their kind.
        status: Of each variant and task.
        n: Examples of each split.
        level: About what per-example figures are, of each variant.
        noise: How far they spread, as a share of the level.
        outputs: What is written, in turn.
        readings: Of measurements, of each variant; None: the measurement failed.
        log: Of the training; None: there was none.
        selects: Whether a checkpoint is chosen.
    """

    variants: tuple[str, ...]
    tasks: dict[str, CellKind]
    status: dict[tuple[str, str], Status]
    n: int = 6
    level: tuple[float, ...] = (1.0,)
    noise: float = 0.2
    outputs: tuple[str, ...] = ("abc",)
    readings: tuple[tuple[float, ...] | None, ...] = ()
    log: tuple[LogEntry, ...] | None = None
    selects: bool = True
    findings: tuple[Finding, ...] = ()
    description: str = ""

    def write(self, store: Store) -> Manifest:
        """Write the results into a store and give the manifest."""
        return _Writer(self, store).manifest()


logs = st.lists(
    st.builds(
        LogEntry,
        step=st.integers(0, 10**6),
        epoch=maybe,
        loss=maybe,
        eval_loss=maybe,
        learning_rate=maybe,
        grad_norm=maybe,
        mean_token_accuracy=maybe,
        tokens=st.none() | st.integers(0, 10**12),
        seconds=maybe,
    ),
    max_size=4,
).map(tuple)
finding = st.builds(
    Finding,
    check=texts,
    severity=st.sampled_from(("info", "warning", "error")),
    what=texts,
    why=texts,
    hint=texts,
)


@st.composite
def made_up_runs(draw: Any) -> MadeUp:
    """Any run: cells that failed or are missing, one variant, nothing trained, nothing measured."""
    variants = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    kinds = st.sampled_from(("generation", "perplexity", "lm_eval"))
    tasks = draw(st.dictionaries(names, kinds, min_size=1, max_size=3))
    statuses = st.sampled_from((*["done"] * 5, "bare", "empty", "failed", "skipped", "absent"))
    series = st.none() | st.lists(amounts, max_size=3).map(tuple)
    per_variant = {"min_size": len(variants), "max_size": len(variants)}
    return MadeUp(
        variants=tuple(variants),
        tasks=tasks,
        status={(name, task): draw(statuses) for name in variants for task in tasks},
        n=draw(st.integers(1, 8)),
        level=tuple(draw(st.lists(amounts, **per_variant))),
        noise=draw(st.sampled_from((0.0, 0.2))),
        outputs=tuple(draw(st.lists(texts, min_size=1, max_size=5))),
        readings=draw(st.just(()) | st.lists(series, **per_variant).map(tuple)),
        log=draw(st.none() | logs),
        selects=draw(st.booleans()),
        findings=tuple(draw(st.lists(finding, max_size=2))),
        description=draw(texts),
    )


@dataclass(frozen=True)
class _Writer:
    run: MadeUp
    store: Store

    def manifest(self) -> Manifest:
        run = self.run
        suite = Suite.model_validate(self._spec())
        examples, data = {}, {}
        for place, (task, kind) in enumerate(run.tasks.items()):
            if kind == "generation":
                examples[task], data[task] = self._examples(place)
        cells = [
            cell
            for column, variant in enumerate(run.variants)
            for row, (task, kind) in enumerate(run.tasks.items())
            if (cell := self._cell(column, variant, row, task, kind)) is not None
        ]
        cells += [
            self._measure(column, variant)
            for column, variant in enumerate(run.variants[: len(run.readings)])
        ]
        variants = tuple(self._variant(column) for column in range(len(run.variants)))
        chosen = None
        if run.selects:
            chosen = select_checkpoint(self.store, variants, cells, suite, run.variants[0])
        return Manifest(
            run_id="r-1",
            suite=suite.name,
            suite_digest="c0ffee",
            spec=suite.model_dump(mode="json"),
            command="harness eval suite.yaml",
            created="2026-01-01T00:00:00+00:00",
            updated="2026-01-01T00:00:00+00:00",
            complete=all(cell.status == "done" for cell in cells),
            variants=variants,
            baseline=run.variants[0],
            cells=tuple(cells),
            training_key=None if run.log is None else self._train(run.log),
            data=data,
            examples=examples,
            selection=chosen,
            findings=run.findings,
            environment=ENVIRONMENT,
        )

    def _spec(self) -> dict[str, Any]:
        entries = {
            "generation": {"type": "generation", "metrics": ["rougeL", "exact_match"]},
            "perplexity": {"type": "perplexity"},
            "lm_eval": {"type": "lm_eval", "task": "mmlu"},
        }
        return {
            "name": "made-up",
            "description": self.run.description,
            "base": {"model": "tiny:llama"},
            "data": {"source": "rows.jsonl"},
            "prompt": {"prompt": "{{ text }}", "completion": "{{ label }}"},
            "train": {"method": "qlora"},
            "tasks": {task: dict(entries[kind]) for task, kind in self.run.tasks.items()},
            "measure": {},
        }

    def _variant(self, column: int) -> Variant:
        return Variant(
            id=self.run.variants[column],
            kind="adapter" if column else "base",
            base_model="tiny:llama",
            precision="nf4",
            step=10 * column or None,
        )

    def _ids(self, split: str) -> list[str]:
        return [f"{split} {index}" for index in range(self.run.n)]

    def _examples(self, place: int) -> tuple[str, DataReport]:
        key, outputs = f"examples-{place}", self.run.outputs
        rows = [
            Example(
                id=name,
                prompt=outputs[index % len(outputs)],
                completion=".",
                references=(outputs[(index + 1) % len(outputs)],),
                cluster=name,
                split=split,
            )
            for split in SPLITS
            for index, name in enumerate(self._ids(split))
        ]
        report = DataReport(source="rows.jsonl", digest="5e", rows_read=9, rows_kept=len(rows))
        with self.store.writing("examples", key, {"place": place}) as folder:
            self.store.write_records(folder, "examples", rows)
            self.store.write_record(folder, "report", report)
        return key, report

    def _cell(
        self, column: int, variant: str, row: int, task: str, kind: CellKind
    ) -> CellResult | None:
        status = self.run.status[variant, task]
        cell: dict[str, Any] = {"variant": variant, "task": task, "kind": kind}
        if status == "absent":
            return None
        if status in ("failed", "skipped"):
            return CellResult(status=status, reason="RuntimeError: <b>bad</b>", **cell)
        key = f"cell-{column}-{row}"
        scores, arrays = self._scores(column, task, kind, status)
        with self.store.writing("scores", key, {"cell": key}) as folder:
            self.store.write_records(folder, "scores", scores)
            np.savez_compressed(folder / "stats.npz", **arrays)
        if kind == "generation":
            with self.store.writing("predictions", key, {"cell": key}) as folder:
                self.store.write_records(folder, "predictions", self._predictions(column))
            cell["predictions_key"] = key
        return CellResult(status="done", scores_key=key, **cell)

    def _text(self, column: int, index: int) -> str:
        return self.run.outputs[(column * index) % len(self.run.outputs)]

    def _predictions(self, column: int) -> list[Prediction]:
        return [
            Prediction(
                example_id=name,
                text=self._text(column, index),
                prompt_tokens=3,
                new_tokens=index,
                finish_reason=("eos", "stop", "length")[index % 3],
                truncated_prompt_tokens=index % 2,
            )
            for split in SPLITS
            for index, name in enumerate(self._ids(split))
        ]

    def _scores(
        self, column: int, task: str, kind: CellKind, status: Status
    ) -> tuple[list[Score], dict[str, NDArray[Any]]]:
        splits = {"generation": SPLITS, "perplexity": ("eval",), "lm_eval": ("all",)}[kind]
        scores, arrays = [], {}
        for split in splits:
            ids = np.array(self._ids(split))
            arrays |= {f"ids/{split}": ids, f"clusters/{split}": ids}
            for metric, value, reason, stats, fields in self._figures(column, kind):
                arrays[f"{metric}/{split}"] = stats
                empty = status == "empty"
                score = Score(
                    task=task,
                    metric=metric,
                    split=split,
                    n=self.run.n,
                    value=None if empty else value,
                    reason="it came out as <not a figure>" if empty else reason,
                    stats=f"{metric}/{split}" if status == "done" else None,
                    **fields,
                )
                scores.append(score)
        return scores, arrays

    def _figures(self, column: int, kind: CellKind) -> list[tuple[str, Any, Any, Any, Any]]:
        """Metric, value, reason, statistics and further fields of each score of a task."""
        n, outputs = self.run.n, self.run.outputs
        if kind == "generation":
            made = [self._text(column, index) for index in range(n)]
            wanted = [(outputs[(index + 1) % len(outputs)],) for index in range(n)]
            metrics = [build_metric(name) for name in ("rougeL", "exact_match")]
            return [
                (metric.name, *score_corpus(metric, made, wanted), {"scale": metric.scale})
                for metric in metrics
            ]
        level = self.run.level[column % len(self.run.level)]
        rng = np.random.default_rng(column)
        each = level * (1 + self.run.noise * rng.standard_normal(n))
        if kind == "lm_eval":
            stats = np.stack([each, np.ones(n)], axis=1)
            fields = {"stderr": level / 3, "higher_is_better": False}
            return [("byte_perplexity", float(each.mean()), None, stats, fields)]
        tokens = rng.integers(1, 20, size=n).astype(float)
        stats = np.stack([each * tokens, tokens], axis=1)
        return [
            (name, *corpus_value(build_metric(name), stats), stats, {"higher_is_better": False})
            for name in ("eval_loss", "perplexity")
        ]

    def _measure(self, column: int, variant: str) -> CellResult:
        cell: dict[str, Any] = {"variant": variant, "task": "measure", "kind": "measure"}
        values = self.run.readings[column]
        if values is None:
            return CellResult(status="failed", reason="killed", **cell)
        key = f"measure-{column}"
        why = None if values else "there is no such device"
        items = [
            Measurement(name=name, unit=unit, values=values, reason=why, **sizes)
            for name, unit, sizes in (
                ("peak_rss_bytes", "bytes", {}),
                ("load_s", "s", {}),
                ("decode_tokens_per_s", "tok/s", {"prompt_tokens": 64, "new_tokens": 16}),
            )
        ]
        with self.store.writing("measurements", key, {"cell": key}) as folder:
            self.store.write_records(folder, "measurements", items)
            self.store.write_record(folder, "environment", ENVIRONMENT)
        return CellResult(status="done", measurements_key=key, **cell)

    def _train(self, log: tuple[LogEntry, ...]) -> str:
        training = TrainingRun(
            method="qlora",
            base_model="tiny:llama",
            log=log,
            checkpoints=tuple(
                Checkpoint(name=name, step=10 * column, path=name, digest="0")
                for column, name in enumerate(self.run.variants[1:], start=1)
            ),
            trainable_parameters=10,
            total_parameters=1000,
            rows_used=9,
            seconds=0.0,
            steps=0,
            environment=ENVIRONMENT,
        )
        with self.store.writing("training", "training", {"training": 1}) as folder:
            self.store.write_record(folder, "training", training)
        return "training"
