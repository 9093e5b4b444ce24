"""Losses of trainings elsewhere are read from the state that their trainer left."""

import json
from pathlib import Path

from harness.console import Reporter
from harness.run.state import Options, start
from harness.run.trained import look_at_training
from harness.store.runs import Store
from tests.unit.suites import adapter, suite_file


def test_the_furthest_state_of_each_training_is_read(tmp_path: Path) -> None:
    """Of checkpoints of one training, the last tells of all; another training has its own."""
    evals = {10: 2.0, 20: 1.5, 30: 1.7, 40: 1.9}
    for step in (20, 40):
        folder = adapter(tmp_path / "first" / f"checkpoint-{step}", str(step).encode())
        log = [{"step": at, "eval_loss": loss} for at, loss in evals.items() if at <= step]
        state = {"global_step": step, "log_history": [*log, {"step": step, "loss": float("nan")}]}
        (folder / "trainer_state.json").write_text(json.dumps(state), "utf-8")
    adapter(tmp_path / "second" / "checkpoint-7", b"7")
    file = suite_file(tmp_path, checkpoints="*/checkpoint-*")
    run = start(file, Store(tmp_path / "runs"), Options(), Reporter(-1))
    look_at_training(run)
    (finding,) = run.findings
    assert finding.what.startswith("first: The eval loss is lowest at step 20 (1.5), and 1.9")
