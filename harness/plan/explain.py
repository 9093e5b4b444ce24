"""What a suite will do, told without doing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.diff import difference
from harness.plan.plan import Cell, Plan, make_plan, merged_before
from harness.schema import CellResult, Manifest
from harness.store.results import Kind
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.train.checkpoints import interrupted_at, work_folder

_MARKS = {"done": "✓", "missing": "·", "waiting": "…"}


def plan_with_reasons(file: SuiteFile, store: Store) -> tuple[Plan, list[Cell]]:
    """The plan, and its cells with the reason why each missing one is missing."""
    plan = make_plan(file, store)
    earlier = _earlier(file, store, plan.run_id)
    merged = merged_before(plan, earlier)
    if merged:
        plan = make_plan(file, store, merged)
    return plan, explain_missing(plan.cells, store, earlier)


def _earlier(file: SuiteFile, store: Store, run_id: str) -> Manifest | None:
    """The run that goes on with the suite as it is, else the latest of its name.

    The latter tells what changed.
    """
    manifests = store.manifests(file.suite.name)
    own = (manifest for manifest in manifests if manifest.run_id == run_id)
    return next(own, next(iter(manifests), None))


def plan_as_json(file: SuiteFile, store: Store) -> dict[str, Any]:
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
            {"variant": c.variant, "task": c.task, "kind": c.kind, "state": c.state, "why": c.why}
            for c in cells
        ],
    }


def describe_plan(file: SuiteFile, store: Store) -> str:
    """The plan as text: training, matrix and cells, one line each."""
    plan, cells = plan_with_reasons(file, store)
    suite = file.suite
    lines = [f"{file.path}: valid", f"run       {suite.name}/{plan.run_id}"]
    lines.append(f"base      {suite.base.model}")
    lines.append(f"training  {_training_state(plan, store)}")
    lines.append(f"matrix    {', '.join(dict.fromkeys(cell.variant for cell in cells))}")
    lines.append(f"baseline  {plan.baseline}")
    done = sum(cell.state == "done" for cell in cells)
    lines.append(f"cells     {len(cells)}, of which {done} done")
    width = max((len(cell.id) for cell in cells), default=0)
    lines += [
        f"  {_MARKS[cell.state]} {cell.id:<{width}}  {cell.kind:<10}  {_state(cell)}"
        for cell in cells
    ]
    return "\n".join(lines)


def _state(cell: Cell) -> str:
    if cell.state == "done" or not cell.why:
        return cell.state
    return f"{cell.state}{' ' if cell.state == 'waiting' else ': '}{cell.why}"


def _training_state(plan: Plan, store: Store) -> str:
    if plan.training is None:
        external = plan.file.suite.checkpoints
        return "none: checkpoints are given" if external else "none"
    if plan.training_run is None:
        came = interrupted_at(work_folder(store, plan.training.key))
        if came is None:
            return "to be done"
        if store.is_running(plan.file.suite.name, plan.run_id):
            return f"going on{_at_step(*came)}"
        if came[0] == 0:
            return "interrupted before its first checkpoint; eval begins it again"
        return f"interrupted{_at_step(*came)}; eval resumes there"
    return (
        f"done: {plan.training_run.steps} steps, {len(plan.training_run.checkpoints)} checkpoints"
    )


def _at_step(step: int, steps: int | None) -> str:
    if step == 0:
        return ""
    return f" at step {step}{'' if steps is None else f' of {steps}'}"


def explain_missing(cells: Sequence[Cell], store: Store, earlier: Manifest | None) -> list[Cell]:
    """Say why each missing cell is missing: new, or which field made an earlier result stale."""
    before = {(c.variant, c.task): c for c in earlier.cells} if earlier else {}
    explained = []
    for cell in cells:
        old = before.get((cell.variant, cell.task))
        if cell.kind == "measure" and old and old.measurements_key and cell.state == "missing":
            done = store.has("measurements", old.measurements_key)
            explained.append(replace(cell, state="done" if done else "missing", why=""))
        elif cell.state != "missing":
            explained.append(cell)
        else:
            explained.append(replace(cell, why=_why_missing(cell, store, old)))
    return explained


def _why_missing(cell: Cell, store: Store, old: CellResult | None) -> str:
    kind: Kind = "scores" if cell.predictions is None else "predictions"
    now = cell.predictions or cell.scores
    if now is None:
        return ""
    if kind == "predictions" and store.has(kind, now.key):
        return "predictions are there; scores are new"
    before = None if old is None else old.predictions_key if cell.predictions else old.scores_key
    if old is not None and old.status == "failed":
        return f"failed before: {old.reason}"
    if before is None:
        return "not computed yet"
    if not store.has(kind, before):
        return "its result was removed from the store"
    changes = difference(store.identity(kind, before), now.identity)
    changed = ", ".join(change.key for change in changes)
    return f"stale: {changed or 'the form of its identity'} changed"
