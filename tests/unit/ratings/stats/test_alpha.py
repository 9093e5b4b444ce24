from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from random import Random

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy import stats

from harness.ratings.stats.alpha import (
    NO_VARIANCE,
    UNANIMOUS,
    Level,
    alpha_estimate,
)
from harness.stats.intervals import ALONE

Ratings = NDArray[np.float64]

NAN = float("nan")
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")
WORKED = np.array(  # observers A to D in columns, units 1 to 12 in rows
    [
        [1, 1, NAN, 1],
        [2, 2, 3, 2],
        [3, 3, 3, 3],
        [3, 3, 3, 3],
        [2, 2, 2, 2],
        [1, 2, 3, 4],
        [4, 4, 4, 4],
        [1, 1, 2, 1],
        [2, 2, 2, 2],
        [NAN, 5, 5, 5],
        [NAN, NAN, 1, 1],
        [NAN, 3, NAN, NAN],
    ]
)

tables = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 14), st.integers(2, 5)),
    elements=st.sampled_from([NAN, 1.0, 2.0, 3.0, 5.0]),
)


def alpha_of(ratings: Ratings, level: Level) -> float | None:
    """The coefficient alone, or that there is none."""
    return alpha_estimate(ratings, level).value


def package_alpha(ratings: Ratings, level: Level) -> float:
    """What the package gives for the same table."""
    return float(krippendorff.alpha(ratings.T, level_of_measurement=level))


def _oracle(ratings: Ratings, level: Level) -> float:
    return float(krippendorff.alpha(ratings.T, level_of_measurement=level))


def _pairable(ratings: Ratings) -> Ratings:
    return ratings[np.sum(~np.isnan(ratings), axis=1) >= 2]


@pytest.mark.parametrize(
    ("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_agrees_with_the_worked_example(level: Level, expected: float) -> None:
    """Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, sections C and D."""
    assert alpha_of(WORKED, level) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_agrees_with_the_krippendorff_package(level: Level) -> None:
    """On 1,000 random matrices of all sizes, from hardly any answer missing to nearly all."""
    rng = np.random.default_rng(20260)
    compared = 0
    while compared < 1000:
        shape = rng.integers(1, 30), rng.integers(1, 7)
        ratings = rng.integers(0, rng.integers(2, 8), size=shape).astype(np.float64)
        ratings[rng.random(shape) < rng.uniform(0, 0.8)] = NAN
        answers = _pairable(ratings)
        found = alpha_of(ratings, level)
        if len(np.unique(answers[~np.isnan(answers)])) < 2:
            assert found is None
            continue
        compared += 1
        assert found == pytest.approx(_oracle(ratings, level), abs=1e-9)


@pytest.mark.realdata
def test_alpha_agrees_with_published_values() -> None:
    """Ratings of news summaries on four criteria: equal to the published values to 1e-9."""
    folder = os.environ.get("HARNESS_REALDATA")
    if not folder:
        pytest.skip("HARNESS_REALDATA is not set")
    ratings = Path(folder) / "ratings"
    published = json.loads((ratings / "published_alpha.json").read_text("utf-8"))["newsroom"]
    cells: dict[str, dict[tuple[str, int], float]] = {}
    with (ratings / "newsroom_ratings.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            place = row["unit_id"], int(row["rater_slot"])
            cells.setdefault(row["criterion"], {})[place] = float(row["score"])
    assert set(cells) == set(published["krippendorff_alpha"])
    for criterion, expected in published["krippendorff_alpha"].items():
        units = sorted({unit for unit, _ in cells[criterion]})
        table = np.array([[cells[criterion].get((u, r), NAN) for r in range(3)] for u in units])
        assert alpha_of(table, published["level"]) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(tables, st.sampled_from(LEVELS), st.randoms(use_true_random=False))
def test_order_of_raters_and_units_does_not_matter(
    ratings: Ratings, level: Level, random: Random
) -> None:
    """Neither to the value nor to its interval."""
    rows, columns = (random.sample(range(size), size) for size in ratings.shape)
    before, after = (
        alpha_estimate(ratings, level),
        alpha_estimate(ratings[np.ix_(rows, columns)], level),
    )
    assert after.reason == before.reason
    for name in ("value", "low", "high"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-9)


@settings(deadline=None)
@given(tables, st.sampled_from(LEVELS), st.sampled_from([NAN, 1.0, 4.0]))
def test_a_unit_without_a_second_answer_changes_nothing(
    ratings: Ratings, level: Level, answer: float
) -> None:
    """Not even where its answer is one that nobody else gave."""
    alone = np.full((1, ratings.shape[1]), NAN)
    alone[0, 0] = answer
    before, after = (alpha_estimate(r, level) for r in (ratings, np.vstack([alone, ratings])))
    assert before.value is None or after == before


@settings(deadline=None)
@given(tables, st.sampled_from(LEVELS))
def test_bounds_enclose_alpha_and_stay_in_its_range(ratings: Ratings, level: Level) -> None:
    """Alpha is never -1 or less, and there is an interval or a reason."""
    found = alpha_estimate(ratings, level)
    if found.low is None or found.high is None or found.value is None:
        assert found.reason
    else:
        assert found.reason is None
        assert found.value == pytest.approx(package_alpha(ratings, level), abs=1e-12)
        assert -1 <= found.low <= found.value + 1e-12
        assert found.value - 1e-12 <= found.high <= 1
    assert found.value is None or -1 < found.value <= 1


@pytest.mark.parametrize(
    ("ratings", "n", "reason"),
    [
        (np.empty((0, 3)), 0, "nobody has answered"),
        (np.full((4, 3), NAN), 0, "nobody has answered"),
        ([[1, NAN], [4, NAN], [2, NAN]], 0, "only one rater has answered"),
        ([[1], [4], [2]], 0, "only one rater has answered"),
        ([[1, NAN], [NAN, 2]], 0, "nothing was judged by two raters"),
        ([[3, 3], [3, 3], [3, 3]], 3, NO_VARIANCE),
        ([[3, 3], [3, 3], [5, NAN]], 2, NO_VARIANCE),
    ],
)
def test_no_value_has_a_reason(ratings: Ratings, n: int, reason: str) -> None:
    """Never 0, 1 or NaN where chance explains nothing or nothing can be compared."""
    found = alpha_estimate(ratings, "ordinal")
    assert (found.value, found.low, found.high) == (None, None, None)
    assert (found.n, found.reason) == (n, reason)
    assert alpha_of(ratings, "ordinal") is None


@pytest.mark.parametrize(
    ("ratings", "clusters", "reason"),
    [
        ([[1, 1], [5, 5], [3, 3]], None, UNANIMOUS),
        ([[1, 2], [5, 4]], ["a", "a"], "1 of the 10 unrelated items needed for an interval"),
        ([[1, 2]], None, "1 of the 10 unrelated items needed for an interval"),
        (
            [[1, 2], [5, 4]] * 9,
            ["a", "a"] * 9,
            "1 of the 10 unrelated items needed for an interval",
        ),
        ([[1, 2]] * 9, None, "9 of the 10 unrelated items needed for an interval"),
        ([[3, 3]] * 9 + [[3, 4]], None, ALONE),
    ],
)
def test_no_interval_has_a_reason(
    ratings: list[list[int]], clusters: list[str] | None, reason: str
) -> None:
    """The value stands."""
    found = alpha_estimate(ratings, "interval", clusters)
    assert found.value == pytest.approx(_oracle(np.array(ratings, float), "interval"))
    assert (found.low, found.high, found.reason) == (None, None, reason)


@pytest.mark.parametrize("level", LEVELS)
def test_interval_is_the_jackknife_on_the_z_scale(level: Level) -> None:
    """With alpha of all units but one from the krippendorff package."""
    units = WORKED[:11]
    value = np.arctanh(_oracle(units, level))
    others = [np.arctanh(_oracle(np.delete(units, at, axis=0), level)) for at in range(11)]
    error = np.sqrt(10 / 11 * np.sum((np.array(others) - value) ** 2))
    reach = stats.t.ppf(0.975, 10) * error
    found = alpha_estimate(WORKED, level)
    assert found.low == pytest.approx(np.tanh(value - reach), abs=1e-9)
    assert found.high == pytest.approx(np.tanh(value + reach), abs=1e-9)
    assert found.n == 11
    assert "11 items" in found.method


def test_units_of_an_item_leave_together() -> None:
    """Ten items of two or three units: a jackknife of ten, not of twenty-four."""
    units = np.vstack([WORKED, WORKED[::-1]])
    items = np.array(list("jihgfedcba") * 2 + list("abcd"))
    value = np.arctanh(_oracle(units, "ordinal"))
    others = np.arctanh([_oracle(units[items != item], "ordinal") for item in "abcdefghij"])
    reach = stats.t.ppf(0.975, 9) * np.sqrt(9 / 10 * np.sum((others - value) ** 2))
    found = alpha_estimate(units, "ordinal", items)
    assert found.low == pytest.approx(np.tanh(value - reach), abs=1e-9)
    assert found.high == pytest.approx(np.tanh(value + reach), abs=1e-9)
    assert "10 items" in found.method


def test_a_single_item_of_disagreement_has_an_interval_of_alpha_itself() -> None:
    """Without it alpha is 1, of which z is infinite; the upper bound ends at 1."""
    ratings = np.array([[1, 1], [2, 2], [5, 5], [4, 4]] * 3 + [[3, 4]], dtype=float)
    value = _oracle(ratings, "nominal")
    others = [_oracle(np.delete(ratings, at, axis=0), "nominal") for at in range(13)]
    assert max(others) == 1
    reach = stats.t.ppf(0.975, 12) * np.sqrt(12 / 13 * np.sum((np.array(others) - value) ** 2))
    found = alpha_estimate(ratings, "nominal")
    assert found.low == pytest.approx(value - reach, abs=1e-9)
    assert found.high == 1
    assert "z scale" not in found.method


def _draw(rng: np.random.Generator, units: int, raters: int, noise: float) -> Ratings:
    """Points from 1 to 5, equally frequent, from a normal quality and each rater's own noise."""
    seen = rng.normal(size=(units, 1)) + noise * rng.normal(size=(units, raters))
    cuts = stats.norm.ppf([0.2, 0.4, 0.6, 0.8]) * np.sqrt(1 + noise**2)
    return np.searchsorted(cuts, seen) + 1.0


def test_many_items_leave_in_groups() -> None:
    """Of 1,000 items ten at a time: the same each time, and close to one at a time."""
    ratings = _draw(np.random.default_rng(5), 1000, 3, 1.0)
    found, again, other = (alpha_estimate(ratings, "ordinal", seed=seed) for seed in (1, 1, 2))
    assert found == again
    assert found.low != other.low
    assert "one of 100 groups" in found.method
    assert "1,000 items" in found.method
    z = np.arctanh(_oracle(ratings, "ordinal"))
    others = [package_alpha(np.delete(ratings, at, axis=0), "ordinal") for at in range(1000)]
    error = np.sqrt(999 / 1000 * np.sum((np.arctanh(np.array(others, float)) - z) ** 2))
    assert found.low is not None
    assert found.high is not None
    width = np.arctanh(found.high) - np.arctanh(found.low)
    assert width == pytest.approx(2 * stats.t.ppf(0.975, 999) * error, rel=0.15)


def _bootstrap(ratings: Ratings, rng: np.random.Generator, resamples: int) -> tuple[float, float]:
    """Percentile bootstrap over units, as is usual for alpha (complete answers of 1 to 5)."""
    n, raters = ratings.shape
    counts = (ratings[:, :, None] == np.arange(1, 6)).sum(axis=1)
    met = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(5)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    met = np.tensordot(drawn, met / (raters - 1), axes=1)
    marginals = drawn @ counts
    ranks = marginals.cumsum(axis=1) - marginals / 2
    distances = (ranks[:, :, None] - ranks[:, None, :]) ** 2
    expected = np.einsum("bi,bj,bij->b", marginals, marginals, distances)
    alphas = 1 - (n * raters - 1) * (met * distances).sum(axis=(1, 2)) / expected
    low, high = np.quantile(alphas, [0.025, 0.975])
    return float(low), float(high)


def _coverage(units: int, raters: int, noise: float, samples: int) -> tuple[float, float]:
    """How often the jackknife's and the bootstrap's interval hold the true alpha."""
    rng = np.random.default_rng([units, raters, int(10 * noise)])
    truth = package_alpha(_draw(rng, 100_000, raters, noise), "ordinal")
    assert truth is not None
    held = np.zeros(2)
    for _ in range(samples):
        ratings = _draw(rng, units, raters, noise)
        found = alpha_estimate(ratings, "ordinal")
        assert found.low is not None
        assert found.high is not None
        low, high = _bootstrap(ratings, rng, 300)
        held += [found.low <= truth <= found.high, low <= truth <= high]
    ours, theirs = held / samples
    return float(ours), float(theirs)


def test_interval_covers_better_than_a_bootstrap_of_few_items() -> None:
    """20 items, three raters, alpha .45: near 95 % (its standard error here is 1 point)."""
    ours, theirs = _coverage(20, 3, 1.0, 400)
    assert ours > theirs
    assert 0.925 <= ours <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("units", [20, 30])
@pytest.mark.parametrize("raters", [2, 5])
@pytest.mark.parametrize("noise", [2.0, 1.0, 0.4])  # alpha .18, .45, .81
def test_interval_covers_near_its_level(units: int, raters: int, noise: float) -> None:
    """Within 2.5 points of 95 %, and more often than a percentile bootstrap."""
    ours, theirs = _coverage(units, raters, noise, 1000)
    assert ours > theirs
    assert 0.925 <= ours <= 0.975
