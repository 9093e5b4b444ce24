"""Answers that count, as arrays: what every rater said of every unit, question by question.

A unit is what raters judge for themselves and can be compared on: one text of an item (kind
``scale``), or two of them (kind ``pair``). Rows that check on raters are not among them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.metrics.base import FloatArray
from harness.ratings.records import Rating, RowKind, SheetPlan
from harness.suite.ratings import PREFERENCE

PREFERRED: dict[str, int] = {"first": 0, "tie": 1, "second": 2}
"""Preferences as numbers; first and second of the two variants, whichever side they were on."""

_UNANSWERED = -1  # below every point of a scale


@dataclass(frozen=True)
class RatingMatrix:
    """All main answers to one question."""

    name: str  # the criterion, or ``preference``
    level: Literal["ordinal", "nominal"]  # whether its answers have an order
    labels: dict[int, str]  # every answer in words, by its number, rising
    values: FloatArray  # answers as numbers, shape (units, raters); NaN where there is none
    cannot_judge: NDArray[np.intp]  # how often each rater could not judge, shape (raters,)
    # item of every unit as a number, in the order of the items' ids, shape (units,)
    items: NDArray[np.intp]


def rating_matrices(plan: SheetPlan, ratings: Iterable[Rating]) -> tuple[RatingMatrix, ...]:
    """Main answers to every criterion of a plan, then to the preference where it is asked."""
    columns = {rater: place for place, rater in enumerate(plan.raters)}
    main = [rating for rating in ratings if rating.purpose == "main"]
    questions: dict[RowKind, list[tuple[str, dict[int, str]]]] = {
        "scale": [(c.name, {point: str(point) for point in c.points}) for c in plan.criteria],
        "pair": [(PREFERENCE, {n: word for word, n in PREFERRED.items()})] if plan.pairs else [],
    }
    matrices = []
    for kind, asked in questions.items():
        own = [rating for rating in main if rating.kind == kind] if asked else []
        units: dict[tuple[str, tuple[str, ...]], int] = {}
        rows = np.array(
            [units.setdefault((r.item, r.variants), len(units)) for r in own], dtype=np.intp
        )
        raters = np.array([columns[r.rater] for r in own], dtype=np.intp)
        numbers = {item: at for at, item in enumerate(sorted({item for item, _ in units}))}
        items = np.array([numbers[item] for item, _ in units], dtype=np.intp)
        for name, labels in asked:
            answers = np.array([_answer(rating, name) for rating in own], dtype=np.float64)
            known = answers > _UNANSWERED
            values = np.full((len(units), len(columns)), np.nan)
            values[rows[known], raters[known]] = answers[known]
            unable = np.bincount(raters[np.isnan(answers)], minlength=len(columns))
            level: Literal["ordinal", "nominal"] = "ordinal" if kind == "scale" else "nominal"
            matrices.append(RatingMatrix(name, level, labels, values, unable, items))
    return tuple(matrices)


def _answer(rating: Rating, question: str) -> int | None:
    """The answer as a number; None (which becomes NaN) where the rater cannot judge."""
    if rating.kind == "scale":
        return rating.scores.get(question, _UNANSWERED)
    if rating.preferred is not None:
        return PREFERRED[rating.preferred]
    return _UNANSWERED if rating.judged else None
