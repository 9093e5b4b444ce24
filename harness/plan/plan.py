"""Suite to cells: what is to be computed, under which key, and what is already done.

Nothing here loads torch or a model, so that ``harness validate`` answers at once.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.digests import short_digest
from harness.errors import SuiteError
from harness.models.identity import base_identity
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
from harness.schema import MEASURE, CellKind, CellResult, Checkpoint, Manifest, TrainingRun, Variant
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.suite.spec import Suite
from harness.validate.suite import check_gated, check_suite

CellState = Literal["done", "missing", "waiting"]


@dataclass(frozen=True)
class Cell:
    """One variant on one task, with the keys of what it produces.

    Both keys are None while the variant's weights do not exist yet: the cell is waiting for
    training or for the choice of what to merge. A perplexity cell has scores but no predictions.
    A measurement's key needs the architecture, so it is looked up when the run comes to it.
    """

    variant: str
    task: str
    kind: CellKind
    predictions: Keyed | None = None
    scores: Keyed | None = None
    state: CellState = "missing"
    why: str = ""

    @property
    def id(self) -> str:
        """``variant/task``, as ``--only`` takes it."""
        return f"{self.variant}/{self.task}"

    def done(self, *, seconds: float | None = None, computed: bool = False) -> CellResult:
        """The record of this cell, finished."""
        return CellResult(
            variant=self.variant,
            task=self.task,
            kind=self.kind,
            status="done",
            predictions_key=self.predictions.key if self.predictions else None,
            scores_key=self.scores.key if self.scores else None,
            seconds=None if seconds is None else round(seconds, 3),
            computed=computed,
        )

    def failed(self, reason: str, seconds: float | None = None) -> CellResult:
        """The record of this cell, failed in this invocation."""
        return CellResult(
            variant=self.variant,
            task=self.task,
            kind=self.kind,
            status="failed",
            reason=reason,
            seconds=None if seconds is None else round(seconds, 3),
            computed=True,
        )


@dataclass(frozen=True)
class Plan:
    """Everything a suite asks for, and what of it is done."""

    file: SuiteFile
    run_id: str
    suite_digest: str
    training: Keyed | None
    training_run: TrainingRun | None
    examples: dict[str, Keyed]  # task id (or "train") -> examples
    variants: tuple[Variant, ...]
    cells: tuple[Cell, ...]
    baseline: str


def make_plan(file: SuiteFile, store: Store, merged: Sequence[str] | None = None) -> Plan:
    """Work out variants, cells and keys.

    Args:
        file: The suite and its place.
        store: Where results are looked up.
        merged: Names of the checkpoints to merge once that is decided; None before it.

    Raises:
        UsageError: The suite contradicts itself or names what does not exist.
    """
    suite = file.suite
    check_suite(file)
    base = base_identity(suite.base, file.base_dir)
    examples = examples_of(file, base)
    training = training_of(suite, base, examples)
    training_run = None
    checkpoints: list[Checkpoint] = []
    to_come: list[str] = []
    if training is None:
        checkpoints = external_checkpoints(file)
    elif store.has("training", training.key):
        training_run = store.read_record("training", training.key, "training", TrainingRun)
        checkpoints = trained_checkpoints(training_run, store.path("training", training.key))
    else:
        to_come = expected_checkpoints(suite)
    names = [checkpoint.name for checkpoint in checkpoints] + to_come
    check_merged_steps(file, [*checkpoints, *to_come])
    variants = tuple(make_variants(suite, base, checkpoints, merged or ()))
    waiting = [(name, "for training") for name in to_come]
    if merged is None:
        waiting += waiting_to_merge(suite, may_train=bool(names))
    cells = [
        *_eval_cells(file, store, variants, base, examples),
        *_measure_cells(suite, variants),
        *_waiting_cells(suite, waiting),
    ]
    known = [variant.id for variant in variants] + to_come
    check_gated(file, [*known, "merged-*"])
    digest = short_digest(suite.model_dump(mode="json"))
    return Plan(
        file=file,
        run_id=digest[:10],
        suite_digest=digest,
        training=training,
        training_run=training_run,
        examples=examples,
        variants=variants,
        cells=tuple(cells),
        baseline=_baseline(file, known),
    )


def merged_before(plan: Plan, earlier: Manifest | None) -> list[str]:
    """Names of the checkpoints that an earlier run merged, as far as they are still the same."""
    if earlier is None:
        return []
    before = {v.digests.get("adapter") for v in earlier.variants if v.kind == "merged"}
    return [
        v.id for v in plan.variants if v.kind == "adapter" and v.digests.get("adapter") in before
    ]


def _baseline(file: SuiteFile, known: Sequence[str]) -> str:
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
    file: SuiteFile,
    store: Store,
    variants: Sequence[Variant],
    base: Mapping[str, Any],
    examples: Mapping[str, Keyed],
) -> Iterator[Cell]:
    inputs = inputs_of(file, examples)
    for variant in variants:
        weights = weights_of(file.suite, variant, base)
        for task_id, task in file.suite.tasks.items():
            predictions, scores = results_of(file, task_id, weights, inputs[task_id])
            state: CellState = "done" if store.has("scores", scores.key) else "missing"
            yield Cell(variant.id, task_id, task.type, predictions, scores, state)


def _measure_cells(suite: Suite, variants: Sequence[Variant]) -> Iterator[Cell]:
    if suite.measure is not None:
        for variant in variants:
            yield Cell(variant.id, MEASURE, "measure", why="looked up when the run comes to it")


def _waiting_cells(suite: Suite, waiting: Sequence[tuple[str, str]]) -> Iterator[Cell]:
    kinds: list[tuple[str, CellKind]] = [(name, task.type) for name, task in suite.tasks.items()]
    kinds += [(MEASURE, "measure")] if suite.measure is not None else []
    for variant, why in waiting:
        for task, kind in kinds:
            yield Cell(variant, task, kind, state="waiting", why=why)
