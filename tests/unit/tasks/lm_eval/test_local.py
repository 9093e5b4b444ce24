"""Which local file takes the place of which split of which lm-eval task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.suite.spec import LmEvalData
from harness.tasks.lm_eval.local import (
    LocalData,
    MissingLeafError,
    effective_num_fewshot,
    needed_splits,
    template_fields,
)
from harness.tasks.lm_eval.rows import write_parquet

pytest.importorskip("pyarrow")

MMLU: dict[str, Any] = {
    "dataset_path": "cais/mmlu",
    "dataset_name": "anatomy",
    "test_split": "test",
    "fewshot_split": "dev",
    "fewshot_config": {"sampler": "first_n"},
    "output_type": "multiple_choice",
    "doc_to_text": "{{question.strip()}}\nAnswer:",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "answer",
}


def _local(folder: Path, files: dict[str, str], form: str = "mmlu_csv") -> LocalData:
    spec = LmEvalData.model_validate({"format": form, "files": files})
    return LocalData(spec, folder, folder / "converted")


def _mmlu(folder: Path, split: str, subject: str = "anatomy") -> None:
    (folder / split).mkdir(exist_ok=True)
    (folder / split / f"{subject}_{split}.csv").write_text("q,1,2,3,4,B\n", "utf-8")


def test_override_names_the_converted_files(tmp_path: Path) -> None:
    """The configuration then reads Parquet, and no configuration name of the Hub is left."""
    _mmlu(tmp_path, "test")
    _mmlu(tmp_path, "dev")
    override = _local(tmp_path, {"test": "test", "dev": "dev"}).override("mmlu_anatomy", MMLU, 5)
    assert override["dataset_path"] == "parquet"
    assert override["dataset_name"] is None
    files = override["dataset_kwargs"]["data_files"]
    assert sorted(files) == ["dev", "test"]
    assert all(Path(file).is_file() for file in files.values())


def test_shots_need_their_split_and_zero_shots_do_not(tmp_path: Path) -> None:
    """Without shots lm-eval must not look for the split of the shots, which it otherwise does."""
    _mmlu(tmp_path, "test")
    local = _local(tmp_path, {"test": "test"})
    assert local.override("mmlu_anatomy", MMLU, 0)["fewshot_split"] is None
    with pytest.raises(DataError, match=r"reads the split 'dev' \(5 shots\); data.files names"):
        local.override("mmlu_anatomy", MMLU, 5)


def test_split_under_another_name_is_an_error(tmp_path: Path) -> None:
    """Files named after other splits than the task's are not silently taken for them."""
    _mmlu(tmp_path, "test")
    with pytest.raises(DataError, match=r"'test' \(evaluated\); data.files names 'val'"):
        _local(tmp_path, {"val": "test"}).override("mmlu_anatomy", MMLU, 0)


def test_subject_without_file_is_missing_not_fatal(tmp_path: Path) -> None:
    """A group scores the subjects that are there, so one without a file is told apart."""
    _mmlu(tmp_path, "test")
    with pytest.raises(MissingLeafError, match=r"no virology_test\.csv"):
        _local(tmp_path, {"test": "test"}).override("v", {**MMLU, "dataset_name": "virology"}, 0)


def test_missing_folder_and_file_are_errors(tmp_path: Path) -> None:
    """A path that leads nowhere is the user's mistake."""
    with pytest.raises(DataError, match="needs a folder"):
        _local(tmp_path, {"test": "nowhere"}).override("m", MMLU, 0)
    with pytest.raises(DataError, match="does not exist"):
        _local(tmp_path, {"test": "no.jsonl"}, "hub_fields").override("m", MMLU, 0)


def test_subjects_can_be_named_in_a_path(tmp_path: Path) -> None:
    """{dataset_name} gives each task of a group a file of its own, in any format."""
    row = '{"question": "q", "choices": ["a", "b", "c", "d"], "answer": 1}\n'
    (tmp_path / "anatomy.jsonl").write_text(row)
    local = _local(tmp_path, {"test": "{dataset_name}.jsonl"}, "hub_fields")
    assert "test" in local.override("m", MMLU, 0)["dataset_kwargs"]["data_files"]
    with pytest.raises(MissingLeafError):
        local.override("v", {**MMLU, "dataset_name": "virology"}, 0)
    with pytest.raises(DataError, match="names no subject"):
        local.override("m", {**MMLU, "dataset_name": None}, 0)


def test_upstream_name_of_the_validation_split(tmp_path: Path) -> None:
    """MMLU's own validation files end in _val.csv, while the Hub's split is called validation."""
    _mmlu(tmp_path, "val")
    local = _local(tmp_path, {"validation": "val"})
    config = {**MMLU, "test_split": None, "validation_split": "validation"}
    assert "validation" in local.override("m", config, 0)["dataset_kwargs"]["data_files"]


def test_template_fields_are_what_rows_must_have() -> None:
    """A bare name is a field; a task with process_docs makes its fields itself."""
    assert template_fields(MMLU) == {"question", "choices", "answer"}
    assert template_fields({**MMLU, "process_docs": print}) == set()


@pytest.mark.parametrize(
    ("own", "requested", "given"),
    [(None, None, 0), (None, 5, 5), (5, None, 5), (3, 5, 5), (0, 5, 0)],
)
def test_number_of_shots_follows_lm_eval(
    own: int | None, requested: int | None, given: int
) -> None:
    """lm-eval's rule: a task that fixes 0 shots keeps 0 (see its evaluator.simple_evaluate)."""
    assert effective_num_fewshot({"num_fewshot": own}, requested) == given


@pytest.mark.parametrize(
    ("config", "shots", "splits"),
    [
        ({"test_split": "test", "validation_split": "validation"}, 0, ["test"]),
        ({"validation_split": "validation", "training_split": "train"}, 2, ["train", "validation"]),
        ({"validation_split": "validation"}, 2, ["validation"]),
        ({"test_split": "test", "fewshot_split": "dev"}, 1, ["dev", "test"]),
        ({"test_split": "test", "fewshot_config": {"split": "x"}}, 1, ["test", "x"]),
        ({"test_split": "test", "fewshot_config": {"samples": [{}]}}, 1, ["test"]),
    ],
)
def test_needed_splits_follow_lm_eval(
    config: dict[str, Any], shots: int, splits: list[str]
) -> None:
    """lm-eval evaluates test before validation, and draws shots in Task.fewshot_docs's order."""
    assert sorted(needed_splits("t", config, shots)) == splits


def test_task_without_evaluated_split_is_an_error() -> None:
    """lm-eval would fail later, and without saying what to do."""
    with pytest.raises(DataError, match="neither a test_split nor a validation_split"):
        needed_splits("t", {"training_split": "train"}, 0)


def test_parquet_passes_through_and_shots_split_of_fewshot_config_is_dropped(
    tmp_path: Path,
) -> None:
    """A Parquet file has types already; lm-eval must not look for shots that are not wanted."""
    rows = [{"question": "q", "choices": ["a", "b"], "answer": 1}]
    write_parquet(rows, tmp_path / "x", tmp_path / "test.parquet")
    local = _local(tmp_path, {"test": "test.parquet"}, "hub_fields")
    config = {**MMLU, "fewshot_config": {"sampler": "first_n", "split": "dev"}}
    override = local.override("m", config, 0)
    assert override["dataset_kwargs"]["data_files"] == {"test": str(tmp_path / "test.parquet")}
    assert override["fewshot_config"] == {"sampler": "first_n", "split": None}
