"""File formats of returned sheets: recognised by their content, read into grids of cells.

What a file is called does not matter: raters rename files, and programs export CSV as ``.txt``.
"""

import codecs
import csv
import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from harness.errors import DataError
from harness.ratings.records import ReturnFormat
from harness.ratings.returns.zip_guard import far_cell

CellValue = str | float | bool | datetime.date | datetime.time | datetime.timedelta

AS_TABLE = "Open it in the program that made it, export it as .xlsx or .csv, and import that file."
AGAIN = "Ask the rater to send the file again."

_MOST_UNPACKED = 4 * 2**30  # bytes; a sheet of 30,000 long rows has a tenth of it
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_MARKS = (  # UTF-16 as Excel's "Unicode text" has it; its byte order marks
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_ARCHIVES = (  # how names in an archive begin -> what it is
    ("word/", "a Word document"),
    ("ppt/", "a PowerPoint presentation"),
    ("Index/", "a document of Apple's Numbers, Pages or Keynote"),
    ("Index.zip", "a document of Apple's Numbers, Pages or Keynote"),
)
_OTHER_FILES = (  # how files begin -> what they are
    (b"%PDF", "a PDF file"),
    (b"{\\rtf", "a document in Rich Text Format"),
    (b"\x1f\x8b", "a compressed file"),
    (b"<?xml", "an XML file"),
)
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype html|html)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Grid:
    """The cells of one worksheet, or of a file that holds one table."""

    name: str  # the worksheet's; empty where the format has none
    # From the first row on, empty ones included. May be read once.
    rows: Iterable[Sequence[CellValue]]
    left: int = 0  # columns before the first one of ``rows``


def recognise(data: bytes, where: str) -> ReturnFormat:
    """Tell a file's format by its content.

    Args:
        data: All of the file.
        where: What messages call it.

    Raises:
        DataError: It is empty, cut off, or nothing that ratings can be read from.
    """
    if not data:
        raise DataError("The file is empty: 0 bytes.", where=where, hint=AGAIN)
    if data.startswith(b"PK"):
        return _archive(data, where)
    if data.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise _encrypted(where)
        return "xls"
    if _HTML.match(data[:4096].removeprefix(codecs.BOM_UTF8)):
        raise DataError(
            "A returned sheet was needed, but this is a web page, perhaps the rating page itself; "
            "the ratings are not in it.",
            where=where,
            hint="Open the page in the browser where it was filled in, and send the file that its "
            "button saves (.json).",
        )
    for start, what in _OTHER_FILES:
        if data.startswith(start):
            raise _not_a_table(what, where)
    start = data.removeprefix(codecs.BOM_UTF8)[:4096].replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")
    return "json" if start[:1] in (b"{", b"[") else "csv"


def read_workbook(data: bytes, form: ReturnFormat, where: str) -> Iterator[Grid]:
    """Every worksheet of a spreadsheet, hidden ones too.

    Formulas count as what they last gave; error values such as ``#N/A`` come as empty cells.

    Raises:
        DataError: The file is damaged, encrypted, or holds a cell so far out that the sheet would
            not fit into memory.
    """
    import python_calamine as calamine

    if form != "xls":  # which has 65,536 rows and 256 columns at most
        _check_extent(data, where)
    with _failures(form, where):
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    for name in book.sheet_names:
        with _failures(form, where):
            sheet = book.get_sheet_by_name(name)
            # whole rows would begin at column A, but only as a list of all of them
            yield Grid(name, sheet.iter_rows(), left=sheet.start[1] if sheet.start else 0)


def _check_extent(data: bytes, where: str) -> None:
    try:
        place = far_cell(data)
    except Exception as error:  # zipfile's, zlib's, struct's and others
        raise _damaged(where, error) from error
    if place:
        raise DataError(
            f"A worksheet has a filled cell far away from its table, {place}; it was probably "
            "entered by accident.",
            where=where,
            hint="Press Ctrl+End in each worksheet, delete that cell's row and column, and save "
            "the file.",
        )


@contextmanager
def _failures(form: ReturnFormat, where: str) -> Iterator[None]:
    """Turn what the spreadsheet reader raises into an error that says what to do."""
    import python_calamine as calamine

    try:
        yield
    except calamine.PasswordError as error:
        raise _encrypted(where) from error
    except calamine.CalamineError as error:
        if form == "xls":
            raise _not_a_table("an old Office document that cannot be read", where) from error
        raise _damaged(where, error) from error
    except BaseException as error:
        # The reader panics on some damaged files, and that is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise _damaged(where, error) from error


def decode(data: bytes, where: str) -> tuple[str, str]:
    """Text of a file, and the encoding that it was read in.

    That is UTF-8 or UTF-16 by the mark at its start, else UTF-8, else Windows' cp1252.

    Raises:
        DataError: It is no text, or text in none of these.
    """
    encodings = [name for mark, name in _MARKS if data.startswith(mark)] or ["utf-8", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise DataError(
        "A spreadsheet (.xlsx, .ods, .csv) or a rating page's file (.json) was needed, but this "
        "is neither, nor text in UTF-8, UTF-16 or Windows-1252.",
        where=where,
        hint=AS_TABLE,
    )


def read_delimited(text: str, delimiter: str, where: str) -> Iterator[list[str]]:
    """Records of a text with delimiters; cells in quotes may hold line breaks.

    Raises:
        DataError: Quotes are not closed, or text follows them.
    """
    # for the whole process, but for longer cells only: 131,072 characters otherwise
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    number = 0
    try:
        # strict: else a quote that is missing would swallow all rows behind it, without a word
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            number += 1
            yield row
    except csv.Error as error:
        raise DataError(
            f"Row {number + 1} cannot be read as CSV: {error}.",
            where=where,
            hint="A quote is missing or one too many: open the file in a spreadsheet program, look "
            "at this row and the next ones, and save it as .xlsx.",
        ) from error


def as_text(cell: CellValue) -> tuple[str, str]:
    """A cell's text, and what a program turned the entry into, where it did.

    >>> as_text(5.0)
    ('5', '')
    """
    if isinstance(cell, str):
        return cell, ""
    if isinstance(cell, bool):
        what, text = "a logical value", str(cell).upper()
    elif isinstance(cell, int):
        return str(cell), ""
    elif isinstance(cell, float):
        text = f"{cell:.15g}"  # digits that spreadsheets show
        return (f"{cell:.15f}".rstrip("0") if "e-" in text else text), ""
    elif isinstance(cell, datetime.date):  # a date with a time of day, too
        what, text = "a date", str(cell).removesuffix(" 00:00:00")
    elif isinstance(cell, datetime.time):
        what, text = "a time of day", str(cell)
    else:
        what, text = "a duration", str(cell)
    return text, f"{what}, {text}: the spreadsheet turned the entry into it"


def _archive(data: bytes, where: str) -> ReturnFormat:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            unpacked = sum(entry.file_size for entry in archive.infolist())
            kind = b""
            if "mimetype" in names:
                kind = archive.read("mimetype")[:200].strip()
    except Exception as error:  # zipfile's, zlib's, struct's, NotImplementedError and others
        raise _damaged(where, error) from error
    if unpacked > _MOST_UNPACKED:
        raise DataError(
            f"A sheet was needed, but unpacked this file has {unpacked / 2**30:.0f} GiB.",
            where=where,
            hint=AGAIN,
        )
    if kind.startswith(b"application/vnd.oasis.opendocument"):
        if b"opendocument.spreadsheet" in kind:
            return "ods"
        raise _not_a_table("an OpenDocument file, but no spreadsheet", where)
    if "xl/workbook.bin" in names:
        raise _not_a_table("a binary Excel workbook (.xlsb)", where)
    if any(name.startswith("xl/") for name in names):
        return "xlsx"
    for start, what in _OTHER_ARCHIVES:
        if any(name.startswith(start) for name in names):
            raise _not_a_table(what, where)
    raise DataError(
        f"A returned sheet was needed, but this is an archive of {len(names)} files.",
        where=where,
        hint="Unpack it, and import the files in it.",
    )


def _encrypted(where: str) -> DataError:
    return DataError(
        "The file is encrypted: it opens with a password only.",
        where=where,
        hint="Open it, save it without a password, and import that file.",
    )


def _damaged(where: str, error: BaseException) -> DataError:
    return DataError(
        f"The file is damaged or was cut off ({str(error) or type(error).__name__}).",
        where=where,
        hint=AGAIN,
    )


def _not_a_table(what: str, where: str) -> DataError:
    return DataError(
        f"A spreadsheet (.xlsx, .ods, .csv) or a rating page's file (.json) was needed, but this "
        f"is {what}.",
        where=where,
        hint=AS_TABLE,
    )
