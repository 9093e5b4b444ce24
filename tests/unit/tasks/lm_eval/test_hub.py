"""Which data set on the Hub an lm-eval task reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.schema import HubData
from harness.tasks.lm_eval.hub import hub_data

COMMIT = "218ec52e09a7e7462a5400043bb9a69a41d06b76"


def leaf(dataset: Any = None, **config: Any) -> SimpleNamespace:
    """A loaded task with the parts of lm-eval's that are read."""
    fields = {
        "dataset_path": "Rowan/hellaswag",
        "dataset_name": None,
        "dataset_kwargs": None,
        "custom_dataset": None,
        "test_split": None,
        "validation_split": "validation",
    }
    return SimpleNamespace(config=SimpleNamespace(**(fields | config)), dataset=dataset)


def cached(*folders: str) -> dict[str, Any]:
    """A loaded data set whose files lie in these folders of the cache of ``datasets``."""
    files = [{"filename": f"/cache/Rowan___hellaswag/default/0.0.0/{f}/a.arrow"} for f in folders]
    return {"validation": SimpleNamespace(cache_files=files)}


def test_the_commit_is_told_by_the_folder_that_datasets_keeps_it_in() -> None:
    """As in ``~/.cache/huggingface/datasets/Rowan___hellaswag/default/0.0.0/<commit>``."""
    assert hub_data("hellaswag", leaf(cached(COMMIT))) == HubData(
        task="hellaswag", dataset="Rowan/hellaswag", split="validation", revision=COMMIT
    )


def test_a_pinned_revision_is_the_revision() -> None:
    """Whatever the cache says."""
    found = hub_data("t", leaf(cached(COMMIT), dataset_kwargs={"revision": "v1"}))
    assert found is not None
    assert found.revision == "v1"


@pytest.mark.parametrize("dataset", [None, cached(), cached("0123abcd"), cached(COMMIT, "f" * 40)])
def test_an_unknown_commit_is_left_open(dataset: Any) -> None:
    """No files, a local digest in the place of the commit, or two of them."""
    found = hub_data("t", leaf(dataset))
    assert found is not None
    assert found.revision is None


def test_the_test_split_is_scored_before_the_validation_split() -> None:
    """As lm-eval does it; and the configuration is kept."""
    found = hub_data("t", leaf(test_split="test", dataset_name="ARC-Easy"))
    assert found is not None
    assert (found.split, found.config) == ("test", "ARC-Easy")


@pytest.mark.parametrize("path", ["json", "parquet", None, "wikitext", "../data/mine"])
def test_data_from_elsewhere_are_not_on_the_hub(path: str | None) -> None:
    """Local loaders, a path, or a name without owner (which may be a folder)."""
    assert hub_data("t", leaf(dataset_path=path)) is None


def test_a_folder_that_reads_like_an_id_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``datasets`` takes it for one, too."""
    (tmp_path / "Rowan" / "hellaswag").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_data("t", leaf()) is None


def test_rows_made_by_a_function_are_its_own() -> None:
    """``custom_dataset`` may put anything in the place of the data set."""
    assert hub_data("t", leaf(custom_dataset=dict)) is None


def test_a_task_in_python_without_configuration_is_unknown() -> None:
    """Nothing is guessed."""
    assert hub_data("t", SimpleNamespace()) is None
