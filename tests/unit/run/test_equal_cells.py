"""Cells of a whole run: equal ones are computed once, and lm-eval tasks are loaded once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Manifest
from harness.store.runs import Store
from tests.unit.suites import suite_file

pytest.importorskip("lm_eval")

import lm_eval.api.task

from harness.run import local

CHOICE = """
task: choice
dataset_path: json
dataset_kwargs: {data_files: {test: choices.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: 0
doc_to_choice: ["yes", "no"]
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Callable[..., Any]:
    """A suite of one lm-eval task and one loss on tiny:llama, with top-level changes."""
    (tmp_path / "choice.yaml").write_text(CHOICE)
    rows = [json.dumps({"q": f"Is it {number}?"}) + "\n" for number in range(3)]
    (tmp_path / "choices.jsonl").write_text("".join(rows))
    tasks = {
        "choice": {"type": "lm_eval", "task": "choice.yaml"},
        "held_out": {"type": "perplexity", "splits": ["select"]},
    }
    base = {"model": "tiny:llama", "dtype": "fp32", "device": "cpu"}
    select = {"task": "held_out", "metric": "eval_loss"}
    return lambda **changes: suite_file(
        tmp_path, **{"tasks": tasks, "base": base, "select": select, **changes}
    )


def _run(file: Any, folder: Path) -> Manifest:
    return run_suite(file, Store(folder / "runs"), Options(), Reporter(-1))


def test_copies_of_a_checkpoint_are_computed_once(
    suite: Callable[..., Any],
    make_adapter: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The copy gets the scores and findings of the first, also where those say it failed."""
    make_adapter(tmp_path / "out/checkpoint-1")
    shutil.copytree(tmp_path / "out/checkpoint-1", tmp_path / "out/checkpoint-2")
    stored: list[str] = []
    scoring = local._scores

    def counted(work: Any, job: Any, *rest: Any) -> Any:
        stored.append(job.id)
        if job.id == "checkpoint-1/held_out":
            raise RuntimeError("it broke")
        return scoring(work, job, *rest)

    monkeypatch.setattr(local, "_scores", counted)
    matrix = {"base": ["fp32"], "adapters": "fp32", "merged": "none"}
    file = suite(checkpoints="out/checkpoint-*", matrix=matrix)
    manifest = _run(file, tmp_path)
    assert sorted(stored) == [
        "base@fp32/choice",
        "base@fp32/held_out",
        "checkpoint-1/choice",
        "checkpoint-1/held_out",
    ]
    by_id = {(cell.variant, cell.task): cell for cell in manifest.cells}
    first, copied = by_id["checkpoint-1", "choice"], by_id["checkpoint-2", "choice"]
    assert copied.scores_key == first.scores_key
    assert (copied.status, copied.computed, first.computed) == ("done", False, True)
    told = [f.what for f in manifest.findings if "engine" in f.what]
    assert {what.partition(":")[0] for what in told} == {
        "base@fp32",
        "checkpoint-1",
        "checkpoint-2",
    }
    broken = by_id["checkpoint-2", "held_out"]
    assert broken.status == "failed"
    assert "equal weights" in str(broken.reason)


def test_a_task_is_loaded_once_for_the_whole_matrix(
    suite: Callable[..., Any],
    make_adapter: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For both precisions, the adapter and its merged model; its files are gone afterwards."""
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    make_adapter(tmp_path / "out/checkpoint-1")
    loaded: list[Any] = []
    download = lm_eval.api.task.ConfigurableTask.download

    def counted(self: Any, *args: Any, **options: Any) -> None:
        loaded.append(self)
        download(self, *args, **options)

    monkeypatch.setattr(lm_eval.api.task.ConfigurableTask, "download", counted)
    matrix = {"base": ["nf4", "fp32"], "adapters": "nf4", "merged": "last"}
    manifest = _run(suite(checkpoints="out/checkpoint-*", matrix=matrix), tmp_path)
    scored = [c.variant for c in manifest.cells if c.task == "choice" and c.status == "done"]
    assert scored == ["base@nf4", "base@fp32", "checkpoint-1", "merged-1"]
    assert len(loaded) == 1
    assert not list((tmp_path / "temp").glob("harness-lm-eval-*"))
