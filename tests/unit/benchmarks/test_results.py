"""The benchmarks' verdicts, and how kept results become the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks import results
from tests.benchmarks.results import GOALS_HEADER, Goal, Record, Result, kept, table, write_group


def record(row: str, command: str = "nox -s bench", minutes: float = 2) -> Record:
    result = Result.of_goals([Goal(row, target=2.0, measured=3.0)], [f"About {row}."])
    return Record(row, result, "cpu", "a machine", "2025-01-02", command, minutes * 60)


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal("", 4.0, 4.0), "PASS"),
        (Goal("", 4.0, 3.0), "short by 25%"),
        (Goal("", 1 / 20, 1 / 40, at_most=True), "PASS"),
        (Goal("", 1 / 20, 1 / 10, at_most=True), "short by 100%"),
        (Goal("", 4.0, 5.0, agree=False), "**outputs differ**"),
    ],
)
def test_a_verdict_says_by_how_much_a_target_is_missed(goal: Goal, verdict: str) -> None:
    """Shares of the target, in its own direction; fast but wrong is no pass."""
    assert goal.verdict == verdict
    assert goal.reached == (verdict == "PASS")


def test_a_fraction_is_shown_as_one() -> None:
    """Targets and figures below one read as one over something."""
    goal = Goal("memory", 1 / 20, 1 / 610, at_most=True, fraction=True, ours="3 MB")
    assert goal.line() == "| memory | ≤ 1/20 | **1/610** | PASS | 3 MB |  |  |"


def test_results_of_separate_calls_share_a_table() -> None:
    """Lines in the order given, notes once, and each call's rows with its own command."""
    lines = table(GOALS_HEADER, [record("a"), record("b", "nox -s bench -- b"), record("c")])
    assert [line[:3] for line in lines[2:5]] == ["| a", "| b", "| c"]
    assert lines[6:9] == ["- About a.", "- About b.", "- About c."]
    assert lines[-3:] == [
        "a, c: a machine; 2025-01-02; command: `nox -s bench`, 4 min.",
        "",
        "b: a machine; 2025-01-02; command: `nox -s bench -- b`, 2 min.",
    ]


def test_records_are_kept_by_row_and_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later one takes the place of an earlier one, and reads back as it was."""
    monkeypatch.setattr(results, "KEPT", tmp_path)
    record("a").keep()
    record("a", minutes=3).keep()
    ((key, found),) = kept().items()
    assert key == ("a", "cpu")
    assert found.seconds == 180
    assert table((), [found]) == table((), [record("a", minutes=3)])


def test_a_group_is_written_between_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the page stays."""
    page = tmp_path / "page.md"
    monkeypatch.setattr(results, "PAGE", page)
    page.write_text("before\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nafter\n")
    write_group("a", ["new"])
    write_group("a", ["newer", "still"])
    expected = "before\n<!-- bench:a -->\nnewer\nstill\n<!-- /bench:a -->\nafter\n"
    assert page.read_text() == expected
