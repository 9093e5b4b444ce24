"""The suite of a run, as its manifest holds it: written by this version or an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, model_validator

from harness.errors import StoreError
from harness.schema import Manifest
from harness.suite.errors import key_of, without
from harness.suite.places import dotted
from harness.suite.spec import BaseSpec, Suite, TaskSpec


class RecordedSuite(Suite):
    """A suite that was checked when it ran; what it does not hold has today's default."""

    name: str = ""
    base: BaseSpec = BaseSpec(model="")
    tasks: dict[str, TaskSpec] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> RecordedSuite:
        return self


def suite_of(manifest: Manifest) -> Suite:
    """The suite that a run was made with.

    Raises:
        StoreError: The manifest's suite cannot be read.
    """
    return recorded_suite(manifest.spec, where=f"the manifest of {manifest.name}")


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
    try:
        return RecordedSuite.model_validate(content)
    except ValidationError as error:
        unknown = [fault for fault in error.errors() if fault["type"] == "extra_forbidden"]
        content = without(unknown, content)
    try:
        return RecordedSuite.model_validate(content)
    except ValidationError as error:
        faults = (f"{dotted(key_of(f, content))}: {f['msg']}" for f in error.errors())
        raise StoreError(
            f"The run's suite cannot be read: {'; '.join(faults)}.",
            where=where,
            hint="Run the eval again with the suite as it is now, and with this version.",
        ) from error
