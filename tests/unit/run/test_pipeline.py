"""The steps of the spine that need no model."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from harness.checks.base import findings_about
from harness.console import Reporter
from harness.errors import DiskError, MetricError, ModelError
from harness.models import builtin
from harness.plan.plan import EvalCell, make_plan
from harness.run import examples as examples_stage
from harness.run import merge as merging
from harness.run import pipeline
from harness.run.executors import CellOutcome
from harness.run.state import Options, Run, start
from harness.schema import (
    Candidate,
    DataReport,
    Environment,
    MergedModel,
    Proof,
    Selection,
)
from harness.store.runs import Store
from harness.tasks import generation
from tests.unit.suites import adapter, suite_file

NOBODY: Any = SimpleNamespace(compute=lambda jobs: iter(()))  # workers that have nothing to do
MERGED = MergedModel(
    merged_into="fp32",
    saved_as="fp32",
    files={},
    proof=Proof(probe="merged is the adapter", outcome="holds", words="It is."),
)
COMMIT = "0123456789012345678901234567890123456789"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def begin(folder: Path, store: Store, *only: str, **changes: Any) -> Run:
    return start(suite_file(folder, **changes), store, Options(only=only), Reporter(-1))


def test_a_hub_model_is_pinned_before_any_key_is_made(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first run, which downloads it, would leave results that the second cannot find."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def fetch(base: Any, base_dir: Path) -> str:
        refs = tmp_path / "hub/models--org--name/refs"
        refs.mkdir(parents=True)
        (refs / "main").write_text(COMMIT, "utf-8")
        return str(base.model)

    monkeypatch.setattr(builtin, "resolve_model", fetch)
    file = suite_file(tmp_path, base={"model": "org/name"})
    pipeline._pin_base(file)
    cell = make_plan(file, store).cells[0]
    assert isinstance(cell, EvalCell)
    scores = cell.predictions
    assert scores is not None
    assert scores.identity["weights"]["base"]["commit"] == COMMIT


def test_a_local_base_is_not_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished run builds nothing again, not even in an empty cache."""
    monkeypatch.setattr(builtin, "resolve_model", lambda *_: pytest.fail("resolved"))
    pipeline._pin_base(suite_file(tmp_path))


def with_checkpoints(folder: Path, store: Store, *only: str, **changes: Any) -> Run:
    for step in (2, 4):
        adapter(folder / f"checkpoint-{step}", str(step).encode())
    return begin(folder, store, *only, checkpoints="checkpoint-*", **changes)


def chosen(name: str | None) -> Selection:
    return Selection(task="answers", metric="rougeL", split="select", chosen=name, reason="why")


def test_the_chosen_checkpoint_is_merged(tmp_path: Path, store: Store) -> None:
    """Whichever it is, not the last."""
    run = with_checkpoints(tmp_path, store)
    run.selection = chosen("checkpoint-2")
    assert [variant.id for variant in merging.plan_merged(run)] == ["merged-2"]
    assert run.findings == []


def test_where_none_was_chosen_the_last_is_merged_and_that_is_said(
    tmp_path: Path, store: Store
) -> None:
    """No fallback is silent."""
    run = with_checkpoints(tmp_path, store)
    run.selection = chosen(None)
    assert [variant.id for variant in merging.plan_merged(run)] == ["merged-4"]
    (finding,) = run.findings
    assert "checkpoint-4" in finding.what
    assert finding.why == "why"


def test_where_constraints_exclude_all_nothing_is_merged(tmp_path: Path, store: Store) -> None:
    """A checkpoint that must not be shipped is not worth merging; the run is complete without."""
    run = with_checkpoints(tmp_path, store)
    broken = [Candidate(variant=f"checkpoint-{s}", value=0.5, allowed=False) for s in (2, 4)]
    run.selection = chosen(None).model_copy(update={"candidates": tuple(broken)})
    assert merging.plan_merged(run) == []
    assert run.findings == []
    assert not any(cell.variant.startswith("merged") for cell in run.plan.cells)


def test_the_choice_sees_measurements_and_merged_models_come_after_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base and checkpoints are measured before, so that memory and speed can constrain it."""
    run = with_checkpoints(tmp_path, store, measure={})
    seen: list[list[str]] = []
    monkeypatch.setattr(
        pipeline, "measure_cells", lambda run, grid, cells, *_: seen.append(
            [cell.variant for cell in cells if cell.kind == "measure" and cell.state != "waiting"]
        )
    )  # fmt: skip
    failures = pipeline._measure(run, merged=False)
    run.selection = chosen("checkpoint-2")
    merging.plan_merged(run)
    assert pipeline._measure(run, merged=True, failures=failures) is failures
    assert seen == [["base@nf4", "checkpoint-2", "checkpoint-4"], ["merged-2"]]


def test_a_part_of_the_scores_does_not_decide_what_is_merged(tmp_path: Path, store: Store) -> None:
    """With --only, the one checkpoint that was scored is not the best by that."""
    run = with_checkpoints(tmp_path, store, "checkpoint-2/*")
    run.selection = chosen("checkpoint-2")
    assert merging.plan_merged(run) == []
    assert any(cell.variant == "merged-best" for cell in run.plan.cells)
    for cell in run.plan.cells:
        if cell.variant.startswith("checkpoint"):
            run.record(cell.done())
    assert [variant.id for variant in merging.plan_merged(run)] == ["merged-2"]


def test_a_merge_that_fails_marks_its_cells_and_no_others(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint whose training diverged must not end a long run."""

    def fail(run: Run, variant: Any) -> Path:
        raise ModelError("NaN found.")

    monkeypatch.setattr(pipeline, "merged_weights", fail)
    run = with_checkpoints(tmp_path, store, matrix={"merged": "all"})
    refused = pipeline._merge_and_compute(run, NOBODY)
    assert refused.keys() == {"merged-2", "merged-4"}
    assert {result.variant for result in run.results.values()} == {"merged-2", "merged-4"}
    assert all("NaN found" in str(result.reason) for result in run.results.values())


def test_what_was_proved_of_merged_weights_goes_with_their_cells(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever computes the cells keeps it with their scores."""
    jobs: list[Any] = []

    class Workers:
        def compute(self, given: Any) -> Any:
            jobs.extend(given)
            yield from (CellOutcome(variant=j.variant.id, task=j.task, reason="-") for j in given)

    monkeypatch.setattr(pipeline, "merged_weights", lambda *_: (tmp_path, MERGED))
    run = with_checkpoints(tmp_path, store, matrix={"merged": "last"})
    assert pipeline._merge_and_compute(run, Workers()) == {}
    assert {job.proofs for job in jobs if job.variant.kind == "merged"} == {(MERGED.proof,)}


def test_no_room_while_merging_ends_the_run(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every other cell would fail by it as well."""

    def fail(run: Run, variant: Any) -> Path:
        raise DiskError("no room")

    monkeypatch.setattr(pipeline, "merged_weights", fail)
    run = with_checkpoints(tmp_path, store, matrix={"merged": "last"})
    with pytest.raises(DiskError):
        pipeline._merge_and_compute(run, NOBODY)


def test_merged_weights_that_are_there_are_used(tmp_path: Path, store: Store) -> None:
    """Neither torch nor the policy is asked."""
    run = with_checkpoints(tmp_path, store, matrix={"merged": "last"})
    (variant,) = merging.plan_merged(run)
    from harness.plan.keys import merged_of

    item = merged_of(run.file.suite, variant)
    with store.writing("merged", item.key, item.identity) as folder:
        store.write_record(folder, "merged", MERGED)
    assert merging.merged_weights(run, variant) == (store.path("merged", item.key), MERGED)


def environment(**changes: Any) -> Environment:
    from harness.models.device import environment

    return environment().model_copy(update={"compute_dtype": "bf16", **changes})


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [
        ({}, None, "bf16"),
        ({"fingerprint": "another machine"}, None, "decided anew"),
        ({"versions": {"torch": "0"}}, None, "decided anew"),
        ({}, "fp32", "decided anew"),
        ({}, "bf16", "bf16"),
    ],
)
def test_the_dtype_that_an_earlier_run_decided_is_used_where_it_would_be_decided_again(
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    asked: str | None,
    expected: str,
) -> None:
    """So that a finished run loads no torch only to find its measurements."""
    if asked:
        monkeypatch.setenv("HARNESS_COMPUTE_DTYPE", asked)
    run = with_checkpoints(tmp_path, store, matrix={"merged": "last"})
    (variant,) = merging.plan_merged(run)
    run.environment = environment(**changes)
    policy = SimpleNamespace(compute_dtype="decided anew")
    monkeypatch.setattr(Run, "decide_device", lambda self: (policy, None))
    assert run.precision_of(variant) == expected


@pytest.mark.parametrize(
    ("method", "adapters", "words"),
    [
        ("qlora", "nf4", None),
        ("qlora", "bf16", "trained on a base at nf4 and are judged at bf16"),
        ("lora", "nf4", "trained on an unquantized base and are judged at nf4"),
        ("full", "bf16", None),
    ],
)
def test_checkpoints_judged_at_another_precision_are_noted(
    tmp_path: Path, method: str, adapters: str, words: str | None
) -> None:
    """Where the suite asks for that; by default they are not."""
    file = suite_file(tmp_path, train={"method": method}, matrix={"adapters": adapters})
    found = findings_about(file.suite)
    assert [words in finding.what for finding in found] == ([True] if words else [])


TASKS = {"answers": {"type": "generation", "metrics": ["evaluate:own.py"], "splits": ["report"]}}
DATA = {"source": "rows.jsonl", "splits": {"train": 0.4, "report": 0.6}}


def trainer(monkeypatch: pytest.MonkeyPatch, train_once: Any) -> None:
    """Put another function in the trainer's place; the real one brings torch."""
    module = ModuleType("harness.train.session")
    module.train_once = train_once  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "harness.train.session", module)


def test_a_training_that_is_cut_off_leaves_a_run_to_see(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds how many cells were planned; while it goes on, it is running."""
    states = []

    def cut_off(*_: Any) -> None:
        states.append(store.state_of(store.manifests()[0]))
        raise KeyboardInterrupt

    trainer(monkeypatch, cut_off)
    tasks = {"answers": {**TASKS["answers"], "metrics": ["rougeL"]}}
    train = {"method": "qlora", "args": {"max_steps": 4, "save_steps": 2}}
    file = suite_file(tmp_path, data=DATA, tasks=tasks, train=train)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run_suite(file, store, Options(), Reporter(-1))
    (left,) = store.manifests()
    assert (states, store.state_of(left)) == (["running"], "interrupted")
    # base, two checkpoints and what will be merged of them, each with one task
    assert (left.done_cells, left.planned_cells) == (0, 4)


def test_a_module_of_the_user_s_is_tried_before_anything_long(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that it does not return must not show when training and generation are done."""
    trainer(monkeypatch, lambda *_: pytest.fail("it was trained before the metric was tried"))
    tried: list[Any] = []

    class Module:
        def __init__(self, spec: Any, *, base_dir: Path) -> None:
            assert (spec.name, base_dir) == ("evaluate:own.py", tmp_path)

        def check(self, references: Any) -> None:
            tried.extend(references)
            raise MetricError("the results are flesch, grade.")

    monkeypatch.setattr(generation, "EvaluateModule", Module)
    (tmp_path / "own.py").touch()
    per_example = {"name": "evaluate:own.py", "options": {"per_example": True}}
    tasks = {"answers": {**TASKS["answers"], "metrics": [per_example]}}
    file = suite_file(tmp_path, data=DATA, tasks=tasks, train={"args": {"max_steps": 2}})
    with pytest.raises(MetricError, match="flesch, grade"):
        pipeline.run_suite(file, store, Options(), Reporter(-1))
    assert 0 < len(tried) <= 4
    assert store.manifests() == []


def test_a_line_names_the_commonest_reasons_for_dropping_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them stand in the report; a terminal has no room for thirteen."""
    data = {
        "source": "rows.jsonl",
        "required_fields": ["text"],
        "cluster": "exact",
        "max_chars": 9,
        "splits": {"eval": 0.5, "select": 0.25, "report": 0.25},
    }
    file = suite_file(tmp_path, data=data)
    rows = [f'{{"text": "t{i}", "label": "l{i}"}}\n' for i in range(40)]
    rows += ['{"text": "", "label": "x"}\n'] * 4 + ['{"text": "a long text", "label": "x"}\n'] * 5
    rows += ['{"text": "a", "label": ""}\n', '{"text": "a", "label": null}\n'] * 2 + rows[:6]
    (tmp_path / "rows.jsonl").write_text("".join(rows), "utf-8")
    run = start(file, Store(tmp_path / "runs"), Options(), Reporter())
    examples_stage._render(run, "answers", run.plan.examples["answers"])
    line = capsys.readouterr().err.splitlines()[1]
    assert line == (
        "  59 rows read, 40 kept, 6 dropped: duplicate, "
        "5 dropped: prompt longer than 9 characters, 4 dropped: empty field 'text', "
        "and 2 more reasons (4 rows), see the report"
    )


def test_few_reasons_are_all_named() -> None:
    """And none where nothing was dropped."""
    fields = {"source": "rows.jsonl", "digest": "d", "rows_read": 1200, "rows_kept": 1200}
    assert examples_stage._rows_in_words(DataReport(**fields)) == "1,200 rows read, 1,200 kept"
    report = DataReport(**fields, dropped={"a": 1, "b": 3})
    assert examples_stage._rows_in_words(report).endswith("kept, 3 dropped: b, 1 dropped: a")
