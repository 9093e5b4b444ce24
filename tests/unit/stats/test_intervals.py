from __future__ import annotations

import numpy as np
import pytest
import sacrebleu.metrics
from scipy import special
from scipy import stats as scipy_stats

from harness.metrics.base import FloatArray, mean_of
from harness.metrics.registry import build_metric
from harness.stats import resampling
from harness.stats.intervals import interval, is_mean, percentile_bounds
from harness.stats.resampling import Resamples


def singles(n: int) -> list[str]:
    return [f"c{index:04d}" for index in range(n)]


def with_counts(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones(len(values))], axis=1)


def test_shares_of_unrelated_examples_get_wilson() -> None:
    """0/1 values of unrelated examples get scipy's own Wilson interval, in the metric's unit."""
    values = np.array([100.0] * 7 + [0.0] * 13)
    found = interval(with_counts(values), mean_of, Resamples(singles(20)), scale=100.0)
    expected = scipy_stats.binomtest(7, 20).proportion_ci(method="wilson")
    assert found.method == "Wilson score"
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_a_share_of_none_has_an_upper_bound_also_in_clusters() -> None:
    """No success among related examples gives [0, something], not [0, 0]."""
    found = interval(with_counts(np.zeros(20)), mean_of, Resamples(["a", "b"] * 10))
    assert found.low == 0
    assert found.high is not None
    assert 0 < found.high < 1


def test_few_unrelated_values_get_scipys_t_interval() -> None:
    """Below 100 clusters a mean gets the one-sample Student-t interval."""
    values = np.random.default_rng(3).gamma(2.0, size=30)
    found = interval(with_counts(values), mean_of, Resamples(singles(30)))
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_bounds_stay_within_the_scale() -> None:
    """Where all values lie within [0, scale], so do the bounds of their mean."""
    values = np.array([0.0, 0.0, 0.0, 0.0, 0.3])
    found = interval(with_counts(values), mean_of, Resamples(singles(5)), scale=1.0)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval()
    assert expected.low < 0
    assert (found.low, found.high) == (0.0, pytest.approx(expected.high))


def test_clusters_of_equal_size_get_the_t_interval_of_their_means() -> None:
    """With equal clusters the cluster-robust interval is the one of the cluster means."""
    values = np.random.default_rng(4).normal(size=(12, 3))
    clusters = np.repeat(singles(12), 3)
    found = interval(with_counts(values.ravel()), mean_of, Resamples(clusters))
    expected = scipy_stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_clusters_of_unequal_size_get_the_jackknifes_error() -> None:
    """The width of a loss per token comes from leaving out one document at a time, in a loop."""
    rng = np.random.default_rng(11)
    tokens = rng.integers(1, 90, size=9).astype(float)
    stats = np.stack([tokens * rng.gamma(4.0, 0.5, size=9), tokens], axis=1)
    found = interval(stats, mean_of, Resamples(singles(9)))
    total, ratio = stats[:, 0].sum(), stats[:, 0].sum() / tokens.sum()
    left_out = [(total - y) / (tokens.sum() - m) for y, m in stats]
    variance = 8 / 9 * sum((value - ratio) ** 2 for value in left_out)
    reach = scipy_stats.t.ppf(0.975, 8) * np.sqrt(variance)
    assert found.low == pytest.approx(ratio - reach)
    assert found.high == pytest.approx(ratio + reach)


def test_percentiles_are_expanded_to_the_width_of_student_t() -> None:
    """Normal draws with the spread of a bootstrap of normal values give Student-t's bounds.

    That is what the expanded percentiles of Hesterberg (2015) are made for; the spread is the
    standard error times sqrt(1 - 1/n).
    """
    clusters, error = 20, 0.5
    quantiles = (np.arange(1_000_000) + 0.5) / 1_000_000
    drawn = error * np.sqrt(1 - 1 / clusters) * special.ndtri(quantiles)
    for tail in (0.025, 0.005):
        reach = scipy_stats.t.ppf(1 - tail, clusters - 1) * error
        found = percentile_bounds(drawn, clusters, tail=tail)
        assert found == pytest.approx((-reach, reach), rel=1e-3)


def test_bootstrap_agrees_with_scipy() -> None:
    """Percentile bounds of a mean equal scipy.stats.bootstrap's up to Monte-Carlo error."""
    values = np.random.default_rng(5).exponential(size=150)
    found = interval(with_counts(values), mean_of, Resamples(singles(150), seed=1))
    expected = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)


def test_corpus_bleu_agrees_with_sacrebleus_bootstrap() -> None:
    """BLEU is resampled as a corpus metric: the width is sacrebleu's own, not of sentence BLEU."""
    rng = np.random.default_rng(6)
    words = np.array(
        [
            "the",
            "a",
            "cat",
            "dog",
            "sat",
            "on",
            "mat",
            "under",
            "big",
            "red",
            "house",
            "tree",
            "runs",
            "away",
        ]
    )
    references = [" ".join(rng.choice(words, size=12)) for _ in range(120)]
    outputs = [
        " ".join(w if rng.random() < 0.8 else rng.choice(words) for w in text.split())
        for text in references
    ]
    metric = build_metric("bleu")
    stats = np.array([metric.statistics(o, [r]) for o, r in zip(outputs, references, strict=True)])
    found = interval(stats, metric.aggregate, Resamples(singles(120)))
    theirs = sacrebleu.metrics.BLEU(references=[references]).corpus_score(
        outputs, None, n_bootstrap=2_000
    )
    assert found.value == pytest.approx(theirs.score)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(theirs._ci, rel=0.1)


def test_related_examples_are_drawn_together() -> None:
    """Duplicating every example within its cluster changes no bound."""
    values = np.random.default_rng(7).normal(size=120)
    once = interval(with_counts(values), mean_of, Resamples(singles(120)))
    twice = interval(
        with_counts(np.repeat(values, 2)), mean_of, Resamples(np.repeat(singles(120), 2))
    )
    assert (once.low, once.high) == pytest.approx((twice.low, twice.high))
    assert (twice.n, twice.clusters) == (240, 120)


def test_order_and_memory_do_not_change_the_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shuffled examples and weights that are drawn anew give the same interval."""
    values, names = np.random.default_rng(8).normal(size=110), np.array(singles(110))
    first = interval(with_counts(values), mean_of, Resamples(names, seed=9))
    order = np.random.default_rng(0).permutation(110)
    monkeypatch.setattr(resampling, "_KEPT_CELLS", 0)
    again = interval(with_counts(values[order]), mean_of, Resamples(names[order], seed=9))
    assert (first.low, first.high) == pytest.approx((again.low, again.high), abs=1e-12)


def test_the_seed_decides() -> None:
    """Equal seeds give equal bounds, other seeds other ones."""
    stats = with_counts(np.random.default_rng(8).normal(size=110))
    one, same, other = (
        interval(stats, mean_of, Resamples(singles(110), seed=seed)) for seed in (1, 1, 2)
    )
    assert (one.low, one.high) == (same.low, same.high)
    assert (one.low, one.high) != (other.low, other.high)


@pytest.mark.parametrize(
    ("values", "clusters", "reason"),
    [
        ([], [], "there are no examples"),
        ([0.4], ["a"], "one example gives no interval"),
        ([0.4, 0.6], ["a", "a"], "one cluster of related examples gives no interval"),
    ],
)
def test_too_little_data_gives_a_reason(
    values: list[float], clusters: list[str], reason: str
) -> None:
    """Below two clusters there are no bounds, and it is said why."""
    stats = np.array([[value, 1.0] for value in values]).reshape(-1, 2)
    found = interval(stats, mean_of, Resamples(clusters))
    assert (found.low, found.high, found.reason) == (None, None, reason)


@pytest.mark.parametrize("n", [40, 140])
def test_equal_scores_give_no_interval(n: int) -> None:
    """Where every example has the same value, [0.3, 0.3] would claim a certainty nobody has."""
    found = interval(with_counts(np.full(n, 0.3)), mean_of, Resamples(singles(n)))
    reason = "all examples score the same, which gives no interval"
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high, found.method, found.reason) == (None, None, "", reason)


def test_a_corpus_metric_of_zero_gives_no_interval() -> None:
    """ChrF of outputs that have not one character in common with their references."""
    metric = build_metric("chrf")
    stats = np.array([metric.statistics("xyz", ["abcd"])] * 30)
    found = interval(stats, metric.aggregate, Resamples(singles(30)))
    assert (found.value, found.low, found.high) == (0.0, None, None)
    assert found.reason == "all examples score the same, which gives no interval"


def test_clusters_that_score_the_same_give_no_interval() -> None:
    """Related examples differ, their clusters do not: what is drawn is always the same."""
    values = np.tile([0.1, 0.5], 12)
    found = interval(with_counts(values), mean_of, Resamples(np.repeat(singles(12), 2)))
    assert (found.low, found.high) == (None, None)
    assert found.reason == "all clusters of examples score the same, which gives no interval"


def test_a_share_of_all_keeps_its_interval() -> None:
    """Equal right-or-wrong values have a score interval: scipy's Wilson of 40 of 40."""
    found = interval(with_counts(np.ones(40)), mean_of, Resamples(singles(40)))
    expected = scipy_stats.binomtest(40, 40).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_an_undefined_value_is_none_with_a_reason() -> None:
    """NaN never leaves the function."""
    found = interval(np.zeros((5, 2)), mean_of, Resamples(singles(5)))
    assert (found.value, found.low, found.reason) == (None, None, "undefined for these outputs")


def test_bounds_are_withheld_where_resamples_are_undefined() -> None:
    """A metric whose denominator is often zero has a value but no trustworthy bounds."""
    stats = np.array([[1.0, 1.0]] + [[0.0, 0.0]] * 4)
    found = interval(stats, build_metric("perplexity").aggregate, Resamples(singles(5)))
    assert found.value == pytest.approx(np.e)
    assert found.reason == "undefined in more than 5 % of the resamples"


def test_few_clusters_are_named_as_a_caution() -> None:
    """A bootstrap of fewer than 100 clusters says that it may be too narrow."""
    metric = build_metric("perplexity")
    stats = np.stack([np.linspace(10, 30, 20), np.full(20, 8.0)], axis=1)
    found = interval(stats, metric.aggregate, Resamples(singles(20)))
    assert "below 100" in found.method


@pytest.mark.parametrize(
    ("name", "expected"),
    [("rougeL", True), ("eval_loss", True), ("perplexity", False), ("bleu", False)],
)
def test_means_are_told_from_other_metrics(name: str, expected: bool) -> None:
    """A loss per token is a ratio of sums like a mean; its exponential is not."""
    metric = build_metric(name)
    assert is_mean(metric.aggregate, 2 if name != "bleu" else 10) is expected


def _covers(draw: object, truth: float, clusters: list[str], simulations: int) -> float:
    hits = 0
    for seed in range(simulations):
        values = draw(np.random.default_rng(seed))  # type: ignore[operator]
        resamples = Resamples(clusters, seed=seed, n_resamples=500)
        found = interval(with_counts(values), mean_of, resamples)
        hits += found.low <= truth <= found.high
    return hits / simulations


def test_few_clusters_cover() -> None:
    """Ten clusters of three: Student-t covers 95 %, within three Monte-Carlo standard errors."""

    def draw(rng: np.random.Generator) -> FloatArray:
        return np.repeat(rng.normal(size=10), 3) + rng.normal(size=30)

    covered = _covers(draw, 0.0, np.repeat(singles(10), 3).tolist(), 1_000)
    assert covered == pytest.approx(0.95, abs=3 * 0.0069)


def test_many_clusters_cover() -> None:
    """120 skewed values: the percentile bootstrap covers about 95 %."""
    covered = _covers(lambda rng: rng.exponential(size=120), 1.0, singles(120), 400)
    assert 0.91 <= covered <= 0.98


def test_clustered_shares_cover() -> None:
    """40 pairs of equal 0/1 values: the score interval of effective size covers 95 %."""

    def draw(rng: np.random.Generator) -> FloatArray:
        return np.repeat((rng.random(40) < 0.3).astype(float), 2)

    covered = _covers(draw, 0.3, np.repeat(singles(40), 2).tolist(), 1_000)
    assert covered == pytest.approx(0.95, abs=0.025)
