"""What is noticed of the training that checkpoints come from, here or elsewhere."""

import math
from pathlib import Path

from harness.checks.base import findings_about
from harness.checks.training_curve import Curve, CurveFacts
from harness.models.beside import TrainerState, trainer_state
from harness.run.state import Run, named
from harness.schema import Finding, TrainingRun


def look_at_training(run: Run) -> None:
    """Tell what losses, rows and proofs of the training say, as far as they are written down."""
    if not run.plan.trainings:
        for folder, state in _states(run).items():
            losses, evals = (_finite(state.logged(name)) for name in ("loss", "eval_loss"))
            run.findings += findings_about(CurveFacts(losses, evals, of=folder.name))
        return
    for planned in run.plan.trainings:
        if planned.run is not None:
            found = _findings(planned.run)
            run.findings += named(planned.name, found) if planned.name else found


def _findings(training: TrainingRun) -> list[Finding]:
    curve = CurveFacts(
        [(entry.step, entry.loss) for entry in training.log if entry.loss is not None],
        [(entry.step, entry.eval_loss) for entry in training.log if entry.eval_loss is not None],
    )
    return [
        finding
        for facts in (training, curve, *training.proofs)
        for finding in findings_about(facts)
    ]


def _states(run: Run) -> dict[Path, TrainerState]:
    """The furthest state of each training elsewhere: checkpoints of one lie in one folder."""
    states: dict[Path, TrainerState] = {}
    for variant in run.plan.variants:
        folder = Path(variant.adapter) if variant.adapter and variant.kind != "merged" else None
        state = trainer_state(folder) if folder is not None else None
        if folder is not None and state is not None:
            known = states.get(folder.parent)
            if known is None or (state.global_step or 0) > (known.global_step or 0):
                states[folder.parent] = state
    return states


def _finite(curve: Curve) -> Curve:
    """What is no number is told by the proof of that checkpoint."""
    return [(step, loss) for step, loss in curve if math.isfinite(loss)]
