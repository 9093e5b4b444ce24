"""Checkpoints of a smoke test: small adapters for large ones, and steps of a short training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.models.beside import step_in_name
from harness.models.stand_in_adapter import stand_in_adapter
from harness.plan.variants import expected_checkpoints, external_checkpoints
from harness.schema import Checkpoint
from harness.suite.spec import BaseSpec, Suite
from harness.validate.suite import CheckedSuite

_OF_STEP = re.compile(r"((?:checkpoint|merged)-)(\d+)")
_ADAPTERS = 2  # beside those that the suite names


def small_adapters(file: CheckedSuite, base: BaseSpec) -> tuple[list[str], str]:
    """Stand-ins of a suite's adapters for the stand-in of its base.

    Args:
        file: The suite.
        base: Its base's stand-in.

    Returns:
        Their folders, and a line on what they are.

    Raises:
        UsageError: One is no adapter, is of another base, or cannot be put into its architecture.
    """
    every = external_checkpoints(file)
    named = [one for one in every if _is_named(one, file.suite)]
    kept = [one for one in every if one in named or one in every[-_ADAPTERS:]]
    folders = [
        str(stand_in_adapter(file.base_dir / one.path, one.name, base, file.base_dir))
        for one in kept
    ]
    told = f"{len(kept)} of {len(every)} adapters, random, with their own options"
    return folders, f"checkpoints: {told}"


def with_steps_saved(suite: Suite, told: list[str]) -> Suite:
    """A suite that names steps of its training, with those that a short training saves.

    Args:
        suite: The suite, with its short training.
        told: Gets a line where steps are replaced.
    """
    names = [name for spec in suite.trainings.values() for name in expected_checkpoints(spec)]
    saved = sorted({step for name in names if (step := step_in_name(name)) is not None})
    named = _named_steps(suite)
    if not named or not saved:  # what epochs save, only training tells
        listed = isinstance(suite.matrix.merged, list)
        return _with_merged(suite, "last") if listed and suite.trainings else suite
    last = {step: saved[-1 if step == max(named) else 0] for step in named}
    told.append("steps: " + ", ".join(f"{step} is {small}" for step, small in sorted(last.items())))

    def small(name: str) -> str:
        return _OF_STEP.sub(lambda m: m[1] + str(last[int(m[2])]), name)

    merged = suite.matrix.merged
    if isinstance(merged, list):
        suite = _with_merged(suite, sorted({last[step] for step in merged}))
    change: dict[str, Any] = {
        part: getattr(suite, part).model_copy(
            update={"variants": tuple(dict.fromkeys(map(small, getattr(suite, part).variants)))}
        )
        for part in ("gate", "human")
    }
    if suite.baseline is not None:
        change["baseline"] = small(suite.baseline)
    return suite.model_copy(update=change)


def _with_merged(suite: Suite, merged: str | list[int]) -> Suite:
    return suite.model_copy(update={"matrix": suite.matrix.model_copy(update={"merged": merged})})


def _names(suite: Suite) -> Sequence[str]:
    """All names of variants that a suite holds."""
    own = [suite.baseline] if suite.baseline is not None else []
    return [*own, *suite.gate.variants, *suite.human.variants]


def _named_steps(suite: Suite) -> set[int]:
    merged = suite.matrix.merged
    steps = {int(m[2]) for name in _names(suite) for m in _OF_STEP.finditer(name)}
    return steps | set(merged if isinstance(merged, list) else [])


def _is_named(checkpoint: Checkpoint, suite: Suite) -> bool:
    names = (checkpoint.name, f"merged-{checkpoint.name}")
    return checkpoint.step in _named_steps(suite) or any(name in _names(suite) for name in names)
