"""Whether some examples gain less than the rest: two gains of one panel, and their difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.metrics.base import FloatArray
from harness.stats.intervals import is_mean
from harness.stats.panel import Panel, Sample

Rows = NDArray[np.bool_]

_RESAMPLES = 2_000  # of a subset


@dataclass(frozen=True)
class Contrast:
    """Gain of a group minus gain of the rest, with its standard error and degrees of freedom."""

    value: float
    error: float
    df: float


@dataclass(frozen=True, eq=False)
class _Part:
    """Gain of some examples, and the pull of each cluster on it, shape (clusters,)."""

    gain: float
    pulls: FloatArray
    clusters: int

    @property
    def variance(self) -> float:
        return float(np.sum(self.pulls**2)) * self.clusters / (self.clusters - 1)

    @property
    def defined(self) -> bool:
        return self.clusters > 1 and bool(np.isfinite([self.gain, *self.pulls]).all())


@dataclass(frozen=True, eq=False)
class Pair:
    """Baseline and candidate of a panel.

    A *gain* is candidate minus baseline, turned so that more is better, in the metric's own unit.
    """

    panel: Panel
    baseline: str
    candidate: str

    @property
    def sign(self) -> float:
        """What turns a difference into a gain."""
        return self.panel.quantity.sign

    @property
    def tolerance(self) -> float:
        """Differences up to here are rounding."""
        return 1e-12 * (self.panel.quantity.scale or 1.0)

    @cached_property
    def gains(self) -> FloatArray:
        """Gain of each example alone, shape (n,); NaN where either side is undefined."""
        after, before = (self.panel.per_example(name) for name in (self.candidate, self.baseline))
        gains: FloatArray = self.sign * (after - before)
        gains[np.abs(gains) <= self.tolerance] = 0.0
        return gains

    @cached_property
    def is_plain_mean(self) -> bool:
        """Whether the metric is the plain mean of its values on single examples."""
        stats = [self.panel.stats(name) for name in (self.baseline, self.candidate)]
        if not is_mean(self.panel.quantity.aggregate, stats[0].shape[1]):
            return False
        return all(bool(np.isin(array[:, 1], (0.0, 1.0)).all()) for array in stats)

    def clusters(self, rows: Rows) -> int:
        """Number of clusters with such an example."""
        return len(np.unique(self.panel.resamples.codes[rows]))

    def subset(self, rows: Rows) -> Pair:
        """The same pair on some of the examples."""
        panel = self.panel
        clusters = panel.resamples.codes[rows].astype(np.str_)
        samples = [
            Sample(name, panel.ids[rows], clusters, panel.stats(name)[rows])
            for name in (self.baseline, self.candidate)
        ]
        own = Panel(panel.quantity, samples, n_resamples=_RESAMPLES)
        return Pair(own, self.baseline, self.candidate)

    def gain(self, rows: Rows) -> float | None:
        """Gain of the metric over some of the examples; None where undefined."""
        total = 0.0
        for name, side in ((self.candidate, self.sign), (self.baseline, -self.sign)):
            total += side * float(
                self.panel.quantity.aggregate(self.panel.stats(name)[rows].sum(0))
            )
        return total if math.isfinite(total) else None

    def contrast(self, rows: Rows) -> Contrast | None:
        """Compare a group with the rest; None where a gain is undefined without some cluster.

        The standard errors of the two gains are those of the delete-one-cluster jackknife; with
        means of unrelated examples, value, error and degrees of freedom are Welch's. Where the
        variance over all examples gives a larger error, that is taken: a small group may show no
        variation by chance.

        Args:
            rows: Whether each example belongs to the group, shape (n,).

        Source:
            Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 11; Welch (1947),
            Biometrika 34, The generalization of Student's problem.
        """
        group, rest = self._part(rows), self._part(~rows)
        whole = self._whole
        if not (group.defined and rest.defined and whole.defined):
            return None
        shared = float(group.pulls @ rest.pulls)  # of clusters with examples on both sides
        apart = group.variance + rest.variance - 2 * shared
        pooled = whole.variance * whole.clusters * (1 / group.clusters + 1 / rest.clusters)
        df = float(whole.clusters - 2)
        if apart > pooled:
            terms = (part.variance**2 / (part.clusters - 1) for part in (group, rest))
            df = max(1.0, min(df, apart**2 / sum(terms)))
        return Contrast(group.gain - rest.gain, math.sqrt(max(apart, pooled)), df)

    @cached_property
    def _whole(self) -> _Part:
        return self._part(np.ones(len(self.panel.ids), dtype=np.bool_))

    def _part(self, rows: Rows) -> _Part:
        """Gain of some examples with its jackknife.

        With m clusters and g_i the gain without cluster i, the pull of i is
        (m - 1)(mean(g) - g_i) / m. Clusters without such an example have none.
        """
        codes, aggregate = self.panel.resamples.codes, self.panel.quantity.aggregate
        held = np.unique(codes[rows])
        count, gain, without = len(held), 0.0, np.zeros(len(held))
        for name, side in ((self.candidate, self.sign), (self.baseline, -self.sign)):
            sums = self.panel.resamples.sums(self.panel.stats(name) * rows[:, None])
            total = sums.sum(axis=0)
            gain += side * float(aggregate(total))
            without += side * np.asarray(aggregate(total - sums[held]))
        pulls = np.zeros(self.panel.resamples.n_clusters)
        pulls[held] = (count - 1) * (without.mean() - without) / count
        return _Part(gain, pulls, count)
