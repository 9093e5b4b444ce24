"""Krippendorff's alpha: how far any number of raters agree beyond chance, answers missing or not.

The interval comes from a jackknife that leaves out whole items: outputs of one prompt are judged
alike, and a bootstrap of few items is too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.metrics.base import FloatArray
from harness.ratings.records import Estimate
from harness.stats.intervals import ALONE, t_bounds

Level = Literal["nominal", "ordinal", "interval"]

RELIABLE = 0.8
"""Alpha from which conclusions may rest on ratings.

Source: Krippendorff (2004), Content Analysis, 2nd ed., ch. 11, p. 241; so is ``TENTATIVE``.
"""
TENTATIVE = 0.667
"""Alpha from which ratings allow tentative conclusions."""

NO_VARIANCE = "no variance: all answers that can be compared are the same"
UNANIMOUS = "raters agree throughout, which gives no interval"

_GROUPS = 200  # left out one at a time; beyond as many items, several of them together


def meaning(alpha: float) -> str:
    """What a value of alpha allows, in words."""
    if alpha >= RELIABLE:
        return f"reliable: {RELIABLE:.2f} or more"
    if alpha >= TENTATIVE:
        return f"good for tentative conclusions: from {TENTATIVE:.3f} to {RELIABLE:.2f}"
    return f"not reliable: below {TENTATIVE:.3f}"


def krippendorff_alpha(ratings: ArrayLike, level: Level) -> float | None:
    """Agreement beyond chance, 1 - observed / expected disagreement.

    Args:
        ratings: One answer per unit and rater, shape (units, raters); NaN where there is none.
        level: What a difference of two answers counts: 1 (``nominal``), the squared difference of
            the answers (``interval``), or of their ranks among all answers (``ordinal``).

    Returns:
        Above -1, and 1 where raters agree throughout. None where no unit has two answers, and
        where all answers of such units are the same: chance then explains nothing.

    Source:
        Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
    """
    table = _tabulate(ratings)
    counts = table.counts
    value = _alphas(_coincidences(counts)[None], counts.sum(axis=0)[None], table.values, level)[0]
    return float(value) if np.isfinite(value) else None


def alpha_estimate(
    ratings: ArrayLike, level: Level, clusters: ArrayLike | None = None, *, seed: int = 0
) -> Estimate:
    """Krippendorff's alpha and its 95 % interval for other items judged by these raters.

    Student-t bounds of Fisher's z = artanh(alpha), with the jackknife's standard error: the spread
    of z depends less on alpha, and its bounds stay within those of alpha, -1 and 1. Where a single
    item holds all disagreement z is not defined without it, and alpha itself is taken.

    Simulated with 20 or 30 items, 2 to 5 raters and a true alpha of .16 to .81, it covers .90 to
    .98, .95 on average (without z .94, on a logarithmic scale .94); a percentile bootstrap .87 to
    .96, .92 on average. The part with equally frequent points is in
    `tests/unit/human/test_alpha.py`.

    Args:
        ratings: As for :func:`krippendorff_alpha`.
        level: Likewise.
        clusters: Item of every unit, shape (units,): its units leave together. Default: every
            unit is an item of its own.
        seed: Of the grouping of items, where there are more than 200.

    Returns:
        The estimate; ``n`` is the number of units with two answers or more.

    Source:
        Efron & Stein (1981), The jackknife estimate of variance, Annals of Statistics 9(3);
        groups: Kott (2001), The delete-a-group jackknife, Journal of Official Statistics 17(4);
        z: Fisher (1921), On the "probable error" of a coefficient of correlation, Metron 1.
    """
    table = _tabulate(ratings)
    units = len(table.units)
    if units == 0:
        return Estimate(value=None, reason=_why_not_comparable(ratings))
    names = np.arange(len(table.paired)) if clusters is None else np.asarray(clusters)
    groups, items = _group(names[table.units], seed)
    within, answers = _by_group(table.counts, groups)
    alphas = _alphas(
        np.concatenate([within.sum(axis=0)[None], _without_each(within)]),
        np.concatenate([answers.sum(axis=0)[None], _without_each(answers)]),
        table.values,
        level,
    )
    if not np.isfinite(alphas[0]):
        return Estimate(value=None, n=units, reason=NO_VARIANCE)
    value = float(alphas[0])
    reason = _why_no_interval(alphas)
    if reason:
        return Estimate(value=value, n=units, reason=reason)
    low, high, method = _bounds(alphas, items)
    return Estimate(value=value, low=low, high=high, n=units, method=method)


@dataclass(frozen=True)
class _Table:
    """Answers of the units that have two or more.

    Attributes:
        paired: Whether a unit is among them, shape (all units,).
        units: Their places, shape (units,).
        values: Different answers, rising, shape (c,).
        counts: How often each was given, shape (units, c).
    """

    paired: NDArray[np.bool_]
    units: NDArray[np.intp]
    values: FloatArray
    counts: FloatArray


def _tabulate(ratings: ArrayLike) -> _Table:
    array = np.asarray(ratings, dtype=np.float64)
    known = ~np.isnan(array)
    paired = known.sum(axis=1) >= 2
    array, known = array[paired], known[paired]
    values, codes = np.unique(array[known], return_inverse=True)
    cells = np.nonzero(known)[0] * len(values) + codes.reshape(-1)
    counts = np.bincount(cells, minlength=array.shape[0] * len(values)).astype(np.float64)
    shape = (array.shape[0], len(values))
    return _Table(paired, np.flatnonzero(paired), values, counts.reshape(shape))


def _coincidences(counts: FloatArray) -> FloatArray:
    """How often each two answers meet in a unit, a unit of m answers counting m: (c, c)."""
    weighted = counts / (counts.sum(axis=1, keepdims=True) - 1)
    result: FloatArray = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    return result


def _alphas(
    coincidences: FloatArray, answers: FloatArray, values: FloatArray, level: Level
) -> FloatArray:
    """Alpha of each of many sets of units; NaN where all their answers are the same.

    The ordinal difference of two answers, the answers between them and half of their own, is the
    difference of their mid-ranks.

    Args:
        coincidences: Shape (k, c, c).
        answers: How often each answer was given, shape (k, c): the sums of coincidences, but
            exact, so that an answer that is gone counts nothing.
        values: The answers, shape (c,).
        level: As for :func:`krippendorff_alpha`.
    """
    if level == "nominal":
        distances = 1 - np.eye(len(values))[None]
    else:
        scores = values[None] if level == "interval" else answers.cumsum(axis=1) - answers / 2
        distances = (scores[:, :, None] - scores[:, None, :]) ** 2
    observed = (coincidences * distances).sum(axis=(1, 2))
    by_chance = (answers[:, :, None] * answers[:, None, :] * distances).sum(axis=(1, 2))
    with np.errstate(invalid="ignore"):
        share: FloatArray = (answers.sum(axis=1) - 1) * observed / by_chance
    return 1 - share


def _group(names: NDArray[np.generic], seed: int) -> tuple[NDArray[np.intp], int]:
    """Group of every unit, and how many items there are; each item is a group if few."""
    found, codes = np.unique(names, return_inverse=True)
    codes = codes.reshape(-1).astype(np.intp)
    if len(found) <= _GROUPS:
        return codes, len(found)
    groups = np.random.default_rng(seed).permutation(len(found)) % _GROUPS
    return groups[codes].astype(np.intp), len(found)


def _by_group(counts: FloatArray, groups: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Coincidences and answers within each group, shapes (g, c, c) and (g, c)."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(counts[order], np.flatnonzero(np.diff(groups[order])) + 1)
    return np.stack([_coincidences(p) for p in parts]), np.stack([p.sum(axis=0) for p in parts])


def _without_each(parts: FloatArray) -> FloatArray:
    """Sums of all parts but one, for each, shape (g, ...): added up from both ends.

    Subtraction from the whole would leave rounding errors where nothing is left.
    """
    before, after = np.zeros_like(parts), np.zeros_like(parts)
    before[1:] = parts[:-1].cumsum(axis=0)
    after[:-1] = parts[:0:-1].cumsum(axis=0)[::-1]
    result: FloatArray = before + after
    return result


def _bounds(alphas: FloatArray, items: int) -> tuple[float, float, str]:
    """Bounds, and how they were found, from alpha of all groups and without each of them."""
    groups = len(alphas) - 1
    left_out = "one item" if groups == items else f"one of {groups} groups of items"
    method = f"Student-t, jackknife over {items:,} items leaving out {left_out} at a time"
    # Alpha is above -1: differences at all levels are squared distances between points, and their
    # mean within units is less than twice that among all answers.
    stretched = bool(np.all(alphas < 1))  # else all disagreement is in one group
    scale = np.arctanh(alphas) if stretched else alphas
    _, low, high = t_bounds(float(scale[0]), (groups - 1) * (scale[0] - scale[1:]))
    if stretched:
        return float(np.tanh(low)), float(np.tanh(high)), f"{method}, on Fisher's z scale"
    return max(-1.0, low), min(1.0, high), method


def _why_no_interval(alphas: FloatArray) -> str | None:
    if alphas[0] >= 1:
        return UNANIMOUS
    if len(alphas) == 2:
        return "one item gives no interval"
    return None if np.all(np.isfinite(alphas)) else ALONE


def _why_not_comparable(ratings: ArrayLike) -> str:
    raters = int(np.any(~np.isnan(np.asarray(ratings, dtype=np.float64)), axis=0).sum())
    if raters == 0:
        return "nobody has answered"
    if raters == 1:
        return "only one rater has answered"
    return "nothing was judged by two raters"
