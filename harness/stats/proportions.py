"""Shares of right answers: score intervals of one share and of a paired difference, and McNemar.

Student-t and Wald intervals collapse where a share is 0 or 1, or where all examples on which two
variants disagree fall to one side; score intervals do not. Related examples count as the smaller
number of unrelated ones that would have the same standard error.
"""

import numpy as np
from scipy import special

from harness.metrics.base import FloatArray

_CONTINUITY = 0.5  # examples by which a strict bound is moved
_HALVINGS = 60  # of an interval of length 2, which leaves less than rounding does


def as_hits(stats: FloatArray, scale: float | None) -> FloatArray | None:
    """Statistics (0 or scale, 1) as 0/1 values, shape (n, 2) -> (n,); None where they are not so.

    Args:
        stats: Sufficient statistics of a mean per example.
        scale: The metric's best possible value; 1 where there is none.
    """
    top = scale or 1.0
    if np.all(stats[:, 1] == 1) and np.all((stats[:, 0] == 0) | (stats[:, 0] == top)):
        hits: FloatArray = stats[:, 0] / top
        return hits
    return None


def discordant(
    before: FloatArray, after: FloatArray, scale: float | None
) -> tuple[int, int] | None:
    """On how many examples only the candidate, and only the baseline is right.

    Args:
        before: The baseline's statistics of a mean, shape (n, 2).
        after: The candidate's, in the same order.
        scale: The metric's best possible value; 1 where there is none.

    Returns:
        Gains and losses; None where the values are not all right or wrong.
    """
    first, second = as_hits(before, scale), as_hits(after, scale)
    if first is None or second is None:
        return None
    return int(np.sum(second > first)), int(np.sum(second < first))


def wilson_interval(
    successes: float, n: float, *, quantile: float | None = None
) -> tuple[float, float]:
    """Score interval of a proportion.

    Args:
        successes: Number of ones.
        n: Number of trials, more than zero; may be an effective number.
        quantile: Standard errors on either side; default: the normal one, 1.96.

    Returns:
        Lower and upper bound within [0, 1].

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z = float(special.ndtri(0.975)) if quantile is None else quantile
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * float(np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)))
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == n else centre + reach
    return low, high


def clustered_wilson(
    share: float, n: int, error: float, clusters: int, *, tail: float = 0.025
) -> tuple[float, float]:
    """Score interval of a proportion of related 0/1 values.

    The effective number of examples is the one at which a simple proportion has the
    cluster-robust standard error; never more than n, and the number of clusters where all
    values are equal. Student's quantile replaces the normal one.

    Args:
        share: Proportion of ones.
        n: Number of examples.
        error: Cluster-robust standard error of the share.
        clusters: Number of clusters, at least two.
        tail: Probability cut off on each side.

    Source:
        Dean & Pagano (2015), Evaluating confidence interval methods for binomial proportions in
        clustered surveys, Journal of Survey Statistics and Methodology 3(4): modified Wilson.
    """
    effective = _effective(share * (1 - share), error, n, clusters)
    quantile = float(special.stdtrit(clusters - 1, 1 - tail))
    return wilson_interval(share * effective, effective, quantile=quantile)


def tango_interval(
    gains: float, losses: float, n: float, *, quantile: float, strict: bool = False
) -> tuple[float, float]:
    """Score interval of a difference of two shares on the same examples.

    All differences that the score test does not reject. At a difference of zero that test is
    McNemar's without correction, so zero is outside exactly where McNemar's statistic is larger
    than ``quantile`` squared.

    Args:
        gains: Examples that only the candidate has right.
        losses: Examples that only the baseline has right.
        n: Examples, also those on which both agree; all three may be effective numbers.
        quantile: Standard errors on either side, such as 1.96.
        strict: Whether neither bound may fail more often than it says, for tests that add up.
            Where disagreements are few and one-sided the plain interval's bounds do: up to three
            times at a level of .001 (exact sums, `tests/unit/analysis/test_proportions.py`). Half
            an example of continuity correction and the quantile's correction for skewness make
            up for it.

    Returns:
        Bounds of (gains - losses) / n, within [-1, 1].

    Source:
        Tango (1998), Equivalence test and confidence interval for the difference in proportions
        for the paired-sample design, Statistics in Medicine 17: 891-908, section 4; skewness:
        Cornish & Fisher (1938), Revue de l'Institut International de Statistique 5.
    """
    low, high = (
        side * _tango_bound(*counts, n, quantile, strict=strict)
        for side, counts in ((-1.0, (losses, gains)), (1.0, (gains, losses)))
    )
    return low, high


def _tango_bound(gains: float, losses: float, n: float, quantile: float, *, strict: bool) -> float:
    """The difference, above the observed one, at which the score test starts to reject."""
    if strict:
        taken = min(_CONTINUITY, losses)
        gains, losses = gains + _CONTINUITY - taken, losses - taken
    kept, rejected = (gains - losses) / n, 1.0
    for _ in range(_HALVINGS):
        middle = (kept + rejected) / 2
        # share of losses under that difference, by maximum likelihood: the root of a parabola
        b = (2 * n - gains + losses) * middle - gains - losses
        c = -losses * middle * (1 - middle)
        share = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * share + middle * (1 - middle))
        reach = quantile
        if strict and variance > 0:
            reach += max(0.0, -_skewness(share, middle, n)) * (quantile**2 - 1) / 6
        if n * middle - (gains - losses) < reach * np.sqrt(max(variance, 0.0)):
            kept = middle
        else:
            rejected = middle
    return kept


def _skewness(losses: float, difference: float, n: float) -> float:
    """Skewness of the net gain of n examples, from the share of losses and the true difference."""
    gains = losses + difference
    third = difference - 3 * difference * (gains + losses) + 2 * difference**3
    return float(third / (gains + losses - difference**2) ** 1.5 / np.sqrt(n))


def clustered_tango(
    gains: float,
    losses: float,
    n: int,
    error: float,
    clusters: int,
    *,
    tail: float = 0.025,
    strict: bool = False,
) -> tuple[float, float]:
    """Paired score interval of related examples, by their effective number.

    As :func:`clustered_wilson`: the number at which the simple paired difference has the
    cluster-robust standard error, and Student's quantile. Where few clusters hold a disagreement,
    Student-t on clusters alone covers far less than it says (simulated: .85 to .88 with ten
    clusters of three, of which two or three differ).

    Args:
        gains: Examples that only the candidate has right.
        losses: Examples that only the baseline has right.
        n: Examples.
        error: Cluster-robust standard error of the difference.
        clusters: Number of clusters, at least two.
        tail: Probability cut off on each side.
        strict: As for :func:`tango_interval`.
    """
    variance = (gains + losses) / n - ((gains - losses) / n) ** 2
    effective = _effective(variance, error, n, clusters)
    part = effective / n
    quantile = float(special.stdtrit(clusters - 1, 1 - tail))
    return tango_interval(gains * part, losses * part, effective, quantile=quantile, strict=strict)


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p-value of no difference between two variants' shares.

    Args:
        b: Examples that only the one has right.
        c: Examples that only the other has right.

    Returns:
        The p-value; 1 where they disagree on no example.

    Source:
        McNemar (1947), Psychometrika 12; the exact form is the sign test on the disagreements.
    """
    return min(1.0, 2.0 * float(special.bdtr(min(b, c), b + c, 0.5)))


def _effective(variance: float, error: float, n: int, clusters: int) -> float:
    """Number of unrelated examples with that variance whose mean has that standard error."""
    return min(float(n), variance / error**2) if error > 0 else float(clusters)
