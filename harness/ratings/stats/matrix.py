"""Answers that count, as arrays: what every rater said of every unit, question by question.

A unit is what raters judge for themselves and can be compared on: one text of an item (kind
``scale``), or two of them (kind ``pair``). Rows that check on raters are not among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.metrics.base import FloatArray
from harness.ratings.records import Rating, SheetPlan
from harness.suite.ratings import PREFERENCE

PREFERRED: dict[str, int] = {"first": 0, "tie": 1, "second": 2}
"""Preferences as numbers; first and second of the two variants, whichever side they were on."""

_UNANSWERED = -1  # below every point of a scale


@dataclass(frozen=True)
class Judged:
    """All main answers to one question.

    Attributes:
        name: The criterion, or ``preference``.
        level: Whether its answers have an order.
        labels: Every answer in words, by its number, rising.
        values: Answers as numbers, shape (units, raters); NaN where there is none.
        cannot_judge: How often each rater could not judge, shape (raters,).
        items: Item of every unit as a number, in the order of the items' ids, shape (units,).
    """

    name: str
    level: Literal["ordinal", "nominal"]
    labels: dict[int, str]
    values: FloatArray
    cannot_judge: NDArray[np.intp]
    items: NDArray[np.intp]


def judged(plan: SheetPlan, ratings: Iterable[Rating]) -> tuple[Judged, ...]:
    """Main answers to every criterion of a plan, then to the preference where it is asked."""
    parts: dict[str, list[Rating]] = {"scale": [], "pair": []}
    for rating in ratings:
        if rating.purpose == "main":
            parts[rating.kind].append(rating)
    found = []
    if plan.criteria:
        scale = _Places(parts["scale"], plan.raters)
        for criterion in plan.criteria:
            name = criterion.name
            given = [rating.scores.get(name, _UNANSWERED) for rating in parts["scale"]]
            labels = {point: str(point) for point in criterion.points}
            found.append(scale.judged(name, "ordinal", labels, given))
    if plan.pairs:
        pairs = _Places(parts["pair"], plan.raters)
        given = [_preferred(rating) for rating in parts["pair"]]
        labels = {number: word for word, number in PREFERRED.items()}
        found.append(pairs.judged(PREFERENCE, "nominal", labels, given))
    return tuple(found)


class _Places:
    """Where each of some ratings belongs in an array of units and raters."""

    def __init__(self, ratings: Sequence[Rating], raters: Sequence[str]) -> None:
        columns = {rater: place for place, rater in enumerate(raters)}
        units: dict[tuple[str, tuple[str, ...]], int] = {}
        rows = [units.setdefault((r.item, r.variants), len(units)) for r in ratings]
        self._rows = np.array(rows, dtype=np.intp)
        self._columns = np.array([columns[r.rater] for r in ratings], dtype=np.intp)
        self._shape = (len(units), len(raters))
        numbers = {item: at for at, item in enumerate(sorted({item for item, _ in units}))}
        self._items = np.array([numbers[item] for item, _ in units], dtype=np.intp)

    def judged(
        self,
        name: str,
        level: Literal["ordinal", "nominal"],
        labels: dict[int, str],
        given: Sequence[int | None],
    ) -> Judged:
        """Answers in their places; None is an answer: that the rater cannot judge."""
        answers = np.array(given, dtype=np.float64)  # NaN for None
        known = answers > _UNANSWERED
        values = np.full(self._shape, np.nan)
        values[self._rows[known], self._columns[known]] = answers[known]
        unable = np.bincount(self._columns[np.isnan(answers)], minlength=self._shape[1])
        return Judged(name, level, labels, values, unable, self._items)


def _preferred(rating: Rating) -> int | None:
    if rating.preferred is not None:
        return PREFERRED[rating.preferred]
    return _UNANSWERED if rating.judged else None
