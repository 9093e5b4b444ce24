"""What a suite will do, told without doing it."""

from __future__ import annotations

from typing import Any

from harness.plan import Cell, Plan, explain_missing, make_plan
from harness.schema import Manifest
from harness.store import Store
from harness.suite import SuiteFile

_MARKS = {"done": "✓", "missing": "·", "waiting": "…"}


def plan_with_reasons(file: SuiteFile, store: Store) -> tuple[Plan, list[Cell]]:
    """The plan, and its cells with the reason why each missing one is missing."""
    earlier = latest_manifest(store, file.suite.name)
    plan = make_plan(file, store)
    merged = _merged_before(plan, earlier)
    if merged:
        plan = make_plan(file, store, merged_steps=merged)
    return plan, explain_missing(plan.cells, store, earlier)


def _merged_before(plan: Plan, earlier: Manifest | None) -> list[int]:
    """Steps that the last run merged, as far as the plan still has their adapters."""
    adapters = {v.step: v.digests.get("adapter") for v in plan.variants if v.kind == "adapter"}
    return [
        v.step
        for v in (earlier.variants if earlier else ())
        if v.kind == "merged" and v.step and adapters.get(v.step) == v.digests.get("adapter")
    ]


def latest_manifest(store: Store, suite: str) -> Manifest | None:
    """The most recently updated run of a suite."""
    return next((m for m in store.manifests() if m.suite == suite), None)


def plan_as_json(file: SuiteFile, store: Store) -> dict[str, Any]:
    """The plan as JSON values."""
    plan, cells = plan_with_reasons(file, store)
    return {
        "suite": file.suite.name,
        "path": str(file.path),
        "run_id": plan.run_id,
        "baseline": plan.baseline,
        "training": _training_state(plan),
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
    lines.append(f"training  {_training_state(plan)}")
    lines.append(f"baseline  {plan.baseline}")
    done = sum(cell.state == "done" for cell in cells)
    lines.append(f"cells     {len(cells)}, of which {done} done")
    width = max((len(cell.id) for cell in cells), default=0)
    lines += [
        f"  {_MARKS[cell.state]} {cell.id:<{width}}  {cell.kind:<10}  {cell.state}"
        f"{f': {cell.why}' if cell.why and cell.state != 'done' else ''}"
        for cell in cells
    ]
    return "\n".join(lines)


def _training_state(plan: Plan) -> str:
    if plan.training is None:
        external = plan.file.suite.checkpoints
        return "none: checkpoints are given" if external else "none"
    if plan.training_run is None:
        return "to be done"
    return (
        f"done: {plan.training_run.steps} steps, {len(plan.training_run.checkpoints)} checkpoints"
    )
