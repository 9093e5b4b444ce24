"""Group against rest, checked against scipy's Welch test and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.metrics.base import FloatArray, mean_of, score_corpus
from harness.metrics.registry import build_metric
from harness.stats.contrasts import Pair
from harness.stats.panel import Panel, Quantity, Sample


def pair(
    gains: FloatArray, clusters: list[str] | None = None, *, higher_is_better: bool = True
) -> Pair:
    quantity = Quantity("t", "m", "report", mean_of, higher_is_better)
    ids = np.array([f"e{index:04d}" for index in range(len(gains))])
    held = np.array(clusters) if clusters else ids
    ones = np.ones(len(gains))
    samples = [
        Sample("base", ids, held, np.stack([0 * gains, ones], axis=1)),
        Sample("new", ids, held, np.stack([gains, ones], axis=1)),
    ]
    return Pair(Panel(quantity, samples, n_resamples=200), "base", "new")


def test_unrelated_examples_get_welchs_error_and_degrees_of_freedom() -> None:
    """With unequal variances, value, error and df are those of scipy's ttest_ind."""
    rng = np.random.default_rng(3)
    few, many = rng.normal(-1, 3, size=15), rng.normal(0, 0.5, size=60)
    rows = np.arange(75) < 15
    found = pair(np.concatenate([few, many])).contrast(rows)
    oracle = scipy_stats.ttest_ind(few, many, equal_var=False)
    assert found is not None
    assert found.value == pytest.approx(few.mean() - many.mean())
    assert found.value / found.error == pytest.approx(oracle.statistic)
    assert found.df == pytest.approx(oracle.df)


def test_a_group_without_variation_takes_the_spread_of_all() -> None:
    """Ten equal examples say little: the error is that of ten draws from all of them."""
    gains = np.concatenate([np.zeros(10), np.tile([0.0, -1.0], 45)])
    found = pair(gains).contrast(np.arange(100) < 10)
    assert found is not None
    spread = float(np.var(gains, ddof=1)) * (1 / 10 + 1 / 90)
    assert found.error == pytest.approx(spread**0.5)
    assert found.df == 98


def test_repeated_examples_add_nothing() -> None:
    """Every example three times in one cluster gives the error of the examples once."""
    gains = np.random.default_rng(0).normal(size=30)
    once = pair(gains).contrast(np.arange(30) < 12)
    names = [f"c{index:02d}" for index in range(30) for _ in range(3)]
    thrice = pair(np.repeat(gains, 3), names).contrast(np.repeat(np.arange(30) < 12, 3))
    assert once is not None
    assert thrice is not None
    assert thrice.error == pytest.approx(once.error)


def test_gains_are_turned_where_lower_is_better() -> None:
    """A rise of a loss is a negative gain."""
    found = pair(np.array([1.0, -2.0, 1e-15]), higher_is_better=False)
    assert found.gains.tolist() == [-1.0, 2.0, 0.0]
    assert found.gain(np.array([True, False, False])) == -1.0


def test_a_corpus_metric_stays_one() -> None:
    """The contrast of BLEU is the difference of two groups' BLEU, not of mean sentence BLEUs."""
    metric = build_metric("bleu")
    rng = np.random.default_rng(1)
    words = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])
    references = [[" ".join(rng.choice(words, 9))] for _ in range(40)]
    outputs = {
        name: [
            " ".join(w if rng.random() < keep else "x" for w in r[0].split()) for r in references
        ]
        for name, keep in (("base", 0.9), ("new", 0.8))
    }
    ids = np.array([f"e{index:02d}" for index in range(40)])
    quantity = Quantity("t", "bleu", "report", metric.aggregate, scale=100.0)
    samples = [
        Sample(name, ids, ids, score_corpus(metric, texts, references)[2])
        for name, texts in outputs.items()
    ]
    both = Pair(Panel(quantity, samples, n_resamples=200), "base", "new")
    assert not both.is_plain_mean
    rows = np.arange(40) < 20
    value = {
        (name, half.start): score_corpus(metric, texts[half], references[half])[0]
        for name, texts in outputs.items()
        for half in (slice(0, 20), slice(20, 40))
    }
    expected = sum(
        sign * side * (value[name, half.start] or 0.0)
        for name, sign in (("new", 1), ("base", -1))
        for half, side in ((slice(0, 20), 1), (slice(20, 40), -1))
    )
    found = both.contrast(rows)
    assert found is not None
    assert found.value == pytest.approx(expected)
    assert found.error > 0
