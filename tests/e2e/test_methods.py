"""The whole pipeline, in this process, on the methods that the main end-to-end test leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.console import Reporter
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
