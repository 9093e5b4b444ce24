"""95 % intervals of metric values, from per-example sufficient statistics.

Three methods, chosen by :func:`interval`:

* Wilson's score interval for means of 0/1 values, with the effective number of examples where
  some of them are related;
* Student-t with a cluster-robust standard error for other means with fewer than
  ``FEW_CLUSTERS`` clusters, where a percentile bootstrap is too narrow;
* the percentile bootstrap over clusters for everything else, corpus metrics included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.metrics.base import FloatArray, mean_of

Aggregate = Callable[[FloatArray], FloatArray]

CONFIDENCE = 0.95
N_RESAMPLES = 10_000
FEW_CLUSTERS = 100
"""Below this many clusters a percentile bootstrap covers noticeably less than it says."""

_CHUNK_CELLS = 4_000_000  # weights drawn at a time: 32 MB
_KEPT_CELLS = 8_000_000  # weights kept for the next statistic: 64 MB
_MEAN_PROBE = np.array([[3.0, 2.0], [5.0, 7.0], [0.0, 4.0]])


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its confidence interval.

    Attributes:
        value: The metric of all examples, in its own unit; None where it is undefined.
        low: Lower bound, or None with the reason why there is none.
        high: Upper bound, likewise.
        n: Examples.
        clusters: Groups of related examples; equal to ``n`` where all are unrelated.
        method: How the bounds were found, in words.
        reason: Why value or bounds are None.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    method: str = ""
    reason: str | None = None


class Resamples:
    """Bootstrap weights of a set of examples, drawn once and used for every statistic of it.

    Clusters are drawn with replacement, and an example weighs as often as its cluster was drawn.
    The draw depends on the seed and the number of clusters only, and clusters are numbered in
    the order of their names, so the order of the examples does not matter.

    Args:
        clusters: Cluster of every example, shape (n,).
        seed: Equal seeds give equal weights.
        n_resamples: Number of resamples B.
    """

    def __init__(
        self, clusters: ArrayLike, *, seed: int = 0, n_resamples: int = N_RESAMPLES
    ) -> None:
        names, codes = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
        self.codes: NDArray[np.intp] = codes.reshape(-1)
        self.n = len(self.codes)
        self.n_clusters = len(names)
        self.n_resamples = n_resamples
        self._seed = seed
        self._kept: FloatArray | None = None

    def sums(self, stats: FloatArray) -> FloatArray:
        """Sum statistics within clusters: shape (n, k) -> (clusters, k)."""
        result = np.zeros((self.n_clusters, stats.shape[1]))
        np.add.at(result, self.codes, stats)
        return result

    def totals(self, stats: FloatArray) -> FloatArray:
        """Column sums in every resample: shape (n, k) -> (B, k)."""
        sums = self.sums(stats)
        return np.concatenate([weights @ sums for weights in self._weights()])

    def _weights(self) -> Iterator[FloatArray]:
        if self._kept is not None:
            yield self._kept
            return
        keep = self.n_resamples * self.n_clusters <= _KEPT_CELLS
        chunks = []
        for weights in self._draw():
            yield weights
            if keep:
                chunks.append(weights)
        if keep:
            self._kept = np.concatenate(chunks)

    def _draw(self) -> Iterator[FloatArray]:
        rng = np.random.default_rng(self._seed)
        size = self.n_clusters
        rows = max(1, _CHUNK_CELLS // size)
        for start in range(0, self.n_resamples, rows):
            count = min(rows, self.n_resamples - start)
            drawn = rng.integers(size, size=(count, size))
            drawn += np.arange(count)[:, None] * size  # a range of bins of its own per resample
            counts = np.bincount(drawn.ravel(), minlength=count * size)
            yield counts.reshape(count, size).astype(np.float64)


def is_mean(aggregate: Aggregate, columns: int) -> bool:
    """Whether a metric is the ratio of its two columns: a mean, or a loss per token."""
    if columns != 2:
        return False
    return bool(np.allclose(aggregate(_MEAN_PROBE), mean_of(_MEAN_PROBE), equal_nan=True))


def influence(sums: FloatArray) -> FloatArray:
    """Influence of each cluster on a ratio of sums, shape (clusters, 2) -> (clusters,).

    With y and m a cluster's sums, R = sum(y) / sum(m) and M the mean of m, it is (y - R m) / M;
    the standard error of R is that of the mean of these values. For clusters of equal size it is
    the standard error of the mean of cluster means.

    Source:
        Cochran (1977), Sampling Techniques, 3rd ed., eq. 2.39 (ratio estimator) and section 9A.
    """
    ratio = mean_of(sums.sum(axis=0))
    result: FloatArray = (sums[:, 0] - ratio * sums[:, 1]) / sums[:, 1].mean()
    return result


def t_bounds(value: float, influences: FloatArray) -> tuple[float, float, float]:
    """Student-t bounds of a value from cluster influences: standard error, low, high.

    Args:
        value: The estimate.
        influences: Influence of each cluster, shape (clusters,), at least two.
    """
    count = len(influences)
    error = float(np.sqrt(np.sum(influences**2) / (count * (count - 1))))
    reach = float(special.stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * error
    return error, value - reach, value + reach


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
    z = float(special.ndtri((1 + CONFIDENCE) / 2)) if quantile is None else quantile
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * float(np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)))
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == n else centre + reach
    return low, high


def clustered_wilson(hits: FloatArray, resamples: Resamples) -> tuple[float, float]:
    """Score interval of a proportion of related 0/1 values, shape (n,).

    The effective number of examples is the one at which a simple proportion has the
    cluster-robust standard error; never more than n, and the number of clusters where all
    values are equal. Student's quantile replaces the normal one.

    Source:
        Dean & Pagano (2015), Evaluating confidence interval methods for binomial proportions in
        clustered surveys, Journal of Survey Statistics and Methodology 3(4): modified Wilson.
    """
    n, clusters, p = len(hits), resamples.n_clusters, float(hits.mean())
    stats = np.stack([hits, np.ones(n)], axis=1)
    error, _, _ = t_bounds(p, influence(resamples.sums(stats)))
    effective = min(float(n), p * (1 - p) / error**2) if error > 0 else float(clusters)
    quantile = float(special.stdtrit(clusters - 1, (1 + CONFIDENCE) / 2))
    return wilson_interval(p * effective, effective, quantile=quantile)


def percentile_bounds(drawn: FloatArray) -> tuple[float, float] | None:
    """Percentile bounds of resampled values, shape (B,); None where too many are undefined."""
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < CONFIDENCE * len(drawn):
        return None
    low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def bootstrap_words(resamples: Resamples) -> str:
    """The bootstrap in words, with its caution where clusters are few."""
    words = f"percentile bootstrap, {resamples.n_resamples:,} resamples of {resamples.n_clusters:,}"
    if resamples.n_clusters < FEW_CLUSTERS:
        words += f" clusters (below {FEW_CLUSTERS}: may be too narrow)"
        return words
    return f"{words} clusters"


def bootstrap_interval(
    stats: ArrayLike,
    aggregate: Aggregate,
    clusters: Sequence[str],
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Bound a metric by the percentile bootstrap over clusters.

    Args:
        stats: Sufficient statistics per example, shape (n, k).
        aggregate: Metric of column sums, shape (..., k) -> (...).
        clusters: Cluster of every example, shape (n,).
        seed: Seed of the resampling; equal seeds give equal intervals.
        n_resamples: Number of resamples.

    Returns:
        The value and its 95 % interval; None with a reason below two examples or clusters.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13; clusters as the unit:
        Davison & Hinkley (1997), Bootstrap Methods and their Application, section 3.8.
    """
    array = as_stats(stats)
    resamples = Resamples(clusters, seed=seed, n_resamples=n_resamples)
    found = _undefined(array, aggregate, resamples)
    return found or _bootstrapped(array, aggregate, resamples, None)


def interval(
    stats: ArrayLike,
    aggregate: Aggregate,
    resamples: Resamples,
    *,
    scale: float | None = None,
    drawn: Callable[[], FloatArray] | None = None,
) -> Interval:
    """Bound a metric by the method that fits it (see the module's text).

    Args:
        stats: Sufficient statistics per example, shape (n, k).
        aggregate: Metric of column sums, shape (..., k) -> (...).
        resamples: Weights of the same examples in the same order.
        scale: The metric's best possible value; 0/``scale`` values count as 0/1.
        drawn: Gives already resampled values, shape (B,), where the caller has them.

    Returns:
        The value and its 95 % interval, or None with a reason.
    """
    array = as_stats(stats)
    found = _undefined(array, aggregate, resamples)
    if found:
        return found
    n, clusters = len(array), resamples.n_clusters
    if not is_mean(aggregate, array.shape[1]):
        return _bootstrapped(array, aggregate, resamples, drawn)
    value = float(aggregate(array.sum(axis=0)))
    top = scale or 1.0
    if np.all(array[:, 1] == 1) and np.all(np.isin(array[:, 0], (0.0, top))):
        hits, method = array[:, 0] / top, "Wilson score"
        if clusters == n:
            low, high = wilson_interval(float(hits.sum()), n)
        else:
            low, high = clustered_wilson(hits, resamples)
            method = f"Wilson score, {clusters} clusters"
        return Interval(value, low * top, high * top, n, clusters, method)
    if clusters < FEW_CLUSTERS:
        _, low, high = t_bounds(value, influence(resamples.sums(array)))
        if scale is not None and np.all((array[:, 0] >= 0) & (array[:, 0] <= scale * array[:, 1])):
            low, high = max(0.0, low), min(scale, high)  # where each value is, their mean is too
        return Interval(value, low, high, n, clusters, f"Student-t, {clusters} clusters")
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


def _bootstrapped(
    stats: FloatArray,
    aggregate: Aggregate,
    resamples: Resamples,
    drawn: Callable[[], FloatArray] | None,
) -> Interval:
    n, clusters = len(stats), resamples.n_clusters
    value = float(aggregate(stats.sum(axis=0)))
    bounds = percentile_bounds(drawn() if drawn else aggregate(resamples.totals(stats)))
    if bounds is None:
        reason = "undefined in more than 5 % of the resamples"
        return Interval(value, None, None, n, clusters, reason=reason)
    return Interval(value, *bounds, n, clusters, bootstrap_words(resamples))
