from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa

from harness.ratings.stats.agreement import weighted_kappa


@pytest.mark.parametrize(("weights", "theirs"), [("quadratic", "quadratic"), ("none", None)])
def test_kappa_agrees_with_statsmodels(
    weights: Literal["quadratic", "none"], theirs: str | None
) -> None:
    """On 200 random pairs of raters, points that nobody used included."""
    rng = np.random.default_rng(7)
    for _ in range(200):
        size, n = rng.integers(2, 8), rng.integers(5, 60)
        a = rng.integers(0, size, n)
        b = np.where(rng.random(n) < 0.5, a, rng.integers(0, size, n))
        if len(set(a) | set(b)) < 2:
            continue
        table = np.zeros((size, size))
        np.add.at(table, (a, b), 1)
        expected = cohens_kappa(table, wt=theirs, return_results=False)
        found = weighted_kappa(a + 3, b + 3, range(3, 3 + size), weights)
        assert found == pytest.approx(expected, abs=1e-12)


def test_kappa_by_hand() -> None:
    """Seven of ten equal; .5 by chance: (.7 - .5) / (1 - .5) = .4."""
    a = [1] * 5 + [2] * 5
    b = [1] * 4 + [2] + [2] * 3 + [1] * 2
    assert weighted_kappa(a, b, (1, 2), "none") == pytest.approx((0.7 - 0.5) / 0.5)


@pytest.mark.parametrize("answers", [[], [4], [4, 4, 4]])
def test_kappa_of_no_variance_is_none(answers: list[int]) -> None:
    """Chance alone would give the same agreement, whatever the raters know."""
    assert weighted_kappa(answers, answers, (1, 2, 3, 4, 5)) is None


def test_kappa_of_two_different_constants_is_zero() -> None:
    """They agree as often as chance has it: never."""
    assert weighted_kappa([1, 1, 1], [2, 2, 2], (1, 2)) == 0
