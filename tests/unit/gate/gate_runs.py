"""Finished runs with made-up scores, for the unit tests of the gate."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.digests import short_digest
from harness.metrics.base import FloatArray
from harness.schema import (
    CellResult,
    DataReport,
    Environment,
    Manifest,
    Measurement,
    Prediction,
    Score,
    Selection,
    Variant,
)
from harness.store.runs import Store
from harness.suite.spec import Suite

SPEC: dict[str, Any] = {
    "name": "small",
    "seed": 7,
    "base": {"model": "tiny:llama"},
    "train": {"method": "qlora", "args": {"learning_rate": 0.005}},
    "data": {"source": "rows.jsonl"},
    "prompt": {"prompt": "{{ text }}", "completion": "{{ label }}"},
    "tasks": {
        "answers": {"type": "generation", "metrics": ["rougeL", "exact_match"]},
        "held_out": {"type": "perplexity"},
        "mmlu": {"type": "lm_eval", "task": "mmlu"},
    },
    "measure": {},
}
ENVIRONMENT = Environment(
    versions={"torch": "2.13.0"},
    python="3.12.1",
    platform="Linux",
    device="cpu",
    device_name="AMD EPYC",
    cpu_count=2,
    memory_bytes=16_000_000_000,
    compute_dtype="fp32",
    fingerprint="aaaaaaaaaaaaaaaaaaaa",
)
VARIANTS = ("base@nf4", "checkpoint-2", "checkpoint-4", "merged-4")
N = 120

Key = tuple[str, str, str]  # variant, task as in Score.task, metric
Change = Callable[[FloatArray], FloatArray]


@dataclass
class Runs:
    """Writes runs; everything that may differ between two of them is a field."""

    store: Store
    run_id: str = "r1"
    spec: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SPEC))
    chosen: str | None = "checkpoint-4"
    changed: dict[Key, Change] = field(default_factory=dict)  # values of one score
    undefined: set[Key] = field(default_factory=set)  # scores whose value is None
    dropped: set[Key] = field(default_factory=set)  # scores that are not there
    unscored: set[tuple[str, str, str, str]] = field(default_factory=set)  # with the split
    failed: dict[tuple[str, str], str] = field(default_factory=dict)  # cell -> reason
    identity: dict[str, Any] = field(default_factory=dict)  # of every predictions result
    rename: Callable[[str], str] = str  # of example ids
    texts: str = "text"  # what every variant writes
    select_texts: str = "text"  # for the examples of the select split
    environment: Environment = ENVIRONMENT
    speed: float = 1.0
    measured: bool = True

    def build(self, **changes: Any) -> Manifest:
        """Write the results and the manifest."""
        suite = Suite.model_validate(self.spec)
        cells = [
            self._cell(variant, task, entry.type)
            for variant in VARIANTS
            for task, entry in suite.tasks.items()
        ]
        if self.measured:
            cells += [self._measure(variant) for variant in VARIANTS]
        report = DataReport(source="rows", digest="d1", rows_read=9, rows_kept=9)
        manifest = Manifest(
            run_id=self.run_id,
            suite=suite.name,
            suite_digest=short_digest(self.spec),
            spec=suite.model_dump(mode="json"),
            command="harness eval",
            created="2026-01-01T00:00:00+00:00",
            updated="2026-01-01T00:00:00+00:00",
            complete=not self.failed,
            variants=tuple(map(self._variant, VARIANTS)),
            baseline="base@nf4",
            cells=tuple(cells),
            data=dict.fromkeys(suite.tasks, report),
            selection=Selection(
                task="answers",
                metric="rougeL",
                split="select",
                chosen=self.chosen,
                reason="It is the best." if self.chosen else "None has a score.",
            ),
            environment=self.environment,
        ).model_copy(update=changes)
        self.store.write_manifest(manifest)
        return manifest

    def _variant(self, name: str) -> Variant:
        kind: Any = {"base": "base", "chec": "adapter", "merg": "merged"}[name[:4]]
        step = int(name[-1]) if kind != "base" else None
        digests = {"base": "b"} | ({"adapter": f"a{step}"} if step else {})
        return Variant(
            id=name, kind=kind, base_model="tiny:llama", precision="nf4", step=step, digests=digests
        )

    def _cell(self, variant: str, task: str, kind: Any) -> CellResult:
        if (variant, task) in self.failed:
            reason = self.failed[variant, task]
            return CellResult(variant=variant, task=task, kind=kind, status="failed", reason=reason)
        key = f"{self.run_id}-{variant}-{task}".replace("@", "-")
        weights = {"base": {"kind": "tiny"}, "precision": "nf4", "adapter": variant}
        identity = {
            "weights": weights,
            "examples": {"data": {"files": "f1"}, "prompt": SPEC["prompt"], "seed": 7},
            "batch_size": 8,
            **self.identity,
        }
        if kind != "perplexity":
            name = "predictions" if kind == "generation" else "samples"
            written = [
                Prediction(
                    example_id=text_id,
                    text=text,
                    prompt_tokens=1,
                    new_tokens=1,
                    finish_reason="eos",
                )
                for split, text in (("select", self.select_texts), ("report", self.texts))
                for text_id in self._ids(task, split)
            ]
            with self.store.writing("predictions", key, identity) as folder:
                self.store.write_records(folder, name, written)
            identity = {"task": task, "metrics": [{"name": "rougeL", "options": {}}]}
        scores, arrays = self._scores(variant, task, kind)
        with self.store.writing("scores", key, identity) as folder:
            self.store.write_records(folder, "scores", scores)
            np.savez_compressed(folder / "stats.npz", **arrays)
        return CellResult(
            variant=variant,
            task=task,
            kind=kind,
            status="done",
            predictions_key=key if kind != "perplexity" else None,
            scores_key=key,
        )

    def _scores(self, variant: str, task: str, kind: str) -> tuple[list[Score], dict[str, Any]]:
        names = {
            "generation": [
                (task, metric, split, 1.0)
                for split in ("select", "report")
                for metric in ("rougeL", "exact_match")
            ],
            "perplexity": [(task, "eval_loss", "eval", None)],
            "lm_eval": [(name, "acc", "all", 1.0) for name in (task, f"{task}/law", f"{task}/art")],
        }[kind]
        scores, arrays = [], {}
        for name, metric, split, scale in names:
            what = (variant, name, metric)
            if what in self.dropped or (*what, split) in self.unscored:
                continue
            ids = np.array(self._ids(name, split))
            where = split if kind != "lm_eval" else f"{name}/{split}"
            arrays |= {f"ids/{where}": ids, f"clusters/{where}": ids}
            values = self._values(variant, name, metric, split)
            stats = f"{name}/{metric}/{split}"
            has_stats = (name, kind) != (task, "lm_eval")  # an average over members has none
            if has_stats:
                arrays[stats] = np.stack([values, np.ones(N)], axis=1)
            undefined = (variant, name, metric) in self.undefined
            scores.append(
                Score(
                    task=name,
                    metric=metric,
                    split=split,
                    n=N,
                    value=None if undefined else float(np.nan_to_num(values).mean()),
                    reason="it came out as nan" if undefined else None,
                    scale=scale,
                    higher_is_better=scale is not None,
                    signature=f"{metric}|v1",
                    stats=stats if has_stats else None,
                )
            )
        return scores, arrays

    def _ids(self, name: str, split: str) -> list[str]:
        start = f"{name.rpartition('/')[2]}-{'s' if split == 'select' else ''}"
        return [self.rename(f"{start}{i:03d}") for i in range(N)]

    def _values(self, variant: str, name: str, metric: str, split: str) -> FloatArray:
        text = f"{variant} {name} {metric} {split}".replace("merged", "checkpoint")
        rng = np.random.default_rng(list(text.encode()))
        values = rng.uniform(0.2, 0.8, N)
        if metric in ("acc", "exact_match"):
            values = (values > 0.5).astype(float)
        change = self.changed.get((variant, name, metric))
        return change(values) if change is not None else values

    def _measure(self, variant: str) -> CellResult:
        key = f"{self.run_id}-{variant}-measure".replace("@", "-")
        speeds = tuple(self.speed * value for value in (99.0, 100.0, 100.5, 101.0, 99.5))
        items = [
            Measurement(name="peak_rss_bytes", unit="bytes", values=(5e8,)),
            Measurement(name="load_average", unit="", values=(1.0,)),
            *(
                Measurement(
                    name="decode_tokens_per_s",
                    unit="tok/s",
                    values=speeds,
                    batch_size=batch,
                    prompt_tokens=64,
                    new_tokens=16,
                )
                for batch in (4, 1)
            ),
            Measurement(name="ttft_s", unit="s", values=(), reason="not on this system"),
        ]
        with self.store.writing("measurements", key, {"cell": key}) as folder:
            self.store.write_records(folder, "measurements", items)
            self.store.write_record(folder, "environment", self.environment)
        return CellResult(
            variant=variant, task="measure", kind="measure", status="done", measurements_key=key
        )
