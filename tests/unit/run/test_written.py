"""Neutral texts: what a training forgot is told by their loss."""

from pathlib import Path
from typing import Any

from harness.console import Reporter
from harness.plan.plan import EvalCell
from harness.run.state import Options, start
from harness.run.written import look_at_outputs
from harness.schema import Score
from harness.store.runs import Store
from tests.unit.suites import adapter, suite_file

LOSSES = {"base@nf4": 2.0, "checkpoint-1": 2.04, "checkpoint-2": 2.3}


def forgotten(folder: Path, task: dict[str, Any]) -> list[str]:
    folder.mkdir(exist_ok=True)
    for name in ("checkpoint-1", "checkpoint-2"):
        if not (folder / name).exists():
            adapter(folder / name, name.encode())
    file = suite_file(folder, checkpoints="checkpoint-*", tasks={"neutral": task})
    run = start(file, Store(folder / "runs"), Options(), Reporter(-1))
    for cell in run.plan.cells:
        if isinstance(cell, EvalCell) and cell.variant in LOSSES:
            loss = Score(task="neutral", metric="eval_loss", split="eval", n=4,
                         value=LOSSES[cell.variant])  # fmt: skip
            with run.store.writing("scores", cell.scores.key, {}) as place:
                run.store.write_records(place, "scores", [loss])
            run.results[(cell.variant, cell.task)] = cell.done()
    look_at_outputs(run)
    return [finding.what for finding in run.findings if finding.check == "forgetting"]


def test_a_loss_that_rises_on_neutral_texts_is_told(tmp_path: Path) -> None:
    """By more than a twentieth of a nat; of texts of the training it would be overfitting."""
    own = {"source": "rows.jsonl", "splits": {"eval": 1.0}}
    (told,) = forgotten(tmp_path, {"type": "perplexity", "data": own})
    expected = "checkpoint-2: the loss on neutral is 2.300, 0.300 nats per token above that of"
    assert told.startswith(expected)
    assert forgotten(tmp_path / "other", {"type": "perplexity"}) == []
