"""How far raters agree: on every criterion, and on the preference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from harness.metrics.base import FloatArray
from harness.ratings.layout import CANNOT_JUDGE
from harness.ratings.records import Agreement, PairAgreement, Rating, SheetPlan
from harness.ratings.stats.alpha import NO_VARIANCE, alpha_estimate
from harness.ratings.stats.kappa import weighted_kappa
from harness.ratings.stats.matrix import Judged, judged


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
    return tuple(_agreement(answers, plan) for answers in judged(plan, ratings))


def _agreement(answers: Judged, plan: SheetPlan) -> Agreement:
    known = ~np.isnan(answers.values)
    paired = known.sum(axis=1) >= 2
    return Agreement(
        name=answers.name,
        level=answers.level,
        alpha=alpha_estimate(answers.values, answers.level, answers.items, seed=plan.seed),
        units=int(paired.sum()),
        ratings=int(known[paired].sum()),
        distribution={
            rater: _distribution(answers, place) for place, rater in enumerate(plan.raters)
        },
        pairs=tuple(_pairings(answers, plan.raters)),
    )


def _distribution(answers: Judged, place: int) -> dict[str, int]:
    given = answers.values[:, place]
    counts = {word: int(np.sum(given == value)) for value, word in answers.labels.items()}
    return {**counts, CANNOT_JUDGE: int(answers.cannot_judge[place])}


def _pairings(answers: Judged, raters: Sequence[str]) -> Iterable[PairAgreement]:
    columns = answers.values.T
    for (first, a), (second, b) in combinations(zip(raters, columns, strict=True), 2):
        both = ~np.isnan(a) & ~np.isnan(b)
        if both.any():
            yield _pairing(first, second, a[both], b[both], answers)


def _pairing(
    first: str, second: str, a: FloatArray, b: FloatArray, answers: Judged
) -> PairAgreement:
    points = tuple(answers.labels)
    kappa = weighted_kappa(a, b, points, "quadratic" if answers.level == "ordinal" else "none")
    return PairAgreement(
        first=first,
        second=second,
        n=len(a),
        kappa=kappa,
        exact=float(np.mean(a == b)),
        reason=NO_VARIANCE if kappa is None else None,
    )
