"""Binary workbooks: cells in records with and without a column, as Excel and SheetJS write them."""

from __future__ import annotations

import datetime
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from harness.ratings.returns.grid import CellNote
from harness.ratings.returns.xlsb import read_xlsb

Record = tuple[int, bytes]
PLAIN, DAY, CLOCK, MONEY = range(4)  # styles


def packed(number: int) -> bytes:
    data = b""
    while True:
        number, byte = number >> 7, number & 0x7F
        data += bytes([byte | (0x80 if number else 0)])
        if not number:
            return data


def records(*parts: Record) -> bytes:
    return b"".join(packed(kind) + packed(len(body)) + body for kind, body in parts)


def text(value: str) -> bytes:
    units = value.encode("utf-16-le")
    return struct.pack("<I", len(units) // 2) + units


def cell(kind: int, column: int | None, body: bytes = b"", style: int = PLAIN) -> Record:
    """A cell; without a column it is the next one, in a short record."""
    at = b"" if column is None else struct.pack("<I", column)
    return (kind if column is not None else kind + 11), at + struct.pack("<I", style) + body


def row(number: int) -> Record:
    return 0, struct.pack("<I", number) + bytes(21)


def relations(*parts: tuple[str, str, str]) -> str:
    inside = "".join(
        f'<Relationship Id="{name}" Type="http://x/{kind}" Target="{target}"/>'
        for name, kind, target in parts
    )
    kind = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{kind}">{inside}</Relationships>'


def style(code: int) -> Record:
    return 47, struct.pack("<HH", 0, code) + bytes(12)


def workbook(*cells: Record, date1904: bool = False) -> bytes:
    """A workbook whose worksheet Ratings holds these records."""
    dimension = struct.pack("<4I", 0, 100, 0, 100)
    sheet = [(129, b""), (148, dimension), (145, b""), *cells, (146, b""), (130, b"")]
    formats = [(44, struct.pack("<H", 200) + text('"day" h:mm')), (44, b"\xc9\0" + text('"m" 0'))]
    styles = [*formats, (617, bytes(4)), style(0), style(14), style(200), style(201), (618, b"")]
    styles = [(615, struct.pack("<I", 2)), *formats, (616, b""), *styles[2:], (279, b"")]
    note = struct.pack("<5I", 0, 1, 1, 2, 2) + bytes(16)
    files: dict[str, Any] = {
        "xl/workbook.bin": records(
            (153, struct.pack("<I", date1904) + bytes(8)),
            (156, struct.pack("<II", 0, 1) + text("rId1") + text("Ratings")),
            (144, b""),
            (132, b""),
        ),
        "xl/_rels/workbook.bin.rels": relations(
            ("rId1", "worksheet", "worksheets/sheet1.bin"),
            ("rId2", "sharedStrings", "sharedStrings.bin"),
            ("rId3", "styles", "/xl/styles.bin"),
        ),
        "xl/worksheets/sheet1.bin": records(*sheet),
        "xl/worksheets/_rels/sheet1.bin.rels": relations(("r", "comments", "../comments1.bin")),
        "xl/comments1.bin": records((635, note), (637, b"\0" + text("not sure"))),
        "xl/sharedStrings.bin": records(
            (159, struct.pack("<II", 1, 1)), (19, b"\0" + text("shared"))
        ),
        "xl/styles.bin": records(*styles),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return stream.getvalue()


def rows_of(data: bytes) -> list[tuple[int, list[Any]]]:
    (grid,) = read_xlsb(data)
    assert grid.name == "Ratings"
    return [(number, list(cells)) for number, cells in grid.rows]


@pytest.mark.parametrize("short", [False, True])
def test_cells_with_and_without_a_column(short: bool, tmp_path: Path) -> None:
    """Texts, shared texts, numbers, logical values, errors and blanks, in either kind of record."""
    third = struct.pack("<I", (150 << 2) | 3)  # a whole number, in hundredths
    bodies = [(6, text("row")), (7, bytes(4)), (2, third), (5, struct.pack("<d", 2.25))]
    bodies += [(1, b""), (4, b"\1"), (3, b"\7"), (6, text("two\nlines"))]
    if short:
        cells = [cell(kind, None, body) for kind, body in bodies]
    else:
        cells = [cell(kind, column, body) for column, (kind, body) in enumerate(bodies)]
    data = workbook(row(3), *cells)
    expected = ["row", "shared", 1.5, 2.25, "", True, "#DIV/0!", "two\nlines"]
    assert rows_of(data) == [(4, expected)]
    if not short:  # as another reader has it
        (tmp_path / "x.xlsb").write_bytes(data)
        book = CalamineWorkbook.from_path(tmp_path / "x.xlsb")
        assert book.get_sheet_by_name("Ratings").to_python()[0] == [
            "" if cell == "#DIV/0!" else cell for cell in expected
        ]


def test_formulas_count_as_their_last_value() -> None:
    """Results of formulas are read, what computes them is not."""
    rest = bytes(10)
    cells = [cell(8, 0, text("x") + rest), cell(9, 1, struct.pack("<d", 4) + rest)]
    assert rows_of(workbook(row(0), *cells, cell(10, 3, b"\0" + rest))) == [
        (1, ["x", 4.0, "", False])
    ]


@pytest.mark.parametrize(
    ("value", "shown_as", "expected"),
    [
        (46146.0, DAY, datetime.datetime(2026, 5, 4)),
        (0.0625, CLOCK, datetime.time(1, 30)),
        (0.0625, MONEY, 0.0625),
        (0.0625, PLAIN, 0.0625),
    ],
)
def test_numbers_shown_as_dates_are_dates(value: float, shown_as: int, expected: Any) -> None:
    """Whether a number is a date or a time is in its style, built in or of the workbook."""
    data = workbook(row(0), cell(5, 0, struct.pack("<d", value), shown_as))
    assert rows_of(data) == [(1, [expected])]


def test_days_of_old_macs() -> None:
    """A workbook may count days from 1904."""
    data = workbook(row(0), cell(5, 0, struct.pack("<d", 44684.0), DAY), date1904=True)
    assert rows_of(data) == [(1, [datetime.datetime(2026, 5, 4)])]


def test_notes_are_told_with_their_cell() -> None:
    """Notes lie in a part of their own, by row and column."""
    (grid,) = read_xlsb(workbook(row(0)))
    assert grid.notes == [CellNote(2, 2, "not sure")]


@pytest.mark.parametrize(
    "cells",
    [
        [cell(6, 0, struct.pack("<I", 900) + b"x")],
        [cell(6, 70_000, text("x"))],
        [cell(7, 0, struct.pack("<I", 9))],
        [(6, b"\0")],
    ],
)
def test_damaged_records_are_errors(cells: list[Record]) -> None:
    """Lengths, columns and numbers of texts that lead out of the file are no values."""
    with pytest.raises((EOFError, ValueError, IndexError, struct.error)):
        rows_of(workbook(row(0), *cells))
