"""Paired comparisons: two variants on the same examples, resampled together.

Pairing is what makes small gains visible: both variants meet the same hard and easy examples, so
the difference varies far less than either value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.errors import PairingError
from harness.metrics.base import FloatArray
from harness.stats.intervals import TAIL, Aggregate, Interval, interval, is_mean
from harness.stats.paired import Difference, drawn_difference, mean_difference, unchanged
from harness.stats.proportions import as_hits, discordant
from harness.stats.resampling import N_RESAMPLES, Resamples

_NAMED_IDS = 3  # ids that an error names


@dataclass(frozen=True)
class Quantity:
    """What is looked at: one metric of one task on one split."""

    task: str  # task id, such as ``"summary"`` or ``"mmlu/anatomy"``
    metric: str  # metric name
    split: str  # split name, or ``"all"``
    aggregate: Aggregate  # metric of column sums, shape (..., k) -> (...)
    higher_is_better: bool = True  # False for error rates and losses
    scale: float | None = None  # the best possible value, or None
    unit: str = ""  # of its values, such as "nats/token"

    @property
    def sign(self) -> float:
        """What turns a difference into a gain, of which more is better."""
        return 1.0 if self.higher_is_better else -1.0


@dataclass(frozen=True, eq=False)
class Sample:
    """Per-example statistics of one variant."""

    variant: str  # variant id
    ids: NDArray[np.str_]  # example ids, shape (n,)
    clusters: NDArray[np.str_]  # cluster of each example, shape (n,)
    stats: FloatArray  # sufficient statistics, shape (n, k)

    def only(self, ids: NDArray[np.str_]) -> Sample:
        """The examples whose ids are among these, in this sample's order."""
        keep = np.isin(self.ids, ids)
        return Sample(self.variant, self.ids[keep], self.clusters[keep], self.stats[keep])


class Panel:
    """One quantity of several variants on the same examples.

    The order of examples is the first sample's; the others are aligned to it by id. Resampled
    values are computed for all variants in one matrix product, when a method first needs them.

    Args:
        quantity: What is looked at.
        samples: One per variant; the first gives order and clusters.
        resamples: Weights to share between metrics of the same examples; made where None.
        seed: Seed of the weights made here.
        n_resamples: Number of resamples made here.

    Raises:
        PairingError: The samples do not hold exactly the same example ids, or one repeats an id.
        ValueError: ``resamples`` belongs to another number of examples.
    """

    def __init__(
        self,
        quantity: Quantity,
        samples: Sequence[Sample],
        *,
        resamples: Resamples | None = None,
        seed: int = 0,
        n_resamples: int = N_RESAMPLES,
    ) -> None:
        first = samples[0]
        self.quantity = quantity
        self.variants = tuple(sample.variant for sample in samples)
        self.resamples = resamples or Resamples(first.clusters, seed=seed, n_resamples=n_resamples)
        if self.resamples.n != len(first.ids):
            raise ValueError(f"weights of {self.resamples.n} examples, found {len(first.ids)}")
        self.ids = first.ids
        self._stats = [aligned(first, sample) for sample in samples]
        self._swapped: dict[str, FloatArray] = {}

    @cached_property
    def is_mean(self) -> bool:
        """Whether the quantity is a mean, or a ratio of two sums such as a loss per token."""
        return is_mean(self.quantity.aggregate, self._stats[0].shape[1])

    @cached_property
    def is_share(self) -> bool:
        """Whether the quantity is a share of right answers, by the values of all variants.

        One variant may have only zeros by chance, or because it fails at everything; a method
        chosen by its values alone would not be that of the others beside it.
        """
        scale = self.quantity.scale
        return self.is_mean and all(as_hits(array, scale) is not None for array in self._stats)

    def stats(self, variant: str) -> FloatArray:
        """Statistics of a variant in the panel's order, shape (n, k)."""
        return self._stats[self.variants.index(variant)]

    def value(self, variant: str) -> float | None:
        """The quantity of a variant over all examples; None where undefined."""
        value = float(self.quantity.aggregate(self.stats(variant).sum(axis=0)))
        return value if np.isfinite(value) else None

    def per_example(self, variant: str) -> FloatArray:
        """The quantity of each example alone, shape (n,); NaN where undefined."""
        return np.asarray(self.quantity.aggregate(self.stats(variant)), dtype=np.float64)

    def interval(self, variant: str) -> Interval:
        """The quantity of a variant with its interval."""
        return interval(
            self.stats(variant),
            self.quantity.aggregate,
            self.resamples,
            scale=self.quantity.scale,
            share=self.is_share,
            drawn=lambda: self._drawn[:, self.variants.index(variant)],
        )

    def difference(
        self, baseline: str, candidate: str, *, tail: float = TAIL, strict: bool = False
    ) -> Difference:
        """Paired difference of two variants with its interval.

        The method is the one that fits, see :mod:`harness.stats.paired`.

        Args:
            baseline: Variant id.
            candidate: Variant id.
            tail: Probability cut off on each side; 0.025 makes a 95 % interval, and one of its
                bounds alone a one-sided one of 97.5 %.
            strict: Of shares of right answers: as for ``proportions.tango_interval``.
        """
        before, after = self.value(baseline), self.value(candidate)
        if before is None or after is None:
            side = baseline if before is None else candidate
            return Difference(None, reason=f"the value of {side} is undefined")
        if self.identical(baseline, candidate):
            return Difference(0.0, 0.0, 0.0, 0.0, identical=True, method="identical on every item")
        delta, count = after - before, self.resamples.n_clusters
        if count < 2:
            what = "one example" if len(self.ids) == 1 else "one cluster of related examples"
            return Difference(delta, reason=f"{what} gives no interval")
        if self.is_mean:
            sides, scale = (self.stats(baseline), self.stats(candidate)), self.quantity.scale
            bounded = mean_difference(
                delta,
                *sides,
                self.resamples,
                scale=scale,
                share=self.is_share,
                tail=tail,
                strict=strict,
            )
            if bounded is not None:
                return bounded
        drawn = self.drawn_differences(baseline, candidate)
        return drawn_difference(delta, drawn, self.resamples, tail=tail)

    def bounded_difference(
        self,
        baseline: str,
        candidate: str,
        *,
        tail: float = TAIL,
        strict: bool = False,
        same_outputs: bool = False,
    ) -> Difference:
        """The paired difference as evidence of *no* change: what gates and equivalence need.

        "Identical" says that no score of these examples changed. That is proof only where the
        outputs are known to be equal, or where the metric has no bounded scale, on which outputs
        that differ would hardly come to the same numbers. Elsewhere the equality is a sample, and
        bounded as one. Scores that are all 0 cannot fall, and stay identical.

        Args:
            baseline: Variant id.
            candidate: Variant id.
            tail: Probability cut off on each side.
            strict: As for :meth:`difference`.
            same_outputs: Whether the two are known to have written the same.
        """
        difference = self.difference(baseline, candidate, tail=tail, strict=strict)
        scale = self.quantity.scale
        if not difference.identical or same_outputs or scale is None:
            return difference
        if self.is_mean and not self.stats(baseline)[:, 0].any():
            return difference
        return unchanged(self.resamples, scale=scale, tail=tail, strict=strict)

    def drawn_differences(self, baseline: str, candidate: str) -> FloatArray:
        """Bootstrap draws of candidate minus baseline, shape (B,); NaN where undefined.

        Panels that share their ``resamples`` draw the same examples, so their draws of different
        metrics belong together row by row.
        """
        index = self.variants.index
        with np.errstate(invalid="ignore"):  # of two that are infinite, NaN: undefined
            drawn: FloatArray = self._drawn[:, index(candidate)] - self._drawn[:, index(baseline)]
        return drawn

    def swapped_differences(self, baseline: str, candidate: str) -> FloatArray:
        """Candidate minus baseline where some clusters have the two swapped, shape (F,).

        One value per pattern of flips of the resamples: what the difference could as well have
        been if it made no difference which of the two wrote an output.
        """
        if baseline not in self._swapped:
            self._swapped[baseline] = self._swaps(baseline)
        return self._swapped[baseline][:, self.variants.index(candidate)]

    def identical(self, first: str, second: str) -> bool:
        """Whether the statistics of two variants are equal on every example."""
        return np.array_equal(self.stats(first), self.stats(second))

    def discordant(self, baseline: str, candidate: str) -> tuple[int, int] | None:
        """Examples that only the candidate, and that only the baseline has right.

        None where the metric is not a share of right answers.
        """
        if not self.is_share:
            return None
        return discordant(self.stats(baseline), self.stats(candidate), self.quantity.scale)

    def _swaps(self, baseline: str) -> FloatArray:
        """Differences of all variants from a baseline under swaps, shape (F, variants)."""
        sums = np.stack([self.resamples.sums(array) for array in self._stats], axis=1)
        start = sums[:, [self.variants.index(baseline)]]
        moved = self.resamples.flipped((sums - start).reshape(len(sums), -1))
        moved = moved.reshape(len(moved), *sums.shape[1:])
        aggregate = self.quantity.aggregate
        after, before = aggregate(sums.sum(axis=0) - moved), aggregate(start.sum(axis=0) + moved)
        with np.errstate(invalid="ignore"):  # of two that are infinite, NaN: undefined
            return np.asarray(after - before, dtype=np.float64)

    @cached_property
    def _drawn(self) -> FloatArray:
        """Resampled values, shape (B, variants)."""
        n, columns = self._stats[0].shape
        stacked = np.stack(self._stats, axis=1).reshape(n, -1)
        totals = self.resamples.totals(stacked).reshape(-1, len(self._stats), columns)
        return np.asarray(self.quantity.aggregate(totals), dtype=np.float64)


def aligned(reference: Sample, sample: Sample) -> FloatArray:
    """Statistics of a sample in the order of the reference's ids, shape (n, k).

    Raises:
        PairingError: An id is repeated, the two sets of ids differ, or their metrics do.
    """
    for side in (reference, sample):
        names, counts = np.unique(side.ids, return_counts=True)
        if len(names) < len(side.ids):
            raise PairingError(
                f"{side.variant} holds the same example more than once: "
                f"{_named(names[counts > 1])}.",
                hint="Give every row an id of its own (data.id_field).",
            )
    columns, other = reference.stats.shape[1], sample.stats.shape[1]
    if columns != other:
        raise PairingError(
            f"{reference.variant} has {columns} statistics per example and {sample.variant} has "
            f"{other}, so they are not of the same metric.",
            hint="Score both with the same version of the metric.",
        )
    if np.array_equal(reference.ids, sample.ids):
        return sample.stats
    missing = np.setdiff1d(reference.ids, sample.ids)
    extra = np.setdiff1d(sample.ids, reference.ids)
    if len(missing) or len(extra):
        parts = [
            f"{owner} alone has {len(ids)}: {_named(ids)}"
            for owner, ids in ((reference.variant, missing), (sample.variant, extra))
            if len(ids)
        ]
        raise PairingError(
            f"{reference.variant} and {sample.variant} were not scored on the same examples; "
            f"{'; '.join(parts)}.",
            hint="Run both with the same data and limit, then compare again.",
        )
    order = np.argsort(sample.ids)[np.searchsorted(np.sort(sample.ids), reference.ids)]
    return sample.stats[order]


def _named(ids: NDArray[np.str_]) -> str:
    shown = ", ".join(repr(str(name)) for name in ids[:_NAMED_IDS])
    return shown + (", …" if len(ids) > _NAMED_IDS else "")
