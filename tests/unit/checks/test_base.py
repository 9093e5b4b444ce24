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


def test_every_built_in_check_is_loaded() -> None:
    """None of the table's rows leads nowhere."""
    checks, faults = CHECKS.all()
    assert list(checks) == list(CHECKS.built_in)
    assert faults == []
