"""Findings of the built-in checks, and what becomes of checks that break."""

from __future__ import annotations

from typing import Any

import pytest

from harness.checks.adapter_effect import AdapterFacts
from harness.checks.base import findings_about
from harness.checks.lm_eval_run import LmEvalFacts
from harness.checks.measurement import MeasurementFacts
from harness.checks.truncation import TruncationFacts
from harness.doors import CHECKS
from harness.suite.record import recorded_suite


def test_a_measurement_in_doubt_names_variants_reasons_and_what_to_do() -> None:
    """It is a warning, in whole sentences."""
    (finding,) = findings_about(MeasurementFacts(["base@nf4", "merged-8"], ["one", "two"]))
    assert finding.severity == "warning"
    assert finding.what == "The times and speeds of base@nf4, merged-8 are in doubt: one; two."
    assert "--measure-again" in finding.hint


@pytest.mark.parametrize(
    "facts",
    [
        MeasurementFacts(["base@nf4"], []),
        TruncationFacts("answers", 0, 9),
        AdapterFacts("checkpoint-2", 0.25),
        LmEvalFacts("arc", scored=2, missing={}, truncated=0, warnings=()),
    ],
)
def test_where_all_is_well_nothing_is_said(facts: Any) -> None:
    """A finding is something to look at."""
    assert findings_about(facts) == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"save_total_limit": 1}, True),
        ({"save_total_limit": 3}, True),
        ({"save_total_limit": 1, "load_best_model_at_end": True}, False),
        ({"save_total_limit": 1, "metric_for_best_model": "eval_loss"}, False),
        ({"save_total_limit": None}, False),
        ({}, False),
    ],
)
def test_checkpoints_that_are_deleted_before_the_choice_are_told(
    args: dict[str, Any], told: bool
) -> None:
    """Unless the best is kept."""
    suite = recorded_suite({"train": {"args": args}})
    found = [f for f in findings_about(suite) if f.check == "checkpoints"]
    assert bool(found) == told
    assert all("load_best_model_at_end: true" in finding.hint for finding in found)


def test_every_built_in_check_is_loaded() -> None:
    """None of the table's rows leads nowhere."""
    checks, faults = CHECKS.all()
    assert list(checks) == list(CHECKS.built_in)
    assert faults == []
