"""From a run's records to what its report says."""

from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from harness.report.parts.contents import RunContents
from harness.report.sections.walk import answers, is_own, no_mapping
from harness.report.view.records import View
from harness.schema import Manifest
from harness.store.runs import Store

_JSON = TypeAdapter(dict[str, JsonValue])


def build_view(store: Store, manifest: Manifest) -> View:
    """Read everything a run names and work out what the report says, section by section.

    Args:
        store: Where the results lie.
        manifest: The run.

    Raises:
        StoreError: A result that the manifest names as finished is missing or unreadable.
    """
    run = RunContents(store, manifest)
    parts, left_out = answers(lambda _, section: section.build(run), _no_json)
    fields: dict[str, Any] = {}
    for name, _, part in parts:
        fields |= part if is_own(name) else {}
    foreign = {name: part for name, _, part in parts if part and not is_own(name)}
    return View(**fields, sections=foreign, left_out=left_out)


def _no_json(name: str, part: object) -> str:
    """Why a section's part of the view cannot be kept in it."""
    if why := no_mapping(name, part):
        return why
    try:
        _JSON.validate_python(part, strict=True)
    except ValidationError:
        return "answers with values that are no JSON"
    return ""
