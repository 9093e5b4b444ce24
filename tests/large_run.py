"""A large synthetic run in a store, for benchmarks and for looking at.

``python -m tests.large_run FOLDER [EXAMPLES [VARIANTS]]`` writes one and renders its report.
Texts have the lengths and the word frequencies of English; statistics follow from how many words
of its reference an output keeps, so nothing is scored and all is written in seconds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics.registry import build_metric
from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.html import render_html
from harness.schema import (
    CellResult,
    Checkpoint,
    DataReport,
    Environment,
    LogEntry,
    Manifest,
    Measurement,
    Record,
    Score,
    TrainingRun,
    Variant,
)
from harness.select.checkpoint import select_checkpoint
from harness.store.runs import Store
from harness.suite.spec import Suite

TASK = "summary"
METRICS = ("rougeL", "rouge1", "exact_match")
SPLITS = ("select", "report")
HOSTILE = (
    "</script><script>window.bad = 1</script>",
    "<img src=x onerror='window.bad = 1'> <svg onload='window.bad = 1'>",
    "<!--<script> javascript:window.bad=1 {{ 7 * 7 }} ${window.bad = 1}",
    "\u202egnp.exe \u2066mirrored\u2069 \u200bnothing\ufeff",
    "\x1b[31mred\x1b[0m \x00 \x07 \u2028 \u2029 \x85",
    "x" * 100_000,
    "مرحبا بالعالم، هذا نص من اليمين إلى اليسار",
    "字" * 300,
)
_SHARE_SELECT = 5  # one in five examples is on select
_WORDS, _PROMPT_WORDS, _OUTPUT_WORDS = 6_000, 100, 34
_ENVIRONMENT = Environment(
    versions={"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2", "trl": "1.16.0"},
    python="3.11.7",
    platform="Linux-6.1-x86_64",
    device="cpu",
    device_name="AMD EPYC 7B13",
    cpu_count=2,
    memory_bytes=16_700_000_000,
    compute_dtype="fp32",
    fingerprint="9f3b1c2d4e5f60718293",
)
_READINGS = {
    "decode_tokens_per_s": ("tok/s", (41.2, 40.8, 41.9)),
    "prefill_tokens_per_s": ("tok/s", (610.0, 602.0, 615.0)),
    "ttft_s": ("s", (0.21, 0.22, 0.21)),
    "peak_rss_bytes": ("bytes", (6.12e8, 6.12e8, 6.13e8)),
}


@dataclass(frozen=True)
class _Texts:
    """Examples as words: indices into the vocabulary."""

    vocabulary: NDArray[Any]
    prompts: NDArray[np.int64]  # (n, words)
    references: NDArray[np.int64]
    lengths: NDArray[np.int64]  # (n,) words of each reference

    def join(self, words: Iterable[int]) -> str:
        return " ".join(self.vocabulary[list(words)]).capitalize() + "."


def write_large_run(
    folder: Path, examples: int = 10_000, variants: int = 8, seed: int = 0
) -> tuple[Store, Manifest]:
    """Write a finished run of one generation task, with training and measurements.

    Args:
        folder: The runs folder.
        examples: Examples, of which four in five are on the report split.
        variants: Variants: one or two bases, checkpoints, and the best one merged.
        seed: Of everything that is drawn; the same seed gives the same run.

    Returns:
        The store and the manifest, which is written too.
    """
    rng = np.random.default_rng(seed)
    store = Store(folder)
    suite = Suite.model_validate(_spec())
    names = _names(variants)
    texts = _draw(rng, examples)
    ids = [f"doc-{index:05d}" for index in range(examples)]
    report = DataReport(
        source="synthetic",
        digest="5e" * 10,
        rows_read=examples,
        rows_kept=examples,
        clusters=examples,
    )
    _write_examples(store, texts, ids, report)
    cells: list[CellResult] = []
    for place, name in enumerate(names):
        cells.append(_write_outputs(store, name, texts, ids, rng, _quality(place, variants)))
        cells.append(_measure(store, name))
    records = tuple(_variant(name) for name in names)
    manifest = Manifest(
        run_id="large",
        suite=suite.name,
        suite_digest="c0ffee00112233445566",
        spec=suite.model_dump(mode="json"),
        command="harness eval suites/large.yaml",
        created="2025-03-01T09:30:00+00:00",
        updated="2025-03-01T19:41:12+00:00",
        complete=True,
        variants=records,
        baseline=names[0],
        cells=tuple(cells),
        training_key=_train(store),
        data={TASK: report},
        examples={TASK: "examples"},
        selection=select_checkpoint(store, records, cells, suite, names[0]),
        environment=_ENVIRONMENT,
    )
    store.write_manifest(manifest)
    return store, manifest


def _spec() -> dict[str, Any]:
    return {
        "name": "large",
        "description": "A synthetic run with many examples.",
        "base": {"model": "smollm2-135m-instruct"},
        "data": {"source": "stdlib-docstrings"},
        "prompt": {"prompt": "{{ body }}\n", "completion": "{{ summary }}"},
        "train": {"method": "qlora"},
        "tasks": {TASK: {"type": "generation", "metrics": list(METRICS), "splits": list(SPLITS)}},
        "measure": {},
    }


def _names(variants: int) -> list[str]:
    first = ["base@nf4", "base@fp32"][: max(1, variants - 2)]
    checkpoints = variants - len(first) - 1
    names = [*first, *(f"checkpoint-{20 * (place + 1)}" for place in range(checkpoints))]
    return [*names, f"merged-{20 * checkpoints}"][:variants]


def _quality(place: int, variants: int) -> float:
    """Share of a reference's words that a variant keeps."""
    return 0.45 + 0.4 * place / max(1, variants - 1)


def _variant(name: str) -> Variant:
    kind: Any = {"b": "base", "c": "adapter", "m": "merged"}[name[0]]
    return Variant(
        id=name,
        kind=kind,
        base_model="smollm2-135m-instruct",
        precision="nf4" if name == "base@nf4" or kind == "adapter" else "fp32",
        step=None if kind == "base" else int(name.split("-")[1]),
        merged_into="fp32" if kind == "merged" else None,
        digests={"base": "ab" * 32},
    )


def _draw(rng: np.random.Generator, n: int) -> _Texts:
    letters, weights = list("etaoinshrdlucmfwygpbvkxqjz"), np.linspace(2.0, 0.1, 26)
    sizes = rng.integers(2, 10, size=_WORDS)
    words = ["".join(rng.choice(letters, size=k, p=weights / weights.sum())) for k in sizes]
    frequency = 1 / np.arange(2, _WORDS + 2)
    frequency /= frequency.sum()
    return _Texts(
        np.array(words, dtype=object),
        rng.choice(_WORDS, size=(n, _PROMPT_WORDS), p=frequency),
        rng.choice(_WORDS, size=(n, _OUTPUT_WORDS), p=frequency),
        rng.integers(_OUTPUT_WORDS // 2, _OUTPUT_WORDS + 1, size=n),
    )


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _splits(n: int) -> list[str]:
    return ["select" if index % _SHARE_SELECT == 0 else "report" for index in range(n)]


def _write_examples(store: Store, texts: _Texts, ids: Sequence[str], report: DataReport) -> None:
    splits = _splits(len(ids))
    rows = (
        {
            "id": name,
            "prompt": f"Summarise in one line.\n\n{texts.join(texts.prompts[index])}\n\nSummary:",
            "completion": " …",
            "references": [texts.join(texts.references[index][: texts.lengths[index]])],
            "cluster": name,
            "split": splits[index],
        }
        for index, name in enumerate(ids)
    )
    with store.writing("examples", "examples", {"task": TASK}) as folder:
        _write_lines(folder / "examples.jsonl", rows)
        store.write_record(folder, "report", report)


def _write_outputs(
    store: Store,
    variant: str,
    texts: _Texts,
    ids: Sequence[str],
    rng: np.random.Generator,
    quality: float,
) -> CellResult:
    n = len(ids)
    share = np.clip(rng.normal(quality, 0.15, size=n), 0, 1)
    kept = rng.random(texts.references.shape) < share[:, None]
    words = np.where(kept, texts.references, rng.permuted(texts.prompts, axis=1)[:, :_OUTPUT_WORDS])
    key = variant.replace("@", "-")
    rows = []
    for index, name in enumerate(ids):
        text = texts.join(words[index][: texts.lengths[index]])
        if index % 997 == 5:
            text = HOSTILE[index // 997 % len(HOSTILE)]
        elif index % 401 == 7:
            text = "" if index % 2 else "and so on " * 12
        rows.append(
            {
                "example_id": name,
                "text": text,
                "prompt_tokens": 140,
                "new_tokens": 48 if index % 53 == 0 else min(47, len(text) // 4 + 1),
                "finish_reason": "length" if index % 53 == 0 else "eos",
                "truncated_prompt_tokens": 12 if index % 211 == 3 else 0,
            }
        )
    with store.writing("predictions", key, {"cell": key}) as folder:
        _write_lines(folder / "predictions.jsonl", rows)
    within = np.arange(_OUTPUT_WORDS) < texts.lengths[:, None]
    rouge = (kept & within).sum(axis=1) / texts.lengths
    values = {
        "rougeL": np.round(rouge * 0.95, 4),
        "rouge1": np.round(rouge, 4),
        "exact_match": (rouge > 0.9).astype(float),
    }
    _write_scores(store, key, ids, values)
    return CellResult(
        variant=variant,
        task=TASK,
        kind="generation",
        status="done",
        predictions_key=key,
        scores_key=key,
        seconds=1200.0,
        computed=True,
    )


def _write_scores(
    store: Store, key: str, ids: Sequence[str], values: dict[str, NDArray[np.float64]]
) -> None:
    names, splits = np.array(ids), np.array(_splits(len(ids)))
    scores: list[Record] = []
    arrays: dict[str, NDArray[Any]] = {}
    for split in SPLITS:
        mask = splits == split
        arrays |= {f"ids/{split}": names[mask], f"clusters/{split}": names[mask]}
        for name, own in values.items():
            metric = build_metric(name)
            scale = metric.scale or 1.0
            stats = np.stack([own[mask] * scale, np.ones(int(mask.sum()))], axis=1)
            arrays[f"{name}/{split}"] = stats
            scores.append(
                Score(
                    task=TASK,
                    metric=name,
                    split=split,
                    n=len(stats),
                    value=float(metric.aggregate(stats.sum(axis=0))) if len(stats) else None,
                    reason=None if len(stats) else "no examples",
                    scale=metric.scale,
                    unit=metric.unit,
                    higher_is_better=metric.higher_is_better,
                    signature=metric.signature,
                    stats=f"{name}/{split}",
                )
            )
    with store.writing("scores", key, {"cell": key}) as folder:
        store.write_records(folder, "scores", scores)
        np.savez(folder / "stats.npz", **arrays)


def _measure(store: Store, variant: str) -> CellResult:
    key = "adapter" if variant.startswith("checkpoint") else variant.replace("@", "-")
    if not store.has("measurements", key):
        rows = [
            Measurement(name=name, unit=unit, values=values, prompt_tokens=128, new_tokens=32)
            for name, (unit, values) in _READINGS.items()
        ]
        with store.writing("measurements", key, {"shape": key}) as folder:
            store.write_records(folder, "measurements", rows)
    return CellResult(
        variant=variant, task="measure", kind="measure", status="done", measurements_key=key
    )


def _train(store: Store) -> str:
    log = tuple(
        LogEntry(
            step=step,
            loss=2.4 * 0.99**step,
            eval_loss=2.5 * 0.991**step if step % 20 == 0 else None,
            learning_rate=2e-4 * (1 - step / 140),
            seconds=2.0 * step,
        )
        for step in range(2, 122, 2)
    )
    training = TrainingRun(
        method="qlora",
        base_model="smollm2-135m-instruct",
        log=log,
        checkpoints=tuple(
            Checkpoint(name=f"checkpoint-{step}", step=step, path=f"checkpoint-{step}", digest="0")
            for step in range(20, 140, 20)
        ),
        trainable_parameters=4_884_480,
        total_parameters=139_400_000,
        rows_used=8_000,
        seconds=240.0,
        steps=120,
        environment=_ENVIRONMENT,
    )
    with store.writing("training", "training", {"training": 1}) as folder:
        store.write_record(folder, "training", training)
    return "training"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    written, made = write_large_run(target / "runs", *map(int, sys.argv[2:4]))
    page = render_html(build_view(written, made), AllExamples(written, made))
    (target / "report.html").write_text(page, "utf-8")
