"""Intervals over several trainings: by hand, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.metrics.base import mean_of
from harness.stats.paired import Difference
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.trainings import Repeated, over_folds, over_seeds

T_2 = 4.302653  # 97.5 % quantile of Student's t with 2 degrees of freedom, from printed tables
POOLED = Difference(2.0, 1.0, 3.0, 0.5, 99, method="paired Student-t")
DELTAS = [1.0, 2.0, 3.0]  # standard deviation 1, so that of their mean is 1 / sqrt(3)


def test_seeds_add_up_as_squares() -> None:
    """Half 1 by examples and 4.303 / sqrt(3) by seeds."""
    repeated = over_seeds(POOLED, DELTAS, explained=0.36)
    reach = T_2 / 3**0.5
    assert repeated.training == pytest.approx(reach, rel=1e-6)
    assert repeated.sampling == pytest.approx(1.0)
    assert repeated.spread == pytest.approx(1.0)
    assert repeated.noise == pytest.approx(0.8)  # of a variance of 1, 0.36 explained
    half = (1 + reach**2) ** 0.5
    assert repeated.difference.low == pytest.approx(2 - half)
    assert repeated.difference.high == pytest.approx(2 + half)


def test_folds_take_the_wider() -> None:
    """On each side by itself."""
    lopsided = Difference(2.0, -3.0, 3.0, 0.5, 99)
    repeated = over_folds(lopsided, DELTAS, explained=4.0)
    assert repeated.difference.low == pytest.approx(-3.0)
    assert repeated.difference.high == pytest.approx(2 + T_2 / 3**0.5)
    assert repeated.noise == 0.0  # no less than none


def test_what_has_no_interval_gets_none() -> None:
    """A training without a value leaves no interval, and says so; no change stays one."""
    none = over_folds(POOLED, [1.0, None, 2.0], explained=None)
    assert none.difference.low is None
    assert "a training has no value" in str(none.difference.reason)
    same = Difference(0.0, 0.0, 0.0, 0.0, identical=True)
    assert over_seeds(same, [0.0, 0.0], explained=0.0) == Repeated(same)


def _difference(gains: NDArray[np.float64]) -> Difference:
    """Of a base that scores 0 everywhere, by the functions that the report uses."""
    ids = np.arange(len(gains)).astype(np.str_)
    ones = np.ones(len(gains))
    quantity = Quantity("task", "metric", "report", mean_of)
    samples = [
        Sample("base", ids, ids, np.stack([0 * ones, ones], axis=1)),
        Sample("recipe", ids, ids, np.stack([gains, ones], axis=1)),
    ]
    return Panel(quantity, samples).difference("base", "recipe")


def _covered(repeated: Repeated, truth: float) -> bool:
    low, high = repeated.difference.low, repeated.difference.high
    assert low is not None
    assert high is not None
    return low <= truth <= high


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
def test_seeds_cover(seeds: int, noise: float) -> None:
    """Gains of 90 examples with a standard deviation of 1, of trainings 0, 0.1 or 0.3."""
    rng = np.random.default_rng(seeds)
    draws = 1_000
    hits = 0
    for _ in range(draws):
        shape = (seeds, 90)
        gains = rng.normal(size=90) + 0.5 * rng.normal(size=shape)
        gains += noise * rng.normal(size=(seeds, 1))
        pooled = _difference(gains.mean(axis=0))
        hits += _covered(over_seeds(pooled, list(gains.mean(axis=1)), None), 0.0)
    assert hits / draws >= 0.936


@pytest.mark.slow
@pytest.mark.parametrize("folds", [3, 5, 10])
@pytest.mark.parametrize("noise", [0.0, 0.3, 0.8])
def test_folds_cover(folds: int, noise: float) -> None:
    """Ridge regressions on all folds but one, whose weights chance moves by noise.

    The truth is the mean gain of such trainings on new rows, over data sets.
    """
    rng = np.random.default_rng(folds)
    draws, rows, width = 1_000, 90, 10
    weights = np.full(width, 0.5 / width**0.5)
    gains, repeated = [], []
    for _ in range(draws):
        x = rng.normal(size=(rows, width))
        y = x @ weights + rng.normal(size=rows)
        own = np.empty(rows)
        for held_out in np.array_split(np.arange(rows), folds):
            seen = np.setdiff1d(np.arange(rows), held_out)
            gram = x[seen].T @ x[seen] + np.eye(width)
            fit = np.linalg.solve(gram, x[seen].T @ y[seen])
            fit += noise / width**0.5 * rng.normal(size=width)
            own[held_out] = y[held_out] ** 2 - (y[held_out] - x[held_out] @ fit) ** 2
            gains.append(float(weights @ weights - (fit - weights) @ (fit - weights)))
        deltas = [float(own[part].mean()) for part in np.array_split(np.arange(rows), folds)]
        repeated.append(over_folds(_difference(own), deltas, None))
    truth = float(np.mean(gains))
    hits = sum(_covered(one, truth) for one in repeated)
    assert hits / draws >= 0.936
