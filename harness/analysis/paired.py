"""Intervals of paired differences: the method that fits, as :mod:`harness.analysis.intervals`.

* the paired score interval for shares of right answers, with the effective number of examples
  where some of them are related;
* Student-t on the clusters' differences for other means with few clusters;
* the percentile bootstrap of the difference for everything else, corpus metrics included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.analysis.intervals import (
    ALONE,
    FEW_CLUSTERS,
    TAIL,
    bootstrap_words,
    influence,
    percentile_bounds,
    standard_error,
    t_bounds,
)
from harness.analysis.proportions import clustered_tango, discordant, tango_interval
from harness.analysis.resampling import Resamples
from harness.metrics.base import FloatArray


@dataclass(frozen=True, slots=True)
class Difference:
    """Paired difference ``candidate - baseline``, in the metric's own unit.

    Attributes:
        delta: The difference; None where a value is undefined.
        low: Lower bound, or None with the reason why there is none.
        high: Upper bound, likewise.
        error: Standard error; zero where identical, None where there are no two clusters.
        df: Degrees of freedom of the error: clusters less one. None where identical.
        identical: Whether the statistics of the two are equal on every example.
        method: How the bounds were found, in words.
        reason: Why something is None.
    """

    delta: float | None
    low: float | None = None
    high: float | None = None
    error: float | None = None
    df: int | None = None
    identical: bool = False
    method: str = ""
    reason: str | None = None


def mean_difference(
    delta: float,
    before: FloatArray,
    after: FloatArray,
    resamples: Resamples,
    *,
    scale: float | None = None,
    tail: float = TAIL,
) -> Difference | None:
    """Bound a difference of two means of the same examples; None where a bootstrap is better.

    Args:
        delta: The difference.
        before: The baseline's statistics, shape (n, 2).
        after: The candidate's, in the same order.
        resamples: The clusters, at least two.
        scale: The metric's best possible value.
        tail: Probability cut off on each side.
    """
    count, n = resamples.n_clusters, resamples.n
    pull = influence(resamples.sums(after)) - influence(resamples.sums(before))
    unlike = discordant(before, after, scale)
    if unlike is not None:
        top, error, words = scale or 1.0, standard_error(pull), "paired score interval"
        if count == n:
            low, high = tango_interval(*unlike, n, quantile=float(special.ndtri(1 - tail)))
        else:
            low, high = clustered_tango(*unlike, n, error / top, count, tail=tail)
            words += f", {count} clusters"
        return Difference(delta, low * top, high * top, error, count - 1, method=words)
    if count < FEW_CLUSTERS:
        error, low, high = t_bounds(delta, pull, tail=tail)
        if not np.isfinite(error):
            return Difference(delta, reason=ALONE)
        words = f"paired Student-t, {count} clusters"
        return Difference(delta, low, high, error, count - 1, method=words)
    return None


def drawn_difference(
    delta: float, drawn: FloatArray, resamples: Resamples, *, tail: float = TAIL
) -> Difference:
    """Bound a difference by its bootstrap draws, shape (B,)."""
    bounds = percentile_bounds(drawn, resamples.n_clusters, tail=tail)
    if bounds is None:
        return Difference(delta, reason="undefined in more than 5 % of the resamples")
    count = resamples.n_clusters
    # draws of a mean vary by its variance with divisor n, which is too small by this factor
    error = float(np.std(drawn[np.isfinite(drawn)], ddof=1)) * float(np.sqrt(count / (count - 1)))
    words = f"paired {bootstrap_words(resamples)}"
    return Difference(delta, *bounds, error, count - 1, method=words)
