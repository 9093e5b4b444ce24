from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import StoreError
from harness.results.scores import read_results
from harness.schema import CellResult, Score
from harness.store.runs import Store
from harness.suite.spec import GenerationTask


def written(
    tmp_path: Path, scores: list[Score], arrays: dict[str, np.ndarray], kind: str = "generation"
) -> tuple[Store, list[CellResult]]:
    store = Store(tmp_path)
    with store.writing("scores", "k", {}) as folder:
        store.write_records(folder, "scores", scores)
        np.savez_compressed(folder / "stats.npz", **arrays)
    cell = CellResult(variant="base", task="t", kind=kind, status="done", scores_key="k")  # type: ignore[arg-type]
    return store, [cell]


def tasks(metrics: list[Any]) -> dict[str, GenerationTask]:
    return {"t": GenerationTask(type="generation", metrics=metrics)}


STATS = np.array([[0.5, 1.0], [1.0, 1.0]])
IDS = np.array(["a", "b"])


def test_a_score_comes_with_its_sample(tmp_path: Path) -> None:
    """Ids, clusters and statistics of the split are read beside the score."""
    score = Score(task="t", metric="rougeL", split="report", n=2, value=0.75, stats="s")
    arrays = {"s": STATS, "ids/report": IDS, "clusters/report": np.array(["x", "x"])}
    [found] = read_results(*written(tmp_path, [score], arrays), tasks(["rougeL"]))
    assert found.sample is not None
    assert found.sample.clusters.tolist() == ["x", "x"]
    assert found.quantity is not None
    assert found.quantity.aggregate(STATS.sum(axis=0)) == 0.75


def test_a_module_of_the_user_s_has_a_sample_where_it_left_statistics(tmp_path: Path) -> None:
    """With per_example its value is the mean over examples; it can decide like any other."""
    name = "evaluate:own.py"
    score = Score(task="t", metric=name, split="report", n=2, value=0.75, stats="s")
    arrays = {"s": STATS, "ids/report": IDS}
    metrics = [{"name": name, "options": {"per_example": True}}]
    [found] = read_results(*written(tmp_path, [score], arrays), tasks(metrics))
    assert found.quantity is not None
    assert found.quantity.aggregate(STATS.sum(axis=0)) == 0.75


def test_subjects_of_a_group_have_ids_of_their_own(tmp_path: Path) -> None:
    """``ids/<task>/<split>`` comes before ``ids/<split>``."""
    score = Score(task="t/anatomy", metric="acc", split="all", n=2, value=0.75, stats="s")
    arrays = {"s": STATS, "ids/all": np.array(["no"]), "ids/t/anatomy/all": IDS}
    [found] = read_results(*written(tmp_path, [score], arrays, "lm_eval"), {})
    assert found.sample is not None
    assert found.sample.ids.tolist() == ["a", "b"]
    assert found.sample.clusters.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("stats", "arrays", "reason"),
    [
        (None, {}, "the metric gives no per-example statistics"),
        ("s", {"s": STATS}, "the example ids were not kept, so nothing can be paired"),
        ("s", {"s": STATS, "ids/report": IDS[:1]}, "the example ids were not kept"),
        ("s", {"s": STATS, "ids/report": IDS}, "names no metric 'accuracy'"),
    ],
)
def test_what_cannot_be_analysed_says_why(
    tmp_path: Path, stats: str | None, arrays: dict[str, np.ndarray], reason: str
) -> None:
    """A score without usable statistics keeps its value and a reason."""
    score = Score(task="t", metric="accuracy", split="report", n=2, value=0.75, stats=stats)
    [found] = read_results(*written(tmp_path, [score], arrays), tasks(["f1"]))
    assert found.sample is None
    assert found.score.value == 0.75
    assert reason in str(found.reason)


def test_labels_are_counted_from_the_statistics(tmp_path: Path) -> None:
    """Macro F1 over labels from the references is aggregated without knowing their names."""
    # Two labels, (hits, predictions, references) each, and unknown predictions last: one right
    # "a", one "b" taken for "a". F1 of a = 2/3, of b = 0; macro = 1/3 (by hand).
    stats = np.array([[1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 1, 0]], dtype=float)
    score = Score(task="t", metric="macro_f1", split="report", n=2, value=1 / 3, stats="s")
    arrays = {"s": stats, "ids/report": IDS}
    [found] = read_results(*written(tmp_path, [score], arrays), tasks(["macro_f1"]))
    assert found.quantity is not None
    assert found.quantity.aggregate(stats.sum(axis=0)) == pytest.approx(1 / 3)


def test_missing_statistics_are_an_error(tmp_path: Path) -> None:
    """A score that names an array which is not there means a damaged store."""
    score = Score(task="t", metric="f1", split="report", n=2, value=0.5, stats="gone")
    with pytest.raises(StoreError, match=r"'gone' are missing"):
        read_results(*written(tmp_path, [score], {"s": STATS}), {})
