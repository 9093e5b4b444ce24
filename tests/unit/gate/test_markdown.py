"""Markdown of a gate: within the limits of CI systems, worst first, and inert."""

from __future__ import annotations

import re

import pytest

from harness.gate.markdown import (
    COMMENT_BYTES,
    SUMMARY_BYTES,
    inert,
    render_gate_comment,
    render_gate_summary,
)
from harness.schema import GateResult
from tests.unit.gate.gate_records import (
    floor,
    hostile,
    incompatible,
    missing,
    mixed,
    passing,
    regression,
    result,
)


def rows(text: str) -> list[str]:
    """Verdicts of the table, in order."""
    return re.findall(r"^\| \**([^|*]+?)\** \|", text, re.MULTILINE)[2:]


def test_the_worst_comes_first() -> None:
    """Regression, missing, inconclusive (the largest loss first), passes; what decides first."""
    assert rows(render_gate_summary(mixed())) == [
        "\u2717 regression",
        "\u2717 regression",
        "\u2717 missing",
        "? inconclusive",
        "? inconclusive",
        "\u2713 pass",
        "= identical",
        "\u2013 not compared",
    ]


def test_every_check_has_its_evidence() -> None:
    """n, both values, the gain with its bounds, margin and detectable effect, in points of 100."""
    text = render_gate_summary(result(regression()))
    cells = text.split("**\u2717 regression**")[1].splitlines()[0].split(" | ")
    assert cells[2:8] == [
        "96",
        "31.2",
        "24.3",
        "\u22126.9 \\[\u22129.1, \u22124.2\\]",
        "2",
        "3.1",
    ]


def test_a_floor_shows_its_bound() -> None:
    """In the margin's place; it has no gain."""
    assert "| 40.5 | \u2014 | \u2265 45 | \u2014 | 40.5 is below the floor of 45 |" in (
        render_gate_summary(result(floor()))
    )
    assert "| \u2264 45 |" in render_gate_summary(result(floor(higher_is_better=False)))


def test_the_needed_n_stands_beside_what_is_open() -> None:
    """Examples for scores, repeats for measurements."""
    text = render_gate_summary(mixed())
    assert "about 1,240 examples would decide" in text
    assert "about 12 repeats would decide" in text


def test_the_comment_begins_with_a_hidden_marker() -> None:
    """One per suite; the summary needs none."""
    assert render_gate_comment(mixed()).splitlines()[0] == "<!-- harness-gate:tiny -->"
    assert "harness-gate" not in render_gate_summary(mixed())
    other = render_gate_comment(mixed(run="a--><b>/r-1")).splitlines()[0]
    assert other == "<!-- harness-gate:a-b- -->"


def test_an_incompatible_baseline_names_the_field() -> None:
    """There is no table then."""
    text = render_gate_comment(incompatible())
    assert "tasks.summaries.prompt: aa11 in the baseline, bb22 in the run" in text
    assert rows(text) == []


@pytest.fixture(scope="module")
def large() -> GateResult:
    """Checks of far more than a summary can hold, regressions last."""
    passes = [passing(task=f"mmlu/{index} \u6f22" + "x" * 60) for index in range(9_000)]
    bad = [regression(task=f"bad/{index}") for index in range(40)]
    return result(*passes, *bad, missing())


@pytest.mark.parametrize(
    ("render", "limit"),
    [(render_gate_summary, SUMMARY_BYTES), (render_gate_comment, COMMENT_BYTES)],
)
def test_a_long_result_is_cut_to_the_limit(render, limit: int, large: GateResult) -> None:
    """Passes go first; what is left out is counted by verdict, and the rest fills the room."""
    text = render(large)
    assert 0.9 * limit < len(text.encode()) <= limit
    shown = rows(text)
    assert shown.count("\u2717 regression") == 40
    assert shown.count("\u2717 missing") == 1
    left = 9_000 - shown.count("\u2713 pass")
    assert f"Left out here for length: {left:,} checks ({left:,} pass)" in text
    assert "Alpha = 5 %" in text


def test_regressions_that_do_not_fit_are_named() -> None:
    """Then nothing better is shown in their place."""
    text = render_gate_comment(result(passing(), *[regression(task="t" * 70)] * 900))
    shown = rows(text)
    assert set(shown) == {"\u2717 regression"}
    assert f"({900 - len(shown)} regression, 1 pass)" in text


@pytest.mark.parametrize(
    ("render", "limit"),
    [(render_gate_summary, SUMMARY_BYTES), (render_gate_comment, COMMENT_BYTES)],
)
def test_hostile_texts_neither_format_nor_notify(render, limit: int) -> None:
    """No tag, no mention, no reference, no link, no second marker, no line of their own."""
    text = render(hostile())
    assert len(text.encode()) <= limit
    body = text.split("\n", 1)[1]
    assert set(re.findall(r"(?<!\\)<[^>]*>", body)) <= {"<br>", "<sub>", "</sub>", "<!-- -->"}
    assert not re.search(r"@\w|(?<!\\)#\d|://|www\.|[\x00-\x08\x1b\u202e\u2028\u200b]", body)
    assert not re.search(r"^# |^- item", body, re.MULTILINE)
    assert "(199,699 more characters)" in text
    for line in body.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 10


def test_long_lists_name_what_they_leave_out() -> None:
    """Of changes, problems and differences."""
    text = render_gate_comment(result(changes=tuple("c" * 200 for _ in range(500))))
    (left,) = re.findall(r"and (\d+) lines more, left out here", text)
    assert text.count("- " + "c" * 200) + int(left) == 500


@pytest.mark.parametrize("text", ["@octocat", "#12", "https://a.b", "www.a.b", "a@b.c"])
def test_autolinks_are_broken_by_an_empty_comment(text: str) -> None:
    """A backslash alone does not keep GitHub from finding them in the rendered text."""
    assert inert(text).replace("<!-- -->", "") == text
    assert "<!-- -->" in inert(text)
