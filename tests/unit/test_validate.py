"""What a suite will do, told without doing it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plan import Cell, make_plan
from harness.progress import Reporter
from harness.run import Options, start
from harness.store import Store
from harness.suite import SuiteFile
from harness.validate import changed_fields, describe_plan, plan_as_json
from tests.unit.suites import TRAIN, put, suite_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def finish(file: SuiteFile, store: Store, task: str) -> Cell:
    """Leave a finished cell of the base, with a manifest that names it."""
    run = start(file, store, Options(), Reporter(-1))
    cell = next(c for c in run.plan.cells if c.task == task)
    for kind, item in (("predictions", cell.predictions), ("scores", cell.scores)):
        if item is not None and not store.has(kind, item.key):  # type: ignore[arg-type]
            path = put(store, kind, item.key, item.identity)
            (path / "findings.jsonl").touch()
    run.record(cell.done())
    return cell


def line(text: str, cell: str) -> str:
    """The line about a cell."""
    return next(one for one in text.splitlines() if cell in one.split())


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c"]),
        ({"a": 1}, {"a": 1, "b": 2}, ["b"]),
        ({"a": {"b": 1}}, {"a": None}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
    ],
)
def test_changed_fields_have_dotted_names(old: object, new: object, names: list[str]) -> None:
    """Nested mappings are followed; anything else differs as a whole."""
    assert changed_fields(old, new) == names


def test_the_matrix_is_shown(tmp_path: Path, store: Store) -> None:
    """Every column, those that training or the choice will bring as well."""
    text = describe_plan(suite_file(tmp_path, train=TRAIN), store)
    assert "matrix    base@nf4, checkpoint-2, checkpoint-4, checkpoint-6, merged-best" in text
    assert line(text, "checkpoint-2/answers").endswith("waiting for training")
    assert line(text, "merged-best/answers").endswith("waiting for the choice on select")
    assert line(text, "base@nf4/answers").endswith("missing: not computed yet")


def test_the_field_that_made_a_result_stale_is_named(tmp_path: Path, store: Store) -> None:
    """The latest run of the suite is what results are compared with."""
    finish(suite_file(tmp_path), store, "answers")
    text = describe_plan(suite_file(tmp_path, "tasks.answers.max_new_tokens=9"), store)
    assert line(text, "base@nf4/answers").endswith(
        "missing: stale: decoding.max_new_tokens changed"
    )


def test_a_new_metric_needs_only_scores(tmp_path: Path, store: Store) -> None:
    """The texts are found by their key, whatever scored them."""
    finish(suite_file(tmp_path), store, "answers")
    text = describe_plan(suite_file(tmp_path, "tasks.answers.metrics=[bleu]"), store)
    assert "predictions are there; scores are new" in line(text, "base@nf4/answers")


def test_what_prune_took_is_told(tmp_path: Path, store: Store) -> None:
    """A run may name a result that is gone."""
    file = suite_file(tmp_path)
    cell = finish(file, store, "held_out")
    assert cell.scores is not None
    (store.path("scores", cell.scores.key) / "identity.json").unlink()
    assert "was removed from the store" in line(describe_plan(file, store), "base@nf4/held_out")


def test_why_a_cell_failed_is_told(tmp_path: Path, store: Store) -> None:
    """The reason stands in the run's manifest."""
    file = suite_file(tmp_path)
    run = start(file, store, Options(), Reporter(-1))
    run.record(run.plan.cells[0].failed("OutOfMemoryError: too long"))
    assert "failed before: OutOfMemoryError: too long" in describe_plan(file, store)


def test_the_json_form_holds_the_same_cells(tmp_path: Path, store: Store) -> None:
    """One entry per cell, with state and reason."""
    file = suite_file(tmp_path)
    finish(file, store, "held_out")
    found = plan_as_json(file, store)
    assert {c["task"]: c["state"] for c in found["cells"]} == {
        "answers": "missing",
        "held_out": "done",
        "hellaswag": "missing",
    }
    assert found["run_id"] == make_plan(file, store).run_id
