"""The measuring stage, with the measuring process itself left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.run import measure as measuring
from harness.run.state import Options, Run, start
from harness.schema import Measurement, Taken
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
