"""Spreadsheets, whichever program wrote them, as grids of cells."""

import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.errors import DataError, HarnessError, MissingExtraError
from harness.ratings.records import ReturnFormat
from harness.ratings.returns.cell_notes import workbook_notes
from harness.ratings.returns.formats import damaged, encrypted, not_a_table
from harness.ratings.returns.grid import Grid
from harness.ratings.returns.opendocument import read_opendocument
from harness.ratings.returns.xlsb import read_xlsb
from harness.ratings.returns.zip_guard import far_cell

WITHOUT_NOTES: tuple[ReturnFormat, ...] = ("xls", "numbers")
"""Formats whose notes on cells are not looked at."""

_CHUNK = 2**18  # bytes


def read_workbook(data: bytes, form: ReturnFormat, where: str) -> Iterator[Grid]:
    """Every worksheet of a spreadsheet, hidden ones too.

    Formulas count as what they last gave; error values such as ``#N/A`` are texts,
    or of XLSX files empty cells with a note.

    Raises:
        DataError: The file is damaged, encrypted, or holds a cell so far out that the sheet would
            not fit into memory.
        MissingExtraError: It is a Numbers document, and numbers-parser is not installed.
    """
    with _failures(form, where):
        if form == "ods":
            with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("content.xml") as part:
                yield from read_opendocument(iter(lambda: part.read(_CHUNK), b""))
        elif form == "fods":
            yield from read_opendocument([data])
        elif form == "xlsb":
            yield from read_xlsb(data)
        elif form == "numbers":
            yield from _numbers(data)
        else:
            yield from _excel(data, form, where)


def _excel(data: bytes, form: ReturnFormat, where: str) -> Iterator[Grid]:
    import python_calamine as calamine

    notes = {}
    if form == "xlsx":
        if place := far_cell(data):
            raise DataError(
                f"A worksheet has a filled cell far away from its table, {place}; it was probably "
                "entered by accident.",
                where=where,
                hint="Press Ctrl+End in each worksheet, delete that cell's row and column, and "
                "save the file.",
            )
        notes = workbook_notes(data)
    book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    for name in book.sheet_names:
        sheet = book.get_sheet_by_name(name)
        # whole rows would begin at column A, but only as a list of all of them
        left = sheet.start[1] if sheet.start else 0
        yield Grid(name, enumerate(sheet.iter_rows(), 1), left, notes.get(name, ()))


def _numbers(data: bytes) -> Iterator[Grid]:
    try:
        import numbers_parser
    except ImportError as error:
        raise MissingExtraError("numbers-parser", "numbers") from error
    with tempfile.NamedTemporaryFile(suffix=".numbers") as file:
        file.write(data)
        file.flush()
        document = numbers_parser.Document(file.name)
    for sheet in document.sheets:
        for number, table in enumerate(sheet.tables):
            # its tables are what other programs call worksheets
            name = sheet.name if number == 0 else f"{sheet.name}, {table.name}"
            rows = ([_plain(cell) for cell in row] for row in table.rows())
            yield Grid(name, enumerate(rows, 1))


def _plain(cell: Any) -> Any:
    """The value of a cell of a Numbers document; text where it is of a kind of its own."""
    if cell.value is None or type(cell).__name__ == "ErrorCell":
        return ""
    return cell.value


@contextmanager
def _failures(form: ReturnFormat, where: str) -> Iterator[None]:
    """Turn what the libraries raise into an error that says what to do."""
    import python_calamine as calamine

    try:
        yield
    except (HarnessError, MemoryError):
        raise
    except calamine.PasswordError as error:
        raise encrypted(where) from error
    except Exception as error:
        if form == "xls":
            raise not_a_table("an old Office document that cannot be read", where) from error
        raise damaged(where, error) from error
    except BaseException as error:
        # The reader panics on some damaged files, and that is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise damaged(where, error) from error
