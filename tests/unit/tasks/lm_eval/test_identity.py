"""What an lm-eval task's scores depend on, told without torch; and the data that ships."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, UsageError
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.identity import (
    find_task_file,
    lm_eval_identity,
    resolve_data_files,
    shipped_tasks_dir,
    task_files,
)

HEAVY = ("torch", "transformers", "datasets", "lm_eval", "pyarrow")


def _task(**fields: Any) -> LmEvalTask:
    return LmEvalTask.model_validate({"type": "lm_eval", "task": "hellaswag", **fields})


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_identity_loads_nothing_heavy() -> None:
    """Plans are made where neither torch nor lm_eval is installed."""
    code = f"""
import sys
from pathlib import Path
from harness.suite.spec import LmEvalTask
import harness.tasks.lm_eval.identity, harness.tasks.lm_eval.members, harness.tasks.lm_eval.outcome
from harness.tasks.lm_eval.identity import lm_eval_identity
lm_eval_identity(LmEvalTask(type="lm_eval", task="smoke_mmlu"), Path())
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "change",
    [
        {"task": "arc_easy"},
        {"num_fewshot": 5},
        {"limit": 10},
        {"apply_chat_template": True},
        {"fewshot_as_multiturn": True},
        {"system_instruction": "Be brief."},
        {"gen_kwargs": {"temperature": 0.5}},
        {"batch_size": 4},
    ],
)
def test_identity_changes_with_every_option(change: dict[str, Any], tmp_path: Path) -> None:
    """Each option that can change a score changes the key."""
    assert lm_eval_identity(_task(**change), tmp_path) != lm_eval_identity(_task(), tmp_path)


def test_identity_changes_with_a_data_file(tmp_path: Path) -> None:
    """The content counts, not the name or the time."""
    file = _write(tmp_path / "val.jsonl", "{}")
    task = _task(data={"format": "hellaswag_jsonl", "files": {"validation": "val.jsonl"}})
    before = lm_eval_identity(task, tmp_path)
    file.touch()
    assert lm_eval_identity(task, tmp_path) == before
    file.write_text("{ }")
    assert lm_eval_identity(task, tmp_path) != before


def test_identity_does_not_depend_on_where_the_suite_lies(tmp_path: Path) -> None:
    """A moved project keeps its results."""
    task = _task(data={"format": "mmlu_csv", "files": {"test": "test"}})
    for place in ("one", "two"):
        _write(tmp_path / place / "test" / "a_test.csv", "q")
        _write(tmp_path / place / "test" / "b_test.csv", "r")
    assert lm_eval_identity(task, tmp_path / "one") == lm_eval_identity(task, tmp_path / "two")


def test_identity_needs_the_data_files(tmp_path: Path) -> None:
    """A missing file is found before anything is computed."""
    task = _task(data={"format": "hub_fields", "files": {"test": "no.jsonl"}})
    with pytest.raises(DataError, match="no file for the split 'test'"):
        lm_eval_identity(task, tmp_path)


def _own_task(folder: Path) -> Path:
    _write(folder / "utils.py", "def f(d): return d\n")
    _write(folder / "base.yaml", "dataset_path: json\nprocess_docs: !function utils.f\n")
    _write(folder / "data" / "rows.jsonl", '{"q": 1}\n')
    return _write(
        folder / "mine.yaml",
        "include: base.yaml\ntask: mine\ndataset_kwargs:\n  data_files:\n"
        "    test: data/rows.jsonl\n",
    )


def test_task_yaml_draws_in_its_files(tmp_path: Path) -> None:
    """Includes, Python functions and data files of a YAML all count."""
    files = task_files(_own_task(tmp_path))
    names = {file.relative_to(tmp_path).as_posix() for file in files}
    assert names == {"mine.yaml", "base.yaml", "utils.py", "data/rows.jsonl"}


@pytest.mark.parametrize("name", ["mine.yaml", "base.yaml", "utils.py", "data/rows.jsonl"])
def test_identity_changes_with_each_of_them(tmp_path: Path, name: str) -> None:
    """A change in any of these files makes a new key."""
    _own_task(tmp_path)
    before = lm_eval_identity(_task(task="mine.yaml"), tmp_path)
    with (tmp_path / name).open("a") as stream:
        stream.write("\n")
    assert lm_eval_identity(_task(task="mine.yaml"), tmp_path) != before


def test_group_yaml_draws_in_its_siblings(tmp_path: Path) -> None:
    """A group names tasks that lie beside it; other YAML files there do not count."""
    _own_task(tmp_path)
    _write(tmp_path / "suite.yaml", "name: a suite\n")
    _write(tmp_path / "broken.yaml", "[")
    group = _write(tmp_path / "group.yaml", "group: g\ntask: [mine]\n")
    names = {file.name for file in task_files(group)}
    assert names == {"group.yaml", "mine.yaml", "base.yaml", "utils.py", "rows.jsonl"}


def test_yaml_that_includes_itself_is_an_error(tmp_path: Path) -> None:
    """It would never end."""
    path = _write(tmp_path / "a.yaml", "include: a.yaml\ntask: a\n")
    with pytest.raises(UsageError, match="includes itself"):
        task_files(path)


def test_broken_yaml_is_an_error(tmp_path: Path) -> None:
    """With the file's name and what the parser says."""
    path = _write(tmp_path / "a.yaml", "task: [")
    with pytest.raises(UsageError, match="Not a readable YAML file") as caught:
        task_files(path)
    assert caught.value.where == str(path)


def test_task_is_found_by_name_path_or_not_at_all(tmp_path: Path) -> None:
    """Beside the suite first, then among what ships; other names are lm-eval's own."""
    own = _write(tmp_path / "x.yaml", "task: x\n")
    assert find_task_file("x.yaml", tmp_path) == own
    for name in ("smoke_mmlu", "smoke_mmlu.yaml", "tasks/smoke_mmlu.yaml"):
        found = find_task_file(name, tmp_path)
        assert found is not None
        assert found.samefile(shipped_tasks_dir() / "smoke_mmlu.yaml")
    assert find_task_file("hellaswag", tmp_path) is None
    with pytest.raises(UsageError, match=r"'no\.yaml' does not exist"):
        find_task_file("no.yaml", tmp_path)


def test_data_files_are_relative_to_the_yaml(tmp_path: Path) -> None:
    """lm-eval itself takes them as relative to the folder the process runs in."""
    _write(tmp_path / "a.jsonl", "{}")
    config = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "a.jsonl", "dev": ["hf://x", "*.jsonl"]}},
    }
    resolved = resolve_data_files(config, tmp_path)["data_files"]
    assert resolved == {
        "test": str(tmp_path / "a.jsonl"),
        "dev": ["hf://x", str(tmp_path / "*.jsonl")],
    }
    assert resolve_data_files({"dataset_path": "cais/mmlu"}, tmp_path) == {}
    (tmp_path / "a.jsonl").unlink()
    with pytest.raises(DataError, match="data file of task"):
        resolve_data_files(config, tmp_path)


def _shipped(name: str) -> list[dict[str, Any]]:
    path = shipped_tasks_dir().parent / "data" / name
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_shipped_hellaswag_rows_are_well_formed() -> None:
    """The Hub's fields, four different endings, and every position right equally often."""
    rows = _shipped("smoke_hellaswag.jsonl")
    assert len(rows) == len({row["ctx"] for row in rows}) == 40
    for row in rows:
        assert row["ctx"] == f"{row['ctx_a']} {row['ctx_b']}"
        assert len(set(row["endings"])) == 4
        assert "[" not in row["ctx"] + "".join(row["endings"])  # lm-eval strips brackets
    assert sorted(row["label"] for row in rows) == sorted("0123" * 10)


def test_shipped_mmlu_rows_are_well_formed() -> None:
    """The Hub's fields; no shot is also a question; every position right equally often."""
    rows, shots = _shipped("smoke_mmlu.jsonl"), _shipped("smoke_mmlu_dev.jsonl")
    assert (len(rows), len(shots)) == (40, 5)
    assert len({row["question"] for row in rows + shots}) == 45
    assert all(len(set(row["choices"])) == 4 for row in rows + shots)
    assert sorted(row["answer"] for row in rows) == sorted([0, 1, 2, 3] * 10)


def test_shipped_questions_have_references() -> None:
    """Short answers, each question once."""
    rows = _shipped("smoke_qa.jsonl")
    assert len(rows) == len({row["question"] for row in rows}) >= 60
    assert all(row["answers"] and all(row["answers"]) for row in rows)
