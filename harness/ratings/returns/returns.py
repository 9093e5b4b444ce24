"""What raters send back, whatever program it went through: rows of filled cells, and where."""

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from harness.errors import DataError
from harness.ratings import layout
from harness.ratings.records import ReturnFormat
from harness.ratings.returns.answers import shown, tidy
from harness.ratings.returns.delimited_text import delimiters_of, read_delimited
from harness.ratings.returns.encodings import UNICODE, decode, encoding_name
from harness.ratings.returns.formats import AGAIN, recognise
from harness.ratings.returns.grid import CellValue, Grid, as_text, letters
from harness.ratings.returns.page_file import read_page
from harness.ratings.returns.returned import (
    NOTHING,
    Returned,
    ReturnedRow,
    ReturnedTable,
    SheetPart,
    token_of,
)
from harness.ratings.returns.workbooks import WITHOUT_NOTES, read_workbook

_MOST_BYTES = 2**28
_GIVEN = frozenset(
    name.casefold()
    for name in (layout.PROMPT, layout.REFERENCE, layout.OUTPUT, layout.OUTPUT_A, layout.OUTPUT_B)
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # how asked columns are called


def read_return(path: Path, words: AbstractSet[str] = frozenset()) -> Returned:
    """Read a file that a rater sent back: a spreadsheet, CSV or a rating page's file.

    The format is told by the content. Columns may have been moved, rows sorted, inserted above the
    headings or left empty, and worksheets added: what counts is the heading ``row``.

    Args:
        path: The file.
        words: What tells the encoding of CSV, as :func:`decode` takes it.

    Raises:
        DataError: It cannot be read, or holds no table of ratings.
    """
    return parse_return(bytes_of(path), path, words)


def parse_return(data: bytes, path: Path, words: AbstractSet[str] = frozenset()) -> Returned:
    """Read the bytes of a file; arguments and errors are those of :func:`read_return`."""
    where = str(path)
    form = recognise(data, where)
    if form == "json":
        parts = [read_page(data, where)]
    elif form == "csv":
        parts = [*_text_parts(data, where, words)]
    else:
        parts = [_grid_part(grid, form) for grid in read_workbook(data, form, where)]
    tables = tuple(table for part in parts for table in part.tables)
    if not tables:
        raise DataError(
            f"No heading “{layout.ROW}” beside others was found"
            + (" on any worksheet." if form not in ("csv", "json") else "."),
            where=where,
            hint="If this is a rating sheet, put back its first line, which holds "
            f"“{layout.ROW}” above the ids of the rows and the names of the other columns; if it "
            "is something else, such as the instructions, leave it out."
            + (" A workbook saved as CSV holds the sheet on view only." if form == "csv" else ""),
        )
    notes = [note for part in parts for note in part.notes]
    if form in WITHOUT_NOTES:
        notes.append(f"is a file of kind .{form}, in which notes on cells are not looked at")
    return Returned(
        path=path,
        digest=hashlib.sha256(data).hexdigest(),
        format=form,
        data=data,
        tables=tables,
        rows=tuple(row for part in parts for row in part.rows),
        sheet=next((part.sheet for part in parts if part.sheet is not None), None),
        problems=tuple(problem for part in parts for problem in part.problems),
        notes=tuple(f"{where}: {note}" for note in notes),
    )


def bytes_of(path: Path) -> bytes:
    """All of a file.

    Raises:
        DataError: It cannot be read, or is larger than any sheet.
    """
    where = str(path)
    try:
        if path.is_dir():
            raise DataError(
                "A file was needed, but this is a folder"
                + (" (as Apple's programs save)." if path.suffix else "."),
                where=where,
                hint="Name the files in it (FOLDER/*), or export it as .xlsx.",
            )
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"The file has more than {_MOST_BYTES // 2**20} MiB: no sheet.",
                where=where,
                hint=AGAIN,
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"Cannot read this file: {reason}.",
            where=where,
            hint="Check the path and its permissions.",
        ) from error


def _text_parts(data: bytes, where: str, words: AbstractSet[str]) -> Iterator[SheetPart]:
    """Read a text; the delimiter is the one that makes a table of it."""
    text, codec = decode(data, where, words)
    if codec not in UNICODE:
        note = f"is not in UTF-8 and was read as {encoding_name(codec)}; check its comments"
        yield SheetPart(notes=(note,))
    for delimiter in delimiters_of(text):
        # quotes that are not closed with this delimiter may be sound with another
        with suppress(DataError):
            if any(map(_headings, read_delimited(text, delimiter, where))):
                break
    else:
        return
    records = list(read_delimited(text, delimiter, where))
    part = _grid_part(Grid("", enumerate(records, 1)), "csv")
    yield _without_torn(part, [0, *map(len, records)], where)


def _without_torn(part: SheetPart, widths: Sequence[int], where: str) -> SheetPart:
    """Leave out rows in which a delimiter of a text, without quotes, has moved what follows.

    Args:
        part: What a text holds.
        widths: Number of a record -> how many cells it has.
        where: What messages call the file.
    """
    usual = {  # a delimiter behind each row's last cell moves nothing
        id(table): Counter(widths[row.number] for row in part.rows if row.table is table)
        for table in part.tables
    }
    rows, problems = [], []
    for row in part.rows:
        width = widths[row.number]
        counts = usual[id(row.table)]
        most = min(width for width, count in counts.items() if count == max(counts.values()))
        expected = max(widths[row.table.heading], most)
        if width <= expected:
            rows.append(row)
            continue
        problems.append(
            f"{where}, row {row.number}: found {width} cells, needed are {expected}: a delimiter "
            "in a text stands without quotes; save the sheet as .xlsx, or with all texts in quotes."
        )
    return dataclasses.replace(part, rows=tuple(rows), problems=tuple(problems))


def _grid_part(grid: Grid, form: ReturnFormat) -> SheetPart:
    """Read one worksheet, or a text's table."""
    tables: list[ReturnedTable] = []
    rows: list[ReturnedRow] = []
    sheet = None
    at, rest = 0, []  # of the tokens; of the cells that a rater fills in
    for number, cells in grid.rows:
        token = token_of(cells[at]) if tables and at < len(cells) else ""
        if not tables or token == layout.ROW:
            if columns := _headings(cells):
                tables.append(_table(grid, form, number, columns))
                at = columns[layout.ROW][0]
                rest = [
                    (name, places[0])
                    for name, places in columns.items()
                    if name not in _GIVEN and name != layout.ROW and len(places) == 1
                ]
            elif not tables:
                sheet = sheet or _sheet_id(cells)
            continue
        filled: dict[str, str] = {}
        turned: dict[str, str] = {}
        for name, place in rest:
            cell = cells[place] if place < len(cells) else ""
            if cell == "":
                continue
            text, what = as_text(cell)
            if what:
                turned[name] = what
            elif not tidy(text):
                continue
            filled[name] = text
        if token or filled:
            rows.append(ReturnedRow(tables[-1], number, token, filled, turned or NOTHING))
    return SheetPart(tuple(tables), tuple(rows), sheet, notes=tuple(_cell_notes(grid, tables)))


def _cell_notes(grid: Grid, tables: Sequence[ReturnedTable]) -> Iterator[str]:
    """Notes that hang on cells below the headings, where the sheet itself has none."""
    headings = {table.heading for table in tables}
    for note in grid.notes:
        if tables and note.row > min(headings) and note.row not in headings:
            words = (
                f"holds the error value {shown(note.text)}, which counts as an empty cell"
                if note.is_error
                else f"has a note, {shown(note.text)}, which is not read; what should count "
                f"belongs into the column “{layout.COMMENT}”"
            )
            yield f"{grid.name}!{letters(note.column)}{note.row} {words}"


def _table(
    grid: Grid, form: ReturnFormat, number: int, columns: Mapping[str, Sequence[int]]
) -> ReturnedTable:
    asked = {
        name: [place + grid.left for place in places]
        for name, places in columns.items()
        if name not in _GIVEN
    }
    named = (lambda place: str(place + 1)) if form == "csv" else letters
    doubled = {
        name: " and ".join(map(named, places)) for name, places in asked.items() if len(places) > 1
    }
    firsts = {name: places[0] for name, places in asked.items()}
    return ReturnedTable(grid.name, form, firsts, doubled, number)


def _sheet_id(cells: Sequence[CellValue]) -> str | None:
    """The page of instructions says "Sheet" and, beside it, the id of the export."""
    for label, value in pairwise(cells):
        if isinstance(label, str) and tidy(label).casefold() == "sheet":
            return tidy(as_text(value)[0]) or None
    return None


def _headings(cells: Iterable[CellValue]) -> dict[str, list[int]]:
    """Heading -> columns, where cells are headings: ``row``, and another name of one word."""
    names: dict[str, list[int]] = {}
    for place, cell in enumerate(cells):
        if isinstance(cell, str) and cell and (name := tidy(cell).casefold()):
            names.setdefault(name, []).append(place)
    others = (name for name in names if name != layout.ROW and _NAME.fullmatch(name))
    return names if layout.ROW in names and any(others) else {}
