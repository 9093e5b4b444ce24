"""How good each rater is: steady, attentive, even-handed between sides, severe; and what to doubt.

Nothing here changes a rating or leaves one out: that is for people to decide, who know the raters.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from harness.metrics.base import FloatArray
from harness.ratings.records import Estimate, RaterSummary, Rating, SheetPlan, SheetRow
from harness.ratings.stats.davidson import codes_of
from harness.ratings.stats.matrix import PREFERRED, RatingMatrix, rating_matrices
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
    matrices = rating_matrices(plan, (rating for mine in given.values() for rating in mine))
    severity: dict[str, dict[str, Estimate]] = {rater: {} for rater in plan.raters}
    for matrix in matrices:
        if matrix.level == "ordinal":
            for rater, estimate in zip(plan.raters, _severities(matrix), strict=True):
                severity[rater][matrix.name] = estimate
    return tuple(
        _summary(rater, asked[rater], mine, plan, _constant(matrices, place), severity[rater])
        for place, (rater, mine) in enumerate(given.items())
    )


def concerns(summary: RaterSummary) -> tuple[str, ...]:
    """What should make one look at a rater's answers before relying on them, in words.

    Args:
        summary: From :func:`rater_summaries`.

    Returns:
        A clause each, without the rater's name; none where nothing stands out.
    """
    clauses = []
    if summary.attention_failed:
        clauses.append(
            f"took {summary.attention_failed} of {summary.attention} spoilt outputs for good"
        )
    if summary.repeats >= FEW_REPEATS and summary.repeats_near < STEADY * summary.repeats:
        clauses.append(
            f"gave another answer the second time: {summary.repeats_near} of {summary.repeats} "
            "repeated answers are the same or a point apart"
        )
    if summary.same_tied < summary.same:
        clauses.append(
            f"named a winner in {summary.same - summary.same_tied} of {summary.same} comparisons "
            "of a text with itself"
        )
    clauses += _one_sided(summary.position_bias, summary.position_p)
    clauses += [
        f"called all {count} comparisons a tie"
        if name == PREFERENCE
        else f"chose the same point of {name} all {count} times"
        for name, count in summary.constant.items()
        if count >= STRAIGHT_LINE
    ]
    if summary.minutes is not None and summary.minutes < FAST_MINUTES:
        seconds = f"{60 * summary.minutes:.0f} seconds"
        clauses.append(f"took {seconds} for a row (median): too few to read")
    return tuple(clauses)


def _one_sided(bias: Estimate | None, p: float | None) -> list[str]:
    if bias is None or p is None or p >= BIASED_P:
        return []
    if bias.value is None or bias.low is None or bias.high is None:
        return []
    side, share, low, high = "A", bias.value, bias.low, bias.high
    if share < 0.5:
        side, share, low, high = "B", 1 - share, 1 - high, 1 - low
    return [
        f"chose {side} in {100 * share:.0f} % of {bias.n} comparisons with a winner "
        f"[{100 * low:.0f} to {100 * high:.0f} %], though sides are drawn at random"
    ]


def _summary(
    rater: str,
    rows: int,
    mine: Sequence[Rating],
    plan: SheetPlan,
    constant: dict[str, int],
    severity: dict[str, Estimate],
) -> RaterSummary:
    minutes = [rating.minutes for rating in mine if rating.minutes is not None]
    unable = [_unable(rating) for rating in mine]
    differences = _differences(mine)
    passed = _passed(mine, plan.criteria)
    same = [r.preferred for r in mine if r.purpose == "same" and r.preferred is not None]
    sides = [
        (r.preferred == "first") != r.swapped
        for r in mine
        if r.purpose == "main" and r.preferred in ("first", "second")
    ]
    chose_a, decisive = sum(sides), len(sides)
    bias = Estimate(value=None, reason="no comparison with a winner")
    if decisive:
        low, high = wilson_interval(chose_a, decisive)
        share = chose_a / decisive
        bias = Estimate(value=share, low=low, high=high, n=decisive, method="Wilson score")
    return RaterSummary(
        rater=rater,
        rows=rows,
        answered=sum(n > 0 or bool(_points(r)) for r, n in zip(mine, unable, strict=True)),
        cannot_judge=sum(unable),
        minutes=median(minutes) if minutes else None,
        repeats=len(differences),
        repeats_equal=sum(apart == 0 for apart, _ in differences),
        repeats_near=sum(apart <= near for apart, near in differences),
        attention=len(passed),
        attention_failed=sum(passed),
        same=len(same),
        same_tied=same.count("tie"),
        decisive=decisive,
        chose_a=chose_a,
        position_bias=bias if plan.pairs else None,
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


def _differences(mine: Sequence[Rating]) -> list[tuple[int, int]]:
    """How far apart answers given twice are, and how far is still near."""
    originals = {rating.token: rating for rating in mine}
    differences: list[tuple[int, int]] = []
    for again in mine:
        if again.purpose == "repeat" and again.repeats in originals:
            before, near = _points(originals[again.repeats]), NEAR if again.kind == "scale" else 0
            answers = _points(again).items()
            differences += [(abs(x - before[name]), near) for name, x in answers if name in before]
    return differences


def _passed(mine: Sequence[Rating], criteria: Sequence[CriterionSpec]) -> list[bool]:
    """Whether each spoilt row that was judged passed for good."""
    ends = {criterion.name: (criterion.points[0], criterion.points[-1]) for criterion in criteria}
    passed = []
    for rating in mine:
        points = _points(rating)
        if rating.purpose != "attention" or not points:
            continue
        if rating.kind == "pair":
            passed.append(rating.preferred == "second")
        else:
            bounds = ((point, *ends[name]) for name, point in points.items())
            shares = [(point - worst) / (best - worst) for point, worst, best in bounds]
            passed.append(sum(shares) / len(shares) >= FAILED_FROM)
    return passed


def _constant(matrices: Sequence[RatingMatrix], place: int) -> dict[str, int]:
    """Questions to which a rater always gave the same answer, and how often.

    Of preferences only a tie is the same answer: a variant may well win everywhere.
    """
    columns = {matrix.name: matrix.values[:, place] for matrix in matrices}
    known = {name: column[~np.isnan(column)] for name, column in columns.items()}
    return {
        name: len(answers)
        for name, answers in known.items()
        if len(set(answers)) == 1 and (name != PREFERENCE or answers[0] == PREFERRED["tie"])
    }


def _severities(matrix: RatingMatrix) -> list[Estimate]:
    """Each rater's points less the mean of the other raters of the same units, over units."""
    known = ~np.isnan(matrix.values)
    points = np.where(known, matrix.values, 0.0)
    raters, total = known.sum(axis=1, keepdims=True), points.sum(axis=1, keepdims=True)
    shared = known & (raters >= 2)
    gaps = points - (total - points) / np.maximum(raters - 1, 1)
    return [
        _mean_over_items(gaps[units, place], matrix.items[units])
        for place, units in enumerate(shared.T)
    ]


def _mean_over_items(values: FloatArray, items: NDArray[np.intp]) -> Estimate:
    """Mean of the units' values with Student-t bounds over their items, which may hold several."""
    n = len(values)
    if n == 0:
        return Estimate(value=None, reason="shares no output with another rater")
    codes = codes_of(items)
    by_item = np.stack([np.bincount(codes, weights=values), np.bincount(codes) * 1.0], axis=1)
    value = float(values.mean())
    if len(by_item) == 1:
        return Estimate(value=value, n=n, reason="one item gives no interval")
    _, low, high = t_bounds(value, influence(by_item.astype(np.float64)))
    method = f"Student-t, {len(by_item):,} items"
    return Estimate(value=value, low=low, high=high, n=n, method=method)
