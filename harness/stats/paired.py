"""Intervals of paired differences: the method that fits, as :mod:`harness.stats.intervals`.

* the paired score interval for shares of right answers, with the effective number of examples
  where some of them are related;
* Student-t on the clusters' differences for other means with few clusters;
* the percentile bootstrap of the difference for everything else, corpus metrics included.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy import special

from harness.metrics.base import FloatArray
from harness.stats import intervals
from harness.stats.proportions import clustered_tango, discordant, tango_interval
from harness.stats.resampling import Resamples


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired difference ``candidate - baseline``, in the metric's own unit."""

    delta: float | None  # the difference; None where a value is undefined
    low: float | None = None  # lower bound, or None with the reason why there is none
    high: float | None = None  # upper bound, likewise
    # standard error; zero where identical, None where there are no two clusters
    error: float | None = None
    # Degrees of freedom of the error: clusters less one. None where identical.
    df: int | None = None
    identical: bool = False  # whether the statistics of the two are equal on every example
    method: str = ""  # how the bounds were found, in words
    reason: str | None = None  # why something is None

    def turned(self, sign: float) -> Self:
        """The same as a gain, for which ``sign`` is that of the quantity."""
        if sign > 0 or self.delta is None:
            return self
        low = None if self.high is None else -self.high
        high = None if self.low is None else -self.low
        return replace(self, delta=-self.delta, low=low, high=high)


def mean_difference(
    delta: float,
    before: FloatArray,
    after: FloatArray,
    resamples: Resamples,
    *,
    scale: float | None = None,
    share: bool = True,
    tail: float = intervals.TAIL,
    strict: bool = False,
) -> Difference | None:
    """Bound a difference of two means of the same examples; None where a bootstrap is better.

    Args:
        delta: The difference.
        before: The baseline's statistics, shape (n, 2).
        after: The candidate's, in the same order.
        resamples: The clusters, at least two.
        scale: The metric's best possible value.
        share: False where the metric is known to take other values than 0 and ``scale``.
        tail: Probability cut off on each side.
        strict: Of shares of right answers: as for :func:`tango_interval`.
    """
    count = resamples.n_clusters
    pull = intervals.influence(resamples.sums(after)) - intervals.influence(resamples.sums(before))
    unlike = discordant(before, after, scale) if share else None
    if unlike is not None:
        top, error = scale or 1.0, intervals.standard_error(pull)
        low, high, words = _score_bounds(*unlike, error / top, resamples, tail, strict)
        return Difference(delta, low * top, high * top, error, count - 1, method=words)
    if count < intervals.FEW_CLUSTERS:
        error, low, high = intervals.t_bounds(delta, pull, tail=tail)
        if not np.isfinite(error):
            return Difference(delta, reason=intervals.ALONE)
        words = f"paired Student-t, {count} clusters"
        return Difference(delta, low, high, error, count - 1, method=words)
    return None


def unchanged(
    resamples: Resamples, *, scale: float, tail: float = intervals.TAIL, strict: bool = False
) -> Difference:
    """What it shows that no example's score changed, although outputs may have.

    Scores lie between 0 and ``scale``, so each change is at most that large, and none among n is
    bounded as none of n right-or-wrong answers is: about 3 in n are left open at 5 %.
    """
    if resamples.n_clusters < 2:
        return Difference(0.0, reason="equal, but one example or cluster shows nothing")
    low, high, words = _score_bounds(0, 0, 0.0, resamples, tail, strict)
    return Difference(
        0.0,
        low * scale,
        high * scale,
        0.0,
        resamples.n_clusters - 1,
        method=f"{words}; equal on every example, but the outputs are not known to be equal",
    )


def _score_bounds(
    gains: int, losses: int, error: float, resamples: Resamples, tail: float, strict: bool
) -> tuple[float, float, str]:
    """Paired score interval of shares, and the method in words."""
    count, n = resamples.n_clusters, resamples.n
    if count == n:
        quantile = float(special.ndtri(1 - tail))
        low, high = tango_interval(gains, losses, n, quantile=quantile, strict=strict)
        return low, high, "paired score interval"
    low, high = clustered_tango(gains, losses, n, error, count, tail=tail, strict=strict)
    return low, high, f"paired score interval, {count} clusters"


def drawn_difference(
    delta: float, drawn: FloatArray, resamples: Resamples, *, tail: float = intervals.TAIL
) -> Difference:
    """Bound a difference by its bootstrap draws, shape (B,)."""
    bounds = intervals.percentile_bounds(drawn, resamples.n_clusters, tail=tail)
    if bounds is None:
        return Difference(delta, reason="undefined in more than 5 % of the resamples")
    count = resamples.n_clusters
    # draws of a mean vary by its variance with divisor n, which is too small by this factor
    defined = drawn[np.isfinite(drawn)]
    factor = float(np.sqrt(count / (count - 1) / (len(defined) - 1)))
    error = intervals.root_of_squares(defined - defined.mean()) * factor
    words = f"paired {intervals.bootstrap_words(resamples)}"
    return Difference(delta, *bounds, error, count - 1, method=words)
