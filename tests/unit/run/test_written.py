"""What a training forgot is told by the loss on neutral texts; what it knows by heart, too."""

from pathlib import Path
from typing import Any

from harness.checks.drift import BY_HEART
from harness.console import Reporter
from harness.plan.plan import EvalCell
from harness.run.state import Options, start
from harness.run.written import look_at_outputs
from harness.schema import Example, Prediction, Score
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


def test_training_text_that_is_written_by_heart_is_told(tmp_path: Path) -> None:
    """Where the training rows are known, and the prompt and reference do not hold it."""
    adapter(tmp_path / "checkpoint-1")
    text = "the other end has closed the connection before the answer was read"
    data = {"files": {split: "rows.jsonl" for split in ("train", "select", "report")}}
    tasks = {"answers": {"type": "generation", "metrics": ["chrf"]}}
    file = suite_file(tmp_path, checkpoints="checkpoint-*", tasks=tasks, data=data)
    run = start(file, Store(tmp_path / "runs"), Options(), Reporter(-1))
    about: dict[str, Any] = {"prompt": "q", "references": ("no",), "cluster": "c"}
    scored = [Example(id=f"e{n}", completion="no", split="report", **about) for n in range(4)]
    taught = Example(id="t", completion=text, split="train", **about)
    for key in {item.key for item in run.plan.examples.values()}:
        with run.store.writing("examples", key, {}) as place:
            run.store.write_records(place, "examples", [*scored, taught])
    for cell in run.plan.cells:
        if isinstance(cell, EvalCell) and cell.predictions is not None:
            own = text if cell.variant == "checkpoint-1" else f"I do not know {cell.variant}"
            made = [
                Prediction(example_id=e.id, text=own, prompt_tokens=1, new_tokens=1,
                           finish_reason="eos")
                for e in scored
            ]  # fmt: skip
            with run.store.writing("predictions", cell.predictions.key, {}) as place:
                run.store.write_records(place, "predictions", made)
            run.results[(cell.variant, cell.task)] = cell.done()
    look_at_outputs(run)
    told = [finding.what for finding in run.findings if BY_HEART in finding.what]
    assert len(told) == 1
    assert told[0].startswith(f"checkpoint-1: 4 of 4 outputs of answers: {BY_HEART}, 0 of 4 with")
