"""Suite to cells: what is to be computed, under which key, and what is already done.

Nothing here loads torch or a model, so that ``harness validate`` answers at once.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.analysis.select import primary_metric
from harness.errors import SuiteError
from harness.identities import (
    TRAIN,
    Keyed,
    examples_of,
    inputs_of,
    results_of,
    training_of,
    weights_of,
)
from harness.measure.glossary import definitions
from harness.metrics.registry import check_metric, is_evaluate_module
from harness.models.identity import base_identity
from harness.rules import ConstraintSpec
from harness.schema import CellKind, CellResult, Checkpoint, Manifest, TrainingRun, Variant
from harness.spec import GenerationTask, LmEvalTask, MetricSpec, PerplexityTask, Suite, TaskSpec
from harness.store import Store, digest_of
from harness.suite import SuiteFile
from harness.train.arguments import check_arguments
from harness.variants import (
    check_merged_steps,
    default_baseline,
    expected_checkpoints,
    external_checkpoints,
    make_variants,
    trained_checkpoints,
    waiting_to_merge,
)

MEASURE = "measure"  # task id of the memory and speed cells
_LOSSES = ("eval_loss", "perplexity")  # metrics of a perplexity task

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
    digest = digest_of(suite.model_dump(mode="json"))
    return Plan(
        file=file,
        run_id=digest[:10],
        suite_digest=digest,
        training=training,
        training_run=training_run,
        examples=examples,
        variants=variants,
        cells=tuple(cells),
        baseline=_baseline(file, [variant.id for variant in variants] + to_come),
    )


def merged_before(plan: Plan, earlier: Manifest | None) -> list[str]:
    """Names of the checkpoints that an earlier run merged, as far as they are still the same."""
    if earlier is None:
        return []
    before = {v.digests.get("adapter") for v in earlier.variants if v.kind == "merged"}
    return [
        v.id for v in plan.variants if v.kind == "adapter" and v.digests.get("adapter") in before
    ]


# -- checks ---------------------------------------------------------------------------------------


def check_suite(file: SuiteFile) -> None:
    """Checks that need more than the file itself: arguments of TRL, metrics, what decides.

    Raises:
        UsageError: Something is wrong.
    """
    suite = file.suite
    if suite.train is not None:
        check_arguments(suite.train, str(file.path))
    for task_id, task in suite.tasks.items():
        if task_id in (MEASURE, TRAIN) or "/" in task_id:
            raise SuiteError(
                f"tasks.{task_id}: a task must not be called {MEASURE!r} or {TRAIN!r}, "
                "nor hold a slash.",
                where=str(file.path),
                mend="Choose another name.",
            )
        if isinstance(task, GenerationTask):
            for metric in task.metrics:
                check_metric(metric)
    _check_select(file)
    _check_gate(file)


def _check_select(file: SuiteFile) -> None:
    """Refuse a choice, or a constraint of it, by what is never scored on the select split."""
    chosen, where = file.suite.select, str(file.path)
    for place, constraint in enumerate(chosen.constraints):
        key = f"select.constraints[{place}]"
        if constraint.task is not None:
            _check_watched(file, key, constraint.task, constraint.metric)
        else:
            _check_measurement(file, key, constraint)
    mend = "Choose by a generation or perplexity task whose splits hold select."
    if chosen.task is not None:
        task = _task_named(file, "select.task", chosen.task)
        if isinstance(task, LmEvalTask) or "select" not in task.splits:
            raise SuiteError(
                f"select.task names {chosen.task!r}, which is not scored on the select split.",
                where=where,
                mend=mend,
            )
    if chosen.metric is None:
        return
    deciding = primary_metric(file.suite)
    named = file.suite.tasks[deciding[0]] if deciding else None
    if deciding is None or named is None or isinstance(named, LmEvalTask):
        raise SuiteError(
            f"select.metric names {chosen.metric!r}, but no task is scored on the select split.",
            where=where,
            mend=mend,
        )
    _check_metric_of(file, "select.metric", deciding[0], named, chosen.metric)


def _check_watched(file: SuiteFile, key: str, name: str, metric: str | None) -> None:
    """Refuse a score that no choice can look at. What lm-eval's tasks hold shows when they run."""
    task_id, slash, _ = name.partition("/")
    task = _task_named(file, f"{key}.task", task_id)
    if isinstance(task, LmEvalTask):
        return
    if slash:
        raise SuiteError(
            f"{key}.task names {name!r}, but {task_id} has no members.",
            where=str(file.path),
            mend=f"Write {task_id}; only groups of lm-eval have members.",
        )
    if "select" not in task.splits:
        raise SuiteError(
            f"{key}.task names {name!r}, which is not scored on the select split.",
            where=str(file.path),
            mend=f"Add select to tasks.{name}.splits: a choice reads nothing that is claimed.",
        )
    _check_metric_of(file, f"{key}.metric", name, task, metric)


def _check_gate(file: SuiteFile) -> None:
    """Refuse a gate that watches what is never scored or measured."""
    for place, rule in enumerate(file.suite.gate.metrics):
        key = f"gate.metrics[{place}]"
        task_id, slash, _ = rule.task.partition("/")
        task = _task_named(file, f"{key}.task", task_id)
        splits = ("all",) if isinstance(task, LmEvalTask) else task.splits
        if rule.split is not None and rule.split not in splits:
            raise SuiteError(
                f"{key}.split names {rule.split!r}, on which {task_id} is not scored.",
                where=str(file.path),
                mend=f"It is scored on: {', '.join(splits)}.",
            )
        if isinstance(task, LmEvalTask):
            continue  # its metrics and members show when it runs
        if slash:
            raise SuiteError(
                f"{key}.task names {rule.task!r}, but {task_id} has no members.",
                where=str(file.path),
                mend=f"Write {task_id}; only groups of lm-eval have members.",
            )
        _check_metric_of(file, f"{key}.metric", task_id, task, rule.metric)
    for place, watched in enumerate(file.suite.gate.measurements):
        _check_measured(file, f"gate.measurements[{place}]", watched.measurement)


def _check_measurement(file: SuiteFile, key: str, constraint: ConstraintSpec) -> None:
    name = str(constraint.measurement)
    _check_measured(file, key, name)
    sizes = [bound for bound in (constraint.min, constraint.max) if isinstance(bound, str)]
    if sizes and "bytes" not in name:
        raise SuiteError(
            f"{key} bounds {name} by {sizes[0]!r}, but it is not counted in bytes.",
            where=str(file.path),
            mend="Write a number in the quantity's own unit.",
        )


def _check_measured(file: SuiteFile, key: str, name: str) -> None:
    known = definitions()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise SuiteError(
            f"{key}.measurement names {name!r}, which is not a measured quantity.",
            where=str(file.path),
            mend=f"{hint}There are: {', '.join(sorted(known))}.",
        )
    if file.suite.measure is None:
        raise SuiteError(
            f"{key} names {name}, but the suite measures nothing.",
            where=str(file.path),
            mend="Add a measure section.",
        )


def _task_named(file: SuiteFile, key: str, name: str) -> TaskSpec:
    tasks = file.suite.tasks
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise SuiteError(
            f"{key} names {name!r}, which is not a task of this suite.",
            where=str(file.path),
            mend=f"{hint}There are: {', '.join(tasks)}.",
        )
    return tasks[name]


def _check_metric_of(
    file: SuiteFile,
    key: str,
    name: str,
    task: GenerationTask | PerplexityTask,
    metric: str | None,
) -> None:
    metrics = list(_metric_names(task))
    if metric and metric not in metrics and not any(map(is_evaluate_module, metrics)):
        raise SuiteError(
            f"{key} names {metric!r}, which {name} does not have.",
            where=str(file.path),
            mend=f"It has: {', '.join(metrics)}.",
        )


def _metric_names(task: GenerationTask | PerplexityTask) -> Iterator[str]:
    if isinstance(task, PerplexityTask):
        yield from _LOSSES
    else:
        yield from (m.name if isinstance(m, MetricSpec) else m for m in task.metrics)


def _baseline(file: SuiteFile, known: Sequence[str]) -> str:
    """The variant to compare with, which must be one of the suite's (or one yet to be trained)."""
    baseline = file.suite.baseline or default_baseline(file.suite)
    if not any(fnmatch.fnmatchcase(baseline, name) for name in known):
        raise SuiteError(
            f"The baseline {baseline!r} is not a variant of this suite; there are: "
            f"{', '.join(known)}.",
            where=str(file.path),
            mend="Set baseline to one of them, or add its precision to matrix.base.",
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
