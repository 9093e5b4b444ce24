"""How good each rater is: steady, attentive, even-handed between sides, severe; and what to doubt.

Nothing here changes a rating or leaves one out: that is for people to decide, who know the raters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from harness.metrics.base import FloatArray
from harness.ratings.records import Estimate, RaterSummary, Rating, SheetPlan, SheetRow
from harness.ratings.stats.matrix import PREFERRED, Judged, judged
from harness.stats.intervals import influence, t_bounds
from harness.stats.proportions import mcnemar_exact, wilson_interval
from harness.suite.ratings import PREFERENCE, CriterionSpec

FAILED_FROM = 0.5
"""A spoilt output passes for good where its mean point is the middle of the scale or above,
which is also where a rater who always chooses the middle one ends up."""
NEAR = 1
"""Points that answers to the same row may differ by and still count as near."""

# When to doubt a rater. None of these proves anything: they say where to look.
FEW_REPEATS = 8
"""Repeated answers below which nothing is said of a rater's steadiness."""
STEADY = 0.7
"""Least share of near answers among repeated ones. Answers drawn at random from five points are
near in .52 of cases; of 8 answers that are each near with .9, fewer than .7 are in .04 of cases."""
BIASED_P = 0.01
"""Exact p-value below which choosing one side more often is no chance of the draw."""
STRAIGHT_LINE = 10
"""Main answers from which it is odd that all of them are the same."""
FAST_MINUTES = 0.1
"""Median time per row that leaves no time to read: some 24 words at 238 words per minute.

Source: Brysbaert (2019), How many words do we read per minute?, Journal of Memory and Language 109.
"""


def rater_summaries(
    plan: SheetPlan, rows: Iterable[SheetRow], ratings: Iterable[Rating]
) -> tuple[RaterSummary, ...]:
    """What the ratings say about each rater.

    Args:
        plan: Says who rates, and what is asked.
        rows: All rows that raters were asked for.
        ratings: All ratings, in any order.

    Returns:
        One record per rater of the plan, in its order; also of those who sent nothing back.
    """
    asked = Counter(row.rater for row in rows)
    given: dict[str, list[Rating]] = {rater: [] for rater in plan.raters}
    for rating in ratings:
        given[rating.rater].append(rating)
    questions = judged(plan, (rating for mine in given.values() for rating in mine))
    severity: dict[str, dict[str, Estimate]] = {rater: {} for rater in plan.raters}
    for question in questions:
        if question.level == "ordinal":
            for rater, estimate in zip(plan.raters, _severities(question), strict=True):
                severity[rater][question.name] = estimate
    return tuple(
        _summary(rater, asked[rater], mine, plan, _constant(questions, place), severity[rater])
        for place, (rater, mine) in enumerate(given.items())
    )


def concerns(summary: RaterSummary) -> tuple[str, ...]:
    """What should make one look at a rater's answers before relying on them, in words.

    Args:
        summary: From :func:`rater_summaries`.

    Returns:
        A clause each, without the rater's name; none where nothing stands out.
    """
    found = []
    if summary.attention_failed:
        found.append(
            f"took {summary.attention_failed} of {summary.attention} spoilt outputs for good"
        )
    if summary.repeats >= FEW_REPEATS and summary.repeats_near < STEADY * summary.repeats:
        found.append(
            f"gave another answer the second time: {summary.repeats_near} of {summary.repeats} "
            "repeated answers are the same or a point apart"
        )
    if summary.same_tied < summary.same:
        found.append(
            f"named a winner in {summary.same - summary.same_tied} of {summary.same} comparisons "
            "of a text with itself"
        )
    found += _one_sided(summary)
    for name, count in summary.constant.items():
        if count >= STRAIGHT_LINE:
            found.append(
                f"called all {count} comparisons a tie"
                if name == PREFERENCE
                else f"chose the same point of {name} all {count} times"
            )
    if summary.minutes is not None and summary.minutes < FAST_MINUTES:
        found.append(f"took {60 * summary.minutes:.0f} seconds for a row (median): too few to read")
    return tuple(found)


def _one_sided(summary: RaterSummary) -> list[str]:
    bias, p = summary.position_bias, summary.position_p
    if bias is None or p is None or p >= BIASED_P:
        return []
    if bias.value is None or bias.low is None or bias.high is None:
        return []
    share, low, high = bias.value, bias.low, bias.high
    side = "A"
    if share < 0.5:
        side, share, low, high = "B", 1 - share, 1 - high, 1 - low
    return [
        f"chose {side} in {100 * share:.0f} % of {bias.n} comparisons with a winner "
        f"[{100 * low:.0f} to {100 * high:.0f} %], though sides are drawn at random"
    ]


def _summary(
    rater: str,
    asked: int,
    mine: Sequence[Rating],
    plan: SheetPlan,
    constant: dict[str, int],
    severity: dict[str, Estimate],
) -> RaterSummary:
    minutes = [rating.minutes for rating in mine if rating.minutes is not None]
    repeats, repeats_equal, repeats_near = _repeats(mine)
    attention, attention_failed = _attention(mine, plan.criteria)
    same = [r.preferred for r in mine if r.purpose == "same" and r.preferred is not None]
    sides = [
        (r.preferred == "first") != r.swapped
        for r in mine
        if r.purpose == "main" and r.preferred in ("first", "second")
    ]
    chose_a, decisive = sum(sides), len(sides)
    return RaterSummary(
        rater=rater,
        rows=asked,
        answered=sum(_unable(r) > 0 or bool(_points(r)) for r in mine),
        cannot_judge=sum(_unable(r) for r in mine),
        minutes=median(minutes) if minutes else None,
        repeats=repeats,
        repeats_equal=repeats_equal,
        repeats_near=repeats_near,
        attention=attention,
        attention_failed=attention_failed,
        same=len(same),
        same_tied=same.count("tie"),
        decisive=decisive,
        chose_a=chose_a,
        position_bias=_side(chose_a, decisive) if plan.pairs else None,
        position_p=mcnemar_exact(chose_a, decisive - chose_a) if decisive else None,
        constant=constant,
        severity=severity,
    )


def _points(rating: Rating) -> dict[str, int]:
    """Answers of a rating as numbers, but for "cannot judge"."""
    if rating.kind == "pair":
        return {PREFERENCE: PREFERRED[rating.preferred]} if rating.preferred else {}
    return {name: point for name, point in rating.scores.items() if point is not None}


def _unable(rating: Rating) -> int:
    """How many answers of a rating are "cannot judge"."""
    if rating.kind == "pair":
        return int(not rating.judged)
    return sum(point is None for point in rating.scores.values())


def _repeats(mine: Sequence[Rating]) -> tuple[int, int, int]:
    """Answers given twice, how many of them are equal, and how many near (or equal)."""
    originals = {rating.token: rating for rating in mine}
    differences: list[tuple[int, int]] = []  # and how far apart is near
    for again in mine:
        if again.purpose != "repeat" or again.repeats not in originals:
            continue
        before, near = _points(originals[again.repeats]), NEAR if again.kind == "scale" else 0
        differences += [
            (abs(point - before[name]), near)
            for name, point in _points(again).items()
            if name in before
        ]
    equal = sum(difference == 0 for difference, _ in differences)
    return len(differences), equal, sum(difference <= near for difference, near in differences)


def _attention(mine: Sequence[Rating], criteria: Sequence[CriterionSpec]) -> tuple[int, int]:
    """Spoilt rows judged, and how many of them passed for good."""
    ends = {criterion.name: (criterion.points[0], criterion.points[-1]) for criterion in criteria}
    passed = []
    for rating in mine:
        points = _points(rating)
        if rating.purpose != "attention" or not points:
            continue
        if rating.kind == "pair":
            passed.append(rating.preferred == "second")
            continue
        shares = [
            (point - ends[name][0]) / (ends[name][1] - ends[name][0])
            for name, point in points.items()
        ]
        passed.append(sum(shares) / len(shares) >= FAILED_FROM)
    return len(passed), sum(passed)


def _side(chose_a: int, decisive: int) -> Estimate:
    """Share of A among comparisons with a winner, whose sides were drawn at random."""
    if decisive == 0:
        return Estimate(value=None, reason="no comparison with a winner")
    low, high = wilson_interval(chose_a, decisive)
    value = chose_a / decisive
    return Estimate(value=value, low=low, high=high, n=decisive, method="Wilson score")


def _constant(questions: Sequence[Judged], place: int) -> dict[str, int]:
    """Questions to which a rater always gave the same answer, and how often.

    Of preferences only a tie is the same answer: a variant may well win everywhere.
    """
    found = {}
    for question in questions:
        column = question.values[:, place]
        answers = column[~np.isnan(column)]
        if len(set(answers)) == 1 and (
            question.name != PREFERENCE or answers[0] == PREFERRED["tie"]
        ):
            found[question.name] = len(answers)
    return found


def _severities(question: Judged) -> list[Estimate]:
    """Each rater's points less the mean of the other raters of the same units, over units."""
    known = ~np.isnan(question.values)
    points = np.where(known, question.values, 0.0)
    raters, total = known.sum(axis=1, keepdims=True), points.sum(axis=1, keepdims=True)
    shared = known & (raters >= 2)
    others = (total - points) / np.maximum(raters - 1, 1)
    estimates = []
    for place in range(points.shape[1]):
        units = shared[:, place]
        differences = (points - others)[units, place]
        sums = np.stack([differences, np.ones_like(differences)], axis=1)
        estimates.append(_mean_over_items(sums, question.items[units]))
    return estimates


def _mean_over_items(sums: FloatArray, items: NDArray[np.intp]) -> Estimate:
    """Mean of the units' values with Student-t bounds over their items, which may hold several."""
    n = len(sums)
    if n == 0:
        return Estimate(value=None, reason="shares no output with another rater")
    codes = np.unique(items, return_inverse=True)[1].reshape(-1)
    by_item = np.zeros((codes.max() + 1, 2))
    np.add.at(by_item, codes, sums)
    value = float(sums[:, 0].mean())
    if len(by_item) == 1:
        return Estimate(value=value, n=n, reason="one item gives no interval")
    _, low, high = t_bounds(value, influence(by_item))
    method = f"Student-t, {len(by_item):,} items"
    return Estimate(value=value, low=low, high=high, n=n, method=method)
