"""The suite of a run, as its manifest holds it: written by this version or an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError, create_model

from harness.errors import StoreError, UsageError
from harness.schema import Manifest
from harness.suite.errors import key_of, without
from harness.suite.places import dotted
from harness.suite.spec import (
    TASK_SPECS,
    Suite,
    SuiteParts,
    TaskSpec,
    named_types,
    task_spec,
    with_tasks,
)


class UnknownTask(TaskSpec):
    """A task of a type that no installed package brings: its results can still be read."""

    model_config = ConfigDict(extra="allow")


def _model_of(content: Any) -> type[Suite]:
    """The model for a recorded suite, whichever task types it names."""
    specs: list[type[TaskSpec]] = []
    for name in sorted(named_types(content) - TASK_SPECS.keys()):
        try:
            specs.append(task_spec(name))
        except UsageError:
            kind: Any = Literal[name]
            specs.append(create_model("UnknownTask", __base__=UnknownTask, type=(kind, ...)))
    return with_tasks(SuiteParts, specs) if specs else SuiteParts


def suite_of(manifest: Manifest) -> Suite:
    """The suite that a run was made with.

    Raises:
        StoreError: The manifest's suite cannot be read.
    """
    return recorded_suite(manifest.spec, where=f"the manifest of {manifest.name}")


def refuse_smoke(manifest: Manifest) -> None:
    """Refuse what a smoke test cannot be used for.

    Raises:
        UsageError: The run is a smoke test.
    """
    if suite_of(manifest).smoke:
        raise UsageError(
            "This run is a smoke test: a random model on a few rows.",
            where=manifest.name,
            hint="Run it without --smoke.",
        )


def refuse_pooled(manifest: Manifest) -> None:
    """Refuse what cannot be done with a run that only pools others.

    Raises:
        UsageError: It pools others, whose names are told.
    """
    if manifest.members:
        raise UsageError(
            f"This run pools {len(manifest.members)} others, a training each, and has no outputs "
            "or checkpoints of its own.",
            where=manifest.name,
            hint=f"Name one of them, such as {manifest.members[0]}; harness report "
            f"{manifest.name} shows all together, and how to train the model to ship.",
        )


def recorded_suite(spec: Mapping[str, Any], *, where: str | None = None) -> Suite:
    """A suite's resolved form, as records keep it, as a suite.

    Keys that this version does not know are passed over: another version wrote them.

    Args:
        spec: As in ``manifest.spec``.
        where: The record, for the message.

    Raises:
        StoreError: A key has a value that this version cannot read.
    """
    content: Any = spec
    model = _model_of(content)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        unknown = [fault for fault in error.errors() if fault["type"] == "extra_forbidden"]
        content = without(unknown, content)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = (f"{dotted(key_of(f, content))}: {f['msg']}" for f in error.errors())
        raise StoreError(
            f"The run's suite cannot be read: {'; '.join(faults)}.",
            where=where,
            hint="Run the eval again with the suite as it is now, and with this version.",
        ) from error
