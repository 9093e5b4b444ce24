"""The suite of a run: read from manifests of this version and of others."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import StoreError
from harness.schema import Manifest
from harness.suite.file import load_suite
from harness.suite.record import recorded_suite, suite_of
from harness.suite.spec import GenerationTask


def manifest(**spec: Any) -> Manifest:
    return Manifest(
        run_id="r1",
        suite="mine",
        suite_digest="d",
        spec=spec,
        command="",
        created="2026-01-01T00:00:00+00:00",
        updated="2026-01-01T00:00:00+00:00",
        complete=True,
        variants=(),
        baseline="base@nf4",
        cells=(),
    )


@pytest.mark.parametrize("name", ["demo", "tiny", "benchmarks"])
def test_a_run_s_suite_is_the_suite_it_was_made_with(name: str) -> None:
    """Read back from the record, nothing has changed."""
    suite = load_suite(name).suite
    spec = suite.model_dump(mode="json")
    read = suite_of(manifest(**spec))
    assert read.model_dump(mode="json") == spec
    assert read.seed == suite.seed


def test_a_suite_without_a_seed_has_the_default_s() -> None:
    """Every version has taken 42 where a suite named none; no reader takes another."""
    assert suite_of(manifest()).seed == 42
    assert suite_of(manifest(seed=0)).seed == 0


def test_what_a_record_lacks_has_its_default() -> None:
    """Manifests of before there were gates, measurements and raters hold none of them."""
    read = suite_of(manifest(tasks={"a": {"type": "generation", "metrics": ["f1"]}}))
    assert read.select.rule == "one_se"
    assert read.measure is None
    assert isinstance(read.tasks["a"], GenerationTask)


def test_keys_that_another_version_wrote_are_passed_over() -> None:
    """At any depth; what is known is read all the same."""
    task = {"type": "generation", "metrics": ["f1"], "later": 1, "max_new_tokens": 9}
    rules = {"later": 2, "rule": "best"}
    read = suite_of(manifest(tasks={"a": task}, later={"x": 1}, select=rules))
    assert read.tasks["a"].model_dump()["max_new_tokens"] == 9
    assert read.select.rule == "best"


def test_a_value_that_cannot_be_read_names_its_key_and_what_to_do() -> None:
    """A damaged record, or one of a later version, is no bug."""
    with pytest.raises(StoreError, match=r"the manifest of mine/r1: .*select\.rule.*Run the eval"):
        suite_of(manifest(select={"rule": "newest", "later": 1}))
    with pytest.raises(StoreError, match="seed"):
        recorded_suite({"seed": "many"})
