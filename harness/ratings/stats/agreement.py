"""How far raters agree: on every criterion, and on the preference."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from harness.ratings.layout import CANNOT_JUDGE
from harness.ratings.records import Agreement, PairAgreement, Rating, SheetPlan
from harness.ratings.stats.alpha import NO_VARIANCE, alpha_estimate
from harness.ratings.stats.matrix import RatingMatrix, rating_matrices


def agreement(plan: SheetPlan, ratings: Iterable[Rating]) -> tuple[Agreement, ...]:
    """Agreement on each criterion of a plan, then on the preference where it is asked.

    Only main rows count. "Cannot judge" is no point of a scale: it is counted in the distribution
    and otherwise as missing. Intervals are over items, whose outputs leave together.

    Args:
        plan: Says who rates, and what is asked.
        ratings: All ratings, in any order.

    Returns:
        One record per question. Pairs of raters who judged nothing in common are not listed.
    """
    return tuple(_agreement(matrix, plan) for matrix in rating_matrices(plan, ratings))


def _agreement(matrix: RatingMatrix, plan: SheetPlan) -> Agreement:
    known = ~np.isnan(matrix.values)
    paired = known.sum(axis=1) >= 2
    columns = zip(plan.raters, matrix.values.T, matrix.cannot_judge, strict=True)
    distribution = {
        rater: {word: int(np.sum(given == value)) for value, word in matrix.labels.items()}
        | {CANNOT_JUDGE: int(unable)}
        for rater, given, unable in columns
    }
    return Agreement(
        name=matrix.name,
        level=matrix.level,
        alpha=alpha_estimate(matrix.values, matrix.level, matrix.items, seed=plan.seed),
        units=int(paired.sum()),
        ratings=int(known[paired].sum()),
        distribution=distribution,
        pairs=tuple(_pairs(matrix, plan)),
    )


def _pairs(matrix: RatingMatrix, plan: SheetPlan) -> Iterator[PairAgreement]:
    weights: Literal["quadratic", "none"] = "quadratic" if matrix.level == "ordinal" else "none"
    columns = zip(plan.raters, matrix.values.T, strict=True)
    for (first, a), (second, b) in combinations(columns, 2):
        both = ~np.isnan(a) & ~np.isnan(b)
        if both.any():
            kappa = weighted_kappa(a[both], b[both], tuple(matrix.labels), weights)
            yield PairAgreement(
                first=first,
                second=second,
                n=int(both.sum()),
                kappa=kappa,
                exact=float(np.mean(a[both] == b[both])),
                reason=NO_VARIANCE if kappa is None else None,
            )


def weighted_kappa(
    a: ArrayLike,
    b: ArrayLike,
    points: Sequence[int],
    weights: Literal["quadratic", "none"] = "quadratic",
) -> float | None:
    """Cohen's kappa: agreement of two raters beyond what their own frequencies would give.

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
