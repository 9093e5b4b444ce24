"""What a run holds, gathered for its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.report.parts.contents import RunContents
from harness.schema import Proof, TrainingRun

APART = Proof(probe="packed rows are apart", outcome="fallback", words="They were padded.")


def test_what_was_proved_of_a_training_is_of_all_that_came_of_it(make_run: Callable[..., Any]):
    """Of checkpoints and what is merged of them, and not of the base."""
    run = make_run(n=4)
    manifest = run.build()
    path = run.store.path("training", manifest.training_key) / "training.json"
    training = TrainingRun.model_validate_json(path.read_text("utf-8"))
    training = training.model_copy(update={"proofs": (APART,)})
    path.write_text(training.model_dump_json(), "utf-8")
    proofs = RunContents(run.store, manifest).proofs
    assert {item.proof for item in proofs} == {APART}
    assert [item.variant for item in proofs] == [
        variant.id for variant in manifest.variants if variant.kind != "base"
    ]
