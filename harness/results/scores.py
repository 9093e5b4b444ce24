"""Scores of a run as they are analysed: each with its sample and the function that sums it up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MetricError, StoreError
from harness.metrics.base import mean_of
from harness.metrics.registry import build_metric, is_evaluate_module, needs_labels
from harness.schema import HUMAN, CellResult, Score
from harness.stats.intervals import Aggregate, as_stats
from harness.stats.panel import Quantity, Sample
from harness.store.runs import Store
from harness.suite.spec import MetricSpec, TaskSpec, task_facts

Key = tuple[str, str, str]
"""Task (a leaf of a group by its own name), metric, split."""


@dataclass(frozen=True)
class Reading:
    """One score as read from the store."""

    variant: str  # variant id
    suite_task: str  # the suite's task id; ``score.task`` may be a leaf of it
    kind: str  # ``generation``, ``perplexity``, ``lm_eval`` or ``human``
    score: Score  # the record
    quantity: Quantity | None = None  # what the score is about; None where it has no statistics
    sample: Sample | None = None  # per-example statistics; None likewise
    reason: str | None = None  # why there is no sample

    @property
    def key(self) -> Key:
        """What the score is about, whichever the variant."""
        return (self.score.task, self.score.metric, self.score.split)

    @property
    def is_leaf(self) -> bool:
        """Whether its documents are its own, and not those of a group's tasks together."""
        return "|tasks:" not in self.score.signature


def read_results(
    store: Store, cells: Iterable[CellResult], tasks: Mapping[str, TaskSpec]
) -> list[Reading]:
    """Read the scores of all finished cells, in the order of the cells.

    Args:
        store: Where the results lie.
        cells: Cells of a run; those without scores are passed over.
        tasks: The suite's tasks by id, as in ``suite_of(manifest).tasks``.

    Returns:
        One reading per score. Scores whose statistics cannot be used keep their value and say
        why they have none.

    Raises:
        StoreError: A finished cell's results are missing or unreadable.
    """
    readings: list[Reading] = []
    for cell in cells:
        if cell.status != "done" or cell.scores_key is None:
            continue
        scores = store.read_records("scores", cell.scores_key, "scores", Score)
        arrays: dict[str, NDArray[Any]] = {}
        if any(score.stats for score in scores):
            arrays = dict(store.read_stats(cell.scores_key))
        where = str(store.path("scores", cell.scores_key) / "stats.npz")
        task = tasks.get(cell.task)
        readings += [reading(cell, score, arrays, task, where) for score in scores]
    return readings


def group_by_key(readings: Iterable[Reading]) -> dict[Key, list[Reading]]:
    """Readings of all variants by what they are about, in order of first appearance."""
    groups: dict[Key, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.key, []).append(reading)
    return groups


def counts_labels(spec: MetricSpec) -> bool:
    """Whether its statistics are a column for each label found among the references scored."""
    return not is_evaluate_module(spec.name) and needs_labels(spec)


def reading(
    cell: CellResult,
    score: Score,
    arrays: Mapping[str, NDArray[Any]],
    task: TaskSpec | None,
    where: str,
) -> Reading:
    """One score with its sample.

    Args:
        cell: Whose it is.
        score: The record.
        arrays: Statistics, ids and clusters, as ``TaskOutcome.arrays`` has them.
        task: What the suite says of the task.
        where: What an error names as their place.

    Raises:
        StoreError: The arrays lack the score's statistics.
    """

    def without(reason: str) -> Reading:
        return Reading(cell.variant, cell.task, cell.kind, score, reason=reason)

    if score.stats is None:
        return without(score.reason or "the metric gives no per-example statistics")
    if score.stats not in arrays:
        raise StoreError(
            f"Per-example statistics {score.stats!r} are missing.",
            where=where,
            hint="Delete the folder and run the eval again.",
        )
    stats = as_stats(arrays[score.stats])
    ids, clusters = _named("ids", score, arrays), _named("clusters", score, arrays)
    if ids is None or len(ids) != len(stats):
        return without("the example ids were not kept, so nothing can be paired")
    if clusters is None or len(clusters) != len(stats):
        clusters = ids  # no clusters recorded means that every example stands alone
    try:
        aggregate = _aggregate(cell.kind, score.metric, task, stats.shape[1])
    except MetricError as error:
        return without(str(error))
    quantity = Quantity(
        score.task,
        score.metric,
        score.split,
        aggregate,
        score.higher_is_better,
        score.scale,
        score.unit,
    )
    sample = Sample(cell.variant, ids.astype(np.str_), clusters.astype(np.str_), stats)
    return Reading(cell.variant, cell.task, cell.kind, score, quantity, sample)


def _named(kind: str, score: Score, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    """Ids or clusters of a score.

    Leaves of a group keep theirs under their own task name, ratings (of which some may be missing)
    under their criterion's.
    """
    places = (f"{score.task}/{score.metric}/{score.split}", f"{score.task}/{score.split}")
    for name in (f"{kind}/{place}" for place in (*places, score.split)):
        if name in arrays:
            return arrays[name]
    return None


def _aggregate(kind: str, name: str, task: TaskSpec | None, columns: int) -> Aggregate:
    """How a score's column sums become its value.

    Raises:
        MetricError: The metric cannot be made from the suite's entry.
    """
    specs = (MetricSpec(name=name),) if task is None else task.metric_specs
    if kind == HUMAN or task_facts(kind).brings_data or specs is None:
        return mean_of
    spec = next((spec for spec in specs if spec.name == name), None)
    if spec is None:
        raise MetricError(f"The suite's task names no metric {name!r}, so its interval is unknown.")
    if is_evaluate_module(name):
        return mean_of  # with per_example; without, such a module leaves no statistics
    # three columns per label and one more: which label is which changes no average of them
    labels = [str(label) for label in range(columns // 3)] if needs_labels(spec) else None
    return build_metric(spec, labels=labels).aggregate
