"""95 % intervals of metric values, from per-example sufficient statistics.

Three methods, chosen by :func:`interval`:

* Wilson's score interval for means of 0/1 values, with the effective number of examples where
  some of them are related. Whether they are 0/1 values is decided by all variants' values
  together (:attr:`harness.stats.panel.Panel.is_share`), so that one row has one method;
* Student-t with a cluster-robust standard error for other means with fewer than
  ``FEW_CLUSTERS`` clusters, where a percentile bootstrap is too narrow;
* the percentile bootstrap over clusters for everything else, corpus metrics included.

The last two have a width of zero where all examples score the same. That would be a certainty that
no sample gives, so there is a reason instead of bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from harness.metrics.base import FloatArray, mean_of
from harness.stats.proportions import as_hits, clustered_wilson, wilson_interval
from harness.stats.resampling import Resamples

Aggregate = Callable[[FloatArray], FloatArray]

CONFIDENCE = 0.95
TAIL = 0.025
"""Probability that a 95 % interval cuts off on each side."""
FEW_CLUSTERS = 100
"""Below this many clusters a percentile bootstrap covers noticeably less than it says."""

ALONE = "one cluster alone decides the value, which gives no interval"

SAME = "all {} score the same, which gives no interval"

_ROUNDING = 1e-9  # bounds this close, as a share of the value, are apart by rounding alone
_MEAN_PROBE = np.array([[3.0, 2.0], [5.0, 7.0], [0.0, 4.0]])


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its confidence interval."""

    value: float | None  # the metric of all examples, in its own unit; None where it is undefined
    low: float | None  # lower bound, or None with the reason why there is none
    high: float | None  # upper bound, likewise
    n: int  # examples
    clusters: int  # groups of related examples; equal to ``n`` where all are unrelated
    method: str = ""  # how the bounds were found, in words
    reason: str | None = None  # why value or bounds are None


def is_mean(aggregate: Aggregate, columns: int) -> bool:
    """Whether a metric is the ratio of its two columns: a mean, or a loss per token."""
    if columns != 2:
        return False
    return bool(np.allclose(aggregate(_MEAN_PROBE), mean_of(_MEAN_PROBE), equal_nan=True))


def influence(sums: FloatArray) -> FloatArray:
    """Influence of each cluster on a ratio of sums, shape (clusters, 2) -> (clusters,).

    With y and m a cluster's sums, R = sum(y) / sum(m), M the mean of m and h = m / sum(m) the
    share of the cluster, it is (y - R m) / M, times (1 - 1/n) / (1 - h): what R changes by, n - 1
    times, where the cluster is left out. The standard error of R is that of the mean of these
    values, the delete-one jackknife's; the factor matters where a few large clusters pull R
    towards themselves. For clusters of equal size it is the standard error of the mean of
    cluster means. NaN where one cluster alone decides R.

    Source:
        Cochran (1977), Sampling Techniques, 3rd ed., eq. 2.39 (ratio estimator) and section 6.17
        (jackknife).
    """
    count, total = len(sums), sums[:, 1].sum()
    rest = total - sums[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = sums[:, 0] - mean_of(sums.sum(axis=0)) * sums[:, 1]
        result: FloatArray = (count - 1) * residual / rest
    return result


def standard_error(influences: FloatArray) -> float:
    """Standard error of an estimate from cluster influences, shape (clusters,), at least two."""
    count = len(influences)
    return root_of_squares(influences) / float(np.sqrt(count * (count - 1)))


def root_of_squares(values: FloatArray) -> float:
    """Square root of a sum of squares, also where a square is beyond a float.

    Perplexities of a model that diverged are as large. Scaling by a power of two is exact.
    """
    _, exponent = np.frexp(np.max(np.abs(values)))
    return float(np.ldexp(np.sqrt(np.sum(np.ldexp(values, -exponent) ** 2)), exponent))


def t_bounds(
    value: float, influences: FloatArray, *, tail: float = TAIL
) -> tuple[float, float, float]:
    """Student-t bounds of a value from cluster influences: standard error, low, high.

    Args:
        value: The estimate.
        influences: Influence of each cluster, shape (clusters,), at least two.
        tail: Probability cut off on each side.
    """
    error = standard_error(influences)
    reach = float(special.stdtrit(len(influences) - 1, 1 - tail)) * error
    return error, value - reach, value + reach


def percentile_bounds(
    drawn: FloatArray, clusters: int, *, tail: float = TAIL
) -> tuple[float, float] | None:
    """Percentile bounds of resampled values, shape (B,); None where too many are undefined.

    The plain percentiles are too narrow by what Student's quantile and the divisor n - 1 correct
    in a mean's interval, so percentiles a little further out are taken: those that would make the
    bounds of a mean of normal values exact.

    Args:
        drawn: Values of the resamples.
        clusters: Number of clusters, at least two.
        tail: Probability cut off on each side.

    Source:
        Hesterberg (2015), What Teachers Should Know About the Bootstrap, The American
        Statistician 69(4), section 4.4: expanded percentile interval.
    """
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < CONFIDENCE * len(drawn):
        return None
    reach = special.stdtrit(clusters - 1, 1 - tail) * np.sqrt(clusters / (clusters - 1))
    outside = float(special.ndtr(-reach))
    low, high = np.quantile(defined, [outside, 1 - outside])
    return float(low), float(high)


def bootstrap_words(resamples: Resamples) -> str:
    """The bootstrap in words, with its caution where clusters are few."""
    words = f"percentile bootstrap, {resamples.n_resamples:,} resamples of {resamples.n_clusters:,}"
    if resamples.n_clusters < FEW_CLUSTERS:
        words += f" clusters (below {FEW_CLUSTERS}: may be too narrow)"
        return words
    return f"{words} clusters"


def interval(
    stats: ArrayLike,
    aggregate: Aggregate,
    resamples: Resamples,
    *,
    scale: float | None = None,
    share: bool = True,
    drawn: Callable[[], FloatArray] | None = None,
) -> Interval:
    """Bound a metric by the method that fits it (see the module's text).

    Args:
        stats: Sufficient statistics per example, shape (n, k).
        aggregate: Metric of column sums, shape (..., k) -> (...).
        resamples: Weights of the same examples in the same order.
        scale: The metric's best possible value; 0/``scale`` values count as 0/1.
        share: False where the metric is known to take other values than these two.
        drawn: Gives already resampled values, shape (B,), where the caller has them.

    Returns:
        The value and its 95 % interval, or None with a reason.

    Source:
        Bootstrap: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13; clusters as
        the unit: Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    array = as_stats(stats)
    undefined = _undefined(array, aggregate, resamples)
    if undefined:
        return undefined
    n, clusters = len(array), resamples.n_clusters
    if not is_mean(aggregate, array.shape[1]):
        return _bootstrapped(array, aggregate, resamples, drawn)
    value = float(aggregate(array.sum(axis=0)))
    top, hits = scale or 1.0, as_hits(array, scale) if share else None
    if hits is not None:
        method = "Wilson score"
        if clusters == n:
            low, high = wilson_interval(float(hits.sum()), n)
        else:
            error = standard_error(influence(resamples.sums(array))) / top
            low, high = clustered_wilson(float(hits.mean()), n, error, clusters)
            method = f"Wilson score, {clusters} clusters"
        return Interval(value, low * top, high * top, n, clusters, method)
    if clusters < FEW_CLUSTERS:
        return _student_t(value, array, resamples, scale)
    return _bootstrapped(array, aggregate, resamples, drawn)


def as_stats(stats: ArrayLike) -> FloatArray:
    """Statistics as a float array of shape (n, k); one column where given as (n,)."""
    array = np.asarray(stats, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _undefined(stats: FloatArray, aggregate: Aggregate, resamples: Resamples) -> Interval | None:
    n, clusters = len(stats), resamples.n_clusters
    if n == 0:
        return Interval(None, None, None, 0, 0, reason="there are no examples")
    value = float(aggregate(stats.sum(axis=0)))
    if not np.isfinite(value):
        return Interval(None, None, None, n, clusters, reason="undefined for these outputs")
    if clusters < 2:
        what = "one example" if n == 1 else "one cluster of related examples"
        return Interval(value, None, None, n, clusters, reason=f"{what} gives no interval")
    return None


def _student_t(
    value: float, stats: FloatArray, resamples: Resamples, scale: float | None
) -> Interval:
    n, clusters = len(stats), resamples.n_clusters
    error, low, high = t_bounds(value, influence(resamples.sums(stats)))
    if not np.isfinite(error):
        return Interval(value, None, None, n, clusters, reason=ALONE)
    if _coincide(low, high):
        return Interval(value, None, None, n, clusters, reason=_same(n, clusters))
    if scale is not None and np.all((stats[:, 0] >= 0) & (stats[:, 0] <= scale * stats[:, 1])):
        low, high = max(0.0, low), min(scale, high)  # where each value is, their mean is too
    return Interval(value, low, high, n, clusters, f"Student-t, {clusters} clusters")


def _bootstrapped(
    stats: FloatArray,
    aggregate: Aggregate,
    resamples: Resamples,
    drawn: Callable[[], FloatArray] | None,
) -> Interval:
    n, clusters = len(stats), resamples.n_clusters
    value = float(aggregate(stats.sum(axis=0)))
    values = drawn() if drawn else aggregate(resamples.totals(stats))
    bounds = percentile_bounds(values, clusters)
    if bounds is None:
        reason = "undefined in more than 5 % of the resamples"
        return Interval(value, None, None, n, clusters, reason=reason)
    if _coincide(*bounds):
        return Interval(value, None, None, n, clusters, reason=_same(n, clusters))
    return Interval(value, *bounds, n, clusters, bootstrap_words(resamples))


def _coincide(low: float, high: float) -> bool:
    """Whether two bounds are equal up to rounding."""
    return high - low <= _ROUNDING * max(abs(low), abs(high))


def _same(n: int, clusters: int) -> str:
    return SAME.format("examples" if n == clusters else "clusters of examples")
