"""The five doors: what a package brings is taken in; what is broken is named and passed over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from harness.checks.base import findings_about
from harness.doors import CHECKS, ENGINES, EXECUTORS, TASK_TYPES, Door
from harness.errors import PluginError, SuiteError, UsageError
from harness.run.executors import CellJob, CellOutcome, CellStart
from harness.store.runs import Store
from harness.suite.record import recorded_suite
from harness.suite.spec import Suite, TaskSpec, suite_schema, task_facts
from tests.unit.doors import doors_open_anew
from tests.unit.suites import SUITE, adapter, suite_file

PACKAGE = Path(__file__).parents[1] / "toy_package"
DOORS = {"task": TASK_TYPES, "engine": ENGINES, "executor": EXECUTORS, "check": CHECKS}


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The toy package, installed; the doors look for it anew."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    with doors_open_anew():
        yield


def broken_package(folder: Path, group: str, target: str, code: str) -> None:
    """A package with one entry point that does not do what its door asks for."""
    (folder / "broken_toy.py").write_text(code)
    info = folder / "broken_toy-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-toy\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\nbad = broken_toy:{target}\n")


def suite(folder: Path, **changes: Any) -> Path:
    """A suite that uses a toy of each kind."""
    adapter(folder / "checkpoint-2")
    tasks = {
        "answers": {"type": "generation", "metrics": ["rouge1"], "limit": 4},
        "words": {"type": "word_count", "splits": ["report"], "wanted": 3},
    }
    base = {"model": "tiny:llama", "engine": "parrot", "dtype": "fp32", "device": "cpu"}
    content = {
        **SUITE,
        "data": {"source": "rows.jsonl", "splits": {"select": 0.5, "report": 0.5}},
        "prompt": {"prompt": "say {{ text }} and {{ label }}", "completion": "{{ label }}"},
        "base": base,
        "tasks": tasks,
        "checkpoints": "checkpoint-*",
        "gate": {"on_inconclusive": "warn"},  # twelve examples tell little
        "matrix": {"base": ["fp32"], "adapters": "fp32", "merged": "none"},
    }
    rows = "".join(json.dumps({"text": f"t{i}", "label": f"l{i}"}) + "\n" for i in range(24))
    (folder / "rows.jsonl").write_text(rows, "utf-8")
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False), "utf-8")
    return path


def harness(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    paths = [str(PACKAGE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(
        [sys.executable, "-m", "harness", *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_takes_in_a_toy_of_each_kind(tmp_path: Path) -> None:
    """Found by entry points alone: the run, its report and its gate."""
    path = suite(tmp_path)
    run = harness(tmp_path, "eval", str(path), "--executor", "process")
    assert run.returncode == 0, run.stderr
    (manifest,) = Store(tmp_path / "runs").manifests()
    assert manifest.complete
    assert {(cell.kind, cell.status) for cell in manifest.cells} == {
        ("generation", "done"),
        ("word_count", "done"),
    }
    assert manifest.spec["base"]["engine"] == "parrot"
    assert "short limit" in {finding.check for finding in manifest.findings}
    again = harness(tmp_path, "eval", str(path), "--executor", "process")
    assert again.returncode == 0, again.stderr
    assert "[1/" not in again.stderr
    markdown = harness(tmp_path, "report", "small", "--format", "markdown", "-o", "out")
    assert markdown.returncode == 0, markdown.stderr
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "| words, report split" in report
    assert "## Cells by variant" in report
    pages = list((tmp_path / "runs").glob("small/*/report.html"))
    assert "Cells by variant" in pages[0].read_text("utf-8")
    accept = ("gate", "accept", "small", "--baseline", "b.json", "--reason", "toys")
    assert harness(tmp_path, *accept).returncode == 0
    gate = harness(tmp_path, "gate", "small", "--baseline", "b.json", "--json")
    assert gate.returncode == 0, gate.stdout + gate.stderr
    assert "words" in {check["task"] for check in json.loads(gate.stdout)["checks"]}


@pytest.mark.usefixtures("toys")
def test_a_job_is_a_record_that_can_be_sent(tmp_path: Path) -> None:
    """What computes a cell gets JSON, and nothing that lives in the caller."""
    from harness.console import Reporter
    from harness.run.cells import _job
    from harness.run.state import Options, start
    from harness.validate.suite import read_suite

    run = start(read_suite(str(suite(tmp_path))), Store(tmp_path / "r"), Options(), Reporter(-1))
    for cell in run.plan.cells:
        job = _job(run, cell, None, ())  # type: ignore[arg-type]
        assert CellJob.model_validate_json(job.model_dump_json()) == job


@pytest.mark.usefixtures("toys")
def test_what_an_engine_cannot_do_is_refused_with_its_line(tmp_path: Path) -> None:
    """Before anything is computed, in the engine's own words."""
    path = suite(tmp_path, measure={})
    from harness.validate.suite import read_suite

    with pytest.raises(SuiteError, match="a parrot has no memory") as caught:
        read_suite(str(path))
    assert "suite.yaml:" in str(caught.value)


def test_a_suite_of_a_package_that_is_gone(tmp_path: Path) -> None:
    """The type is unknown to a suite; a run's records are read all the same."""
    path = suite(tmp_path)
    from harness.suite.file import load_suite

    with pytest.raises(SuiteError, match="word_count"):
        load_suite(str(path))
    content = yaml.safe_load(path.read_text("utf-8"))
    task = recorded_suite(content).tasks["words"]
    assert (task.type, task.scored_splits) == ("word_count", ("report",))


@pytest.mark.parametrize("name", DOORS)
def test_unknown_names_are_answered_with_near_ones(name: str) -> None:
    """And with all that there are."""
    door: Door[Any] = DOORS[name]
    near = next(iter(door.built_in))
    with pytest.raises(UsageError, match=f"Did you mean {near}"):
        door.get(near[:-1])


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("CHECK", "raise RuntimeError('no luck')", "cannot be loaded: RuntimeError: no luck"),
        ("CHECK", "CHECK = object()", "lacks what every check has: about, findings"),
        ("CHECK", "", "cannot be loaded: AttributeError"),
        (
            "CHECK",
            "class C:\n about = object\n def findings(self, facts):\n  raise KeyError('oh')\n"
            "CHECK = C()",
            "failed: KeyError: 'oh'",
        ),
        (
            "CHECK",
            "class C:\n about = object\n def findings(self, facts):\n  yield 'text'\nCHECK = C()",
            "failed: ValidationError",
        ),
    ],
)
@pytest.mark.usefixtures("toys")
def test_a_broken_check_is_named_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, code: str, words: str
) -> None:
    """With its entry point and package."""
    broken_package(tmp_path, CHECKS.group, target, code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_toy", raising=False)
    file = suite_file(tmp_path, train={"method": "lora"}, matrix={"adapters": "nf4"})
    noticed = {finding.check: finding.what for finding in findings_about(file.suite)}
    assert words in noticed["checks of other packages"]
    assert "entry point bad of broken-toy 2.0" in noticed["checks of other packages"]
    assert "precision" in noticed


@pytest.mark.usefixtures("toys")
def test_a_broken_task_type_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite that uses it cannot be read; others can."""
    broken_package(tmp_path, TASK_TYPES.group, "TYPE", "raise RuntimeError('no luck')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_toy", raising=False)
    with pytest.raises(PluginError, match=r"entry point bad of broken-toy 2\.0: .*no luck"):
        suite_file(tmp_path, tasks={"t": {"type": "bad"}})
    assert isinstance(suite_file(tmp_path).suite, Suite)


@pytest.mark.usefixtures("toys")
def test_a_built_in_name_cannot_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in stays, and the other is named."""
    broken_package(tmp_path, CHECKS.group, "CHECK", "CHECK = 1")
    info = tmp_path / "broken_toy-2.0.dist-info" / "entry_points.txt"
    info.write_text(f"[{CHECKS.group}]\nprecision = broken_toy:CHECK\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    checks, faults = CHECKS.all()
    assert checks["precision"] is CHECKS.get("precision") != 1
    assert "entry point precision of broken-toy 2.0" in str(faults[0])


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([], "did not tell what became of base@nf4/answers"),
        ([CellStart(variant="base@nf4", task="other")], "told of base@nf4/other, which it was not"),
        (["done"], "told of 'done', which is no event of a cell"),
        ([CellOutcome(variant="base@nf4", task="answers")] * 2, "or had told of"),
    ],
)
def test_an_executor_must_tell_of_every_cell_it_was_given(
    tmp_path: Path, told: list[Any], words: str
) -> None:
    """And of no other: else a run would be called complete by a guess."""
    from harness.console import Reporter
    from harness.run.cells import compute_cells
    from harness.run.state import Options, start

    file = suite_file(tmp_path, tasks={"answers": SUITE["tasks"]["answers"]})
    run = start(file, Store(tmp_path / "r"), Options(executor="mine"), Reporter(-1))
    workers: Any = SimpleNamespace(compute=lambda jobs: iter(told))
    with pytest.raises(PluginError, match="The executor 'mine' ") as caught:
        compute_cells(run, workers, run.plan.cells)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_a_task_type_of_ours_is_one_file_and_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its spec may stand in its own file; suites take it, and so does their schema."""
    monkeypatch.syspath_prepend(str(PACKAGE))
    with doors_open_anew():
        monkeypatch.setitem(TASK_TYPES.built_in, "word_count", "toy_doors.task:TASK_TYPE")  # type: ignore[arg-type]
        tasks = {"words": {"type": "word_count", "wanted": 2}}
        assert suite_file(tmp_path, tasks=tasks).suite.tasks["words"].type == "word_count"
        assert "WordCountTask" in suite_schema()["$defs"]


def test_a_cell_that_is_called_done_must_be_in_the_store(tmp_path: Path) -> None:
    """An executor whose machine does not see the store cannot complete a run."""
    from harness.console import Reporter
    from harness.run.cells import compute_cells
    from harness.run.state import Options, start

    file = suite_file(tmp_path, tasks={"answers": SUITE["tasks"]["answers"]})
    run = start(file, Store(tmp_path / "r"), Options(executor="mine"), Reporter(-1))
    done = CellOutcome(variant="base@nf4", task="answers")
    workers: Any = SimpleNamespace(compute=lambda jobs: iter([done]))
    compute_cells(run, workers, run.plan.cells)  # type: ignore[arg-type]
    (result,) = run.results.values()
    assert result.status == "failed"
    assert "has no scores of it" in str(result.reason)


def test_what_an_executor_raises_is_told_as_its_fault(tmp_path: Path) -> None:
    """It is no bug of ours."""
    from harness.console import Reporter
    from harness.run.cells import compute_cells
    from harness.run.state import Options, start

    def lost(jobs: Any) -> Iterator[Any]:
        yield CellStart(variant="base@nf4", task="answers")
        raise ConnectionError("the line is dead")

    file = suite_file(tmp_path, tasks={"answers": SUITE["tasks"]["answers"]})
    run = start(file, Store(tmp_path / "r"), Options(executor="mine"), Reporter(-1))
    workers: Any = SimpleNamespace(compute=lost)
    with pytest.raises(PluginError, match="'mine' failed: ConnectionError: the line is dead"):
        compute_cells(run, workers, run.plan.cells)  # type: ignore[arg-type]


def test_an_executor_s_address_is_looked_at_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in it must not show hours later."""
    from harness.console import Reporter
    from harness.run import pipeline
    from harness.run.state import Options

    monkeypatch.setattr(pipeline, "_train", lambda *_: pytest.fail("it was trained"))
    file = suite_file(
        tmp_path,
        data={"source": "rows.jsonl", "splits": {"train": 0.5, "select": 0.5}},
        tasks={"answers": {"type": "generation", "metrics": ["chrf"], "splits": ["select"]}},
        train={"args": {"max_steps": 2, "save_steps": 1}},
    )
    with pytest.raises(UsageError, match="local has no address"):
        pipeline.run_suite(file, Store(tmp_path / "r"), Options(executor="local:x"), Reporter(-1))


@pytest.mark.usefixtures("toys")
def test_a_type_s_own_entries_take_no_place_of_ours_in_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two variants, or two types, could share a result."""
    from harness.plan.plan import EvalCell, make_plan
    from harness.tasks.base import ResultIdentity
    from harness.validate.suite import read_suite

    identity = ResultIdentity(None, {"weights": "mine", "task_type": "mine"})
    task_type = TASK_TYPES.get("word_count")
    monkeypatch.setattr(type(task_type), "identity", lambda *_: identity)
    plan = make_plan(read_suite(str(suite(tmp_path))), Store(tmp_path / "r"))
    own = [c for c in plan.cells if isinstance(c, EvalCell) and c.task == "words"]
    assert len({cell.scores.key for cell in own}) == 2
    assert {cell.scores.identity["task_type"] for cell in own} == {"word_count"}
    assert all(cell.scores.identity["weights"]["parrot"] == 1 for cell in own)


@pytest.mark.usefixtures("toys")
def test_a_broken_type_s_runs_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a type whose package is gone."""
    broken_package(tmp_path, TASK_TYPES.group, "TYPE", "raise RuntimeError('no luck')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken_toy", raising=False)
    assert task_facts("bad") is TaskSpec
    assert recorded_suite({"tasks": {"t": {"type": "bad"}}}).tasks["t"].type == "bad"


@pytest.mark.usefixtures("toys")
def test_a_name_that_two_packages_bring_is_neither_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one would win is a matter of chance."""
    broken_package(tmp_path, ENGINES.group, "ENGINE", "ENGINE = 1")
    info = tmp_path / "broken_toy-2.0.dist-info" / "entry_points.txt"
    info.write_text(f"[{ENGINES.group}]\nparrot = broken_toy:ENGINE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginError, match=r"broken-toy 2\.0 and .*toy-doors 1\.0"):
        ENGINES.get("parrot")


@pytest.mark.usefixtures("toys")
def test_all_that_an_engine_cannot_do_is_told_at_once(tmp_path: Path) -> None:
    """With the packages' names where it cannot even be loaded."""
    from harness.validate.suite import read_suite

    lm_eval = {"type": "lm_eval", "task": "smoke_hellaswag"}
    path = suite(tmp_path, measure={}, tasks={"smoke": lm_eval})
    with pytest.raises(SuiteError) as caught:
        read_suite(str(path))
    assert "a parrot has no memory" in str(caught.value)
    assert "a parrot weighs no words" in str(caught.value)


@pytest.mark.usefixtures("toys")
def test_an_unknown_task_type_is_answered_with_all_that_are_installed(tmp_path: Path) -> None:
    """Those of packages among them."""
    with pytest.raises(SuiteError, match=r"tasks\.t\.type is 'word_cont'.*Did you mean word_count"):
        suite_file(tmp_path, tasks={"t": {"type": "word_cont"}})


@pytest.mark.usefixtures("toys")
def test_no_checkpoint_is_chosen_by_what_only_a_run_will_tell(tmp_path: Path) -> None:
    """The message says so."""
    words = {"type": "word_count", "splits": ["select"]}
    with pytest.raises(SuiteError, match="whose metrics show only when it runs"):
        suite_file(tmp_path, tasks={"words": words}, select={"task": "words"})
