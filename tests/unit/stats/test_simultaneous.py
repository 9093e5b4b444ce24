from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.metrics.base import FloatArray
from harness.stats.simultaneous import Block, correlation, local_level


def equal(count: int, rho: float) -> FloatArray:
    return np.full((count, count), rho) + (1 - rho) * np.eye(count)


def test_one_bound_gets_all_of_alpha() -> None:
    """Nothing is shared where nothing else is bounded."""
    assert local_level([Block(np.eye(1), 12)], 0.05) == 0.05


@pytest.mark.parametrize(("count", "rho", "df"), [(2, 0.5, 20), (4, 0.7, 20), (3, -0.3, 60)])
def test_all_bounds_hold_together(count: int, rho: float, df: int) -> None:
    """Scipy's multivariate t distribution function at the level's quantile is 1 - alpha."""
    level = local_level([Block(equal(count, rho), df)], 0.05)
    cut = scipy_stats.t.ppf(1 - level, df)
    shape = scipy_stats.multivariate_t(shape=equal(count, rho), df=df)
    together = shape.cdf(np.full(count, cut), random_state=np.random.default_rng(0))
    assert together == pytest.approx(0.95, abs=2e-3)


def test_independent_blocks_get_sidaks_level() -> None:
    """Different examples share no error: 1 - (1 - alpha)^(1/K), whatever their sizes."""
    blocks = [Block(np.eye(1), 9), Block(np.eye(1), 99), Block(np.eye(1), None)]
    assert local_level(blocks, 0.05) == pytest.approx(1 - 0.95 ** (1 / 3), rel=0.03)


def test_copies_cost_nothing() -> None:
    """Bounds that always err together need no correction, a singular matrix notwithstanding."""
    assert local_level([Block(equal(6, 1.0), 30)], 0.05) == pytest.approx(0.05, rel=0.03)


@pytest.mark.parametrize("rho", [-0.2, 0.0, 0.4, 0.99])
def test_the_level_is_within_bonferroni_and_alpha(rho: float) -> None:
    """Never stricter than alpha / K, never laxer than alpha."""
    level = local_level([Block(equal(5, rho), 4), Block(equal(3, rho), 300)], 0.1)
    assert 0.1 / 8 <= level <= 0.1


def test_more_correlation_is_less_strict() -> None:
    """The level grows with the correlation."""
    levels = [local_level([Block(equal(4, rho), 50)], 0.05) for rho in (0.0, 0.5, 0.9)]
    assert levels == sorted(levels)


def test_equal_seeds_give_equal_levels() -> None:
    """A gate decides the same twice."""
    blocks = [Block(equal(3, 0.4), 25)]
    assert local_level(blocks, 0.05, seed=4) == local_level(blocks, 0.05, seed=4)


@pytest.mark.parametrize(
    ("blocks", "alpha"),
    [
        ([], 0.05),
        ([Block(np.eye(2), 5)], 0.0),
        ([Block(np.eye(2), 5)], 1.0),
        ([Block(np.full((2, 2), np.nan), 5)], 0.05),
    ],
)
def test_nonsense_is_refused(blocks: list[Block], alpha: float) -> None:
    """No estimate, no alpha, or no correlation."""
    with pytest.raises(ValueError, match=r"level|finite"):
        local_level(blocks, alpha)


def test_correlation_agrees_with_numpy() -> None:
    """Of complete draws."""
    draws = np.random.default_rng(0).normal(size=(500, 3)) @ np.array(
        [[1.0, 0.5, 0.0], [0.0, 1.0, -0.4], [0.0, 0.0, 1e-9]]
    )
    assert correlation(draws) == pytest.approx(np.corrcoef(draws.T), abs=1e-12)


def test_correlation_is_always_finite() -> None:
    """Constant and undefined columns count as independent; single undefined draws are left out."""
    draws = np.random.default_rng(1).normal(size=(2_000, 1)) * np.ones((1, 4))
    draws[:, 1] = 0.25
    draws[:, 2] = np.nan
    draws[::50, 3] = np.nan
    found = correlation(draws)
    assert np.isfinite(found).all()
    assert np.diag(found).tolist() == [1.0] * 4
    assert found[0, 1] == found[0, 2] == 0
    assert found[0, 3] == pytest.approx(0.99, abs=0.005)
