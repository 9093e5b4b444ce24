"""What a suite decides by: its primary metric and its constraints."""

from collections.abc import Mapping

from harness.suite.spec import Suite, TaskSpec

SPLIT = "select"
"""The split that checkpoints are chosen on, and nothing is claimed on."""

CLAIMED = ("report", "all", "eval")
"""Splits that no choice reads; of a score that is on several, the first is claimed."""

CANDIDATES = ("adapter", "full")
"""Kinds of variants to choose from: what training saved."""


def primary_metric(suite: Suite) -> tuple[str, str] | None:
    """Task and metric that decide.

    Returns:
        Task id and metric name: what ``select`` names, else the first generation task's first
        metric, else the eval loss of the first perplexity task that is scored on ``select``.
        None where the suite has none of these.
    """
    rules = suite.select
    for task in [rules.task] if rules.task else _deciding_tasks(suite.tasks):
        metric = rules.metric or first_metric(suite.tasks.get(task))
        if metric:
            return task, metric
    return None


def _deciding_tasks(tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Tasks that are scored on the select split: those that generate before those of losses."""
    return [
        name
        for texts in (True, False)
        for name, task in tasks.items()
        if task.writes_texts == texts and task.metric_specs and SPLIT in task.scored_splits
    ]


def first_metric(task: TaskSpec | None) -> str | None:
    """The first metric of a task as the suite has it; None for lm-eval, which has its own."""
    specs = task.metric_specs if task is not None else None
    return specs[0].name if specs else None


def is_constrained(suite: Suite, task: str) -> bool:
    """Whether a constraint reads documents of a task: of itself, its group, or its members.

    Args:
        suite: The suite.
        task: A task, or a member of a group such as ``mmlu/anatomy``.
    """
    named = [constraint.task for constraint in suite.select.constraints if constraint.task]
    return any(
        name == task or name.startswith(f"{task}/") or task.startswith(f"{name}/") for name in named
    )
