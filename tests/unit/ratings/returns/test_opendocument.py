"""OpenDocument as real programs write it: white space, line breaks, repeats, notes, values."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from harness.ratings.returns.grid import CellNote
from harness.ratings.returns.opendocument import read_opendocument

NAMES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "table", "text", "drawing")
)
STRING = 'office:value-type="string"'


def document(rows: str, before: str = "") -> bytes:
    """A worksheet with these rows, in XML."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<office:document-content {NAMES}><office:body>'
        f'<office:spreadsheet>{before}<table:table table:name="Ratings">{rows}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    ).encode()


def rows_of(data: bytes) -> list[tuple[int, list[Any]]]:
    (grid,) = read_opendocument([data])
    return [(number, list(cells)) for number, cells in grid.rows]


def cell_of(inside: str, attributes: str = STRING) -> Any:
    """What a cell comes back as."""
    row = f"<table:table-row><table:table-cell {attributes}>{inside}</table:table-cell>"
    rows = rows_of(document(row + "</table:table-row>"))
    return rows[0][1][0] if rows else ""


@pytest.mark.parametrize("between", ["", "\n", "\n          ", "\t"])
def test_white_space_between_elements_means_nothing(between: str) -> None:
    """Gnumeric, Calligra and SheetJS write each element on a line of its own."""
    cells = ("row", "prompt", "fluency")
    inside = between.join(
        f"<table:table-cell {STRING}>{between}<text:p>{cell}</text:p>{between}</table:table-cell>"
        for cell in cells
    )
    row = f"{between}<table:table-row>{between}{inside}{between}</table:table-row>{between}"
    assert rows_of(document(row * 2)) == [(1, list(cells)), (2, list(cells))]


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("<text:p>one<text:line-break/>two</text:p>", "one\ntwo"),  # LibreOffice
        ("<text:p>one</text:p><text:p>two</text:p>", "one\ntwo"),  # Gnumeric, SheetJS
        ("<text:p>one</text:p>\n <text:p/>\n <text:p>two</text:p>", "one\n\ntwo"),
        ("<text:p><text:s/>a<text:s text:c='3'/>b<text:tab/>c</text:p>", " a   b\tc"),
        ("<text:p>\n  split \n over  lines\n</text:p>", "split over lines"),
        ("<text:p>so <text:span>much</text:span> <text:a>more</text:a></text:p>", "so much more"),
        ("<text:p>&lt;b&gt; &amp; “c”</text:p>", "<b> & “c”"),
        ("<text:p>5</text:p><drawing:frame><text:p>9</text:p></drawing:frame>", "5"),
        ("<table:table><table:table-row><table:table-cell/></table:table-row></table:table>", ""),
    ],
)
def test_text_of_a_cell(inside: str, text: str) -> None:
    """Paragraphs, line breaks, blanks and tabs are what the rater typed; drawings are not."""
    assert cell_of(inside) == text


@pytest.mark.parametrize(
    ("attributes", "value"),
    [
        ('office:value-type="float" office:value="1.5"', 1.5),
        ('office:value-type="percentage" office:value="0.05"', 0.05),
        ('office:value-type="currency" office:value="2"', 2.0),
        ('office:value-type="boolean" office:boolean-value="true"', True),
        (
            'office:value-type="date" office:date-value="2026-05-04"',
            datetime.datetime(2026, 5, 4),
        ),
        ('office:value-type="time" office:time-value="PT00H45M00S"', datetime.time(0, 45)),
        (
            'office:value-type="time" office:time-value="PT25H00M00S"',
            datetime.timedelta(hours=25),
        ),
        ('office:value-type="string" office:string-value=""', "shown"),  # of an error value
        ('office:value-type="string" office:string-value="one line"', "shown"),
        ('office:value-type="float"', "shown"),
        ("", "shown"),
    ],
)
def test_value_of_a_cell(attributes: str, value: Any) -> None:
    """A value that is stated counts, not how it is shown; text where none is."""
    assert cell_of("<text:p>shown</text:p>", attributes) == value


def test_repeats_are_counted() -> None:
    """Empty rows and cells keep places without being made; filled ones stand as often as said."""
    row = (
        '<table:table-row table:number-rows-repeated="{rows}">'
        '<table:table-cell table:number-columns-repeated="2"/>'
        '<table:covered-table-cell table:number-columns-repeated="{cells}">'
        "<text:p>{text}</text:p></table:covered-table-cell>"
        '<table:table-cell table:number-columns-repeated="16376"/></table:table-row>'
    )
    empty = (
        '<table:table-row table:number-rows-repeated="1048000">'
        '<table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    )
    filled = row.format(rows=2, cells=2, text="x")
    groups = f"<table:table-row-group>{filled}</table:table-row-group>{empty}"
    assert rows_of(document(groups + row.format(rows=1, cells=1, text="y"))) == [
        (1, ["", "", "x", "x"]),
        (2, ["", "", "x", "x"]),
        (1048003, ["", "", "y"]),
    ]


def test_notes_are_apart_from_text() -> None:
    """A note on a cell is no part of its text; it comes with its place."""
    noted = (
        f"<table:table-cell {STRING}><office:annotation><creator>Ada</creator>"
        "<text:p>not</text:p><text:p>sure</text:p></office:annotation><text:p>5</text:p>"
        "</table:table-cell>"
    )
    row = "<table:table-row><table:table-cell/></table:table-row>"
    row += f"<table:table-row><table:table-cell/>{noted}</table:table-row>"
    (grid,) = read_opendocument([document(row)])
    assert list(grid.rows) == [(2, ["", "5"])]
    assert grid.notes == [CellNote(2, 1, "not\nsure")]


def test_what_lies_beside_worksheets_is_none() -> None:
    """Messages of rules and recorded changes hold paragraphs, too, and are no cells."""
    rules = (
        "<table:content-validations><table:content-validation><table:error-message>"
        "<text:p>no</text:p></table:error-message></table:content-validation>"
        "</table:content-validations><table:tracked-changes><table:change-track-table-cell>"
        "<text:p>old</text:p></table:change-track-table-cell></table:tracked-changes>"
    )
    row = f"<table:table-row><table:table-cell {STRING}><text:p>x</text:p></table:table-cell>"
    assert rows_of(document(row + "</table:table-row>", rules)) == [(1, ["x"])]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (document("<table:table-row>"), "mismatched tag"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "declares a document type"),
        (
            document(
                "<table:table-row><table:table-cell table:number-columns-repeated='99999999999'>"
                "<text:p>x</text:p></table:table-cell></table:table-row>"
            ),
            "more than 16,384 cells",
        ),
        (
            document(
                "<table:table-row table:number-rows-repeated='99999999999'><table:table-cell>"
                "<text:p>x</text:p></table:table-cell></table:table-row>"
            ),
            "more than 1,048,576 rows",
        ),
        (
            document(
                "<table:table-row><table:table-cell office:value-type='float' office:value='x'/>"
                "</table:table-row>"
            ),
            "could not convert",
        ),
    ],
)
def test_what_is_no_document_says_why(data: bytes, why: str) -> None:
    """Broken XML, declarations, and sheets beyond any program's size are errors, at once."""
    with pytest.raises((ValueError, SyntaxError), match=why):
        rows_of(data)
