"""What raters send back, whatever program it went through: rows of filled cells, and where."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.ratings.layout import (
    OUTPUT,
    OUTPUT_A,
    OUTPUT_B,
    PAGE_FORMAT,
    PAGE_VERSION,
    PROMPT,
    REFERENCE,
    ROW,
)
from harness.ratings.returns.answers import tidy
from harness.ratings.returns.formats import (
    AGAIN,
    Cell,
    Format,
    Grid,
    as_text,
    decode,
    read_delimited,
    read_workbook,
    recognise,
)
from harness.ratings.returns.returned import NOTHING, Returned, ReturnedRow, Table, letters

DELIMITERS = (",", ";", "\t")

_MOST_BYTES = 2**30
_GIVEN = frozenset(name.casefold() for name in (PROMPT, REFERENCE, OUTPUT, OUTPUT_A, OUTPUT_B))
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
    form = recognise(data, where)
    reader = _Reader(form, where)
    if form == "json":
        reader.page(data)
    elif form == "csv":
        reader.delimited(data)
    else:
        for grid in read_workbook(data, form, where):
            reader.grid(grid)
    if not reader.tables:
        raise DataError(
            f"No heading “{ROW}” beside others was found"
            + (" on any worksheet." if form not in ("csv", "json") else "."),
            where=where,
            hint="If this is a rating sheet, put back its first line, which holds "
            f"“{ROW}” above the ids of the rows and the names of the other columns; if it is "
            "something else, such as the instructions, leave it out."
            + (" A workbook saved as CSV holds the sheet on view only." if form == "csv" else ""),
        )
    return Returned(
        path=path,
        digest=hashlib.sha256(data).hexdigest(),
        format=form,
        data=data,
        tables=tuple(reader.tables),
        rows=tuple(reader.rows),
        sheet=reader.sheet,
        problems=tuple(reader.problems),
        notes=tuple(f"{where}: {note}" for note in reader.notes),
    )


class _Reader:
    """Collects the rows of one file.

    Args:
        form: The file's format.
        where: What messages call it.
    """

    def __init__(self, form: Format, where: str) -> None:
        self.format: Format = form
        self.where = where
        self.tables: list[Table] = []
        self.rows: list[ReturnedRow] = []
        self.sheet: str | None = None
        self.problems: list[str] = []
        self.notes: list[str] = []

    def delimited(self, data: bytes) -> None:
        """Read a text; the delimiter is the one that makes a table of it."""
        text, encoding = decode(data, self.where)
        if encoding == "cp1252" and not text.isascii():
            self.notes.append("is not in UTF-8 and was read as Windows-1252; check its comments")
        for delimiter in self._delimiters(text):
            self.grid(Grid("", read_delimited(text, delimiter, self.where)))

    def _delimiters(self, text: str) -> list[str]:
        """The delimiter with which the text has headings; none where it has none."""
        line = text[:10].splitlines()[0] if text[:10].strip() else ""
        said = _SEPARATOR.fullmatch(line)
        for delimiter in (said[1],) if said else DELIMITERS:
            # quotes that are not closed with this delimiter may be sound with another
            with suppress(DataError):
                if any(map(_headings, read_delimited(text, delimiter, self.where))):
                    return [delimiter]
        return []

    def grid(self, grid: Grid) -> None:
        """Read one worksheet, or a text's table."""
        table: Table | None = None
        at, rest = 0, []  # of the tokens; of the cells that a rater fills in
        for number, cells in enumerate(grid.rows, 1):
            token = _token(cells[at]) if table is not None and at < len(cells) else ""
            if table is None or token == ROW:
                columns = _headings(cells)
                if columns:
                    table = self._table(grid, number, columns)
                    at = columns[ROW][0]
                    rest = [
                        (name, places[0])
                        for name, places in columns.items()
                        if name not in _GIVEN and name != ROW and len(places) == 1
                    ]
                elif table is None:
                    self._look_for_id(cells)
                continue
            filled: dict[str, str] = {}
            turned: dict[str, str] | None = None
            for name, place in rest:
                cell = cells[place] if place < len(cells) else ""
                if cell == "":
                    continue
                text, what = as_text(cell)
                if what:
                    turned = {**(turned or {}), name: what}
                elif not tidy(text):
                    continue
                filled[name] = text
            if token or filled:
                row = ReturnedRow(table, number, token, filled, turned or NOTHING)
                self.rows.append(row)

    def _table(self, grid: Grid, number: int, columns: Mapping[str, Sequence[int]]) -> Table:
        asked = {name: places for name, places in columns.items() if name not in _GIVEN}
        doubled = {
            name: " and ".join(self._column(place + grid.left) for place in places)
            for name, places in asked.items()
            if len(places) > 1
        }
        firsts = {name: places[0] + grid.left for name, places in asked.items()}
        table = Table(grid.name, self.format, firsts, doubled, number)
        self.tables.append(table)
        return table

    def _column(self, place: int) -> str:
        return str(place + 1) if self.format == "csv" else letters(place)

    def _look_for_id(self, cells: Sequence[Cell]) -> None:
        """The page of instructions says "Sheet" and, beside it, the id of the export."""
        for label, value in pairwise(cells):
            if isinstance(label, str) and tidy(label).casefold() == "sheet":
                self.sheet = self.sheet or tidy(as_text(value)[0]) or None

    def page(self, data: bytes) -> None:
        """Read the file that a rating page saves."""
        found = self._page_of(data)
        self.sheet = str(found.get("sheet", ""))
        names: dict[str, int] = {}
        table = Table("", "json", names)
        self.tables.append(table)
        for number, entry in enumerate(found["rows"]):
            token = entry.get(ROW) if isinstance(entry, dict) else None
            if not isinstance(token, str):
                self.problems.append(
                    f"{self.where}, rows[{number}]: found no “{ROW}”; needed is the row's id; the "
                    "file was changed after the page saved it: ask for the page's own file."
                )
                continue
            cells = {}
            for name, value in entry.items():
                text = _value_text(value)
                if name != ROW and tidy(text):
                    names.setdefault(name, len(names))
                    cells[name] = text
            self.rows.append(ReturnedRow(table, number, _token(token), cells))

    def _page_of(self, data: bytes) -> dict[str, Any]:
        text, _ = decode(data, self.where)
        try:
            found = json.loads(text)
            if "\\ud" in text.lower():  # an escape that may be half a character
                text = json.dumps(found, ensure_ascii=False)
                text, count = _LONE.subn("\N{REPLACEMENT CHARACTER}", text)
                if count:
                    self.notes.append(f"holds {count} halves of characters, which became “\ufffd”")
                found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"The file is not valid JSON: {error}.", where=self.where, hint=AGAIN
            ) from error
        form = found.get("format") if isinstance(found, dict) else None
        if form != PAGE_FORMAT or not isinstance(found.get("rows"), list):
            raise DataError(
                f"A file of format “{PAGE_FORMAT}” was needed, but this is other JSON.",
                where=self.where,
                hint="Send the file that the page's button saves.",
            )
        if found.get("version") != PAGE_VERSION:
            raise DataError(
                f"A rating page's file of version {PAGE_VERSION} was needed, but this is of "
                f"version {found.get('version')!r:.40}.",
                where=self.where,
                hint="Import it with the version of the harness that made the page.",
            )
        return dict(found)


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
            raise DataError("The file has more than 1 GiB: no sheet.", where=where, hint=AGAIN)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"Cannot read this file: {reason}.",
            where=where,
            hint="Check the path and its permissions.",
        ) from error


def _headings(cells: Iterable[Cell]) -> dict[str, list[int]]:
    """Heading -> columns, where cells are headings: ``row``, and another name of one word."""
    names: dict[str, list[int]] = {}
    for place, cell in enumerate(cells):
        if isinstance(cell, str) and cell and (name := tidy(cell).casefold()):
            names.setdefault(name, []).append(place)
    others = (name for name in names if name != ROW and _NAME.fullmatch(name))
    return names if ROW in names and any(others) else {}


def _token(cell: Cell) -> str:
    return tidy(as_text(cell)[0]).casefold() if cell != "" else ""


def _value_text(value: Any) -> str:
    """Text of a JSON value; what is no text or number stays recognisable."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return as_text(value)[0] if isinstance(value, (int, float)) else json.dumps(value)
