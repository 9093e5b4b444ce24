"""Text that a spreadsheet cell can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ratings.layout import EMPTY
from harness.ratings.sheets import formula_guard as cells
from harness.ratings.sheets.formula_guard import Changes, cell_text, delimited_text, is_live

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Lone surrogates, control characters and non-characters included."""


def utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tindented",
        "_x000D_",
        "_x000D_x000D_",
        "_x005F_x000D_",
        "<r>bold</r>",
        "&amp; <b> \"quoted\" 'so'",
        "  blanks at both ends  ",
        "\nlines\n\n",
        "a;b,c\td",
        "TRUE",
        "12E5",
        "00123",
        "1/2",
        "#REF!",
        "مرحبا بالعالم",
        "שלום \u202eolleh",
        "👩‍👩‍👧‍👦 🇩🇪 é e\u0301",
        "\u2028\u00a0\ufeff\U0010ffff",
    ],
)
def test_text_that_a_cell_can_hold_is_left_alone(text):
    """Neither look nor writing direction of a text changes, and nothing is counted."""
    changes = Changes()
    assert cell_text(text, changes) == text
    assert not changes


@pytest.mark.parametrize(
    ("text", "shown", "reason"),
    [
        ("a\x00b\x1bc\x0b", "a␀b␛c␋", cells.CONTROLS),
        ("a\x7fb\x85c", "a␡b�c", cells.CONTROLS),
        ("a\ufffeb\uffff", "a�b�", cells.CONTROLS),
        ("a\ud83db", "a�b", cells.SURROGATES),
        ("\udc00", "�", cells.SURROGATES),
        ("a\r\nb\rc\r\r\n", "a\nb\nc\n\n", cells.RETURNS),
        ("", EMPTY, cells.BLANK),
        (" \n\t\u00a0", EMPTY, cells.BLANK),
        ("\r\n", EMPTY, cells.BLANK),
    ],
)
def test_what_a_cell_cannot_hold_is_shown_and_counted(text, shown, reason):
    """Each change has its reason, counted once a cell."""
    changes = Changes()
    assert cell_text(text, changes) == shown
    assert changes[reason] == 1


def test_reasons_add_up():
    """Several reasons of one cell count each; the counts of several sheets are summed."""
    one, other = Changes(), Changes()
    cell_text("a\r\x00\ud800", one)
    cell_text("\x01", other)
    assert one == {cells.RETURNS: 1, cells.CONTROLS: 1, cells.SURROGATES: 1}
    assert (one + other)[cells.CONTROLS] == 2


@pytest.mark.parametrize("text", ["x" * 32_767, "😀" * 16_383, "😀" * 16_383 + "x"])
def test_a_text_of_just_the_limit_is_whole(text):
    """Excel holds 32,767 UTF-16 units, and all of them are used."""
    changes = Changes()
    assert cell_text(text, changes) == text
    assert not changes


@pytest.mark.parametrize(
    "text",
    ["x" * 40_000, "😀" * 40_000, "x" + "😀" * 40_000, "😀" * 16_384, "x" * 32_768],
    ids=["letters", "emoji", "odd", "one unit over, in emoji", "one unit over"],
)
def test_a_text_over_the_limit_is_cut_with_a_mark(text):
    """The mark says how many characters are missing; no emoji is cut in two."""
    changes = Changes()
    shown = cell_text(text, changes)
    kept, mark = shown.split(" [… the text goes on for ")
    assert text.startswith(kept)
    assert int(mark.split(" ")[0].replace(",", "")) == len(text) - len(kept)
    assert mark.endswith(" more characters]")
    assert 32_760 < utf16_units(shown) <= 32_767
    assert changes == {cells.CUT: 1}


@pytest.mark.parametrize("start", list("=+-@\t\n\r＝＋－＠"))
def test_csv_neutralises_what_would_be_a_formula(start):
    """An apostrophe stands in front, whatever Excel would run the text for."""
    changes = Changes()
    shown = delimited_text(f"{start}1+1", changes)
    assert shown == "'" + cell_text(f"{start}1+1")
    assert changes[cells.APOSTROPHE] == 1
    assert not is_live(shown)


def test_a_cut_formula_fits_with_its_apostrophe():
    """The apostrophe, too, counts towards the limit."""
    assert utf16_units(delimited_text("=" * 40_000)) <= 32_767


@given(ANY_TEXT)
def test_a_cells_text_is_a_fixed_point(text):
    """What a cell shows needs no change itself, and is valid Unicode with something to see."""
    shown = cell_text(text)
    again = Changes()
    assert cell_text(shown, again) == shown
    assert not again
    assert shown.encode().decode() == shown
    assert shown.strip()
