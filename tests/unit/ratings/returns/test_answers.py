"""What single entries mean, in every spelling that raters and spreadsheets give them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.ratings.layout import MOST_MINUTES, PREFERENCE_ANSWERS, PREFERENCE_LINES, answers
from harness.ratings.returns.answers import (
    Problem,
    parse_minutes,
    parse_point,
    parse_preference,
    shown,
    tidy,
)
from harness.ratings.sheets.formula_guard import cell_text, delimited_text
from harness.suite.ratings import CRITERIA, CriterionSpec

FLUENCY = CRITERIA["fluency"]
GRADES = CriterionSpec(
    name="grade",
    question="How good?",
    scale={0: "none", 1: "poor", 2: "fair", 3: "fair, but long", 4: "excellent", 5: "excellent"},
)
ERRORS = CriterionSpec(name="errors", question="How many?", scale={1: "2 errors", 2: "0 errors"})


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("5", 5),
        (" 4 ", 4),
        ("\u00a03\u00a0", 3),
        ("\ufeff2", 2),
        ("'5", 5),
        ("+5", 5),
        ("5.0", 5),
        ("5,0", 5),
        ("5,", 5),
        ("5.", 5),
        ("05", 5),
        ("５", 5),
        ("5 - excellent", 5),
        ("5 – excellent", 5),
        ("5 — excellent", 5),
        ("5: excellent", 5),
        ("5 (excellent)", 5),
        ("5) excellent!", 5),
        ("5 - reads as if an attentive", 5),
        ("5. Reads as if an attentive person wrote it", 5),
        ("5—reads as if an attentive person wrote it", 5),
        ("5 - reads as if an…", 5),
        ("reads as if an attentive person wrote it", 5),
        ("Not Readable.", 1),
        ("cannot judge", None),
        (" Cannot  JUDGE. ", None),
        ("can't judge", None),
    ],
)
def test_point_as_raters_write_it(text: str, point: int | None) -> None:
    """Blanks, dashes, decimals of zero and words do not hide which point is meant."""
    assert parse_point(text, FLUENCY) == point


@pytest.mark.parametrize("name", list(CRITERIA))
def test_every_answer_of_the_list_is_understood(name: str) -> None:
    """What the dropdown offers comes back as the point that it stands for."""
    criterion = CRITERIA[name]
    given = [parse_point(answer, criterion) for answer in answers(criterion)]
    assert given == [*criterion.points, None]


WORDS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20).filter(str.strip)


@given(first=st.integers(0, 3), words=st.lists(WORDS, min_size=2, max_size=4, unique=True))
@example(first=1, words=["2 - fair", "1 - poor"])
@example(first=1, words=["cannot judge", "tie"])
def test_every_line_that_is_shown_is_understood(first: int, words: list[str]) -> None:
    """Whatever the words of a scale are, its lines come back as the points that they stand for."""
    criterion = CriterionSpec(name="style", question="How?", scale=dict(enumerate(words, first)))
    for point, line in zip([*criterion.points, None], answers(criterion), strict=True):
        assert parse_point(cell_text(line), criterion) == point
        assert parse_point(delimited_text(line), criterion) == point


@pytest.mark.parametrize("mark", [": ", " - ", " – ", ""])
@pytest.mark.parametrize(
    ("answer", "side"), [("A", "A"), ("B", "B"), ("tie", "tie"), ("cannot judge", None)]
)
def test_every_preference_that_is_shown_is_understood(
    answer: str, side: str | None, mark: str
) -> None:
    """An answer, what it means, and the line of the instructions that holds both are the same."""
    meaning = PREFERENCE_ANSWERS[answer]
    assert parse_preference(f"{answer}{mark}{meaning}" if mark else meaning) == side
    assert parse_preference(PREFERENCE_LINES[answer]) == side


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3.5", "not a whole number"),
        ("3,5", "not a whole number"),
        ("6", "not on the scale of fluency"),
        ("0", "not on the scale of fluency"),
        ("-5", "not on the scale of fluency"),
        ("−5", "not on the scale of fluency"),
        ("7 - superb", "not on the scale of fluency"),
        ("4/5", "a share, a range or a date"),
        ("4-5", "a share, a range or a date"),
        ("4 – 5", "a share, a range or a date"),
        ("04.05.2026", "a share, a range or a date"),
        ("4 or 5", "not an answer"),
        ("5?", "not an answer"),
        ("n/a", "not an answer"),
        ("-", "not an answer"),
        ("?", "not an answer"),
        ("excellent", "not an answer"),
        ("05-Apr", "may be a date"),
        ("5. Mai", "may be a date"),
        ("4 - maybe 5", "says two things"),
        ("4 - cannot judge", "says two things"),
        ("5 - not readable", "whose words belong to 1"),
        ("TRUE", "not an answer"),
        ("nan", "not an answer"),
        ("1e0", "not an answer"),
        ("9" * 5000, "not an answer"),
    ],
)
def test_ambiguous_points_are_refused(text: str, why: str) -> None:
    """What could mean two things, or nothing on the scale, is refused with the scale named."""
    problem = parse_point(text, FLUENCY)
    assert isinstance(problem, Problem)
    assert why in problem.entry
    assert "from 1 to 5" in problem.needed
    assert "cannot judge" in problem.needed


def test_words_of_two_points_are_refused() -> None:
    """Words alone count only where they belong to one point."""
    problem = parse_point("Excellent", GRADES)
    assert isinstance(problem, Problem)
    assert "said of 4 and 5 alike" in problem.entry
    assert parse_point("4 - excellent", GRADES) == 4
    assert parse_point("fair", GRADES) == 2


def test_words_that_begin_with_a_number_are_words() -> None:
    """A scale may count something: its words are not taken for its points."""
    assert parse_point("0 errors", ERRORS) == 2
    assert parse_point("1 - 2 errors", ERRORS) == 1


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("A", "A"),
        (" a ", "A"),
        ("b", "B"),
        ("Ｂ", "B"),
        ("output B", "B"),
        ("A is better", "A"),
        ("A - A is better", "A"),
        ("B is better.", "B"),
        ("tie", "tie"),
        ("TIE", "tie"),
        ("'=", "tie"),
        ("equal", "tie"),
        ("neither is better", "tie"),
        ("cannot judge", None),
        (PREFERENCE_ANSWERS["cannot judge"], None),
    ],
)
def test_preference_as_raters_write_it(text: str, side: str | None) -> None:
    """Sides, ties and their descriptions are understood in any case."""
    assert parse_preference(text) == side


@pytest.mark.parametrize("text", ["both", "A?", "A/B", "AB", "1", "C", "yes", "n/a", "-", "TRUE"])
def test_ambiguous_preferences_are_refused(text: str) -> None:
    """Anything else is refused, with what may stand there."""
    problem = parse_preference(text)
    assert isinstance(problem, Problem)
    assert problem.needed == "A, B, tie or “cannot judge”"


def test_look_alike_letters_are_named() -> None:
    """A Cyrillic letter is refused by its name: on screen it could not be told from a Latin one."""
    problem = parse_preference("\u0412")
    assert isinstance(problem, Problem)
    assert "CYRILLIC CAPITAL LETTER VE" in problem.entry


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("0", 0.0),
        ("1.5", 1.5),
        ("1,5", 1.5),
        (".5", 0.5),
        ("0,125", 0.125),
        ("1.125", 1.125),
        ("2 min", 2.0),
        ("2min.", 2.0),
        ("2 Minutes", 2.0),
        ("90 s", 1.5),
        ("600", 600.0),
    ],
)
def test_minutes_as_raters_write_them(text: str, minutes: float) -> None:
    """Decimal points, commas and units are understood."""
    assert parse_minutes(text) == pytest.approx(minutes)


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "601",
        "1:30",
        "0:45",
        "1,500",
        "1.5.2",
        "two",
        "1 h",
        "nan",
        "inf",
        "1e3",
        "2 3",
        "min",
    ],
)
def test_ambiguous_minutes_are_refused(text: str) -> None:
    """Negative, huge, or read in two ways: refused with what may stand there."""
    problem = parse_minutes(text)
    assert isinstance(problem, Problem)
    assert "0 to 600" in problem.needed


def test_problem_reads_as_one_sentence() -> None:
    """A problem says what was found, what was needed, and what to do."""
    assert str(parse_point("7", FLUENCY)) == (
        "found “7”, which is not on the scale of fluency; needed is a whole number from 1 to 5, or "
        "“cannot judge”; write one of these, or leave it empty if it is not done yet."
    )


def test_entries_are_quoted_safely() -> None:
    """Long, many-lined and hostile entries are short, on one line, and move no cursor."""
    assert shown("a\n b") == "“a b”"
    assert len(shown("x" * 1000)) < 70
    assert "\x1b" not in shown("\x1b[31mred")


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    """Any text gives a point of the scale, an amount, a side, None, or a problem in words."""
    point = parse_point(text, FLUENCY)
    assert point is None or isinstance(point, Problem) or point in FLUENCY.scale
    minutes = parse_minutes(text)
    assert isinstance(minutes, Problem) or 0 <= minutes <= MOST_MINUTES
    side = parse_preference(text)
    assert isinstance(side, Problem) or side in ("A", "B", "tie", None)
    for answer in (point, minutes, side):
        if isinstance(answer, Problem):
            assert str(answer).isprintable()


@given(st.text())
def test_tidying_twice_changes_nothing_more(text: str) -> None:
    """What was tidied is tidy."""
    assert tidy(tidy(text)) == tidy(text)
