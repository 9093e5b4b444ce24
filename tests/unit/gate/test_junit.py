"""JUnit of a gate, read by junitparser, which shares no code with the writer."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from harness.gate.junit import render_junit
from harness.printable import visible
from harness.schema import GateResult
from tests.unit.gate.gate_records import (
    HOSTILE,
    check,
    hostile,
    identical,
    incompatible,
    listed,
    missing,
    mixed,
    not_compared,
    passing,
    regression,
    result,
)

TestCase.__test__ = TestSuite.__test__ = False  # names that pytest would collect


def suite(found: GateResult) -> TestSuite:
    (only,) = JUnitXml.fromroot(ET.fromstring(render_junit(found).encode()))  # noqa: S314
    return only


def outcomes(found: GateResult) -> dict[str, type | None]:
    """Test case -> Failure, Error, Skipped or None."""
    cases = list(suite(found))
    return {c.name: type(c.result[0]) if c.result else None for c in cases}


def test_each_verdict_has_its_outcome() -> None:
    """Regressions and open checks fail, what is missing is an error, other hardware is skipped."""
    assert outcomes(mixed()) == {
        "chrf (report)": Failure,
        "rougeL (report) floor": Failure,
        "acc (report)": Error,
        "decode_tokens_per_s (64 + 16)": Failure,
        "rougeL (report)": None,  # both the open and the identical one; the latter comes last
        "rouge1 (report)": None,
        "peak_rss_bytes (64 + 16)": Skipped,
    }


def test_cases_are_named_after_suite_subject_and_task() -> None:
    """So that CI systems group them."""
    (case,) = suite(result(regression()))
    assert (case.classname, case.name) == ("tiny.chosen.summaries", "chrf (report)")
    assert "gain \u22126.9 [\u22129.1, \u22124.2], margin 2, n = 96, MDE 3.1" in case.result[0].text


def test_the_counts_are_right() -> None:
    """Those of the suite and of the whole document are what its cases come to."""
    document = JUnitXml.fromroot(ET.fromstring(render_junit(mixed()).encode()))  # noqa: S314
    (only,) = document
    stated = (only.tests, only.failures, only.errors, only.skipped)
    assert stated == (8, 4, 1, 1)
    assert (document.tests, document.failures, document.errors, document.skipped) == stated
    document.update_statistics()
    assert (document.tests, document.failures, document.errors, document.skipped) == stated


def test_an_open_check_passes_where_it_only_warns() -> None:
    """on_inconclusive: warn; the output says so."""
    fields = {"verdict": "inconclusive", "headline": "Inconclusive."}
    warned = result(check(), exit_code=0, on_inconclusive="warn", **fields)
    (case,) = suite(warned)
    assert not case.result
    assert "only a warning" in case.system_out
    assert outcomes(result(check(), exit_code=3, **fields)) == {"rougeL (report)": Failure}


def test_an_incompatible_baseline_without_checks_is_one_error() -> None:
    """It names the field that differs."""
    (case,) = suite(incompatible())
    assert isinstance(case.result[0], Error)
    assert "tasks.summaries.prompt" in case.result[0].text


def test_problems_are_an_error_of_their_own() -> None:
    """They may concern what has no check."""
    found = result(passing(), verdict="invalid", exit_code=5, problems=("rougeL has NaN",))
    assert outcomes(found) == {"rougeL (report)": None, "data is complete": Error}


def test_what_does_not_decide_never_fails() -> None:
    """A measurement that is only listed."""
    checks = (not_compared(verdict="inconclusive"), listed())
    found = result(*checks, exit_code=0, verdict="pass")
    assert outcomes(found) == {"peak_rss_bytes (64 + 16)": Skipped, "e2e_s (64 + 16)": Skipped}


@pytest.mark.parametrize(("verdict", "code"), [("regression", 1), ("invalid", 5)])
def test_a_gate_that_fails_is_never_green(verdict: str, code: int) -> None:
    """Also where no check says why."""
    found = suite(result(identical(), verdict=verdict, exit_code=code, problems=()))
    assert found.failures + found.errors == 1


def test_a_gate_that_passes_is_green() -> None:
    """No failure, no error."""
    found = suite(result(passing(), identical(), not_compared(), verdict="pass", exit_code=0))
    assert (found.tests, found.failures, found.errors, found.skipped) == (3, 0, 0, 1)


def test_hostile_texts_stay_texts() -> None:
    """They come back as they were, with only what XML forbids, or nobody can see, as escapes."""
    found = suite(hostile())
    cases = list(found)
    assert len(cases) == len(HOSTILE) + 1  # and the problems
    names = {case.name for case in cases[:-1]}
    assert names == {f"{visible(text)} ({visible(text)})" for text in HOSTILE}
    assert found.failures == len(HOSTILE)
    assert cases[-1].result[0].text == "\n".join(visible(text) for text in HOSTILE)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_makes_a_readable_document(text: str) -> None:
    """Every code point, in attributes and in content."""
    (case,) = suite(result(missing(task=text, metric="m", reason=f"<{text}>")))
    assert case.classname == f"tiny.chosen.{visible(text)}"
    assert visible(text.rstrip(".")) in case.result[0].text or text.endswith(".")
