"""Returned files of every format, and what programs and raters do to them on the way."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.errors import DataError, HarnessError
from harness.ratings.returns.grid import as_text
from harness.ratings.returns.returns import read_return
from harness.ratings.returns.sandbox import ReturnReader
from harness.ratings.returns.zip_guard import far_cell

HEADINGS = ["row", "prompt", "output", "fluency", "relevance", "comment", "minutes"]
ROWS: list[list[Any]] = [
    ["bcdfghjk", "Say hi.", "Hi.", 5, "4 - covers nearly all that matters", "fine", 1.5],
    ["cdfghjkl", "Say bye.", "Bye,\n“all”.", "", "", "", ""],
    ["dfghjklm", "Say no.", "=No", "cannot judge", 3.0, "é – ß", ""],
]
EXPECTED = {
    "bcdfghjk": {
        "fluency": "5",
        "relevance": "4 - covers nearly all that matters",
        "comment": "fine",
        "minutes": "1.5",
    },
    "cdfghjkl": {},
    "dfghjklm": {"fluency": "cannot judge", "relevance": "3", "comment": "é – ß"},
}


def workbook(
    *sheets: tuple[str, Sequence[Sequence[Any]]],
    write: Callable[[Any, Any], None] | None = None,
) -> bytes:
    """An XLSX file; ``write`` may add to it, given the book and its last sheet."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(stream, {"in_memory": True, "strings_to_formulas": False})
    page = None
    for name, rows in sheets:
        page = book.add_worksheet(name)
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                page.write(number, column, cell)
    if write is not None:
        write(book, page)
    book.close()
    return stream.getvalue()


ODS = "application/vnd.oasis.opendocument.spreadsheet"


def document(rows: Sequence[Sequence[Any]], tail: str = "") -> bytes:
    """A minimal ODS file with a sheet called Ratings; ``tail`` is XML behind its rows."""
    cells = "\n".join(
        "<table:table-row>" + "".join(map(_document_cell, row)) + "</table:table-row>"
        for row in rows
    )
    content = (
        '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2">'
        '<office:body><office:spreadsheet><table:table table:name="Ratings">'
        f"{cells}{tail}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    return archive({"mimetype": ODS, "content.xml": content, "META-INF/manifest.xml": MANIFEST})


MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
    'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
    '<manifest:file-entry manifest:full-path="/" '
    'manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/></manifest:manifest>'
)


def _document_cell(cell: Any) -> str:
    if cell == "":
        return "<table:table-cell/>"
    if isinstance(cell, (int, float)):
        return f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
    lines = "".join(f"<text:p>{line}</text:p>" for line in cell.split("\n"))
    return f'<table:table-cell office:value-type="string">{lines}</table:table-cell>'


def archive(files: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return stream.getvalue()


def delimited(
    rows: Sequence[Sequence[Any]], delimiter: str = ",", encoding: str = "utf-8-sig"
) -> bytes:
    """CSV as Excel writes it: quotes where they are needed, CRLF."""
    lines = []
    for row in rows:
        cells = []
        for cell in map(str, row):
            quoted = any(mark in cell for mark in f'{delimiter}"\n\r')
            cells.append('"' + cell.replace('"', '""') + '"' if quoted else cell)
        lines.append(delimiter.join(cells))
    return ("\r\n".join(lines) + "\r\n").encode(encoding)


def page_file(**changes: Any) -> bytes:
    """What a rating page saves."""
    rows = [
        {"row": "bcdfghjk", "fluency": 5, "relevance": 4, "comment": "fine", "minutes": 1.5},
        {"row": "dfghjklm", "fluency": "cannot judge"},
    ]
    saved = {
        "format": "qlora-harness ratings",
        "version": 1,
        "sheet": "bcdfgh",
        "rater": "anna",
        "saved": "2026-01-02T03:04:05.000Z",
        "rows": rows,
    }
    return json.dumps({**saved, **changes}).encode()


@pytest.fixture
def put(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """Writes a file and returns its path."""

    def write(data: bytes, name: str = "anna.xlsx") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


Put = Callable[..., Path]


def found(path: Path) -> dict[str, dict[str, str]]:
    return {row.token: dict(row.cells) for row in read_return(path).rows}


TABLE = [HEADINGS, *ROWS]
FORMS: dict[str, tuple[str, bytes]] = {
    "xlsx": ("xlsx", workbook(("Ratings", TABLE))),
    "ods": ("ods", document(TABLE)),
    "csv, UTF-8 with mark": ("csv", delimited(TABLE)),
    "csv, UTF-8": ("csv", delimited(TABLE, encoding="utf-8")),
    "csv, cp1252 and ;": ("csv", delimited(TABLE, ";", "cp1252")),
    "csv, UTF-16 and tabs": ("csv", delimited(TABLE, "\t", "utf-16")),
    "csv, UTF-16 big-endian": ("csv", b"\xfe\xff" + delimited(TABLE, "\t", "utf-16-be")),
    "csv, sep=": ("csv", b"sep=;\r\n" + delimited(TABLE, ";", "cp1252")),
    "csv, sep=|": ("csv", b"sep=|\r\n" + delimited(TABLE, "|", "utf-8")),
    "csv, UTF-16 without a mark": ("csv", delimited(TABLE, "\t", "utf-16-le")),
    "csv, |": ("csv", delimited(TABLE, "|", "utf-8")),
    "csv, LF": ("csv", delimited(TABLE).replace(b"\r\n", b"\n")),
    "csv, old Mac": ("csv", delimited(TABLE).replace(b"\r\n", b"\r")),
}


@pytest.mark.parametrize("name", list(FORMS))
def test_every_format_gives_the_same_rows(name: str, put: Put) -> None:
    """The same table gives the same cells, whatever the program that saved it."""
    form, data = FORMS[name]
    path = put(data, "renamed by the rater.txt")
    returned = read_return(path)
    assert returned.format == form
    # "3.0" of a CSV is text; the cell of a spreadsheet is a number
    got = {token: {**cells} for token, cells in found(path).items()}
    if form == "csv":
        got["dfghjklm"]["relevance"] = got["dfghjklm"]["relevance"].removesuffix(".0")
    assert got == EXPECTED
    assert returned.data == data
    assert returned.problems == ()
    assert returned.name == "renamed by the rater.txt"
    assert len(returned.digest) == 64


def test_addresses_are_those_of_the_program(put: Put) -> None:
    """A cell is named as the rater sees it: by sheet and letter, row and column, or place."""
    sheet = read_return(put(FORMS["xlsx"][1]))
    assert sheet.rows[2].address("fluency") == "Ratings!D4"
    assert sheet.rows[0].address() == "Ratings!A2"
    assert read_return(put(FORMS["csv, LF"][1])).rows[2].address("fluency") == (
        "row 4, column fluency"
    )
    assert read_return(put(page_file())).rows[1].address("fluency") == "rows[1].fluency"


def test_addresses_of_a_table_that_was_moved(put: Put) -> None:
    """Rows and columns inserted before the table move its addresses, and nothing else."""
    moved = [["Thank you, Anna!"], [], *([""] * 26 + row for row in TABLE)]
    returned = read_return(put(workbook(("Ratings", moved))))
    assert returned.rows[0].address("fluency") == "Ratings!AD4"
    assert {row.token: dict(row.cells) for row in returned.rows} == EXPECTED
    pushed = [[""] * 3 + row for row in TABLE]
    assert read_return(put(workbook(("R", pushed)))).rows[0].address() == "R!D2"
    assert read_return(put(document(pushed))).rows[0].address() == "Ratings!D2"


def test_page_file(put: Put) -> None:
    """The file of a rating page gives its rows, and the export's id."""
    returned = read_return(put(page_file(), "anna-bcdfgh (1).json"))
    assert (returned.format, returned.sheet) == ("json", "bcdfgh")
    assert {row.token: dict(row.cells) for row in returned.rows} == {
        "bcdfghjk": {"fluency": "5", "relevance": "4", "comment": "fine", "minutes": "1.5"},
        "dfghjklm": {"fluency": "cannot judge"},
    }


def test_page_file_with_half_a_character(put: Put) -> None:
    """A lone surrogate in a comment is replaced, and said; whole pairs stay."""
    rows = [{"row": "bcdfghjk", "fluency": 1, "comment": "\ud800 \U0001f600 \\ud800"}]
    returned = read_return(put(page_file(rows=rows)))
    assert returned.rows[0].cells["comment"] == "\ufffd \U0001f600 \\ud800"
    assert any("1 halves of characters" in note for note in returned.notes)


def test_page_file_with_rows_that_are_none(put: Put) -> None:
    """Entries without an id are problems with their place; the others are read."""
    rows = [7, {"fluency": 3}, {"row": "bcdfghjk", "fluency": [1], "relevance": None, "x": True}]
    returned = read_return(put(page_file(rows=rows)))
    assert [problem.split(": ")[0].split(", ")[1] for problem in returned.problems] == [
        "rows[0]",
        "rows[1]",
    ]
    assert dict(returned.rows[0].cells) == {"fluency": "[1]", "x": "TRUE"}


def test_columns_in_any_order_and_spelling(put: Put) -> None:
    """Columns may be reordered, added, written large; tokens may be, too."""
    table = [
        ["Score", " FLUENCY ", "ROW", "Comment"],
        ["x", 5, " BCDFGHJK\u00a0", "fine"],
        ["", "", "'cdfghjkl", ""],
    ]
    returned = read_return(put(workbook(("Ratings", table))))
    assert {row.token: dict(row.cells) for row in returned.rows} == {
        "bcdfghjk": {"score": "x", "fluency": "5", "comment": "fine"},
        "cdfghjkl": {},
    }


def test_every_sheet_with_headings_counts(put: Put) -> None:
    """Ratings and preferences are both read, an instructions page is not; its id is noted."""
    instructions = [
        ["Rating sheet"],
        ["Sheet", "bcdfgh"],
        ["Rater", "anna"],
        ["row", "Leave this column as it is."],
    ]
    pairs = [["row", "output A", "output B", "preference"], ["klmnpqrs", "x", "y", "A"]]
    data = workbook(("Instructions", instructions), ("Ratings", TABLE), ("Preferences", pairs))
    returned = read_return(put(data))
    assert [table.name for table in returned.tables] == ["Ratings", "Preferences"]
    assert len(returned.rows) == 4
    assert returned.rows[3].address("preference") == "Preferences!D2"
    assert returned.sheet == "bcdfgh"


def test_hidden_sheets_rows_and_columns_are_read(put: Put) -> None:
    """What a rater hid is there all the same."""

    def hide(_: Any, page: Any) -> None:
        page.set_column(3, 3, None, None, {"hidden": True})
        page.set_row(1, None, None, {"hidden": True})
        page.hide()

    data = workbook(("Other", [["x"]]), ("Ratings", TABLE), write=hide)
    assert found(put(data)) == EXPECTED


def test_empty_rows_and_columns_are_passed_over(put: Put) -> None:
    """Blank rows between and below, blank columns, and cells with blanks only hold nothing."""
    table = [
        [*HEADINGS, "", ""],
        ROWS[0],
        [],
        ["", "a prompt only", "", " ", "\u00a0", "", "", "", ""],
        ROWS[1],
        ROWS[2],
        [""] * 9,
    ]
    assert found(put(workbook(("Ratings", table)))) == EXPECTED
    assert list(found(put(delimited([*table, [""] * 40])))) == list(EXPECTED)


def test_entries_without_a_token_are_kept(put: Put) -> None:
    """An answer beside an empty token is a row of its own: somebody has to be told."""
    returned = read_return(put(workbook(("Ratings", [HEADINGS, ["", "", "", 4]]))))
    assert [(row.token, dict(row.cells)) for row in returned.rows] == [("", {"fluency": "4"})]


def test_what_a_spreadsheet_made_of_an_entry_is_told(put: Put) -> None:
    """Dates, times and logical values are told as what they are; numbers are not changed."""

    def write(book: Any, page: Any) -> None:
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        clock = book.add_format({"num_format": "h:mm"})
        page.write_datetime(1, 3, datetime.datetime(2026, 5, 4), day)
        page.write_boolean(1, 4, True)
        page.write_datetime(1, 6, datetime.time(0, 45), clock)

    data = workbook(("Ratings", [HEADINGS, ["bcdfghjk"]]), write=write)
    row = read_return(put(data)).rows[0]
    assert row.cells == {"fluency": "2026-05-04", "relevance": "TRUE", "minutes": "00:45:00"}
    assert row.turned["fluency"] == ("a date, 2026-05-04: the spreadsheet turned the entry into it")
    assert row.turned["relevance"].startswith("a logical value, TRUE")
    assert row.turned["minutes"].startswith("a time of day, 00:45:00")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (5.0, "5"),
        (5, "5"),
        (0.1 + 0.2, "0.3"),
        (1e-7, "0.0000001"),
        (1e300, "1e+300"),
        (10**400, str(10**400)),
        (float("nan"), "nan"),
        ("5 ", "5 "),
        (datetime.datetime(2026, 5, 4, 3, 2), "2026-05-04 03:02:00"),
        (datetime.timedelta(days=1, hours=12), "1 day, 12:00:00"),
    ],
)
def test_text_of_cells(cell: Any, text: str) -> None:
    """Numbers have the digits that spreadsheets show."""
    assert as_text(cell)[0] == text


def test_formulas_count_as_their_last_value(put: Put) -> None:
    """A formula's cell is read as what it showed."""

    def write(_: Any, page: Any) -> None:
        page.write_formula(1, 3, "=2+2", None, 4)

    data = workbook(("Ratings", [HEADINGS, ["bcdfghjk"]]), write=write)
    assert found(put(data)) == {"bcdfghjk": {"fluency": "4"}}


def test_two_columns_of_one_name_are_told(put: Put) -> None:
    """Of two columns with the same heading none is read, and both are named."""
    table = [["row", "fluency", "relevance", "Fluency"], ["bcdfghjk", 1, 2, 3]]
    returned = read_return(put(workbook(("Ratings", table))))
    assert returned.tables[0].doubled == {"fluency": "B and D"}
    assert dict(returned.rows[0].cells) == {"relevance": "2"}
    assert read_return(put(delimited(table))).tables[0].doubled == {"fluency": "2 and 4"}


def test_tables_below_each_other(put: Put) -> None:
    """Parts that were pasted together keep their own headings."""
    table = [*TABLE[:2], ["row", "comment", "preference"], ["klmnpqrs", "ok", "B"]]
    returned = read_return(put(delimited(table)))
    assert dict(returned.rows[1].cells) == {"comment": "ok", "preference": "B"}


def test_a_delimiter_without_quotes_is_told(put: Put) -> None:
    """A row that it has moved is not believed; a delimiter behind every row moves nothing."""
    head, first, second = "row;output;fluency;comment", "bcdfghjk;a;5;", "cdfghjkl;a; b;4;3"
    returned = read_return(put(f"{head}\n{first}\n{second}\n".encode()))
    assert [row.token for row in returned.rows] == ["bcdfghjk"]
    (problem,) = returned.problems
    assert "row 3: found 5 cells, needed are 4" in problem
    behind = read_return(put(f"{head}\n{first};\n{second}\n".encode()))
    assert not behind.problems
    assert len(behind.rows) == 2


def test_long_cells_of_csv(put: Put) -> None:
    """Cells beyond the 131,072 characters that Python's reader takes by itself are read."""
    table = [HEADINGS, ["bcdfghjk", "p", "o" * 200_000, 5, "", "", ""]]
    assert found(put(delimited(table))) == {"bcdfghjk": {"fluency": "5"}}


def test_a_flat_document_is_read(put: Put) -> None:
    """OpenDocument in one XML file, without an archive around it."""
    with zipfile.ZipFile(io.BytesIO(document(TABLE))) as made:
        content = made.read("content.xml").decode()
    kind = f'<office:document office:mimetype="{ODS}" '
    flat = content.replace("<office:document-content ", kind)
    flat = flat.replace("</office:document-content>", "</office:document>")
    assert found(put(flat.encode())) == EXPECTED
    assert read_return(put(flat.encode())).format == "fods"


def test_notes_on_cells_are_told(put: Put) -> None:
    """A note of the rater's is named with its cell; those of the sheet's own headings are not."""

    def write(_: Any, page: Any) -> None:
        page.write_comment(0, 3, "How well is it written?")
        page.write_comment(1, 3, "Really?\nYes.")

    notes = read_return(put(workbook(("Instructions", [["a"]]), ("Ratings", TABLE), write=write)))
    (note,) = notes.notes
    assert "Ratings!D2 has a note, “Really? Yes.”, which is not read" in note
    noted = (
        "<table:table-row><table:table-cell/><table:table-cell><office:annotation>"
        "<text:p>hm</text:p></office:annotation></table:table-cell></table:table-row>"
    )
    (note,) = read_return(put(document(TABLE, noted))).notes
    assert "Ratings!B5 has a note, “hm”" in note


def test_error_values_are_told(put: Put) -> None:
    """A formula that failed is no answer, and no empty cell without a word."""

    def write(_: Any, page: Any) -> None:
        page.write_formula(1, 3, "=NA()", None, "#N/A")
        page.write_formula(2, 3, "=2+2", None, 4)

    table = [HEADINGS, ["bcdfghjk", "p", "o", "", 4], ["cdfghjkl"]]
    returned = read_return(put(workbook(("Ratings", table), write=write)))
    (note,) = returned.notes
    assert "Ratings!D2 holds the error value “#N/A”, which counts as an empty cell" in note
    assert [dict(row.cells) for row in returned.rows] == [{"relevance": "4"}, {"fluency": "4"}]


def test_cp1252_is_noted(put: Put) -> None:
    """A file whose encoding had to be assumed says so."""
    notes = read_return(put(FORMS["csv, cp1252 and ;"][1])).notes
    assert len(notes) == 1
    assert "Windows-1252" in notes[0]
    assert read_return(put(FORMS["csv, LF"][1])).notes == ()


# -- files that cannot be read --------------------------------------------------------------------

OLE = bytes.fromhex("d0cf11e0a1b11ae1")
XLSX = FORMS["xlsx"][1]
SHEET = "xl/worksheets/sheet1.xml"
REFUSED: dict[str, tuple[bytes, str, str]] = {
    "empty": (b"", "is empty", "send the file again"),
    "cut off": (XLSX[: len(XLSX) // 2], "damaged or was cut off", "send the file again"),
    "cut off after a few bytes": (XLSX[:10], "damaged or was cut off", "send the file again"),
    "encrypted": (OLE + "EncryptedPackage".encode("utf-16-le"), "password", "without a password"),
    "old Word": (OLE + b"\0" * 2000, "an old Office document", "export it as .xlsx or .csv"),
    "Word": (archive({"word/document.xml": "x"}), "a Word document", "export it"),
    "PowerPoint": (archive({"ppt/presentation.xml": "x"}), "a PowerPoint", "export it"),
    "hollow Numbers": (archive({"Index/Document.iwa": "x"}), "damaged", "send the file again"),
    "hollow binary Excel": (archive({"xl/workbook.bin": "x"}), "damaged", "send the file again"),
    "old OpenOffice": (archive({"mimetype": "application/vnd.sun.xml.calc"}), ".sxc", "export it"),
    "encrypted OpenDocument": (
        archive({"mimetype": ODS, "META-INF/manifest.xml": "<x><encryption-data/></x>"}),
        "password",
        "without a password",
    ),
    "OpenDocument text": (
        archive({"mimetype": "application/vnd.oasis.opendocument.text"}),
        "no spreadsheet",
        "export it",
    ),
    "archive": (archive({"anna.xlsx": XLSX}), "an archive of 1 files", "Unpack it"),
    "hollow workbook": (archive({"xl/workbook.xml": "<x/>"}), "damaged", "send the file again"),
    "PDF": (b"%PDF-1.7\n...", "a PDF file", "export it"),
    "RTF": (b"{\\rtf1 row}", "Rich Text", "export it"),
    "gzip": (b"\x1f\x8b\x08\x00", "a compressed file", "export it"),
    "XML": (b"<?xml version='1.0'?><x/>", "an XML file", "export it"),
    "page": (
        b"<!DOCTYPE html>\n<html>qlora-harness ratings",
        "the rating page itself",
        "its button saves (.json)",
    ),
    "web page": (b"<html><table><tr><td>row", "a web page (.html)", "export it"),
    "Excel 2003": (
        b'<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
        "an XML spreadsheet of Excel 2003",
        "export it",
    ),
    "SYLK": (b"ID;PWXL;N;E\r\n", "a SYLK file", "export it"),
    "DIF": (b'TABLE\r\n0,1\r\n"EXCEL"\r\n', "a DIF file", "export it"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0", "a picture", "export it"),
    "bytes": (bytes(range(256)), "is neither, nor text in UTF-8", "CSV UTF-8"),
    "no headings": (b"bcdfghjk,5,4\n", "No heading “row”", "put back its first line"),
    "prose": (b'row by row, he said "no', "No heading “row”", "put back its first line"),
    "blank": (b"\r\n\r\n", "No heading “row”", "put back its first line"),
    "no headings in a workbook": (
        workbook(("S", [["a"]])),
        "on any worksheet",
        "put back its first line",
    ),
    "open quote": (b'row,fluency\nb,5\nc,"4\nd,3\n', "Row 3 cannot be read", "A quote"),
    "other JSON": (b'{"rows": []}', "this is other JSON", "the page's button"),
    "JSON list": (b"[1, 2]", "this is other JSON", "the page's button"),
    "JSON without rows": (page_file(rows=3), "this is other JSON", "the page's button"),
    "JSON of the future": (page_file(version=2), "of version 2", "the version of the harness"),
    "cut JSON": (page_file()[:-20], "not valid JSON", "send the file again"),
    "deep JSON": (b"[" * 100_000, "not valid JSON", "send the file again"),
    "huge number": (b'{"rows": [' + b"9" * 5000 + b"]}", "not valid JSON", "send the file again"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_no_sheet_is_refused(name: str, put: Put) -> None:
    """Each file that cannot be read says what it is and what to do, with its name."""
    data, problem, hint = REFUSED[name]
    path = put(data, "ratings.xlsx")
    with pytest.raises(DataError) as caught:
        read_return(path)
    assert caught.value.where == str(path)
    assert problem in caught.value.problem
    assert caught.value.hint is not None
    assert hint in caught.value.hint


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    """A folder, a bundle of Apple's programs, and a path without a file say so."""
    (tmp_path / "anna.numbers").mkdir()
    with pytest.raises(DataError, match="as Apple's programs save"):
        read_return(tmp_path / "anna.numbers")
    with pytest.raises(DataError, match="this is a folder"):
        read_return(tmp_path)
    with pytest.raises(DataError, match="No such file"):
        read_return(tmp_path / "missing.xlsx")
    with pytest.raises(DataError, match="Cannot read this file"):
        read_return(Path("a\0b"))


# -- cells far away -------------------------------------------------------------------------------


def test_cell_at_the_end_of_the_world_is_refused(put: Put) -> None:
    """A blank typed into a worksheet's last cell would make the reader ask for 512 GiB."""
    data = workbook(("Ratings", TABLE), write=lambda _, page: page.write(1_048_575, 16_383, " "))
    with pytest.raises(DataError, match=r"column 16,384 and row 1,048,576.*Ctrl\+End"):
        read_return(put(data))


def test_stated_extent_is_checked_against_cells() -> None:
    """Formats of empty cells far away do no harm; without a stated extent cells are looked at."""
    near, far = b'<dimension ref="A1:G4"/>', b'<dimension ref="A1:XFD1048576"/>'
    styled = b'<row r="9"><c r="XFD1048576" s="1"/></row></sheetData>'
    filled = b'<row r="9"><c r="XFD1048576"><v>1</v></c></row></sheetData>'

    def with_sheet(*changes: tuple[bytes, bytes]) -> bytes:
        with zipfile.ZipFile(io.BytesIO(XLSX)) as made:
            sheet = made.read(SHEET)
        for old, new in changes:
            assert old in sheet
            sheet = sheet.replace(old, new)
        return archive({SHEET: sheet})

    assert far_cell(XLSX) is None
    assert far_cell(with_sheet((near, far))) is None
    assert far_cell(with_sheet((near, b""))) is None
    assert far_cell(with_sheet((near, far), (b"</sheetData>", styled))) is None
    for start in (b"", far):
        place = far_cell(with_sheet((near, start), (b"</sheetData>", filled)))
        assert place == "at about column 16,384 and row 1,048,576"


def test_far_cell_of_a_document_does_no_harm(put: Put) -> None:
    """OpenDocument counts empty cells instead of holding them, so one far away is passed over."""
    end = (
        '<table:table-row table:number-rows-repeated="1048570">'
        '<table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    )
    assert found(put(document(TABLE, end))) == EXPECTED
    far = (
        '<table:table-row table:number-rows-repeated="1048570">'
        '<table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
        '<table:table-row><table:table-cell table:number-columns-repeated="16383"/>'
        '<table:table-cell office:value-type="string"><text:p>x</text:p></table:table-cell>'
        "</table:table-row>"
    )
    assert found(put(document(TABLE, far))) == EXPECTED


def test_last_row_filled_is_read(put: Put) -> None:
    """A cell in the last row alone is passed over like any row without a token."""
    data = workbook(("Ratings", TABLE), write=lambda _, page: page.write(1_048_575, 1, "x"))
    assert found(put(data)) == EXPECTED


# -- anything at all ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader() -> Iterator[ReturnReader]:
    """Libraries may end their process on such files."""
    with ReturnReader() as made:
        yield made


SEEDS = [data for _, data in FORMS.values()] + [page_file()]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
@example(data=b"PK\x03\x04")
@example(data=OLE)
@example(data=b"\xff\xfe\x00")
def test_random_bytes_never_crash(data: bytes, tmp_path: Path, reader: ReturnReader) -> None:
    """Any bytes are read or refused with an error for the user."""
    path = tmp_path / "x"
    path.write_bytes(data)
    with suppress(HarnessError):
        reader.read(path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, len(SEEDS) - 1),
    place=st.floats(0, 1, exclude_max=True),
    inserted=st.binary(max_size=8),
    removed=st.integers(0, 8),
)
def test_mutated_files_never_crash(
    seed: int, place: float, inserted: bytes, removed: int, tmp_path: Path, reader: ReturnReader
) -> None:
    """A returned file with some bytes changed is read or refused with an error for the user."""
    data = SEEDS[seed]
    at = int(place * len(data))
    path = tmp_path / "x"
    path.write_bytes(data[:at] + inserted + data[at + removed :])
    with suppress(HarnessError):
        reader.read(path)


PARTS = [SHEET, "xl/workbook.xml", "xl/sharedStrings.xml", "content.xml"]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    part=st.sampled_from(PARTS),
    place=st.floats(0, 1, exclude_max=True),
    inserted=st.one_of(st.binary(max_size=4), st.sampled_from([b"<", b'"', b"9", b"-1", b"ZZ"])),
    removed=st.integers(0, 4),
)
def test_mutated_parts_never_crash(
    part: str, place: float, inserted: bytes, removed: int, tmp_path: Path, reader: ReturnReader
) -> None:
    """The same behind the archive's checksums: of the XML inside a workbook."""
    source = FORMS["ods"][1] if part == "content.xml" else XLSX
    with zipfile.ZipFile(io.BytesIO(source)) as made:
        parts: dict[str, str | bytes] = {name: made.read(name) for name in made.namelist()}
    data = bytes(parts[part])  # type: ignore[arg-type]
    at = int(place * len(data))
    parts[part] = data[:at] + inserted + data[at + removed :]
    path = tmp_path / "x"
    path.write_bytes(archive(parts))
    with suppress(HarnessError):
        reader.read(path)
