"""A rater's sheet as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.ratings.layout import EMPTY, RaterSheet, ShownRow, columns
from harness.ratings.sheets import formula_guard as cells
from harness.ratings.sheets.delimited import write_delimited
from harness.ratings.sheets.formula_guard import delimited_text
from harness.suite.ratings import CRITERIA

TEXTS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\tx",
    'say "so", or; so',
    "two\nlines\r\nand\rmore",
    " blanks ",
    "a\x00b\ud800",
    "",
    "שלום 😀",
    "x" * 40_000,
    "_x000D_",
]


def a_sheet(texts: list[str], *, reference: str | None = None) -> RaterSheet:
    scale = tuple(
        ShownRow(f"bcdf{i}", f"prompt {i}", reference if i else None, (text,))
        for i, text in enumerate(texts)
    )
    pair = tuple(
        ShownRow(f"ghjk{i}", text, None, (text, f"other {i}")) for i, text in enumerate(texts)
    )
    return RaterSheet("sheet-1", "rater-1", tuple(CRITERIA.values()), "Be kind.\n", scale, pair)


def read_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_hostile_texts_come_back(tmp_path: Path):
    """Each text is in its cell as delimited_text shows it, answers are empty, rows are whole."""
    sheet = a_sheet(TEXTS)
    changes = write_delimited(sheet, tmp_path / "new")
    rows = read_rows(tmp_path / "new" / "rater-1-ratings.csv")
    assert rows[0] == columns(sheet, "scale")
    for row, text, shown in zip(rows[1:], TEXTS, sheet.scale, strict=True):
        assert row == [shown.token, shown.prompt, delimited_text(text), "", "", "", "", ""]
    pairs = read_rows(tmp_path / "new" / "rater-1-preferences.csv")
    assert pairs[0] == columns(sheet, "pair")
    assert [row[2] for row in pairs[1:]] == [delimited_text(text) for text in TEXTS]
    # one output, and in pairs a prompt and an output, of five formula starts
    assert changes[cells.APOSTROPHE] == 3 * 5
    assert changes[cells.CUT] == changes[cells.BLANK] == 3


def test_excel_opens_it_as_utf_8(tmp_path: Path):
    """The file begins with the byte order mark, and its rows end in CRLF."""
    write_delimited(a_sheet(["plain"]), tmp_path)
    data = (tmp_path / "rater-1-ratings.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfrow,prompt,output,fluency")
    assert data.count(b"\r\n") == data.count(b"\n") == 2


def test_only_kinds_with_rows_are_written(tmp_path: Path):
    """No empty file asks for what nobody is asked."""
    sheet = a_sheet(["plain"])
    write_delimited(RaterSheet(sheet.id, "ann", sheet.criteria, "", sheet.scale, ()), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["ann-instructions.txt", "ann-ratings.csv"]
    assert "preference" not in (tmp_path / "ann-instructions.txt").read_text("utf-8-sig")


def test_references_have_a_column_where_any_is_shown(tmp_path: Path):
    """A row without one says so."""
    write_delimited(a_sheet(["a", "b"], reference="so it is"), tmp_path)
    rows = read_rows(tmp_path / "rater-1-ratings.csv")
    assert [row[2] for row in rows] == ["reference", EMPTY, "so it is"]


def test_instructions_name_every_answer(tmp_path: Path):
    """There are no dropdowns in CSV, so the text beside it lists what may be answered."""
    write_delimited(a_sheet(["plain"]), tmp_path)
    text = (tmp_path / "rater-1-instructions.txt").read_bytes().decode("utf-8-sig")
    assert "    5 - reads as if an attentive person wrote it\r\n" in text
    assert "    tie: neither is better\r\n" in text
    assert "cannot judge" in text
    assert "Be kind." in text
    assert "apostrophe" not in text  # only where there is one
    write_delimited(a_sheet(["=1"]), tmp_path)
    assert "apostrophe" in (tmp_path / "rater-1-instructions.txt").read_text("utf-8-sig")


def test_same_sheet_same_bytes(tmp_path: Path):
    """Nothing but the sheet decides what is written."""
    for name in "ab":
        write_delimited(a_sheet(TEXTS), tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=())), min_size=1, max_size=8))
def test_any_text_comes_back(tmp_path: Path, texts: list[str]):
    """Whatever a model writes, the csv module reads what delimited_text says."""
    write_delimited(a_sheet(texts), tmp_path)
    rows = read_rows(tmp_path / "rater-1-ratings.csv")
    assert [row[2] for row in rows[1:]] == [delimited_text(text) for text in texts]
