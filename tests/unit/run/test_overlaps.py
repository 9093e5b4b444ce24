"""What examples share with training rows is looked for once, kept, and shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.run import overlaps as stage
from harness.run.examples import read_examples
from harness.run.state import Options, Run, start
from harness.schema import Overlap
from harness.store.prune import find_garbage
from harness.store.runs import Store
from tests.unit.suites import TRAIN, suite_file


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


def test_without_training_there_is_nothing_to_hold_examples_against(tmp_path: Path) -> None:
    """Rows of adapters trained elsewhere are not known."""
    look(run := begin(tmp_path))
    assert run.overlaps == {}
