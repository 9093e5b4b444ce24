"""What a suite will do, told without doing it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.console import Reporter
from harness.plan.explain import describe_plan, plan_as_json
from harness.plan.plan import EvalCell, make_plan
from harness.run.state import Options, start
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.train.checkpoints import mark_complete, work_folder
from tests.unit.suites import TRAIN, adapter, put, suite_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def finish(file: SuiteFile, store: Store, task: str) -> EvalCell:
    """Leave a finished cell of the base, with a manifest that names it."""
    run = start(file, store, Options(), Reporter(-1))
    cell = next(c for c in run.plan.cells if c.task == task)
    assert isinstance(cell, EvalCell)
    for kind, item in (("predictions", cell.predictions), ("scores", cell.scores)):
        if item is not None and not store.has(kind, item.key):  # type: ignore[arg-type]
            put(store, kind, item.key, item.identity, "findings.jsonl")
    run.record(cell.done())
    return cell


def line(text: str, cell: str) -> str:
    """The line about a cell."""
    return next(one for one in text.splitlines() if cell in one.split())


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


def test_another_run_of_the_name_changes_nothing(tmp_path: Path, store: Store) -> None:
    """What was merged and measured stands in the run's own manifest, not in the latest one."""
    trained, other = adapter(tmp_path / "checkpoint-2"), "seed=7"
    changes = {"checkpoints": str(trained), "measure": {}, "matrix": {"merged": "all"}}
    file = suite_file(tmp_path, **changes)
    run = start(file, store, Options(), Reporter(-1))
    run.plan = make_plan(file, store, [v.id for v in run.plan.variants if v.kind == "adapter"])
    for cell in run.plan.cells:
        made = isinstance(cell, EvalCell)
        items = [("predictions", cell.predictions), ("scores", cell.scores)] if made else []
        for kind, item in items:
            if item is not None and not store.has(kind, item.key):  # type: ignore[arg-type]
                put(store, kind, item.key, item.identity, "findings.jsonl")
        key = f"{cell.variant}-measured".replace("@", "-")
        if cell.kind == "measure" and not store.has("measurements", key):
            put(store, "measurements", key, {})
        measured = {"measurements_key": key} if cell.kind == "measure" else {}
        run.record(cell.done().model_copy(update=measured))
    n = len(run.plan.cells)
    assert n == 3 * 4
    assert f"cells     {n}, of which {n} done" in describe_plan(file, store)
    touched = start(suite_file(tmp_path, other, **changes), store, Options(), Reporter(-1)).save()
    later = touched.model_copy(update={"updated": "2999-01-01T00:00:00+00:00"})
    store.write_manifest(later)
    assert store.manifests("small")[0].run_id != run.plan.run_id
    assert f"cells     {n}, of which {n} done" in describe_plan(file, store)


def test_a_new_metric_needs_only_scores(tmp_path: Path, store: Store) -> None:
    """The texts are found by their key, whatever scored them."""
    finish(suite_file(tmp_path), store, "answers")
    text = describe_plan(suite_file(tmp_path, "tasks.answers.metrics=[bleu]"), store)
    assert "predictions are there; scores are new" in line(text, "base@nf4/answers")


def test_what_prune_took_is_told(tmp_path: Path, store: Store) -> None:
    """A run may name a result that is gone."""
    file = suite_file(tmp_path)
    cell = finish(file, store, "held_out")
    shutil.rmtree(store.path("scores", cell.scores.key))
    assert "was removed from the store" in line(describe_plan(file, store), "base@nf4/held_out")


def test_why_a_cell_failed_is_told(tmp_path: Path, store: Store) -> None:
    """The reason stands in the run's manifest."""
    file = suite_file(tmp_path)
    run = start(file, store, Options(), Reporter(-1))
    run.record(run.plan.cells[0].failed("OutOfMemoryError: too long"))
    assert "failed before: OutOfMemoryError: too long" in describe_plan(file, store)


def test_an_interrupted_training_is_told_with_its_step(tmp_path: Path, store: Store) -> None:
    """The last checkpoint that is whole, from which eval goes on; one was cut off."""
    file = suite_file(tmp_path, train=TRAIN)

    def training() -> str:
        return next(x for x in describe_plan(file, store).splitlines() if x.startswith("training"))

    assert training() == "training  to be done"
    plan = make_plan(file, store)
    assert plan.trainings
    work = work_folder(store, plan.trainings[0].item.key)
    work.mkdir(parents=True)
    assert training() == "training  interrupted before its first checkpoint; eval begins it again"
    for step in (2, 4, 6):
        folder = work / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text('{"max_steps": 6}', "utf-8")
        if step < 6:
            mark_complete(folder, {"step": step, "finished": False})
    assert training() == "training  interrupted at step 4 of 6; eval resumes there"
    with store.running(file.suite.name, plan.run_id):
        assert training() == "training  going on at step 4 of 6"
    assert len(list(work.iterdir())) == 3  # nothing was removed


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
