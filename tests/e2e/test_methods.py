"""The whole pipeline, in this process, on the methods that the main end-to-end test leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
from harness.plan.plan import make_plan
from harness.report.build import build_view
from harness.report.charts.metrics import training_charts
from harness.report.sections.methods import SECTION
from harness.run.pipeline import Options, run_suite
from harness.schema import Score, TrainingRun
from harness.store.runs import Store
from harness.validate.suite import read_suite
from tests.e2e.conftest import SUITE, write_suite

PRECISION = {"base": ["fp32"], "adapters": "fp32"}
MEASURE = {"prompt_tokens": [8], "new_tokens": [4], "repeats": 2}


def held_out(store: Store, cells: Any) -> dict[str, float]:
    """Held-out loss on the report split, by variant."""
    return {
        cell.variant: score.value
        for cell in cells
        if cell.task == "held_out"
        for score in store.read_records("scores", cell.scores_key, "scores", Score)
        if (score.metric, score.split) == ("eval_loss", "report") and score.value is not None
    }


@pytest.mark.parametrize(
    ("method", "kind", "merged"),
    [("lora", "adapter", 1), ("full", "full", 0)],
)
@pytest.mark.slow
def test_every_cell_of_a_method_is_done(
    tmp_path: Path, method: str, kind: str, merged: int
) -> None:
    """Adapters of a plain base, and whole models, are scored, measured and chosen from."""
    train = {**SUITE["train"], "method": method}
    train["args"] = {**train["args"], "learning_rate": 5e-3 if method == "lora" else 1e-3}
    tasks = {name: SUITE["tasks"][name] for name in ("summaries", "held_out")}
    path = write_suite(tmp_path, train=train, matrix=PRECISION, tasks=tasks, measure=MEASURE)
    file, store = read_suite(str(path)), Store(tmp_path / "runs")
    manifest = run_suite(file, store, Options(), Reporter(-1))
    assert [(c.variant, c.task, c.reason) for c in manifest.cells if c.status != "done"] == []
    assert manifest.complete
    kinds = [variant.kind for variant in manifest.variants]
    assert kinds == ["base", *[kind] * 3, *["merged"] * merged]
    assert {(c.variant, c.task) for c in manifest.cells} == {
        (variant.id, task) for variant in manifest.variants for task in [*tasks, "measure"]
    }
    losses = held_out(store, manifest.cells)
    assert losses["checkpoint-6"] < losses["base@fp32"]
    assert manifest.selection is not None
    assert str(manifest.selection.chosen).startswith("checkpoint-")
    assert manifest.training_key is not None
    run = store.read_record("training", manifest.training_key, "training", TrainingRun)
    assert run.method == method
    again = run_suite(file, store, Options(), Reporter(-1))
    assert again.complete
    assert not any(cell.computed for cell in again.cells)


SEVERAL = {
    "full": {"method": "full", "args": {"learning_rate": 1e-3}},
    "lora": {"method": "lora", "lora": {"r": 4}},
    "qlora": {},
    "prompt": {
        "method": "lora",
        "peft_type": "prompt-tuning",
        "peft": {"num_virtual_tokens": 4},
        "args": {"learning_rate": 5e-2},
    },
}


@pytest.mark.slow
def test_several_methods_stand_in_one_matrix(tmp_path: Path) -> None:
    """Each as it was trained, compared by what it took and what came of it."""
    train = {**SUITE["train"], "args": {**SUITE["train"]["args"], "max_steps": 2, "save_steps": 2}}
    data = {**SUITE["data"], "limits": {"train": 8, "eval": 2, "select": 4, "report": 4}}
    tasks = {"held_out": SUITE["tasks"]["held_out"]}
    path = write_suite(tmp_path, train={**train, "methods": SEVERAL}, tasks=tasks, data=data)
    file, store = read_suite(str(path)), Store(tmp_path / "runs")
    only = run_suite(file, store, Options(only=("lora-*/*",)), Reporter(-1))
    assert list(only.training_keys) == ["lora"]
    manifest = run_suite(file, store, Options(), Reporter(-1))
    assert [(c.variant, c.task, c.reason) for c in manifest.cells if c.status != "done"] == []
    assert manifest.complete
    assert [(v.id, v.kind, v.precision) for v in manifest.variants if v.kind != "merged"] == [
        ("base@auto", "base", "fp32"),
        ("base@nf4", "base", "nf4"),
        ("full-checkpoint-2", "full", "fp32"),
        ("lora-checkpoint-2", "adapter", "fp32"),
        ("qlora-checkpoint-2", "adapter", "nf4"),
        ("prompt-checkpoint-2", "adapter", "fp32"),
    ]
    alone = write_suite(
        tmp_path, data=data, train={**train, "method": "lora", "lora": {**train["lora"], "r": 4}}
    )
    assert make_plan(read_suite(str(alone)), store).trainings[0].run is not None
    view = build_view(store, manifest)
    assert list(view.trainings) == list(SEVERAL)
    table = SECTION.tables(view)["methods"]
    assert [row[11].raw for row in table.rows] == [f"{name}-checkpoint-2" for name in SEVERAL]
    assert "prompt tuning" in SECTION.markdown(view)
    assert [chart.title for chart in training_charts(view)] == ["Training loss", "Eval loss"]
    again = run_suite(file, store, Options(), Reporter(-1))
    assert again.complete
    assert not any(cell.computed for cell in again.cells)
