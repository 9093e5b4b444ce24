"""Cohen's kappa: how far two raters agree beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike


def weighted_kappa(
    a: ArrayLike,
    b: ArrayLike,
    points: Sequence[int],
    weights: Literal["quadratic", "none"] = "quadratic",
) -> float | None:
    """Agreement of two raters beyond what their own frequencies of answers would give.

    Args:
        a: One rater's answers, shape (n,), each among ``points``.
        b: The other's, of the same units in the same order.
        points: All answers there are, rising.
        weights: Whether a disagreement counts by the square of the steps between the answers
            (``quadratic``), or always 1 (``none``).

    Returns:
        Kappa, at most 1; None where there are no answers, or all of both raters are the same one.

    Source:
        Cohen (1960), Educational and Psychological Measurement 20(1); weights: Cohen (1968),
        Psychological Bulletin 70(4).
    """
    size = len(points)
    first, second = (np.searchsorted(points, np.asarray(answers)) for answers in (a, b))
    met = np.bincount(first * size + second, minlength=size**2).reshape(size, size)
    steps = np.subtract.outer(np.arange(size), np.arange(size)) ** 2
    distances = steps if weights == "quadratic" else np.minimum(steps, 1)
    by_chance = np.outer(met.sum(axis=1), met.sum(axis=0))  # n times the expected counts
    expected = int((by_chance * distances).sum())
    if expected == 0:
        return None
    return 1 - int(met.sum()) * int((met * distances).sum()) / expected
