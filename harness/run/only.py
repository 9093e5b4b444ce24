"""What ``--only`` names: whether there is such a cell, and whether it waits for training."""

from __future__ import annotations

import fnmatch

from harness.errors import UsageError
from harness.plan.plan import PlannedTraining, WaitingCell
from harness.run.state import Run


def check_patterns(run: Run) -> None:
    """Refuse an ``--only`` pattern that can match nothing, before anything long.

    Raises:
        UsageError: Names the pattern, and the tasks or variants.
    """
    tasks = dict.fromkeys(cell.task for cell in run.plan.cells)
    variants = dict.fromkeys(cell.variant for cell in run.plan.cells)
    for pattern in run.options.only:
        variant, slash, task = pattern.rpartition("/")
        if not (slash and variant) or not fnmatch.filter(tasks, task):
            raise UsageError(
                "--only takes VARIANT/TASK, where both may hold wildcards.",
                where=f"--only {pattern}",
                hint=f"The tasks are: {', '.join(tasks)}.",
            )
        if not any(_may_be(variant, planned) for planned in variants):
            raise UsageError(
                "There is no such variant, nor will there be.",
                where=f"--only {pattern}",
                hint=f"The variants are: {', '.join(variants)}.",
            )


def _may_be(pattern: str, planned: str) -> bool:
    """Whether a pattern matches a planned variant, or one that a stand-in will turn into.

    Until training and the choice are done, ``checkpoint-*`` and ``merged-best`` stand in for names
    that end in a step.
    """
    name, _, end = planned.rpartition("-")
    stands_in = end in ("*", "best", "last", "all")
    return fnmatch.fnmatchcase(planned, pattern) or (stands_in and pattern.startswith(f"{name}-"))


def check_matches(run: Run) -> None:
    """Refuse an ``--only`` pattern that let no cell through: nothing was computed for it.

    Raises:
        UsageError: Names the pattern and the variants.
    """
    ids = [cell.id for cell in run.plan.cells if cell.state != "waiting"]
    waiting = dict.fromkeys(
        f"{cell.variant} (waiting {cell.why})"
        for cell in run.plan.cells
        if isinstance(cell, WaitingCell)
    )
    for pattern in run.options.only:
        if not fnmatch.filter(ids, pattern):
            there = [variant.id for variant in run.plan.variants]
            raise UsageError(
                "This matches no cell.",
                where=f"--only {pattern}",
                hint=f"The variants are: {', '.join([*there, *waiting])}.",
            )


def needs_training(run: Run, training: PlannedTraining) -> bool:
    """Whether a wanted cell waits for a training; those of the base, and of others, do not."""
    if training.run is not None:
        return False
    there = [cell.id for cell in run.plan.cells if cell.state != "waiting"]
    to_come = [cell for cell in run.plan.cells if cell.state == "waiting"]
    known = [*there, *(cell.id for cell in to_come if not training.owns(cell.variant))]
    matched = all(fnmatch.filter(known, pattern) for pattern in run.options.only)
    own = [cell for cell in to_come if training.owns(cell.variant)]
    return not matched or any(run.wants(cell) for cell in own)
