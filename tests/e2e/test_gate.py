"""The gate through the command line: every exit code, on results of a real run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from junitparser import JUnitXml

from harness.schema import GateResult, Manifest
from harness.store.runs import Store
from tests.e2e.conftest import SUITE, Finished, Result, harness, write_suite
from tests.stores import marked_anew

OUTPUTS = {"gate.json", "gate.md", "gate-comment.md", "gate.junit.xml", "gate.html"}
Arrays = dict[str, Any]


@pytest.fixture
def runs(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(finished.runs, tmp_path / "runs", symlinks=True))


@pytest.fixture
def accepted(runs: Path, tmp_path: Path) -> Path:
    """Its baseline, as the command line makes it."""
    done = harness("gate", "accept", "small", "--reason", "first", cwd=tmp_path, runs=runs)
    assert done.code == 0, done.err
    return tmp_path / "baseline.json"


def gate(folder: Path, runs: Path, *args: str) -> tuple[Result, GateResult]:
    """Gate the latest run; every output must be there, whatever the exit code."""
    done = harness("gate", "small", "--output", "out", *args, cwd=folder, runs=runs)
    assert {path.name for path in (folder / "out").iterdir()} == OUTPUTS, done.err
    result = GateResult.model_validate_json((folder / "out" / "gate.json").read_text("utf-8"))
    assert result.exit_code == done.code
    return done, result


def latest(runs: Path) -> Manifest:
    return Store(runs).manifests()[0]


def latest_path(runs: Path) -> Path:
    manifest = Store(runs).manifests("small")[0]
    return Store(runs).run_dir("small", manifest.run_id) / "manifest.json"


def edit(runs: Path, task: str, change: Callable[[Arrays], Arrays]) -> None:
    """Change the statistics of the chosen checkpoint's scores."""
    manifest = latest(runs)
    assert manifest.selection is not None
    (cell,) = (
        c for c in manifest.cells if (c.variant, c.task) == (manifest.selection.chosen, task)
    )
    path = runs / ".store" / "scores" / str(cell.scores_key) / "stats.npz"
    with np.load(path) as archive:
        arrays = change({name: archive[name] for name in archive.files})
    np.savez_compressed(path, allow_pickle=False, **arrays)
    marked_anew(Store(runs), "scores", cell.scores_key)


def losses_times(factors: Callable[[int], Any]) -> Callable[[Arrays], Arrays]:
    """Multiply the held-out losses of every example; loss and perplexity share statistics."""

    def change(arrays: Arrays) -> Arrays:
        stats = arrays["loss/report"].copy()  # nats and tokens
        stats[:, 0] *= factors(len(stats))
        return arrays | {"loss/report": stats}

    return change


def test_the_same_run_passes(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 0: everything is identical, and all outputs are written."""
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (0, "pass")
    scores = [check for check in result.checks if check.kind == "quality"]
    assert {check.verdict for check in scores} == {"identical"}
    assert {check.task for check in scores} == {"summaries", "held_out", "hellaswag"}
    assert done.out.startswith("Pass: ")
    assert JUnitXml.fromfile(str(tmp_path / "out" / "gate.junit.xml")).failures == 0
    assert accepted.read_text("utf-8").endswith("}\n")


def test_a_planted_loss_is_a_regression(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 1, with what got worse in the headline."""
    edit(runs, "held_out", losses_times(lambda n: np.linspace(1.4, 1.6, n)))
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (1, "regression")
    assert "chosen held_out: eval loss on report" in done.out
    assert JUnitXml.fromfile(str(tmp_path / "out" / "gate.junit.xml")).failures >= 1


def test_noise_is_inconclusive(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 3: twelve examples that go up and down tell nothing."""
    edit(runs, "held_out", losses_times(lambda n: 1 + 0.2 * (-1.0) ** np.arange(n)))
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (3, "inconclusive")
    unsure = [check for check in result.checks if check.verdict == "inconclusive"]
    assert all(check.needed_n and check.needed_n > 12 for check in unsure)


@pytest.mark.parametrize(
    "args",
    [["nosuch"], ["small", "--nosuch"], ["accept", "small"], ["accept", "small", "--reason", " "]],
)
def test_a_wrong_command_is_told(runs: Path, tmp_path: Path, args: list[str]) -> None:
    """Exit code 2: no such run or option, or no reason."""
    assert harness("gate", *args, cwd=tmp_path, runs=runs).code == 2


def test_a_gate_on_what_is_not_there_is_told(finished: Finished, tmp_path: Path) -> None:
    """Exit code 2 before anything runs, with what there is."""
    entry = {"task": "summaries", "metric": "bleu"}
    suite = write_suite(tmp_path, gate={"metrics": [entry]})
    done = harness("validate", str(suite), cwd=tmp_path, runs=finished.runs)
    assert done.code == 2
    assert "gate.metrics[0].metric names 'bleu'" in done.err


def test_no_baseline_is_incompatible(runs: Path, tmp_path: Path) -> None:
    """Exit code 4, and how to make one."""
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (4, "incompatible")
    assert done.out.startswith("No baseline yet: baseline.json does not exist.")
    assert done.out.count("harness gate accept small/") == 1
    assert "--baseline baseline.json" in done.out


def test_places_that_cannot_be_used_are_told_on_one_line(
    runs: Path, accepted: Path, tmp_path: Path
) -> None:
    """Exit code 2 for the output, 4 for the baseline, and no traceback."""
    accept = ("accept", "small", "--reason", "r", "--baseline")
    for args, code, hint in (
        (("small", "--output", "/proc/nosuch"), 2, "Choose another folder with --output."),
        (("small", "--baseline", "."), 4, "Give its name to --baseline."),
        ((*accept, "/proc/nosuch/b.json"), 4, "--baseline"),
        ((*accept, "baseline.txt"), 2, "A baseline is a .json file."),
    ):
        done = harness("gate", *args, cwd=tmp_path, runs=runs)
        assert done.code == code, args
        assert hint in done.out + done.err
        assert "Traceback" not in done.err
        assert "--runs-dir" not in done.err


def test_a_truncated_baseline_names_itself(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 4, of either of its files."""
    whole = accepted.read_bytes()
    accepted.write_bytes(whole[: len(whole) // 2])
    done, _ = gate(tmp_path, runs)
    assert done.code == 4
    assert "baseline.json" in done.out
    accepted.write_bytes(whole)
    side = accepted.with_suffix(".npz")
    side.write_bytes(side.read_bytes()[:-10])
    done, result = gate(tmp_path, runs)
    assert done.code == 4
    assert "baseline.npz" in result.differences[0]


@pytest.mark.slow
def test_another_prompt_is_incompatible(runs: Path, tmp_path: Path) -> None:
    """Exit code 4, with the field that differs; --limit likewise."""
    rules = ("--set", "gate.variants=[base@nf4]")
    suite = write_suite(tmp_path)
    assert harness("eval", str(suite), *rules, cwd=tmp_path, runs=runs).code == 0
    accept = ("gate", "accept", "small", "--reason", "base only")
    assert harness(*accept, cwd=tmp_path, runs=runs).code == 0
    only = (*rules, "--only", "base@nf4/held_out")

    other = write_suite(tmp_path, prompt={**SUITE["prompt"], "prompt": "{{ body }}\n->"})
    assert harness("eval", str(other), *only, cwd=tmp_path, runs=runs).code == 0
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (4, "incompatible")
    field = "tasks.held_out.examples.prompt.prompt: was '{{ body }}\\n=>', is '{{ body }}\\n->'"
    assert field in result.differences

    suite = write_suite(tmp_path)
    limited = harness("eval", str(suite), *only, "--limit", "3", cwd=tmp_path, runs=runs)
    assert limited.code == 0, limited.err
    assert latest(runs).limit == 3
    done, result = gate(tmp_path, runs)
    assert done.code == 4
    assert result.differences[0].startswith("limit: ")
    refused = harness(*accept, cwd=tmp_path, runs=runs)
    assert refused.code == 4
    assert "limit" in refused.err


def test_a_missing_cell_is_a_failure(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 5: what the baseline has must be there."""
    manifest = latest(runs)
    cells = tuple(cell for cell in manifest.cells if cell.task != "hellaswag")
    Store(runs).write_manifest(manifest.model_copy(update={"cells": cells}))
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (5, "invalid")
    assert {check.task for check in result.checks if check.verdict == "missing"} == {"hellaswag"}


def test_nan_fails_closed(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 5; and such a run is not accepted either."""
    edit(runs, "held_out", losses_times(lambda n: np.where(np.arange(n) == 1, np.nan, 1.0)))
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (5, "invalid")
    before = accepted.read_bytes()
    refused = harness("gate", "accept", "small", "--reason", "no", cwd=tmp_path, runs=runs)
    assert refused.code == 5
    assert accepted.read_bytes() == before


def test_truncated_statistics_are_no_regression(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Exit code 5 with all outputs, which name the file; and no acceptance."""
    edit(runs, "held_out", lambda arrays: arrays)
    path = max((runs / ".store" / "scores").glob("*/stats.npz"), key=lambda p: p.stat().st_mtime_ns)
    path.write_bytes(path.read_bytes()[:-30])
    done, result = gate(tmp_path, runs)
    assert (done.code, result.verdict) == (5, "invalid")
    assert str(path) in result.problems[0]
    assert "Traceback" not in done.err
    refused = harness("gate", "accept", "small", "--reason", "no", cwd=tmp_path, runs=runs)
    assert refused.code == 5
    assert str(path) in refused.err


def test_an_unreadable_manifest_is_no_regression(
    runs: Path, accepted: Path, tmp_path: Path
) -> None:
    """Exit code 5, by name and by folder; another suite's is not in the way."""
    other = runs / "other" / "r1" / "manifest.json"
    other.parent.mkdir(parents=True)
    other.write_text("{", "utf-8")
    done, _ = gate(tmp_path, runs)
    assert done.code == 0
    manifest = latest_path(runs)
    manifest.write_text(manifest.read_text("utf-8")[:100], "utf-8")
    for name in ("small", str(manifest.parent)):
        done = harness("gate", name, cwd=tmp_path, runs=runs)
        assert done.code == 5
        assert str(manifest) in done.err
        assert "Traceback" not in done.err


def test_accepting_again_writes_the_history(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Who, when, why and what changed; the regression then is the new normal."""
    edit(runs, "held_out", losses_times(lambda n: np.linspace(1.4, 1.6, n)))
    again = ("gate", "accept", "small", "--reason", "smaller model", "--by", "me")
    assert harness(*again, cwd=tmp_path, runs=runs, env={"GITHUB_ACTOR": "bot"}).code == 0
    history = json.loads(accepted.read_text("utf-8"))["history"]
    assert [(entry["why"], entry["who"]) for entry in history][1:] == [("smaller model", "me")]
    done, _ = gate(tmp_path, runs, "--json")
    assert done.code == 0
    assert json.loads(done.out)["verdict"] == "pass"


def test_what_is_not_there_is_made_by_no_gate(runs: Path, accepted: Path, tmp_path: Path) -> None:
    """Gating reads: nothing in the store changes, and no torch is loaded."""
    before = {path: path.stat().st_mtime_ns for path in (runs / ".store").rglob("*")}
    gate(tmp_path, runs)
    assert {path: path.stat().st_mtime_ns for path in (runs / ".store").rglob("*")} == before
