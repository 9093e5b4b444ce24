"""What a suite decides by: its primary metric, its constraints. Needs the suite and nothing else.

All functions take the suite's resolved form, as in ``manifest.spec``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.suite.rules import ConstraintSpec, SelectSpec
from harness.suite.spec import Suite

SPLIT = "select"
"""The split that checkpoints are chosen on, and nothing is claimed on."""

CANDIDATES = ("adapter", "full")
"""Kinds of variants to choose from: what training saved."""


def primary_metric(suite: Suite | Mapping[str, Any]) -> tuple[str, str] | None:
    """Task and metric that decide.

    Args:
        suite: The suite, or its resolved form.

    Returns:
        Task id and metric name: what ``select`` names, else the first generation task's first
        metric, else the eval loss of the first perplexity task that is scored on ``select``.
        None where the suite has none of these.
    """
    spec = suite.model_dump(mode="json") if isinstance(suite, Suite) else suite
    tasks: Mapping[str, Mapping[str, Any]] = spec.get("tasks", {})
    wanted: Mapping[str, Any] = spec.get("select") or {}
    candidates = [str(wanted["task"])] if wanted.get("task") else _deciding_tasks(tasks)
    for task in candidates:
        metric = wanted.get("metric") or first_metric(tasks.get(task, {}))
        if metric:
            return task, str(metric)
    return None


def _deciding_tasks(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Tasks that are scored on the select split: those that generate before those of losses."""
    scored = [name for name, task in tasks.items() if SPLIT in (task.get("splits") or ())]
    kinds = ("generation", "perplexity")
    return [name for kind in kinds for name in scored if tasks[name]["type"] == kind]


def first_metric(task: Mapping[str, Any]) -> str | None:
    """The first metric of a task as the suite has it; None for lm-eval, which has its own."""
    if task.get("type") == "perplexity":
        return "eval_loss"
    for entry in task.get("metrics") or ():
        return str(entry["name"]) if isinstance(entry, Mapping) else str(entry)
    return None


def constraints_of(spec: Mapping[str, Any]) -> tuple[ConstraintSpec, ...]:
    """The constraints that a checkpoint must keep to."""
    return SelectSpec.model_validate(spec.get("select") or {}).constraints


def is_constrained(spec: Mapping[str, Any], task: str) -> bool:
    """Whether a constraint reads documents of a task: of itself, its group, or its members.

    Args:
        spec: The suite's resolved form.
        task: A task, or a member of a group such as ``mmlu/anatomy``.
    """
    constraints = (spec.get("select") or {}).get("constraints") or ()
    named = [str(entry["task"]) for entry in constraints if entry.get("task")]
    return any(
        name == task or name.startswith(f"{task}/") or task.startswith(f"{name}/") for name in named
    )
