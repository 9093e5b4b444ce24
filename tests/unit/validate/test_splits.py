"""Splits without rows, choices that nothing makes and addresses are told before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.files import refuse_address
from tests.unit.suites import TRAIN, suite_file


def refusal(folder: Path, *overrides: str, **changes: Any) -> str:
    with pytest.raises(UsageError) as refused:
        suite_file(folder, *overrides, **changes)
    return str(refused.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data.splits={select: 0.5, report: 0.5}"], "train needs rows in the train split"),
        (["data.splits={train: 0.5, eval: 0.1, report: 0.4}"], "tasks.answers.splits needs"),
        (["data.limits={report: 0}"], "the report split, but data fills only: train, eval, sel"),
        (["data.splits={train: 0.5, select: 0.2, report: 0.3}", "train.early_stopping={}"],
         "train.early_stopping needs rows in the eval split"),
        (["data.splits={train: 0.5, select: 0.2, report: 0.3}",
          "train.args.load_best_model_at_end=true"], "load_best_model_at_end needs rows in"),
    ],
)  # fmt: skip
def test_a_split_that_the_data_never_fills_is_refused(
    tmp_path: Path, overrides: list[str], words: str
) -> None:
    """With what it fills, and what to write."""
    told = refusal(tmp_path, *overrides, train=TRAIN)
    assert words in told
    assert "Give " in told


def test_splits_that_are_mapped_or_default_are_filled(tmp_path: Path) -> None:
    """A split of the source's may feed several."""
    suite_file(tmp_path, train=TRAIN)
    mapped = {"source": "rows.jsonl", "split_map": {"train": ["train", "eval", "select", "report"]}}
    suite_file(tmp_path, train=TRAIN, data=mapped)
    told = refusal(tmp_path, train=TRAIN, data={**mapped, "split_map": {"train": "train"}})
    assert "data fills only: train." in told


@pytest.mark.parametrize("override", ["matrix.merged=best", "gate.variants=[merged]"])
def test_what_waits_for_a_choice_is_refused_where_nothing_chooses(
    tmp_path: Path, override: str
) -> None:
    """By default nothing waits for it, and the run says that nothing was chosen."""
    tasks = {"only": {"type": "generation", "metrics": ["f1"], "splits": ["report"]}}
    suite_file(tmp_path, train=TRAIN, tasks=tasks)
    told = refusal(tmp_path, override, train=TRAIN, tasks=tasks)
    assert "no task is scored on the select split, so no checkpoint is chosen" in told


@pytest.mark.parametrize(
    "override",
    [
        "base.model=s3://bucket/model",
        "data.source=s3://bucket/rows.jsonl",
        "data={files: {report: 'https://host/a.jsonl', select: a, eval: b}}",
        "tasks.answers.data={source: 'gs://bucket/x', format: hub}",
    ],
)
def test_addresses_are_no_paths(tmp_path: Path, override: str) -> None:
    """A path would take them for a folder's name."""
    told = refusal(tmp_path, override)
    assert "is an address, and a path is needed" in told
    assert told.startswith("--set ")


def test_paths_are_no_addresses() -> None:
    """Windows drives and colons are allowed in them."""
    for name in ("C:/models", "a/b:c/d", "tiny:llama", "runs", Path("x")):
        refuse_address(name)
    with pytest.raises(UsageError, match="address"):
        refuse_address(Path("s3://bucket/runs"))
