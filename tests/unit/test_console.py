"""Progress on stderr: plain lines where there is no terminal."""

from __future__ import annotations

import pytest

from harness import console as progress
from harness.console import Reporter, in_words


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""  # results alone go to stdout
    return captured.err


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, {"warned"}), (0, {"warned", "said"}), (1, {"warned", "said", "detailed"})],
)
def test_verbosity_decides_what_is_shown(
    capsys: pytest.CaptureFixture[str], verbosity: int, shown: set[str]
) -> None:
    """Quiet still warns; verbose says more."""
    reporter = Reporter(verbosity)
    reporter.say("said")
    reporter.detail("detailed")
    reporter.warn("warned")
    text = said(capsys)
    assert {word for word in ("said", "detailed", "warned") if word in text} == shown


def test_what_looks_like_markup_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Names such as evaluate[all] are no styles, and long lines are not broken."""
    text = "[red]x[/red] " + "word " * 60
    Reporter().say(text)
    assert text.strip() in said(capsys)


def test_plain_lines_come_at_intervals_with_count_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten of forty after 20 s leave 60 s at the same pace."""
    clock = iter([0.0, 1.0, 20.0, 21.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Reporter().task("cell", total=40) as advance:
        advance(1)
        advance(10, 40, "250 tok/s")
        advance(11, 40)
    assert said(capsys) == "  cell: 10 of 40 after 20 s, about 60 s left, 250 tok/s\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (1000, "17 min"),
        (3599, "1 h 0 min"),
        (4289, "1 h 11 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_times_are_told_in_the_unit_that_one_would_use(seconds: float, words: str) -> None:
    """Nobody counts four thousand seconds."""
    assert in_words(seconds) == words


def test_quiet_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """The work calls advance all the same."""
    with Reporter(-1).task("cell", total=2) as advance:
        advance(1, 2, "note")
    assert said(capsys) == ""
