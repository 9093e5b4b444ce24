"""Records: frozen, closed, and free of NaN and infinity."""

from __future__ import annotations

import inspect

import pytest
from pydantic import ValidationError

from harness import schema
from harness.schema import Finding, Manifest, Record, Score

RECORDS = [
    model
    for _, model in inspect.getmembers(schema, inspect.isclass)
    if issubclass(model, Record) and model is not Record
]


def score(**changes: object) -> Score:
    fields = {"task": "t", "metric": "m", "split": "all", "n": 1, "value": 0.5, **changes}
    return Score.model_validate(fields)


@pytest.mark.parametrize("model", RECORDS, ids=lambda model: model.__name__)
def test_every_record_has_a_version_and_says_what_it_is(model: type[Record]) -> None:
    """A reader of another version can tell; a reader of the code can, too."""
    assert "schema_version" in model.model_fields
    assert (model.__doc__ or "").strip()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_never_enter_a_record(value: float) -> None:
    """Missing is None with a reason."""
    with pytest.raises(ValidationError):
        score(value=value)
    assert score(value=None, reason="no examples").value is None


def test_a_record_does_not_change_and_takes_no_unknown_field() -> None:
    """What was written is what was meant."""
    with pytest.raises(ValidationError):
        score().value = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        score(valeu=1.0)


def test_a_record_survives_json() -> None:
    """Tuples, None and nested records come back equal."""
    manifest = Manifest(
        run_id="r",
        suite="s",
        suite_digest="d",
        spec={"a": [1]},
        command="",
        created="",
        updated="",
        complete=False,
        variants=(),
        baseline="base@nf4",
        cells=(),
    )
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_hints_under_their_old_name_are_read() -> None:
    """Records of before 0.2 call them ``mend``."""
    old = {"check": "c", "severity": "info", "what": "w", "mend": "do this"}
    assert Finding.model_validate(old).hint == "do this"
    assert "mend" not in Finding.model_validate(old).model_dump()
