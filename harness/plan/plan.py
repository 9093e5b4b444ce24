"""Suite to cells: what is to be computed, under which key, and what is already done.

Nothing here loads torch or a model, so that ``harness validate`` answers at once.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from harness.digests import short_digest
from harness.errors import SuiteError
from harness.plan.keys import Keyed, examples_of, inputs_of, results_of, training_of, weights_of
from harness.plan.variants import (
    check_merged_steps,
    default_baseline,
    expected_checkpoints,
    external_checkpoints,
    make_variants,
    trained_checkpoints,
    waiting_to_merge,
)
from harness.schema import (
    MEASURE,
    CellKind,
    CellResult,
    CellStatus,
    Checkpoint,
    Manifest,
    TrainingRun,
    Variant,
)
from harness.store.runs import Store
from harness.suite.spec import Suite, TrainSpec
from harness.validate.rules import check_gated
from harness.validate.suite import CheckedSuite

CellState = Literal["done", "missing", "waiting"]


@dataclass(frozen=True)
class PlannedCell:
    """One variant on one task."""

    variant: str
    task: str
    kind: CellKind

    @property
    def id(self) -> str:
        """``variant/task``, as ``--only`` takes it."""
        return f"{self.variant}/{self.task}"

    @property
    def state(self) -> CellState:
        """Whether there is anything to do."""
        return "missing"

    def done(self, *, seconds: float | None = None, computed: bool = False) -> CellResult:
        """The record of this cell, finished."""
        return self._result("done", seconds, computed=computed)

    def failed(self, reason: str, seconds: float | None = None) -> CellResult:
        """The record of this cell, failed in this invocation."""
        return self._result("failed", seconds, computed=True, reason=reason)

    def _result(self, status: CellStatus, seconds: float | None, **more: Any) -> CellResult:
        return CellResult(
            variant=self.variant,
            task=self.task,
            kind=self.kind,
            status=status,
            seconds=None if seconds is None else round(seconds, 3),
            **more,
        )


@dataclass(frozen=True)
class EvalCell(PlannedCell):
    """A cell of a variant whose weights exist, or can be made.

    Attributes:
        scores: Where its scores lie.
        predictions: Where its outputs lie, where some are kept apart from the scores.
        stored: Whether all of it is there.
    """

    scores: Keyed
    predictions: Keyed | None = None
    stored: bool = False

    def is_in(self, store: Store) -> bool:
        """Whether a store has all of it now."""
        texts = self.predictions
        return store.has("scores", self.scores.key) and (
            texts is None or store.has("predictions", texts.key)
        )

    @property
    def state(self) -> CellState:
        """Done where the store has all of it."""
        return "done" if self.stored else "missing"

    def done(self, *, seconds: float | None = None, computed: bool = False) -> CellResult:
        """The record of this cell, finished, with its keys."""
        keys = {
            "scores_key": self.scores.key,
            "predictions_key": self.predictions.key if self.predictions else None,
        }
        return super().done(seconds=seconds, computed=computed).model_copy(update=keys)


@dataclass(frozen=True)
class MeasureCell(PlannedCell):
    """A measurement; it is looked up when the run comes to it: its key needs the architecture."""


@dataclass(frozen=True)
class WaitingCell(PlannedCell):
    """A cell of a variant whose weights do not exist yet.

    Attributes:
        why: ``for training``, or for the choice of what to merge.
    """

    why: str

    @property
    def state(self) -> CellState:
        """Waiting."""
        return "waiting"


@dataclass(frozen=True)
class PlannedTraining:
    """One of a suite's trainings.

    Attributes:
        name: Its name; empty where the suite has no other.
        spec: How to train.
        item: Where it lies.
        run: What came of it; None until it is done.
    """

    name: str
    spec: TrainSpec
    item: Keyed
    run: TrainingRun | None

    def owns(self, variant: str) -> bool:
        """Whether a variant, by its id or that of its stand-in, comes of this training."""
        return not self.name or variant.removeprefix("merged-").startswith(f"{self.name}-")


@dataclass(frozen=True)
class Plan:
    """Everything a suite asks for, and what of it is done."""

    file: CheckedSuite
    run_id: str
    suite_digest: str
    trainings: tuple[PlannedTraining, ...]
    examples: dict[str, Keyed]  # task id (or "train") -> examples
    variants: tuple[Variant, ...]
    cells: tuple[PlannedCell, ...]
    baseline: str


def suite_digest(suite: Suite) -> str:
    """Digest of a resolved suite."""
    return short_digest(suite.model_dump(mode="json"))


def run_id_of(suite: Suite) -> str:
    """Id of a suite's run: equal suites go on with one run."""
    return suite_digest(suite)[:10]


def make_plan(
    file: CheckedSuite,
    store: Store,
    merged: Sequence[str] | None = None,
    earlier: Manifest | None = None,
) -> Plan:
    """Work out variants, cells and keys from the suite and what is known so far.

    Args:
        file: The suite and its place.
        store: Where results are looked up.
        merged: Names of the checkpoints to merge once that is decided; None before it.
        earlier: The run as an earlier invocation left it: while nothing is decided, what it merged
            of checkpoints that are still the same is merged again.

    Raises:
        UsageError: The suite names what does not exist.
    """
    suite = file.suite
    examples = examples_of(file)
    trainings = tuple(_trainings(file, store, examples))
    there: dict[str, list[Checkpoint]] = {}
    to_come: list[str] = []
    if suite.train is None:
        there[""] = external_checkpoints(file)
    for training in trainings:
        if training.run is None:
            to_come += expected_checkpoints(training.spec, training.name)
        else:
            folder = store.path("training", training.item.key)
            there[training.name] = trained_checkpoints(training.run, folder, training.name)
    checkpoints = [checkpoint for own in there.values() for checkpoint in own]
    names = [checkpoint.name for checkpoint in checkpoints] + to_come
    check_merged_steps(file, [*checkpoints, *to_come])
    if merged is None:
        merged = _merged_before(checkpoints, earlier)
    variants = tuple(make_variants(suite, file.base, there, merged or ()))
    waiting = [(name, "for training") for name in to_come]
    if merged is None:
        waiting += waiting_to_merge(suite, may_train=bool(names))
    cells: list[PlannedCell] = [
        *_eval_cells(file, store, variants, examples),
        *_measure_cells(suite, variants),
        *_waiting_cells(suite, waiting),
    ]
    known = [variant.id for variant in variants] + to_come
    check_gated(file, [*known, "merged-*"])
    digest = suite_digest(suite)
    return Plan(
        file=file,
        run_id=run_id_of(suite),
        suite_digest=digest,
        trainings=trainings,
        examples=examples,
        variants=variants,
        cells=tuple(cells),
        baseline=_baseline(file, known),
    )


def _trainings(
    file: CheckedSuite, store: Store, examples: Mapping[str, Keyed]
) -> Iterator[PlannedTraining]:
    for name, spec in file.suite.trainings.items():
        item, run = training_of(file, spec, examples), None
        if store.has("training", item.key):
            run = store.read_record("training", item.key, "training", TrainingRun)
        yield PlannedTraining(name, spec, item, run)


def _merged_before(checkpoints: Sequence[Checkpoint], earlier: Manifest | None) -> list[str] | None:
    """Names of the checkpoints that an earlier run merged, as far as they are still the same."""
    variants = earlier.variants if earlier is not None else ()
    digests = {v.digests.get("adapter") for v in variants if v.kind == "merged"}
    return [c.name for c in checkpoints if c.digest in digests] or None


def _baseline(file: CheckedSuite, known: Sequence[str]) -> str:
    """The variant to compare with, which must be one of the suite's (or one yet to be trained)."""
    baseline = file.suite.baseline or default_baseline(file.suite)
    if not any(fnmatch.fnmatchcase(baseline, name) for name in known):
        raise SuiteError(
            f"The baseline {baseline!r} is not a variant of this suite; there are: "
            f"{', '.join(known)}.",
            where=file.at("baseline"),
            hint="Set baseline to one of them, or add its precision to matrix.base.",
        )
    return baseline


# -- cells ----------------------------------------------------------------------------------------


def _eval_cells(
    file: CheckedSuite, store: Store, variants: Sequence[Variant], examples: Mapping[str, Keyed]
) -> Iterator[EvalCell]:
    inputs = inputs_of(file, examples)
    for variant in variants:
        weights = weights_of(file, variant)
        for task_id, task in file.suite.tasks.items():
            predictions, scores = results_of(file, task_id, weights, inputs[task_id])
            cell = EvalCell(variant.id, task_id, task.type, scores, predictions)
            yield replace(cell, stored=cell.is_in(store))


def _measure_cells(suite: Suite, variants: Sequence[Variant]) -> Iterator[MeasureCell]:
    if suite.measure is not None:
        yield from (MeasureCell(variant.id, MEASURE, MEASURE) for variant in variants)


def _waiting_cells(suite: Suite, waiting: Sequence[tuple[str, str]]) -> Iterator[WaitingCell]:
    kinds: list[tuple[str, str]] = [(name, task.type) for name, task in suite.tasks.items()]
    kinds += [(MEASURE, MEASURE)] if suite.measure is not None else []
    for variant, why in waiting:
        yield from (WaitingCell(variant, task, kind, why) for task, kind in kinds)
