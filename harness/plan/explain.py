"""What a suite will do, told without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.diff import difference
from harness.doors import TASK_TYPES
from harness.errors import UsageError
from harness.plan.keys import Keyed
from harness.plan.plan import (
    CellState,
    EvalCell,
    MeasureCell,
    Plan,
    PlannedCell,
    PlannedTraining,
    WaitingCell,
    make_plan,
    run_id_of,
)
from harness.schema import CellResult, Manifest
from harness.store.results import Kind
from harness.store.runs import Store
from harness.suite.errors import gathered, refuse
from harness.tasks.base import CheckingTaskType, TaskRequest
from harness.train.checkpoints import interrupted_at, work_folder
from harness.validate.suite import CheckedSuite

_MARKS = {"done": "✓", "missing": "·", "waiting": "…"}


@dataclass(frozen=True)
class ExplainedCell:
    """A planned cell, whether there is anything to do, and why."""

    cell: PlannedCell
    state: CellState
    why: str = ""


def check_tasks(file: CheckedSuite) -> None:
    """Refuse tasks that cannot be run here, as far as that shows without running anything.

    Raises:
        UsageError: A line for each of them, with its place in the suite.
    """
    refuse(gathered(partial(_check_task, file, name) for name in file.suite.tasks))


def _check_task(file: CheckedSuite, name: str) -> None:
    kind = file.suite.tasks[name].type
    task_type = TASK_TYPES.get(kind)
    if isinstance(task_type, CheckingTaskType):
        request = TaskRequest(name, file.suite, file.base_dir)
        try:
            TASK_TYPES.ask(kind, partial(task_type.check, request))
        except UsageError as error:
            where = file.at(f"tasks.{name}.task")
            raise UsageError(error.problem, where=where, hint=error.hint) from error


def plan_with_reasons(file: CheckedSuite, store: Store) -> tuple[Plan, list[ExplainedCell]]:
    """The plan, and its cells with the reason why each missing one is missing."""
    earlier = _earlier(file, store)
    plan = make_plan(file, store, earlier=earlier)
    return plan, explain_missing(plan.cells, store, earlier)


def _earlier(file: CheckedSuite, store: Store) -> Manifest | None:
    """The run that goes on with the suite as it is, else the latest of its name.

    The latter tells what changed.
    """
    manifests, run_id = store.manifests(file.suite.name), run_id_of(file.suite)
    own = (manifest for manifest in manifests if manifest.run_id == run_id)
    return next(own, next(iter(manifests), None))


def plan_as_json(file: CheckedSuite, store: Store) -> dict[str, Any]:
    """The plan as JSON values."""
    plan, cells = plan_with_reasons(file, store)
    return {
        "suite": file.suite.name,
        "path": str(file.path),
        "run_id": plan.run_id,
        "baseline": plan.baseline,
        "training": _training_state(plan, store),
        "variants": [variant.model_dump(mode="json") for variant in plan.variants],
        "cells": [
            {
                "variant": explained.cell.variant,
                "task": explained.cell.task,
                "kind": explained.cell.kind,
                "state": explained.state,
                "why": explained.why,
            }
            for explained in cells
        ],
    }


def describe_plan(file: CheckedSuite, store: Store) -> str:
    """The plan as text: training, matrix and cells, one line each."""
    plan, cells = plan_with_reasons(file, store)
    suite = file.suite
    lines = [f"{file.path}: valid", f"run       {suite.name}/{plan.run_id}"]
    lines.append(f"base      {suite.base.model}")
    lines.append(f"training  {_training_state(plan, store)}")
    lines.append(f"matrix    {', '.join(dict.fromkeys(row.cell.variant for row in cells))}")
    lines.append(f"baseline  {plan.baseline}")
    done = sum(row.state == "done" for row in cells)
    lines.append(f"cells     {len(cells)}, of which {done} done")
    width = max((len(row.cell.id) for row in cells), default=0)
    lines += [
        f"  {_MARKS[row.state]} {row.cell.id:<{width}}  {row.cell.kind:<10}  {_state(row)}"
        for row in cells
    ]
    return "\n".join(lines)


def _state(row: ExplainedCell) -> str:
    if row.state == "done" or not row.why:
        return row.state
    return f"{row.state}{' ' if row.state == 'waiting' else ': '}{row.why}"


def _training_state(plan: Plan, store: Store) -> str:
    if not plan.trainings:
        external = plan.file.suite.checkpoints
        return "none: checkpoints are given" if external else "none"
    states = [(training.name, _state_of(training, plan, store)) for training in plan.trainings]
    return "; ".join(f"{name}: {state}" if name else state for name, state in states)


def _state_of(training: PlannedTraining, plan: Plan, store: Store) -> str:
    if training.run is None:
        came = interrupted_at(work_folder(store, training.item.key))
        if came is None:
            return "to be done"
        if store.is_running(plan.file.suite.name, plan.run_id):
            return f"going on{_at_step(*came)}"
        if came[0] == 0:
            return "interrupted before its first checkpoint; eval begins it again"
        return f"interrupted{_at_step(*came)}; eval resumes there"
    return f"done: {training.run.steps} steps, {len(training.run.checkpoints)} checkpoints"


def _at_step(step: int, steps: int | None) -> str:
    if step == 0:
        return ""
    return f" at step {step}{'' if steps is None else f' of {steps}'}"


def explain_missing(
    cells: Sequence[PlannedCell], store: Store, earlier: Manifest | None
) -> list[ExplainedCell]:
    """Say why each missing cell is missing: new, or which field made an earlier result stale."""
    before = {(c.variant, c.task): c for c in earlier.cells} if earlier else {}
    return [_explained(cell, store, before.get((cell.variant, cell.task))) for cell in cells]


def _explained(cell: PlannedCell, store: Store, before: CellResult | None) -> ExplainedCell:
    if isinstance(cell, WaitingCell):
        return ExplainedCell(cell, cell.state, cell.why)
    if isinstance(cell, EvalCell) and not cell.stored:
        return ExplainedCell(cell, cell.state, _why_missing(cell, store, before))
    if isinstance(cell, MeasureCell) and (before is None or before.measurements_key is None):
        why = "not computed yet"
        if before is not None and before.status == "failed":
            why = f"failed before: {before.reason}"
        return ExplainedCell(cell, cell.state, why)
    if isinstance(cell, MeasureCell):
        done = store.has("measurements", str(before.measurements_key if before else ""))
        return ExplainedCell(cell, "done" if done else "missing")
    return ExplainedCell(cell, cell.state)


def _why_missing(cell: EvalCell, store: Store, before: CellResult | None) -> str:
    kind: Kind = "scores" if cell.predictions is None else "predictions"
    now = cell.predictions or cell.scores
    if damage := _damage(store, kind, now.key) or _damage(store, "scores", cell.scores.key):
        return damage
    if kind == "predictions" and store.has(kind, now.key):
        return "predictions are there; scores are new"
    if before is None:
        return "not computed yet"
    if before.status == "failed":
        return f"failed before: {before.reason}"
    key = before.predictions_key if cell.predictions else before.scores_key
    return _why_stale(store, kind, key, now) if key else "not computed yet"


def _why_stale(store: Store, kind: Kind, key: str, now: Keyed) -> str:
    """What became of an earlier result under another key."""
    if not store.has(kind, key):
        return _damage(store, kind, key) or "its result was removed from the store"
    changes = difference(store.identity(kind, key), now.identity)
    changed = ", ".join(change.key for change in changes)
    return f"stale: {changed or 'the form of its identity'} changed"


def _damage(store: Store, kind: Kind, key: str) -> str | None:
    """What is wrong with a result that is there; None where it is not, or nothing is."""
    damage = store.damage(kind, key) if store.path(kind, key).exists() else None
    return None if damage is None else f"damaged: {damage}"
