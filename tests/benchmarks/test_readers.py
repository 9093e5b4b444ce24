"""Metrics, intervals, the store, prompts and the report: what runs on a machine without torch."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from harness.data.prompts import Template
from harness.metrics.base import Metric, mean_of
from harness.metrics.registry import build_metric
from harness.report.build import build_view
from harness.report.html import render_html
from harness.schema import Comparison, Prediction
from harness.stats.intervals import Interval, interval
from harness.stats.paired import Difference
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.resampling import Resamples
from harness.store.runs import Store
from harness.suite.spec import PromptSpec
from tests.benchmarks.conftest import Measure
from tests.unit.conftest import WORDS, RunFactory

PAIRS = 1_000
RECORDS = 10_000


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, tuple[str, ...]]]:
    """Predictions and references of 15 to 40 words, of which about two in three agree."""
    draw = random.Random(0)
    made: list[tuple[str, tuple[str, ...]]] = []
    for _ in range(PAIRS):
        words = draw.choices(WORDS, k=draw.randint(15, 40))
        other = [word if draw.random() < 0.67 else draw.choice(WORDS) for word in words]
        made.append((" ".join(other), (" ".join(words),)))
    return made


@pytest.mark.parametrize("name", ["rougeL", "rouge1", "bleu", "chrf"])
def test_statistics_of_a_metric(
    measure: Measure, pairs: list[tuple[str, tuple[str, ...]]], name: str
) -> None:
    """Statistics of every pair, as they are kept."""
    metric: Metric = build_metric(name)

    def all_pairs() -> list[tuple[float, ...]]:
        return [metric.statistics(prediction, references) for prediction, references in pairs]

    found = measure(f"statistics of {PAIRS:,} pairs, `{name}`", all_pairs)
    assert len(found) == PAIRS


def test_bootstrap_of_a_mean(measure: Measure) -> None:
    """The interval of a mean over a thousand examples that stand alone."""
    stats = np.stack([np.random.default_rng(0).random(PAIRS), np.ones(PAIRS)], axis=1)
    clusters = [str(i) for i in range(PAIRS)]

    def bounded() -> Interval:
        return interval(stats, mean_of, Resamples(clusters))

    found = measure(f"bootstrap of {PAIRS:,} examples", bounded)
    assert found.low is not None
    assert found.low < found.value < found.high


METRICS = [*["rougeL"] * 6, "perplexity", "ter", "bleu", "chrf"]
EXAMPLES, VARIANTS = 10_000, 8


def many_samples() -> list[tuple[Quantity, list[Sample]]]:
    """Made-up statistics of eight variants, for ten metrics of the same 10,000 examples."""
    rng = np.random.default_rng(0)
    ids = np.array([f"e{index:05d}" for index in range(EXAMPLES)])
    made = []
    for name in METRICS:
        metric = build_metric(name)
        width = 2 if name in ("rougeL", "perplexity", "ter") else {"bleu": 10, "chrf": 18}[name]
        arrays = rng.integers(1, 40, size=(VARIANTS, EXAMPLES, width)).astype(float)
        samples = [Sample(f"v{place}", ids, ids, array) for place, array in enumerate(arrays)]
        made.append((Quantity("t", name, "report", metric.aggregate), samples))
    return made


@pytest.mark.parametrize("tested", [False, True], ids=["intervals", "intervals and tests"])
def test_resampling(measure: Measure, *, tested: bool) -> None:
    """Intervals of all values and of all differences from the first variant, weights drawn once."""
    made = many_samples()

    def everything() -> list[Difference | Comparison]:
        weights = Resamples(made[0][1][0].clusters)
        found: list[Difference | Comparison] = []
        for quantity, samples in made:
            panel = Panel(quantity, samples, resamples=weights)
            names = panel.variants[1:]
            for name in panel.variants:
                panel.interval(name)
            found += [(panel.compare if tested else panel.difference)("v0", n) for n in names]
        return found

    what = (
        f"10,000 resamples × {EXAMPLES:,} examples × {VARIANTS} variants × {len(METRICS)} metrics"
    )
    found = measure(f"{what}, {'with' if tested else 'without'} sign-flip tests", everything)
    assert len(found) == len(METRICS) * (VARIANTS - 1)
    assert all(difference.low is not None for difference in found)


@pytest.fixture(scope="module")
def predictions() -> list[Prediction]:
    """Predictions of the size of a sentence."""
    draw = random.Random(0)
    return [
        Prediction(
            example_id=f"example-{i:05d}",
            text=" ".join(draw.choices(WORDS, k=20)),
            prompt_tokens=200,
            new_tokens=25,
            finish_reason="eos",
            truncated_prompt_tokens=0,
        )
        for i in range(RECORDS)
    ]


def test_store_writes(measure: Measure, predictions: list[Prediction], tmp_path: Path) -> None:
    """A folder of results, written aside and renamed."""
    store, keys = Store(tmp_path), map(str, count())

    def write() -> str:
        key = next(keys)
        with store.writing("predictions", key, {"key": key}) as folder:
            store.write_records(folder, "predictions", predictions)
        return key

    key = measure(f"store: write {RECORDS:,} records", write)
    assert store.has("predictions", key)


def test_store_reads(measure: Measure, predictions: list[Prediction], tmp_path: Path) -> None:
    """The same, read back and validated."""
    store = Store(tmp_path)
    with store.writing("predictions", "key", {}) as folder:
        store.write_records(folder, "predictions", predictions)
    args = ("predictions", "key", "predictions", Prediction)
    found = measure(f"store: read {RECORDS:,} records", store.read_records, *args)
    assert found == predictions


def test_prompts(measure: Measure, pairs: list[tuple[str, tuple[str, ...]]]) -> None:
    """Prompt, completion and references of every row."""
    template = Template(
        PromptSpec(
            prompt="Summarise in one line.\n\n{{ body | trim }}\n\nSummary:",
            completion=" {{ summary }}",
        )
    )
    rows = [{"body": text, "summary": references[0]} for text, references in pairs]
    found = measure(f"prompts: render {PAIRS:,} rows", lambda: [template.render(r) for r in rows])
    assert len(found) == PAIRS


def test_report(measure: Measure, tmp_path: Path) -> None:
    """Intervals, comparisons, charts and HTML of six variants on five tasks."""
    run = RunFactory(Store(tmp_path / "runs"), n=96)
    manifest = run.build()
    page = measure(
        "report of 6 variants × 5 tasks",
        lambda: render_html(build_view(run.store, manifest)),
    )
    assert page.startswith("<!doctype html>")
