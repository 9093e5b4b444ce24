"""What raters send back, whatever program it went through: rows of filled cells, and where."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.ratings import layout
from harness.ratings.records import ReturnFormat
from harness.ratings.returns import formats
from harness.ratings.returns.answers import tidy
from harness.ratings.returns.returned import NOTHING, Returned, ReturnedRow, ReturnedTable, letters

DELIMITERS = (",", ";", "\t")

_MOST_BYTES = 2**30
_GIVEN = frozenset(
    name.casefold()
    for name in (layout.PROMPT, layout.REFERENCE, layout.OUTPUT, layout.OUTPUT_A, layout.OUTPUT_B)
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # how asked columns are called
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # a first line that Excel reads, not shows
_LONE = re.compile("[\ud800-\udfff]")


def read_return(path: Path) -> Returned:
    """Read a file that a rater sent back: XLSX, ODS, XLS, CSV or a rating page's file.

    The format is told by the content. Columns may have been moved, rows sorted, inserted above the
    headings or left empty, and worksheets added: what counts is the heading ``row``.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be read, or holds no table of ratings.
    """
    data = _bytes_of(path)
    where = str(path)
    form = formats.recognise(data, where)
    if form == "json":
        parts = [_page(data, where)]
    elif form == "csv":
        parts = [*_text_parts(data, where)]
    else:
        parts = [_grid_part(grid, form) for grid in formats.read_workbook(data, form, where)]
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
    return Returned(
        path=path,
        digest=hashlib.sha256(data).hexdigest(),
        format=form,
        data=data,
        tables=tables,
        rows=tuple(row for part in parts for row in part.rows),
        sheet=next((part.sheet for part in parts if part.sheet is not None), None),
        problems=tuple(problem for part in parts for problem in part.problems),
        notes=tuple(f"{where}: {note}" for part in parts for note in part.notes),
    )


@dataclass(frozen=True)
class _SheetPart:
    """What one worksheet, or a file without any, holds; fields as in :class:`Returned`."""

    tables: tuple[ReturnedTable, ...] = ()
    rows: tuple[ReturnedRow, ...] = ()
    sheet: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _text_parts(data: bytes, where: str) -> Iterator[_SheetPart]:
    """Read a text; the delimiter is the one that makes a table of it."""
    text, encoding = formats.decode(data, where)
    if encoding == "cp1252" and not text.isascii():
        note = "is not in UTF-8 and was read as Windows-1252; check its comments"
        yield _SheetPart(notes=(note,))
    line = text[:10].splitlines()[0] if text[:10].strip() else ""
    said = _SEPARATOR.fullmatch(line)
    for delimiter in (said[1],) if said else DELIMITERS:
        # quotes that are not closed with this delimiter may be sound with another
        with suppress(DataError):
            if any(map(_headings, formats.read_delimited(text, delimiter, where))):
                break
    else:
        return
    yield _grid_part(formats.Grid("", formats.read_delimited(text, delimiter, where)), "csv")


def _grid_part(grid: formats.Grid, form: ReturnFormat) -> _SheetPart:
    """Read one worksheet, or a text's table."""
    tables: list[ReturnedTable] = []
    rows: list[ReturnedRow] = []
    sheet = None
    at, rest = 0, []  # of the tokens; of the cells that a rater fills in
    for number, cells in enumerate(grid.rows, 1):
        token = _token(cells[at]) if tables and at < len(cells) else ""
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
            text, what = formats.as_text(cell)
            if what:
                turned[name] = what
            elif not tidy(text):
                continue
            filled[name] = text
        if token or filled:
            rows.append(ReturnedRow(tables[-1], number, token, filled, turned or NOTHING))
    return _SheetPart(tuple(tables), tuple(rows), sheet)


def _table(
    grid: formats.Grid, form: ReturnFormat, number: int, columns: Mapping[str, Sequence[int]]
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


def _sheet_id(cells: Sequence[formats.CellValue]) -> str | None:
    """The page of instructions says "Sheet" and, beside it, the id of the export."""
    for label, value in pairwise(cells):
        if isinstance(label, str) and tidy(label).casefold() == "sheet":
            return tidy(formats.as_text(value)[0]) or None
    return None


def _page(data: bytes, where: str) -> _SheetPart:
    """Read the file that a rating page saves."""
    page, notes = _page_of(data, where)
    names: dict[str, int] = {}
    table = ReturnedTable("", "json", names)
    rows, problems = [], []
    for number, entry in enumerate(page["rows"]):
        token = entry.get(layout.ROW) if isinstance(entry, dict) else None
        if not isinstance(token, str):
            problems.append(
                f"{where}, rows[{number}]: found no “{layout.ROW}”; needed is the row's id; the "
                "file was changed after the page saved it: ask for the page's own file."
            )
            continue
        texts = {name: _value_text(value) for name, value in entry.items() if name != layout.ROW}
        cells = {name: text for name, text in texts.items() if tidy(text)}
        for name in cells:
            names.setdefault(name, len(names))
        rows.append(ReturnedRow(table, number, _token(token), cells))
    return _SheetPart(
        (table,), tuple(rows), str(page.get("sheet", "")), tuple(problems), tuple(notes)
    )


def _page_of(data: bytes, where: str) -> tuple[dict[str, Any], list[str]]:
    """A page's file, and notes on what was changed in it."""
    text, _ = formats.decode(data, where)
    notes = []
    try:
        page = json.loads(text)
        if "\\ud" in text.lower():  # an escape that may be half a character
            text = json.dumps(page, ensure_ascii=False)
            text, count = _LONE.subn("\N{REPLACEMENT CHARACTER}", text)
            if count:
                notes.append(f"holds {count} halves of characters, which became “\ufffd”")
            page = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"The file is not valid JSON: {error}.", where=where, hint=formats.AGAIN
        ) from error
    form = page.get("format") if isinstance(page, dict) else None
    if form != layout.PAGE_FORMAT or not isinstance(page.get("rows"), list):
        raise DataError(
            f"A file of format “{layout.PAGE_FORMAT}” was needed, but this is other JSON.",
            where=where,
            hint="Send the file that the page's button saves.",
        )
    if page.get("version") != layout.PAGE_VERSION:
        raise DataError(
            f"A rating page's file of version {layout.PAGE_VERSION} was needed, but this is of "
            f"version {page.get('version')!r:.40}.",
            where=where,
            hint="Import it with the version of the harness that made the page.",
        )
    return page, notes


def _bytes_of(path: Path) -> bytes:
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
                "The file has more than 1 GiB: no sheet.", where=where, hint=formats.AGAIN
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"Cannot read this file: {reason}.",
            where=where,
            hint="Check the path and its permissions.",
        ) from error


def _headings(cells: Iterable[formats.CellValue]) -> dict[str, list[int]]:
    """Heading -> columns, where cells are headings: ``row``, and another name of one word."""
    names: dict[str, list[int]] = {}
    for place, cell in enumerate(cells):
        if isinstance(cell, str) and cell and (name := tidy(cell).casefold()):
            names.setdefault(name, []).append(place)
    others = (name for name in names if name != layout.ROW and _NAME.fullmatch(name))
    return names if layout.ROW in names and any(others) else {}


def _token(cell: formats.CellValue) -> str:
    return tidy(formats.as_text(cell)[0]).casefold() if cell != "" else ""


def _value_text(value: Any) -> str:
    """Text of a JSON value; what is no text or number stays recognisable."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return formats.as_text(value)[0] if isinstance(value, (int, float)) else json.dumps(value)
