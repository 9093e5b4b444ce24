"""Base and recipe of several trainings, summed: over held-out rows, or over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import PairingError
from harness.results.scores import counts_labels
from harness.stats.paired import Difference
from harness.stats.panel import Panel, Quantity, Sample, aligned
from harness.stats.resampling import Resamples
from harness.stats.trainings import Repeated, over_folds, over_seeds
from harness.suite.spec import MetricSpec, Suite

BASE, RECIPE = "base", "recipe"


class Panels:
    """Makes panels of base and recipe; those of the same rows share one draw of resamples."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn: dict[bytes, Resamples] = {}

    def of(self, quantity: Quantity, samples: Sequence[Sample]) -> Panel:
        """A panel, whose order of rows is the first sample's."""
        clusters = samples[0].clusters
        key = b"\0".join(name.encode() for name in clusters.tolist())
        if key not in self._drawn:
            self._drawn[key] = Resamples(clusters, seed=self._seed)
        return Panel(quantity, samples, resamples=self._drawn[key])

    def pair(self, quantity: Quantity, base: Sample, candidate: Sample) -> Panel:
        """A panel of two samples under their parts' names."""
        return self.of(quantity, [_as(BASE, base), _as(RECIPE, candidate)])


def _as(name: str, own: Sample) -> Sample:
    return Sample(name, own.ids, own.clusters, own.stats)


@dataclass(frozen=True)
class Pair:
    """A member's base and candidate on the same rows."""

    label: str
    quantity: Quantity
    base: Sample
    candidate: Sample


@dataclass(frozen=True)
class Pooled:
    """All members together, and each by itself."""

    panel: Panel  # of base and recipe, on all rows
    same_rows: bool
    each: tuple[Difference, ...]  # of each member, in their order
    repeated: Repeated


def pooled(pairs: Sequence[Pair], panels: Panels, suite: Suite) -> Pooled:
    """The pairs of all members together.

    Args:
        pairs: One per member.
        panels: Where panels are made.
        suite: The suite, which says how metrics count labels.

    Raises:
        PairingError: They are neither of the same rows nor of rows that are all different.
    """
    first = pairs[0]
    rows = [set(pair.base.ids.tolist()) for pair in pairs]
    each_panel = [panels.pair(pair.quantity, pair.base, pair.candidate) for pair in pairs]
    each = tuple(_difference(panel) for panel in each_panel)
    deltas = [difference.delta for difference in each]
    if all(own == rows[0] for own in rows):
        panel = _on_same_rows(pairs, panels)
        repeated = over_seeds(_difference(panel), deltas, _explained_of_seeds(pairs, panels))
        return Pooled(panel, True, each, repeated)
    if sum(map(len, rows)) > len(set.union(*rows)):
        raise PairingError("Some rows are scored by more than one member, and others are not.")
    if _has_own_labels(first.quantity, suite):
        raise PairingError(
            "Each fold counts the labels of its own rows; name them in the metric's options "
            "(labels: [...]), and they can be summed."
        )
    clusters = [set(pair.base.clusters.tolist()) for pair in pairs]
    if sum(map(len, clusters)) > len(set.union(*clusters)):
        raise PairingError("Near-identical rows lie in more than one fold.")
    if len({pair.base.stats.shape[1] for pair in pairs}) > 1:
        raise PairingError("The members' statistics differ in number, so they cannot be summed.")
    base, candidate = (_one_after_another(pairs, side) for side in ("base", "candidate"))
    panel = panels.pair(first.quantity, base, candidate)
    errors = [difference.error for difference in each if difference.error is not None]
    known = len(errors) == len(each)
    explained = float(np.mean(np.square(errors))) if known else None
    return Pooled(panel, False, each, over_folds(_difference(panel), deltas, explained))


def _difference(panel: Panel) -> Difference:
    return panel.difference(BASE, RECIPE)


def _one_after_another(pairs: Sequence[Pair], side: str) -> Sample:
    own: list[Sample] = [getattr(pair, side) for pair in pairs]
    return Sample(
        side,
        np.concatenate([sample.ids for sample in own]),
        np.concatenate([sample.clusters for sample in own]),
        np.concatenate([sample.stats for sample in own]),
    )


def _on_same_rows(pairs: Sequence[Pair], panels: Panels) -> Panel:
    """Base and recipe with each row's statistics summed over the members.

    Of means the sums are divided by their number, so that a share of right answers on which all
    members agree stays one.
    """
    first = pairs[0]
    one = panels.pair(first.quantity, first.base, first.candidate)
    parts = len(pairs) if one.is_mean else 1
    base, recipe = (
        np.sum([aligned(first.base, getattr(pair, side)) for pair in pairs], axis=0) / parts
        for side in ("base", "candidate")
    )
    ids, clusters = first.base.ids, first.base.clusters
    together = (Sample("", ids, clusters, base), Sample("", ids, clusters, recipe))
    return panels.pair(first.quantity, *together)


def _explained_of_seeds(pairs: Sequence[Pair], panels: Panels) -> float | None:
    """Variance of one seed's difference about the seeds' mean that the choice of rows explains."""
    samples = [
        Sample(f"{place} {side}", own.ids, own.clusters, own.stats)
        for place, pair in enumerate(pairs)
        for side, own in ((BASE, pair.base), (RECIPE, pair.candidate))
    ]
    panel = panels.of(pairs[0].quantity, samples)
    if panel.resamples.n_clusters < 2:
        return None
    places = range(len(pairs))
    drawn = np.stack([panel.drawn_differences(f"{p} {BASE}", f"{p} {RECIPE}") for p in places])
    apart = drawn - drawn.mean(axis=0)
    if not np.isfinite(apart).all():
        return None
    return float(apart.var(axis=1).sum() / (len(pairs) - 1))


def _has_own_labels(quantity: Quantity, suite: Suite) -> bool:
    """Whether the columns of a metric are of labels that each run found by itself."""
    specs: Sequence[MetricSpec] = suite.tasks[quantity.task].metric_specs or ()
    spec = next((spec for spec in specs if spec.name == quantity.metric), None)
    return spec is not None and counts_labels(spec)
