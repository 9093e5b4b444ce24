"""Which metric follows the raters: against scipy, and against leaving groups out one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.metrics.base import mean_of
from harness.ratings.records import Correlation
from harness.ratings.stats.correlation import (
    MetricValues,
    accuracies,
    correlations,
    kendall_without,
    metric_values,
    spearman_without,
)
from harness.results.scores import Reading
from harness.schema import Score
from harness.stats.intervals import ALONE
from harness.stats.panel import Quantity, Sample
from tests.growth import growth

Array = np.ndarray


def dense(values: Array) -> Array:
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def drawn(seed: int, n: int, *, noise: float = 1.0) -> tuple[Array, Array]:
    """Ratings with many ties, and a continuous metric that follows them somewhat."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=n)
    ratings = np.clip(np.round(3 + quality + rng.normal(scale=0.5, size=n)), 1, 5)
    return ratings, quality + rng.normal(scale=noise, size=n)


def by_output(values: Array, variants: int = 2) -> dict[str, dict[str, float]]:
    """Values shared out among variants: items i0, i0, i1, i1, ..."""
    return {
        f"v{variant}": {
            f"i{at}": float(value) for at, value in enumerate(values[variant::variants])
        }
        for variant in range(variants)
    }


def correlate(
    ratings: Array, metric: Array, *, higher: bool = True, clusters: dict[str, str] | None = None
) -> Correlation:
    of = MetricValues(higher, by_output(metric))
    related = clusters or {f"i{at}": f"c{at}" for at in range(len(ratings))}
    [found] = correlations({"fluency": by_output(ratings)}, {"rougeL": of}, related)
    return found


# -- values ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=2, max_size=40))
def test_values_are_scipys(pairs: list[tuple[int, int]]) -> None:
    """Tau-b and Spearman of any tied data, NaN where one side is constant."""
    x, y = np.array(pairs).T
    groups = np.zeros(len(x), dtype=np.intp)
    with np.errstate(all="ignore"):
        constant = len(set(x)) == 1 or len(set(y)) == 1
        tau = np.nan if constant else scipy_stats.kendalltau(x, y).statistic
        rho = np.nan if constant else scipy_stats.spearmanr(x, y).statistic
    assert kendall_without(dense(x), dense(y), groups)[0] == pytest.approx(tau, nan_ok=True)
    assert spearman_without(dense(x), dense(y), groups)[0] == pytest.approx(rho, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_values_without_a_group_are_scipys_of_the_rest(seed: int) -> None:
    """What is taken off the sums is what computing anew gives."""
    ratings, metric = drawn(seed, 200)
    groups = np.random.default_rng(seed).integers(0, 12, size=200)
    tau = kendall_without(dense(ratings), dense(metric), groups)
    rho = spearman_without(dense(ratings), dense(metric), groups)
    for group in range(12):
        rest = groups != group
        expected = scipy_stats.kendalltau(ratings[rest], metric[rest]).statistic
        assert tau[1 + group] == pytest.approx(expected, abs=1e-12)
        expected = scipy_stats.spearmanr(ratings[rest], metric[rest]).statistic
        assert rho[1 + group] == pytest.approx(expected, abs=1e-12)


def test_a_correlation_has_the_jackknifes_interval() -> None:
    """Fisher's z, each item's two outputs left out together, Student-t: all by scipy."""
    ratings, metric = drawn(4, 60)
    found = correlate(ratings, metric)
    item = np.repeat(np.arange(30), 2)
    for estimate, statistic in (
        (found.kendall, lambda x, y: scipy_stats.kendalltau(x, y).statistic),
        (found.spearman, lambda x, y: scipy_stats.spearmanr(x, y).statistic),
    ):
        whole = statistic(ratings, metric)
        without = [statistic(ratings[item != at], metric[item != at]) for at in range(30)]
        z = np.arctanh(without)
        spread = np.sum((z - np.arctanh(whole)) ** 2)
        reach = scipy_stats.t.ppf(0.975, 29) * np.sqrt(29 / 30 * spread)
        expected = np.tanh([np.arctanh(whole) - reach, np.arctanh(whole) + reach])
        assert estimate.value == pytest.approx(whole)
        assert (estimate.low, estimate.high) == pytest.approx(tuple(expected))
    assert (found.n, found.items) == (60, 30)
    assert "30 items leaving out one item" in found.kendall.method


def test_a_metric_of_which_less_is_better_is_turned_round() -> None:
    """Plus means agreement, so an error rate that falls with quality has a plus."""
    ratings, metric = drawn(4, 60)
    up, down = correlate(ratings, metric), correlate(ratings, -metric, higher=False)
    assert down.kendall == up.kendall
    assert down.spearman == up.spearman
    assert not down.higher_is_better


# -- what gives no interval -----------------------------------------------------------------------


def test_no_variance_is_a_reason_not_a_number() -> None:
    """On either side."""
    ratings, metric = drawn(1, 40)
    found = correlate(np.full(40, 3.0), metric)
    assert found.kendall.value is None
    assert found.kendall.reason == "no variance: raters give all outputs the same value"
    found = correlate(ratings, np.zeros(40))
    assert found.spearman.reason == "no variance: the metric gives all outputs the same value"


def test_few_items_have_no_interval() -> None:
    """Twenty outputs of nine clusters: a value, and why there are no bounds."""
    ratings, metric = drawn(2, 20)
    clusters = {f"i{at}": f"c{min(at, 8)}" for at in range(10)}
    found = correlate(ratings, metric, clusters=clusters)
    assert found.kendall.value is not None
    assert found.kendall.low is None
    assert found.kendall.reason == "9 of the 10 unrelated items needed for an interval"


def test_a_perfect_correlation_has_no_interval() -> None:
    """Fisher's z has no end there."""
    found = correlate(np.arange(40.0), np.arange(40.0))
    assert found.kendall.value == pytest.approx(1.0)
    assert found.kendall.reason == "a perfect correlation gives no interval"


def test_a_correlation_that_one_item_alone_makes_has_no_interval() -> None:
    """Without it nothing varies."""
    ratings = np.array([5.0, 1.0] + [1.0] * 38)
    found = correlate(ratings, drawn(1, 40)[1])
    assert found.spearman.reason == ALONE


def test_outputs_need_both() -> None:
    """Outputs without a rating, or without a value of the metric, are not counted."""
    human = {"fluency": {"v0": {"i0": 1.0, "i1": 2.0}, "references": {"i0": 5.0}}}
    of = MetricValues(True, {"v0": {"i1": 0.5, "i2": 0.1}})
    [found] = correlations(human, {"bleu": of}, {"i0": "a", "i1": "b", "i2": "c"})
    assert (found.n, found.items) == (1, 1)
    assert "fewer than two outputs" in (found.kendall.reason or "")


@pytest.mark.parametrize("n", [60, pytest.param(600, marks=pytest.mark.slow)])
def test_intervals_cover(n: int) -> None:
    """Spearman of items of two outputs each; 200 runs, 95 % less two Monte-Carlo errors (.015)."""
    rng = np.random.default_rng(6)

    def population(count: int) -> tuple[Array, Array]:
        shared = np.repeat(rng.normal(size=count // 2), 2)
        quality = shared + rng.normal(size=count)
        rating = np.round(quality + rng.normal(scale=0.7, size=count))
        return rating, quality + np.repeat(rng.normal(size=count // 2), 2)

    true = scipy_stats.spearmanr(*population(100_000)).statistic
    clusters = [f"{at // 2}" for at in range(n)]
    held = []
    for _ in range(200):
        ratings, metric = population(n)
        related = {f"i{at}": clusters[2 * at] for at in range(n // 2)}
        found = correlate(ratings, metric, clusters=related).spearman
        held.append(found.low <= true <= found.high)  # type: ignore[operator]
    assert np.mean(held) >= 0.92


# -- accuracy over pairs --------------------------------------------------------------------------


def test_accuracy_is_over_comparisons_with_a_winner() -> None:
    """Four have one: the metric is right, wrong, tied, right: (1 + 0 + .5 + 1) / 4, by hand."""
    values = {
        "a": {"i1": 0.1, "i2": 0.1, "i3": 0.3, "i4": 0.9, "i5": 0.0, "i6": 0.0},
        "b": {"i1": 0.2, "i2": 0.0, "i3": 0.3, "i4": 0.1, "i5": 0.5},
    }
    pair = ("a", "b")
    won = {"i1": 0.75, "i2": 1.0, "i3": 0.0, "i4": 0.25, "i5": 0.5, "i6": 1.0}
    shares = {(item, pair): share for item, share in won.items()}
    metrics = {"up": MetricValues(True, values), "down": MetricValues(False, values)}
    up, down = accuracies(shares, metrics, {item: item for item in won})
    assert up.accuracy.value == pytest.approx(2.5 / 4)
    assert down.accuracy.value == pytest.approx(1.5 / 4)
    assert up.n == 4
    assert up.accuracy.low is not None


def test_pairs_of_an_item_are_related() -> None:
    """Three comparisons of each item that say the same are no more evidence than one."""
    names = ("a", "b", "c")
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    rng = np.random.default_rng(0)
    right = rng.random(30) < 0.7
    values = {
        name: {f"i{at}": float(rank if ok else -rank) for at, ok in enumerate(right)}
        for rank, name in enumerate(names)
    }
    clusters = {f"i{at}": f"i{at}" for at in range(30)}
    metrics = {"m": MetricValues(True, values)}
    everything = {(item, pair): 1.0 for item in clusters for pair in pairs}
    single = {key: share for key, share in everything.items() if key[1] == ("a", "b")}
    [all_of], [one_of] = (accuracies(given, metrics, clusters) for given in (everything, single))
    assert all_of.n == 90
    assert all_of.accuracy.low == pytest.approx(one_of.accuracy.low, rel=0.02)


def test_no_winner_is_a_reason() -> None:
    """Ties alone say nothing of a metric."""
    metrics = {"m": MetricValues(True, {"a": {"i": 1.0}, "b": {"i": 0.0}})}
    [found] = accuracies({("i", ("a", "b")): 0.5}, metrics, {"i": "i"})
    assert found.accuracy.value is None
    assert "winner" in (found.accuracy.reason or "")


# -- values of metrics ----------------------------------------------------------------------------


def reading(
    variant: str, split: str, ids: list[str], stats: list[list[float]], kind: str = "generation"
) -> Reading:
    score = Score(
        task="t", metric="wer", split=split, n=len(ids), value=0.0, higher_is_better=False
    )
    quantity = Quantity("t", "wer", split, mean_of, higher_is_better=False)
    sample = Sample(variant, np.array(ids), np.array(ids), np.array(stats))
    return Reading(variant, "t", kind, score, quantity, sample)


def test_metrics_give_every_output_a_value() -> None:
    """Splits are joined; an output of which the metric is undefined is counted."""
    readings = [
        reading("base", "report", ["a", "b"], [[1.0, 2.0], [0.0, 0.0]]),
        reading("base", "select", ["c"], [[3.0, 4.0]]),
        reading("tuned", "report", ["a"], [[2.0, 2.0]]),
        reading("tuned", "eval", ["d"], [[2.0, 2.0]]),
        reading("other", "report", ["a"], [[2.0, 2.0]]),
        reading("base", "report", ["a"], [[9.0, 1.0]], kind="human"),
    ]
    found = metric_values(readings, "t", ("report", "select"), ("base", "tuned"))
    values = {"base": {"a": 0.5, "c": 0.75}, "tuned": {"a": 1.0}}
    assert found == {"wer": MetricValues(False, values, undefined=1)}
    assert metric_values(readings, "u", ("report",), ("base",)) == {}


def test_work_grows_with_the_items() -> None:
    """Means of five raters, three criteria, four metrics."""
    rng = np.random.default_rng(0)

    def work(items: int) -> Callable[[], object]:
        human, metrics = {}, {}
        for name in ("fluency", "relevance", "correctness"):
            human[name] = by_output(rng.integers(1, 6, size=(2 * items, 5)).mean(axis=1))
        for name in "abcd":
            metrics[name] = MetricValues(True, by_output(rng.normal(size=2 * items)))
        clusters = {f"i{at}": f"c{at}" for at in range(items)}
        assert len(correlations(human, metrics, clusters)) == 12
        return lambda: correlations(human, metrics, clusters)

    assert growth(work, 500, 2_000) < 1.2
