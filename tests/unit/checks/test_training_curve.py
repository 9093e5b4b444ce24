"""What a training's losses and rows tell; a training that went well is not told of."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from harness.checks.base import findings_about
from harness.checks.training_curve import CurveFacts
from harness.schema import LogEntry, TrainingRun
from tests.unit.conftest import ENVIRONMENT


def training(losses: Sequence[float], evals: Sequence[float] = (), **changes: Any) -> TrainingRun:
    log = [LogEntry(step=step, loss=loss) for step, loss in enumerate(losses, 1)]
    log += [LogEntry(step=10 * n, eval_loss=loss) for n, loss in enumerate(evals, 1)]
    parts: dict[str, Any] = {
        "method": "qlora", "base_model": "m", "log": tuple(log), "checkpoints": (),
        "trainable_parameters": 1, "total_parameters": 2, "rows_used": 400, "seconds": 1.0,
        "steps": len(losses), "environment": ENVIRONMENT,
    }  # fmt: skip
    return TrainingRun(**(parts | changes))


def told(run: TrainingRun) -> list[str]:
    curve = CurveFacts(
        [(entry.step, entry.loss) for entry in run.log if entry.loss is not None],
        [(entry.step, entry.eval_loss) for entry in run.log if entry.eval_loss is not None],
    )
    findings = [*findings_about(run), *findings_about(curve)]
    return [f"{finding.severity}: {finding.what}" for finding in findings]


FALLING = [3 * 0.97**n + 1 + 0.1 * (-1) ** n for n in range(60)]


@pytest.mark.parametrize("evals", [(), (2.0, 1.5, 1.4), (2.0, 1.4, 1.41), (2.0, 1.4, 1.5)])
def test_a_training_that_learns_is_not_told_of(evals: Sequence[float]) -> None:
    """With noise, and with an eval loss that ends a little, or once, above its lowest."""
    assert told(training(FALLING, evals)) == []


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_divergence(seed: int) -> None:
    """Losses of single rows differ by more than a nat, and a tenth of them is few."""
    rng = random.Random(seed)
    assert told(training([2.5 * 0.99**n + 0.5 + rng.gauss(0, 0.5) for n in range(50)])) == []


def test_a_loss_that_rises_is_a_divergence() -> None:
    """From the start, or after it had fallen."""
    (rises,) = told(training([1 + n / 20 for n in range(60)]))
    assert "training loss rose from 1.12" in rises
    (late,) = told(training([*FALLING, *(5.0 for _ in range(20))]))
    assert "about step 56 to 5 at the end" in late


def test_a_loss_that_stays_is_no_learning() -> None:
    """Unless the eval loss falls, or there is nothing left to learn; fifteen losses are needed."""
    flat = [2 + 0.01 * (-1) ** n for n in range(40)]
    (stays,) = told(training(flat, (2.0, 2.0)))
    assert "stays where it began" in stays
    assert told(training(flat, (2.0, 1.5))) == []
    assert told(training([0.02] * 40)) == []
    assert told(training(flat[:14])) == []


def test_overfitting_is_told_with_the_step() -> None:
    """Where two later evaluations, the last among them, are above the lowest."""
    (overfits,) = told(training(FALLING, (2.0, 1.4, 1.5, 1.7)))
    assert "lowest at step 20 (1.4), and 1.7 at the end (step 40)" in overfits


def test_an_eval_loss_of_nearly_nothing_is_no_feat() -> None:
    """As in a tutorial whose test rows look like its training rows: 0.011."""
    (known,) = told(training(FALLING, (1.0, 0.2, 0.011)))
    assert "falls to 0.011" in known


def test_rows_that_are_missing_are_told() -> None:
    """As in a tutorial whose length filter left 9 of 47 rows, unreported."""
    run = training(FALLING, rows_used=9, rows_dropped={"too long": 38}, rows_truncated=1)
    first, second, third = told(run)
    assert first == "warning: 38 of 47 training rows were left out (38: too long)."
    assert "1 of 9 training rows were cut" in second
    assert third == "info: Only 9 rows were trained on."
    assert told(training(FALLING, rows_dropped={"too long": 40}, rows_truncated=20)) == []


def test_answers_that_are_cut_are_told_and_limit_the_verdict_where_they_are_many() -> None:
    """Errors stand on the first screen of the report and in the card's limits."""
    cut = {"rows_used": 400, "rows_truncated": 30}
    (many,) = told(training(FALLING, **cut, answers_truncated=30))
    assert many == "error: 30 of 400 training rows lost a part of their answer at max_length."
    few, _ = told(training(FALLING, **cut, answers_truncated=2))
    assert few.startswith("warning: 2 of 400 training rows lost")
