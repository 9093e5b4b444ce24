"""What examples share with training rows is looked for once, kept, and shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.errors import DataError
from harness.run import overlaps as stage
from harness.run.examples import read_examples
from harness.run.state import Options, Run, start
from harness.schema import Overlap
from harness.store.prune import find_garbage
from harness.store.runs import Store
from tests.unit.suites import TRAIN, adapter, suite_file


def begin(folder: Path, **changes: Any) -> Run:
    file = suite_file(folder, **changes)
    rows = [{"text": f"row {i} says something of its own", "label": f"l{i}"} for i in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    again = [{"text": row["text"].upper(), "label": "x"} for row in rows[:4]]
    (folder / "again.jsonl").write_text("".join(json.dumps(row) + "\n" for row in again), "utf-8")
    return start(file, Store(folder / "runs"), Options(), Reporter(-1))


def look(run: Run) -> None:
    stage.look_for_overlaps(run, read_examples(run))


def test_a_task_with_data_of_its_own_is_held_against_the_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: a second invocation reads what the first one found, and prune keeps it."""
    data = {"files": {"train": "rows.jsonl"}, "splits": {"train": 1.0}}
    own = {"files": {"report": "again.jsonl"}, "split_map": {"report": "report"}}
    task = {"type": "generation", "metrics": ["rougeL"], "splits": ["report"], "data": own}
    changes: dict[str, Any] = {"train": TRAIN, "data": data, "tasks": {"other": task}}
    look(run := begin(tmp_path, **changes))
    (finding,) = [f for f in run.findings if f.check == "training overlap"]
    assert "4 of 4 scored examples are training rows" in finding.what
    key = run.overlaps["other"]
    kept = run.store.read_records("overlaps", key, "overlaps", Overlap)
    assert {item.level for item in kept} == {"exact"}
    run.save()
    assert not [g for g in find_garbage(run.store) if key in str(g.path)]
    monkeypatch.setattr(stage, "overlaps", lambda *_: pytest.fail("looked again"))
    look(again := begin(tmp_path, **changes))
    assert again.overlaps == run.overlaps
    assert finding in again.findings


DOCUMENTS = """
task: own
dataset_path: json
dataset_kwargs: {data_files: {test: documents.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
doc_to_choice: ["yes", "no"]
metric_list: [{metric: acc}]
"""


def test_documents_that_come_with_a_task_are_held_against_the_training_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read once, and their ids are those beside their scores."""
    task_types = pytest.importorskip("harness.tasks.lm_eval.task_type")
    (tmp_path / "own.yaml").write_text(DOCUMENTS)
    asked = ["Row 3 says something of its own!", "nothing that was ever trained on", "row 5"]
    rows = "".join(json.dumps({"q": text, "a": 0}) + "\n" for text in asked)
    (tmp_path / "documents.jsonl").write_text(rows)
    changes: dict[str, Any] = {
        "train": TRAIN,
        "data": {"files": {"train": "rows.jsonl"}, "splits": {"train": 1.0}},
        "tasks": {"own": {"type": "lm_eval", "task": "own.yaml"}},
    }
    look(run := begin(tmp_path, **changes))
    (finding,) = [f for f in run.findings if f.check == "training overlap"]
    assert "own: 1 of 3 scored examples are training rows" in finding.what
    (item,) = run.store.read_records("overlaps", run.overlaps["own"], "overlaps", Overlap)
    assert (item.level, item.split) == ("exact", "all")
    assert item.example_id.endswith("-0")
    monkeypatch.setattr(task_types.LmEval, "documents", lambda *_: pytest.fail("read again"))
    look(again := begin(tmp_path, **changes))
    assert finding in again.findings


def test_documents_that_cannot_be_read_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where results are there already, a re-run must not end for what it need not read."""
    task_types = pytest.importorskip("harness.tasks.lm_eval.task_type")

    def unreachable(*_: Any) -> None:
        raise DataError("The Hub cannot be reached.")

    monkeypatch.setattr(task_types.LmEval, "documents", unreachable)
    data = {"files": {"train": "rows.jsonl"}, "splits": {"train": 1.0}}
    tasks = {"hs": {"type": "lm_eval", "task": "hellaswag"}}
    look(run := begin(tmp_path, train=TRAIN, data=data, tasks=tasks))
    assert run.overlaps == {}
    assert "documents of hs" in capsys.readouterr().err


def test_rows_of_adapters_trained_elsewhere_are_those_that_the_source_calls_so(
    tmp_path: Path,
) -> None:
    """Rows that a share draws by hash are none that anybody trained on."""
    adapter(tmp_path / "checkpoint-1")
    files = {"train": "rows.jsonl", "report": "again.jsonl"}
    task = {"type": "generation", "metrics": ["rougeL"], "splits": ["report"]}
    changes: dict[str, Any] = {"checkpoints": "checkpoint-*", "tasks": {"other": task}}
    look(run := begin(tmp_path, data={"files": files}, **changes))
    assert any("4 of 4 scored examples are training rows" in f.what for f in run.findings)
    shares = {"source": "rows.jsonl", "splits": {"train": 0.5, "report": 0.5}}
    look(run := begin(tmp_path, data=shares, **changes))
    assert run.overlaps == {}
