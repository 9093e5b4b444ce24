"""What an invocation carries over from the one before it, and what ``--only`` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.console import Reporter
from harness.errors import UsageError
from harness.plan.plan import EvalCell, PlannedCell, make_plan
from harness.run.only import check_matches, check_patterns, needs_training
from harness.run.state import Options, Run, start
from harness.schema import CellResult, Finding, HumanKeys
from harness.store.runs import Store
from tests.unit.suites import TRAIN, adapter, put, suite_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def begin(folder: Path, store: Store, *only: str, **changes: object) -> Run:
    file = suite_file(folder, **changes)
    return start(file, store, Options(only=only), Reporter(-1))


def finish(run: Run, cell: PlannedCell) -> None:
    """Leave a result of a cell in the store and in the manifest."""
    assert isinstance(cell, EvalCell)
    finding = Finding(check="c", severity="info", what=cell.task)
    with run.store.writing("scores", cell.scores.key, cell.scores.identity) as folder:
        run.store.write_records(folder, "findings", [finding])
    if cell.predictions is not None:
        put(run.store, "predictions", cell.predictions.key, cell.predictions.identity)
    run.record(cell.done(seconds=1.5, computed=True))


def test_findings_are_those_of_the_results_that_are_there(tmp_path: Path, store: Store) -> None:
    """They lie beside the scores, so that none outlives what it was about."""
    run = begin(tmp_path, store)
    finish(run, run.plan.cells[0])
    (finding,) = begin(tmp_path, store).findings
    assert finding.what == "base@nf4: answers"


def test_a_result_is_carried_over_while_its_key_is_the_same(tmp_path: Path, store: Store) -> None:
    """A manifest never forgets a result, and never keeps one that is stale."""
    run = begin(tmp_path, store)
    for cell in run.plan.cells:
        finish(run, cell)
    assert begin(tmp_path, store).results == {
        place: result.model_copy(update={"computed": False})
        for place, result in run.results.items()
    }
    file = suite_file(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n', "utf-8")
    again = start(file, store, Options(), Reporter(-1))
    assert again.plan.run_id == run.plan.run_id
    assert set(again.results) == {("base@nf4", "hellaswag")}  # it does not read these rows


def test_a_failed_cell_is_carried_over_until_it_is_computed(tmp_path: Path, store: Store) -> None:
    """``--only`` of other cells does not hide that it failed."""
    run = begin(tmp_path, store)
    run.record(run.plan.cells[0].failed("why"))
    kept = begin(tmp_path, store, "base@nf4/held_out").results
    assert [cell.reason for cell in kept.values()] == ["why"]


def test_a_measurement_is_carried_over_while_it_is_in_the_store(
    tmp_path: Path, store: Store
) -> None:
    """Its key names hardware and architecture, which the plan does not look up."""
    run = begin(tmp_path, store, measure={})
    cell = next(c for c in run.plan.cells if c.kind == "measure")
    run.record(cell.done().model_copy(update={"measurements_key": "k"}))
    assert begin(tmp_path, store, measure={}).results == {}
    put(store, "measurements", "k", {})
    assert len(begin(tmp_path, store, measure={}).results) == 1


def test_a_merged_model_is_carried_over(tmp_path: Path, store: Store) -> None:
    """Also before the choice on select is made again."""
    adapter(tmp_path / "checkpoint-2")
    run = begin(tmp_path, store, checkpoints="checkpoint-2", matrix={"merged": "last"})
    run.plan = make_plan(run.file, store, ["checkpoint-2"])
    for cell in run.plan.cells:
        finish(run, cell)
    again = begin(tmp_path, store, checkpoints="checkpoint-2", matrix={"merged": "last"})
    assert ("merged-2", "answers") in again.results


@pytest.mark.parametrize(
    ("only", "needed"),
    [
        ((), True),
        (("base@nf4/*",), False),
        (("base@*/answers", "base@nf4/held_out"), False),
        (("*/answers",), True),
        (("checkpoint-2/answers",), True),
        (("merged-6/answers",), True),  # which step that will be, only the choice tells
        (("base@nf4/*", "checkpoint-*/*"), True),
    ],
)
def test_only_the_bases_need_no_training(
    tmp_path: Path, store: Store, only: tuple[str, ...], needed: bool
) -> None:
    """Hours of training are not spent on cells that do not wait for it."""
    run = begin(tmp_path, store, *only, train=TRAIN)
    assert needs_training(run, run.plan.trainings[0]) is needed


@pytest.mark.parametrize("pattern", ["answers", "base@nf4", "base@nf4/answer", "/answers"])
def test_an_only_pattern_without_a_known_task_is_refused_at_once(
    tmp_path: Path, store: Store, pattern: str
) -> None:
    """A typing error must not show after the training."""
    with pytest.raises(UsageError, match="VARIANT/TASK"):
        check_patterns(begin(tmp_path, store, pattern, train=TRAIN))


def test_an_only_pattern_that_matches_no_cell_is_refused(tmp_path: Path, store: Store) -> None:
    """Doing nothing silently would look like success."""
    check_matches(begin(tmp_path, store, "base@*/answers"))
    with pytest.raises(UsageError, match=r"base@nf5.*\n?.*base@nf4"):
        check_matches(begin(tmp_path, store, "base@nf5/answers"))


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        ("base*/*", True),
        ("checkpoint-*/*", True),
        ("merged-6/*", True),  # which step that will be, only the choice tells
        ("chekpoint-2/*", False),
        ("merge-6/*", False),
    ],
)
def test_an_only_pattern_that_no_variant_can_match_is_refused_before_training(
    tmp_path: Path, store: Store, pattern: str, fine: bool
) -> None:
    """A typo must not show after hours; a name that the choice will make is let through."""
    run = begin(tmp_path, store, pattern, train=TRAIN)
    if fine:
        check_patterns(run)
        return
    with pytest.raises(UsageError, match="no such variant"):
        check_patterns(run)


def test_ratings_are_carried_over_while_the_rated_outputs_are_the_same(
    tmp_path: Path, store: Store
) -> None:
    """They belong to texts; a variant that writes others has not been rated."""
    run = begin(tmp_path, store)
    cell = next(c for c in run.plan.cells if c.task == "answers")
    finish(run, cell)
    assert cell.predictions is not None
    put(store, "scores", "rated", {})
    rated = [
        CellResult(
            variant=variant,
            task="human",
            kind="human",
            status="done",
            predictions_key=predictions,
            scores_key="rated",
        )
        for variant, predictions in (("base@nf4", cell.predictions.key), ("base@fp32", "gone"))
    ]
    manifest, keys = run.save(), HumanKeys(sheets="s", ratings="r")
    imported = {"human": keys, "cells": (*manifest.cells, *rated)}
    store.write_manifest(manifest.model_copy(update=imported))  # as an import does meanwhile
    assert run.save().human == keys
    assert [place for place in run.results if place[1] == "human"] == [("base@nf4", "human")]
    again = begin(tmp_path, store)
    assert [place for place in again.results if place[1] == "human"] == [("base@nf4", "human")]
    assert again.human == keys
    assert again.save().human == keys


def test_two_invocations_beside_each_other_end_with_the_union(tmp_path: Path, store: Store) -> None:
    """Whoever writes last names what the other finished, also where it failed at it itself."""
    for step in (2, 4):
        adapter(tmp_path / f"checkpoint-{step}", str(step).encode())
    changes = {"checkpoints": "checkpoint-*", "matrix": {"merged": "none"}}
    one, two = (begin(tmp_path, store, only, **changes) for only in ("base*/*", "checkpoint-*/*"))
    halves = [[c for c in run.plan.cells if run.wants(c)] for run in (one, two)]
    two.record(halves[0][0].failed("out of memory"))
    for own, other in zip(halves[0], halves[1], strict=False):
        finish(one, own)
        finish(two, other)
    for cell in halves[1][len(halves[0]) :]:
        finish(two, cell)
    assert not two.catch_up()  # it took over all when it saved
    one.catch_up()
    for run, others in ((one, halves[1]), (two, halves[0])):
        manifest = run.save()
        assert manifest.complete
        assert {cell.status for cell in manifest.cells} == {"done"}
        told = {finding.what for finding in manifest.findings}
        assert {f"{cell.variant}: {cell.task}" for cell in others} <= told
