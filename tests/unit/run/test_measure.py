"""The measuring stage, with the measuring process itself left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.errors import ModelError
from harness.plan.keys import merged_of
from harness.run import measure as measuring
from harness.run.merge import plan_merged
from harness.run.state import Options, Run, start
from harness.schema import Measurement, MergedModel, Taken, Variant
from harness.store.runs import Store
from tests.unit.gate.gate_runs import ENVIRONMENT
from tests.unit.suites import adapter, suite_file


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Each measurement gives the next whole number; the list has those that were given."""
    given: list[float] = []

    def measure(*_: Any, **__: Any) -> list[Measurement]:
        given.append(float(len(given) + 1))
        return [Measurement(name="decode_tokens_per_s", unit="tok/s", values=(given[-1],))]

    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr(measuring, "architecture_of", lambda *_: {})
    monkeypatch.setattr(Run, "decide_device", lambda self: (None, ENVIRONMENT))
    return given


def measured(folder: Path, store: Store, **options: Any) -> dict[str, float]:
    """What an eval finds for each variant."""
    file = suite_file(folder, checkpoints="checkpoint-*", measure={})
    run = start(file, store, Options(**options), Reporter(-1))
    measuring.measure_cells(run, file.suite.measure, run.plan.cells, {})  # type: ignore[arg-type]
    found = {}
    for cell in run.results.values():
        if cell.kind == "measure" and cell.measurements_key is not None:
            key = cell.measurements_key
            (item,) = store.read_records("measurements", key, "measurements", Measurement)
            found[cell.variant] = item.values[0]
            assert store.read_record("measurements", key, "taken", Taken).at
    return found


def test_measurements_are_made_again_where_that_is_asked_for(
    tmp_path: Path, readings: list[float]
) -> None:
    """Each shape once, in place of what the store has; --only says which. Else nothing is."""
    store = Store(tmp_path / "runs")
    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}", str(step).encode())
    first = {"base@nf4": 1.0, "checkpoint-2": 2.0, "checkpoint-4": 2.0}
    assert measured(tmp_path, store) == first
    assert measured(tmp_path, store) == first
    again = measured(tmp_path, store, measure_again=True, only=("checkpoint-*/measure",))
    assert again == first | {"checkpoint-2": 3.0, "checkpoint-4": 3.0}
    assert measured(tmp_path, store) == again
    assert measured(tmp_path, store, measure_again=True)["base@nf4"] == 4.0
    assert readings == [1, 2, 3, 4, 5]
    folder = store.path("measurements", store.keys("measurements")[0]).parent
    assert not list(folder.glob(".*"))  # what was replaced is gone


def with_merged(folder: Path, monkeypatch: pytest.MonkeyPatch, **untied: tuple[str, ...]) -> Run:
    """Two checkpoints to be merged; those named are, and some are untied, the others cannot be."""

    def merged(run: Run, variant: Variant) -> tuple[Path, MergedModel]:
        if variant.id not in untied:
            raise ModelError("no sum of weights")
        item = merged_of(run.file.suite, variant)
        record = MergedModel(
            merged_into="fp32", saved_as="fp32", files={}, untied=untied[variant.id]
        )
        if not run.store.has("merged", item.key):
            with run.store.writing("merged", item.key, item.identity) as place:
                run.store.write_record(place, "merged", record)
        return run.store.path("merged", item.key), record

    monkeypatch.setattr(measuring, "merged_weights", merged)
    for step in (2, 4):
        adapter(folder / f"checkpoint-{step}", str(step).encode())
    matrix = {"base": ["fp32"], "adapters": "fp32", "merged": "all", "merged_precision": "fp32"}
    file = suite_file(folder, checkpoints="checkpoint-*", measure={}, matrix=matrix)
    run = start(file, Store(folder / "runs"), Options(), Reporter(-1))
    plan_merged(run)
    measuring.measure_cells(run, file.suite.measure, run.plan.cells, {})  # type: ignore[arg-type]
    return run


def test_a_merged_model_with_two_embeddings_has_a_shape_of_its_own(
    tmp_path: Path, readings: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with the base's shape shares the base's measurement."""
    made: Any = {"merged-2": ("lm_head.weight",), "merged-4": ()}
    run = with_merged(tmp_path, monkeypatch, **made)
    keys = {c.variant: c.measurements_key for c in run.results.values() if c.kind == "measure"}
    assert keys["merged-4"] == keys["base@fp32"] != keys["merged-2"] is not None


def test_what_cannot_be_merged_is_not_measured_in_anothers_place(
    tmp_path: Path, readings: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is tried, and where it was refused before; the run goes on."""
    run = with_merged(tmp_path, monkeypatch, **{"merged-4": ("lm_head.weight",)})
    grid: Any = run.file.suite.measure
    reason = {"merged-2": "it cannot be merged: no sum of weights"}
    measuring.measure_cells(run, grid, run.plan.cells, {}, reason)
    assert "no sum of weights" in str(run.results["merged-2", "measure"].reason)
    assert run.results["merged-4", "measure"].status == "done"
