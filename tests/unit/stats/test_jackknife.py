"""One jackknife with one floor for alpha and rank correlations: groups, bounds, coverage."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from harness.ratings.records import Estimate
from harness.ratings.stats.alpha import alpha_estimate
from harness.ratings.stats.correlation import MetricValues, correlations
from harness.stats.intervals import ALONE
from harness.stats.jackknife import FEWEST_CLUSTERS, jackknife_groups, z_interval

Array = NDArray[np.float64]


def test_many_clusters_are_joined_to_a_hundred_groups_of_like_size() -> None:
    """Whole clusters, the same for the same seed whatever the order of the outputs."""
    names = [f"c{at:04d}" for at in range(1_030) for _ in range(2)]
    groups = jackknife_groups(names, seed=3)
    sizes = np.bincount(groups)
    assert len(sizes) == 100
    assert set(sizes.tolist()) == {20, 22}
    assert np.array_equal(groups[::2], groups[1::2])
    assert np.array_equal(jackknife_groups(names[::-1], seed=3), groups[::-1])
    assert not np.array_equal(jackknife_groups(names, seed=4), groups)


def test_bounds_are_students_on_fishers_z() -> None:
    """By scipy, with the spread around the whole sample's z."""
    without = np.linspace(0.3, 0.5, 12)
    found = z_interval(0.42, without, 12, n=30, unanimous="")
    error = np.sqrt(11 / 12 * np.sum((np.arctanh(without) - np.arctanh(0.42)) ** 2))
    reach = stats.t.ppf(0.975, 11) * error
    expected = np.tanh([np.arctanh(0.42) - reach, np.arctanh(0.42) + reach])
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.n, found.clusters, found.reason) == (30, 12, None)
    assert "12 items leaving out one item at a time, on Fisher's z scale" in found.method


def test_a_group_that_holds_all_disagreement_leaves_the_coefficient_itself() -> None:
    """Without it z is infinite; the upper bound ends at 1."""
    without = [*[0.9] * 11, 1.0]
    found = z_interval(0.9, without, 12, n=12, unanimous="")
    reach = stats.t.ppf(0.975, 11) * np.sqrt(11 / 12 * 0.1**2)
    assert (found.low, found.high) == pytest.approx((0.9 - reach, 1.0))
    assert "z scale" not in found.method


@pytest.mark.parametrize(
    ("value", "without", "clusters", "reason"),
    [
        (1.0, [1.0] * 12, 12, "all alike"),
        (-1.0, [-1.0] * 12, 12, "all alike"),
        (1.0, [1.0] * 3, 3, "all alike"),
        (0.5, [0.5, 0.4, 0.6], 3, "3 of the 10 unrelated items needed for an interval"),
        (0.5, [], 1, "1 of the 10 unrelated items needed for an interval"),
        (0.5, [*[0.5] * 11, np.nan], 12, ALONE),
    ],
)
def test_what_cannot_be_bounded_has_a_reason(
    value: float, without: list[float], clusters: int, reason: str
) -> None:
    """The value stands."""
    found = z_interval(value, without, clusters, n=20, unanimous="all alike")
    assert (found.value, found.low, found.high, found.reason) == (value, None, None, reason)


# -- one floor -------------------------------------------------------------------------------------


def _draw(rng: np.random.Generator, items: int, raters: int, noise: float) -> Array:
    """Points from 1 to 5, equally frequent, from a normal quality and each rater's own noise."""
    seen = rng.normal(size=(items, 1)) + noise * rng.normal(size=(items, raters))
    cuts = stats.norm.ppf([0.2, 0.4, 0.6, 0.8]) * np.sqrt(1 + noise**2)
    return np.searchsorted(cuts, seen) + 1.0


def _correlation(ratings: Array, metric: Array) -> tuple[Estimate, Estimate]:
    """Kendall's and Spearman's of outputs of as many items."""
    human = {"v": {str(at): float(value) for at, value in enumerate(ratings)}}
    values = {"v": {str(at): float(value) for at, value in enumerate(metric)}}
    clusters = {str(at): str(at) for at in range(len(ratings))}
    [found] = correlations({"fluency": human}, {"m": MetricValues(True, values)}, clusters)
    return found.kendall, found.spearman


@pytest.mark.parametrize("items", [3, 4, FEWEST_CLUSTERS - 1, FEWEST_CLUSTERS, 15])
def test_alpha_and_rank_correlations_have_one_floor(items: int) -> None:
    """Alpha used to give an interval from two items on, and rank correlations from ten on."""
    ratings = _draw(np.random.default_rng(items), items, 3, 1.0)
    metric = np.random.default_rng(1).normal(size=items)
    for estimate in (alpha_estimate(ratings, "ordinal"), *_correlation(ratings[:, 0], metric)):
        assert estimate.value is not None
        assert (estimate.low is not None) == (items >= FEWEST_CLUSTERS)
        assert (estimate.high is not None) == (items >= FEWEST_CLUSTERS)
        if items < FEWEST_CLUSTERS:
            words = f"{items} of the {FEWEST_CLUSTERS} unrelated items needed for an interval"
            assert estimate.reason == words


@pytest.mark.slow
@pytest.mark.parametrize("items", [FEWEST_CLUSTERS, 12, 15])  # 20 and 30: in test_alpha.py
def test_intervals_of_alpha_cover_from_the_floor_on(items: int) -> None:
    """2,700 studies of 2, 3 or 5 raters and an alpha of .18, .45 or .81: .93 or more of them."""
    held = []
    for raters in (2, 3, 5):
        for noise in (2.0, 1.0, 0.4):
            rng = np.random.default_rng([items, raters, int(10 * noise)])
            truth = krippendorff.alpha(
                _draw(rng, 100_000, raters, noise).T, level_of_measurement="ordinal"
            )
            assert truth is not None
            for _ in range(300):
                found = alpha_estimate(_draw(rng, items, raters, noise), "ordinal")
                if found.low is not None and found.high is not None:
                    held.append(found.low <= truth <= found.high)
    assert len(held) > 2_650  # the others are unanimous, or decided by one item
    assert np.mean(held) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("items", [FEWEST_CLUSTERS, 20])
def test_intervals_of_rank_correlations_cover_from_the_floor_on(items: int) -> None:
    """2,000 studies of a metric that follows a rater little, somewhat or much: .93 or more."""
    held = []
    for noise in (2.0, 1.0, 0.4):
        rng = np.random.default_rng([items, int(10 * noise)])

        def study(rng: np.random.Generator, n: int, noise: float = noise) -> tuple[Array, Array]:
            quality = rng.normal(size=n)
            rating = np.round(quality + 0.7 * rng.normal(size=n))
            return rating, quality + noise * rng.normal(size=n)

        large = study(rng, 20_000)
        truths = (stats.kendalltau(*large).statistic, stats.spearmanr(*large).statistic)
        for _ in range(670):
            for truth, found in zip(truths, _correlation(*study(rng, items)), strict=True):
                if found.low is not None and found.high is not None:
                    held.append(found.low <= truth <= found.high)
    assert np.mean(held) >= 0.93
