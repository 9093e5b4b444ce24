"""A whole synthetic run in a store: real metrics on made-up outputs of graded quality.

``python tests/unit/conftest.py FOLDER`` writes a larger one and renders its report, to
look at while working on the templates.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.metrics.base import score_corpus
from harness.metrics.registry import build_metric
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.view.records import View
from harness.report.words.verdict import verdict_text
from harness.schema import (
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
    Proof,
    Score,
    TrainingRun,
    Variant,
)
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.spec import Suite

_TEXT = """
return the given list of items as sorted copy iterator over each line in file object open close
parse string value number with default encoding path name create remove check whether module class
function call argument key mapping pair byte buffer stream error raise when
"""
WORDS = _TEXT.split()
QUALITY = {
    "base@nf4": 0.45,
    "base@fp32": 0.47,
    "checkpoint-20": 0.62,
    "checkpoint-40": 0.72,
    "checkpoint-60": 0.69,
    "merged-40": 0.72,
}
ENVIRONMENT = Environment(
    versions={"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2", "trl": "1.16.0"},
    python="3.11.7",
    platform="Linux-6.1-x86_64",
    device="cpu",
    device_name="AMD EPYC 7B13",
    cpu_count=2,
    memory_bytes=16_700_000_000,
    compute_dtype="fp32",
    decisions=("device cpu: no CUDA device is visible", "compute dtype fp32: the CPU has no AMX"),
    fingerprint="9f3b1c2d4e5f60718293",
)
MERGE_PROOF = Proof(
    probe="merged is the adapter",
    outcome="holds",
    words="Logits of base plus adapter against those of the merged model.",
    difference=1e-5,
    limit=1e-3,
    unit="logits",
)
SPEC: dict[str, Any] = {
    "name": "sample",
    "description": "Docstring summaries with SmolLM2-135M-Instruct.",
    "base": {"model": "smollm2-135m-instruct"},
    "data": {"source": "stdlib-docstrings"},
    "prompt": {"prompt": "{{ body }}\n", "completion": "{{ summary }}"},
    "train": {"method": "qlora"},
    "tasks": {
        "summary": {"type": "generation", "metrics": ["rougeL", "rouge1", "bleu", "chrf"]},
        "qa": {"type": "generation", "metrics": ["exact_match", "f1"], "splits": ["report"]},
        "heldout": {"type": "perplexity"},
        "smoke_hellaswag": {"type": "lm_eval", "task": "smoke_hellaswag", "num_fewshot": 0},
        "mmlu": {"type": "lm_eval", "task": "mmlu", "num_fewshot": 5},
    },
    "measure": {},
    "select": {
        "constraints": [
            {"task": "smoke_hellaswag", "metric": "acc_norm", "max_drop": 2},
            {"task": "mmlu", "max_drop": "20%"},
            {"measurement": "decode_tokens_per_s", "min": 15},
            {"measurement": "peak_rss_bytes", "max": "0.7 GB"},
        ]
    },
}


@dataclass
class RunFactory:
    """Writes a run's results into a store, and its manifest."""

    store: Store
    n: int = 24
    variants: Sequence[str] = tuple(QUALITY)
    spec: dict[str, Any] = field(default_factory=lambda: SPEC)
    text: Callable[[str, str], str] | None = None  # (variant, reference) -> what it writes
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    training: bool = True
    cells: list[CellResult] = field(default_factory=list)

    def build(self, **changes: Any) -> Manifest:
        """Write everything and return the manifest, with fields replaced by ``changes``."""
        suite = Suite.model_validate(self.spec)
        variants = tuple(self._variant(name) for name in self.variants)
        examples = {}
        data = {}
        for task, entry in suite.tasks.items():
            if entry.type == "generation":
                examples[task] = self._examples(task)
                data[task] = self.store.read_record(
                    "examples", examples[task], "report", DataReport
                )
            for variant in self.variants:
                self._cell(variant, task, entry)
        if suite.measure is not None:
            self._measurements()
        manifest = Manifest(
            run_id="r-4f21c0",
            suite=suite.name,
            suite_digest="c0ffee00112233445566",
            spec=suite.model_dump(mode="json"),
            command="harness eval suites/sample.yaml",
            created="2025-03-01T09:30:00+00:00",
            updated="2025-03-01T09:41:12+00:00",
            complete=not self.failed,
            variants=variants,
            baseline=self.variants[0],
            cells=tuple(self.cells),
            training_key=self._training() if self.training else None,
            data=data,
            examples=examples,
            selection=select_checkpoint(self.store, variants, self.cells, suite, self.variants[0]),
            findings=(
                Finding(
                    check="chat template",
                    severity="warning",
                    what="The prompt does not use the tokenizer's chat template.",
                    why="The base was tuned on chats.",
                    hint="Write prompt.messages to use it.",
                ),
            ),
            environment=ENVIRONMENT,
        )
        return manifest.model_copy(update=changes)

    def _variant(self, name: str) -> Variant:
        kind: Any = next(k for k in ("base", "merged", "checkpoint") if name.startswith(k))
        step = int(name.split("-")[1]) if kind != "base" else None
        return Variant(
            id=name,
            kind="adapter" if kind == "checkpoint" else kind,
            base_model="smollm2-135m-instruct",
            precision="fp32" if name == "base@fp32" or kind == "merged" else "nf4",
            step=step,
            merged_into="fp32" if kind == "merged" else None,
            proof=MERGE_PROOF if kind == "merged" else None,
            digests={"base": "ab" * 32} | ({"adapter": "cd" * 32} if step else {}),
        )

    def _examples(self, task: str) -> str:
        rng, key = random.Random(task), f"examples-{task}"
        rows = []
        for split in ("select", "report"):
            for index in range(self.n):
                summary = " ".join(rng.choices(WORDS, k=rng.randint(5, 11))).capitalize() + "."
                body = " ".join(rng.choices(WORDS, k=40))
                rows.append(
                    Example(
                        id=f"{task}-{split}-{index:03d}",
                        prompt=f"Summarise this docstring in one line.\n\n{body}\n\nSummary:",
                        completion=f" {summary}",
                        references=(summary,),
                        cluster=f"{split}-{index - index % 8 if index % 8 < 2 else index}",
                        split=split,
                    )
                )
        report = DataReport(
            source="stdlib-docstrings",
            digest="5e" * 10,
            rows_read=1534,
            rows_kept=2 * self.n,
            dropped={"no summary": 31, "shorter than min_chars": 12},
            near_duplicates=self.n // 4,
            clusters=2 * self.n - self.n // 4,
            split_sizes={"train": 1200, "eval": 80, "select": self.n, "report": self.n},
            notes=("12 prompts were longer than 512 tokens and were cut on the left.",),
        )
        with self.store.writing("examples", key, {"task": task}) as folder:
            self.store.write_records(folder, "examples", rows)
            self.store.write_record(folder, "report", report)
        return key

    def _cell(self, variant: str, task: str, entry: Any) -> None:
        base = {"variant": variant, "task": task, "kind": entry.type}
        if (variant, task) in self.failed:
            reason = self.failed[variant, task]
            self.cells.append(CellResult(status="failed", reason=reason, **base))
            return
        write = {
            "generation": self._generation,
            "perplexity": self._perplexity,
            "lm_eval": self._lm_eval,
        }[entry.type]
        key = f"{variant}-{task}".replace("@", "-")
        predictions, scores, arrays = write(variant, task, entry, random.Random(key))
        if predictions:
            with self.store.writing("predictions", key, {"cell": key}) as folder:
                self.store.write_records(folder, "predictions", predictions)
        with self.store.writing("scores", key, {"cell": key}) as folder:
            self.store.write_records(folder, "scores", scores)
            np.savez_compressed(folder / "stats.npz", **arrays)
        self.cells.append(
            CellResult(
                status="done",
                predictions_key=key if predictions else None,
                scores_key=key,
                seconds=12.5,
                computed=True,
                **base,
            )
        )

    def _generation(self, variant: str, task: str, entry: Any, rng: random.Random) -> Any:
        key = f"examples-{task}"
        examples = self.store.read_records("examples", key, "examples", Example)
        predictions, scores, arrays = [], [], {}
        for split in entry.splits:
            chosen = [example for example in examples if example.split == split]
            texts = [self._write(variant, example.references[0], rng) for example in chosen]
            predictions += [
                Prediction(
                    example_id=example.id,
                    text=text,
                    prompt_tokens=60,
                    new_tokens=max(1, len(text.split())),
                    finish_reason="length" if len(text.split()) > 10 else "eos",
                    truncated_prompt_tokens=12 if example.id.endswith("003") else 0,
                )
                for example, text in zip(chosen, texts, strict=True)
            ]
            arrays[f"ids/{split}"] = np.array([example.id for example in chosen])
            arrays[f"clusters/{split}"] = np.array([example.cluster for example in chosen])
            for name in entry.metrics:
                metric = build_metric(name)
                references = [example.references for example in chosen]
                value, reason, stats = score_corpus(metric, texts, references)
                arrays[f"{name}/{split}"] = stats
                scores.append(
                    Score(
                        task=task,
                        metric=name,
                        split=split,
                        n=len(chosen),
                        value=value,
                        reason=reason,
                        scale=metric.scale,
                        unit=metric.unit,
                        higher_is_better=metric.higher_is_better,
                        signature=metric.signature,
                        stats=f"{name}/{split}",
                    )
                )
        return predictions, scores, arrays

    def _write(self, variant: str, reference: str, rng: random.Random) -> str:
        if self.text is not None:
            return self.text(variant, reference)
        quality = QUALITY[variant]
        words = [w if rng.random() < quality else rng.choice(WORDS) for w in reference.split()]
        if variant.startswith("base"):
            words += rng.choices(WORDS, k=rng.randint(0, 6))
        return " ".join(words)

    def _perplexity(self, variant: str, task: str, entry: Any, rng: random.Random) -> Any:
        noise = np.random.default_rng(7).gamma(9.0, 1 / 9.0, size=self.n)
        tokens = np.random.default_rng(8).integers(6, 20, size=self.n).astype(float)
        own = np.random.default_rng(rng.randrange(2**31)).normal(1.0, 0.03, size=self.n)
        stats = np.stack([(4.2 - 2 * QUALITY[variant]) * noise * own * tokens, tokens], axis=1)
        scores = []
        for name in ("eval_loss", "perplexity"):
            metric = build_metric(name)
            scores.append(
                Score(
                    task=task,
                    metric=name,
                    split="eval",
                    n=self.n,
                    value=float(metric.aggregate(stats.sum(axis=0))),
                    unit=metric.unit,
                    higher_is_better=False,
                    signature=metric.signature,
                    stats="loss/eval",
                )
            )
        ids = np.array([f"eval-{index}" for index in range(self.n)])
        return [], scores, {"loss/eval": stats, "ids/eval": ids, "clusters/eval": ids}

    def _lm_eval(self, variant: str, task: str, entry: Any, rng: random.Random) -> Any:
        leaves = [task] if task != "mmlu" else ["mmlu/anatomy", "mmlu/astronomy"]
        scores, arrays = [], {}
        for leaf in leaves:
            for metric in ("acc", "acc_norm"):
                hits = np.array([rng.random() < 0.42 for _ in range(self.n)], dtype=float)
                arrays[f"{leaf}/{metric}"] = np.stack([hits, np.ones(self.n)], axis=1)
                scores.append(
                    Score(
                        task=leaf,
                        metric=metric,
                        split="all",
                        n=self.n,
                        value=float(hits.mean()),
                        stderr=float(hits.std(ddof=1) / np.sqrt(self.n)),
                        scale=1.0,
                        signature=f"lm_eval:0.4.13|task:{leaf}|version:1.0",
                        stats=f"{leaf}/{metric}",
                    )
                )
            ids = np.array([f"{leaf}-{index}" for index in range(self.n)])
            arrays |= {f"ids/{leaf}/all": ids, f"clusters/{leaf}/all": ids}
        if task == "mmlu":
            scores.append(
                Score(
                    task="mmlu",
                    metric="acc",
                    split="all",
                    n=2 * self.n,
                    value=float(np.mean([s.value for s in scores if s.metric == "acc"])),
                    stderr=0.031,
                    scale=1.0,
                    signature="lm_eval:0.4.13|group:mmlu|version:2",
                )
            )
        return [], scores, arrays

    def _measurements(self) -> None:
        for variant in self.variants:
            shape = "adapter" if variant.startswith("checkpoint") else variant
            key = f"measure-{shape}".replace("@", "-")
            base = {"variant": variant, "task": "measure", "kind": "measure"}
            if (variant, "measure") in self.failed:
                reason = self.failed[variant, "measure"]
                self.cells.append(CellResult(status="failed", reason=reason, **base))
                continue
            if not self.store.has("measurements", key):
                with self.store.writing("measurements", key, {"shape": shape}) as folder:
                    self.store.write_records(folder, "measurements", _readings(shape))
            self.cells.append(CellResult(status="done", measurements_key=key, **base))

    def _training(self) -> str:
        log = []
        for step in range(2, 62, 2):
            log.append(
                LogEntry(
                    step=step,
                    epoch=step / 30,
                    loss=3.4 * 0.97**step + 1.4 + 0.08 * random.Random(step).gauss(0, 1),
                    learning_rate=2e-4 * (1 - step / 62),
                    tokens=step * 410,
                    seconds=step * 2.1,
                )
            )
            if step % 20 == 0:
                log.append(LogEntry(step=step, eval_loss=3.2 * 0.975**step + 1.6))
        names = [name for name in self.variants if name.startswith("checkpoint")]
        run = TrainingRun(
            method="qlora",
            base_model="smollm2-135m-instruct",
            log=tuple(log),
            checkpoints=tuple(
                Checkpoint(name=name, step=int(name[11:]), path=name, digest="cd" * 32)
                for name in names
            ),
            trainable_parameters=4_884_480,
            total_parameters=139_400_000,
            rows_used=480,
            rows_dropped={"longer than max_length": 3},
            rows_truncated=7,
            packed_sequences=120,
            eval_rows_used=24,
            eval_rows_dropped={"longer than max_length": 1},
            notes=("paged_adamw_8bit is not paged on a CPU",),
            sequence_tokens={"min": 21, "median": 88, "p95": 240, "max": 512, "mean": 104.2},
            estimated_flops=4.1e13,
            tokens_per_second=196.0,
            peak_memory_bytes=2_310_000_000,
            seconds=128.4,
            steps=60,
            environment=ENVIRONMENT,
        )
        with self.store.writing("training", "training-1", {"steps": 60}) as folder:
            self.store.write_record(folder, "training", run)
        return "training-1"


def _readings(shape: str) -> list[Measurement]:
    speed = {"base@nf4": 21.0, "adapter": 17.5, "base@fp32": 33.0, "merged-40": 32.6}[shape]
    memory = {"base@nf4": 0.61, "adapter": 0.64, "base@fp32": 1.02, "merged-40": 1.04}[shape]
    rng = random.Random(shape)
    spread = [1 + 0.02 * rng.gauss(0, 1) for _ in range(10)]
    point = {"batch_size": 1, "prompt_tokens": 128, "new_tokens": 32, "warmup": 1}

    def timed(name: str, unit: str, value: float) -> Measurement:
        values = tuple(value * s for s in spread)
        return Measurement(name=name, unit=unit, values=values, **point)

    return [
        Measurement(name="load_s", unit="s", values=(1.84,), note="2 threads, sdpa, float32"),
        Measurement(name="weights_bytes", unit="bytes", values=(memory * 2.4e8,)),
        Measurement(name="peak_rss_bytes", unit="bytes", values=(memory * 1e9,)),
        timed("prefill_tokens_per_s", "tok/s", 14 * speed),
        timed("decode_tokens_per_s", "tok/s", speed),
        timed("ttft_s", "s", 9 / speed),
        timed("e2e_s", "s", 40 / speed),
        Measurement(name="peak_reserved_bytes", unit="bytes", values=(), reason="no GPU", **point),
    ]


@dataclass(frozen=True)
class Sample:
    """A run in its store, with its view."""

    store: Store
    manifest: Manifest
    view: View


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunFactory]:
    """A factory of runs; its arguments are ``RunFactory``'s."""

    def make(**options: Any) -> RunFactory:
        return RunFactory(Store(tmp_path / "runs"), **options)

    return make


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A run with everything in it and one failed cell; not to be changed."""
    store = Store(tmp_path_factory.mktemp("sample"))
    failed = {("base@fp32", "mmlu"): "RuntimeError: <b>bad</b>"}
    manifest = RunFactory(store, n=40, failed=failed).build()
    return Sample(store, manifest, build_view(store, manifest))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    run = RunFactory(Store(folder / "runs"), n=96, failed={("base@fp32", "mmlu"): "OOM"})
    made = run.build()
    run.store.write_manifest(made)
    shown = build_view(run.store, made)
    (folder / "report.html").write_text(render_html(shown), "utf-8")
    sys.stdout.write(verdict_text(shown) + "\n")
