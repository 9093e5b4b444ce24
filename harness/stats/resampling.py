"""Bootstrap weights and sign flips over clusters, and sums of statistics under them.

Everything resampled here is a sum over clusters of statistics times a small whole number: how often
a resample draws the cluster, or whether a pattern swaps it. So one matrix product serves all
variants of a metric, and all metrics of the same examples share the numbers.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.metrics.base import FloatArray

N_RESAMPLES = 10_000
N_FLIPS = 10_000

_ALL_FLIPS = 12  # clusters up to which all patterns of flips are listed: 4,096
_CHUNK_CELLS = 4_000_000  # weights drawn at a time: 32 MB
_KEPT_CELLS = 256_000_000  # weights kept for the next statistic, of a byte each: 256 MB
_PRODUCT_CELLS = 2_000_000  # weights turned into floats at a time: 16 MB


class Resamples:
    """Bootstrap weights and sign flips of a set of examples, the same for every statistic.

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
        self._kept: list[NDArray[np.unsignedinteger]] | None = None

    def sums(self, stats: FloatArray) -> FloatArray:
        """Sum statistics within clusters: shape (n, k) -> (clusters, k)."""
        columns = [
            np.bincount(self.codes, weights=column, minlength=self.n_clusters) for column in stats.T
        ]
        return np.stack(columns, axis=1)

    def totals(self, stats: FloatArray) -> FloatArray:
        """Column sums in every resample: shape (n, k) -> (B, k)."""
        sums = self.sums(stats)
        return np.concatenate([_product(weights, sums) for weights in self._weights()])

    def flipped(self, sums: FloatArray) -> FloatArray:
        """Sums over the clusters that a pattern of flips selects: (clusters, k) -> (F, k).

        Every cluster is selected with probability 1/2: ``N_FLIPS`` patterns are drawn, or all
        are listed where there are few clusters (``lists_all_flips``).
        """
        count = 2**self.n_clusters if self.lists_all_flips else N_FLIPS
        rows = max(1, _PRODUCT_CELLS // self.n_clusters)
        parts = (self._flips(at, min(rows, count - at)) for at in range(0, count, rows))
        return np.concatenate([_product(part, sums) for part in parts])

    @property
    def lists_all_flips(self) -> bool:
        """Whether the patterns of flips are all there are, the one without a flip included."""
        return self.n_clusters <= _ALL_FLIPS

    def _flips(self, start: int, count: int) -> NDArray[np.uint8]:
        """Some patterns of flips, shape (count, clusters); drawing a bit each is quick."""
        if self.lists_all_flips:
            patterns = np.arange(start, start + count)[:, None] >> np.arange(self.n_clusters)
            return (patterns & 1).astype(np.uint8)
        rng = np.random.default_rng([self._seed, 1, start])  # apart from the weights'
        packed = rng.integers(256, size=(count, -(-self.n_clusters // 8)), dtype=np.uint8)
        return np.unpackbits(packed, axis=1, count=self.n_clusters)

    def _weights(self) -> Iterator[NDArray[np.unsignedinteger]]:
        if self._kept is not None:
            yield from self._kept
            return
        keep = self.n_resamples * self.n_clusters <= _KEPT_CELLS
        chunks = []
        for weights in self._draw():
            yield weights
            if keep:
                chunks.append(weights)
        if keep:
            self._kept = chunks

    def _draw(self) -> Iterator[NDArray[np.unsignedinteger]]:
        rng = np.random.default_rng(self._seed)
        size = self.n_clusters
        rows = max(1, _CHUNK_CELLS // size)
        for start in range(0, self.n_resamples, rows):
            count = min(rows, self.n_resamples - start)
            drawn = rng.integers(size, size=(count, size))
            drawn += np.arange(count)[:, None] * size  # a range of bins of its own per resample
            counts = np.bincount(drawn.ravel(), minlength=count * size)
            # one byte each, or two should a cluster ever be drawn more than 255 times
            kind = np.min_scalar_type(int(counts.max()))
            yield counts.reshape(count, size).astype(kind)


def _product(weights: NDArray[np.unsignedinteger], sums: FloatArray) -> FloatArray:
    """Weighted sums, shapes (B, clusters) and (clusters, k) -> (B, k), in bounded memory."""
    rows = max(1, _PRODUCT_CELLS // max(1, weights.shape[1]))
    starts = range(0, len(weights), rows)
    return np.concatenate([weights[at : at + rows].astype(np.float64) @ sums for at in starts])
