"""A file that a rater sent back, as it was read: rows of filled cells, and where they stand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.ratings.layout import ROW
from harness.ratings.records import ReturnFormat
from harness.ratings.returns.answers import tidy
from harness.ratings.returns.grid import CellValue, as_text, letters

NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class ReturnedTable:
    """Where the rows of one worksheet or file stand."""

    name: str  # the worksheet's; empty where the format has none
    format: ReturnFormat  # of the file: says what an address looks like
    # heading in lower case -> column from 0, but for those shown to the rater
    columns: Mapping[str, int]
    # headings of several columns -> which; none of these is read
    doubled: Mapping[str, str] = field(default_factory=dict)
    heading: int = 0  # row of the headings, from 1; 0 where the format has none

    def address(self, row: int, column: str) -> str:
        """Where a cell is, as its program shows it: ``Ratings!D17``.

        Args:
            row: From 1; of a page's file from 0.
            column: Its heading.
        """
        if self.format == "json":
            return f"rows[{row}].{column}"
        if self.format == "csv":
            return f"row {row}, column {column}"
        return f"{self.name}!{letters(self.columns.get(column, 0))}{row}"

    def column_words(self, column: str) -> str:
        """Which column that is: ``column D of Ratings``; by its heading where it has no letter."""
        if self.format in ("json", "csv"):
            return f"column {column}"
        return f"column {letters(self.columns.get(column, 0))} of {self.name}"


@dataclass(frozen=True, slots=True)
class ReturnedRow:
    """A row with a token, or with an entry."""

    table: ReturnedTable  # where it stands
    number: int  # its row, from 1; of a page's file from 0
    token: str  # in lower case; empty where the cell is
    # heading in lower case -> what stands there; filled cells only, and none of those that are
    # shown to the rater
    cells: Mapping[str, str]
    # heading -> what a program made of the entry, such as a date
    turned: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def address(self, column: str = ROW) -> str:
        """Where a cell of this row is."""
        return self.table.address(self.number, column)


@dataclass(frozen=True)
class Returned:
    """A file that a rater sent back, as it was read; nothing is checked against a plan."""

    path: Path  # as it was given
    digest: str  # Sha256 of its bytes
    format: ReturnFormat  # by its content
    data: bytes = field(repr=False)  # its bytes
    tables: tuple[ReturnedTable, ...]  # worksheets (or the file itself) with a heading ``row``
    rows: tuple[ReturnedRow, ...] = field(repr=False)  # in the file's order
    sheet: str | None = None  # id of the export, where the file says it
    problems: tuple[str, ...] = ()  # rows that cannot be told apart, each with its place
    notes: tuple[str, ...] = ()  # what was changed in reading, in words

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.name


def returned_record(returned: Returned) -> dict[str, Any]:
    """What was read of a file, as JSON can hold it; :func:`returned_of` reads it back."""
    tables = returned.tables
    place = {id(table): number for number, table in enumerate(tables)}
    return {
        "format": returned.format,
        "digest": returned.digest,
        "tables": [[t.name, t.columns, t.doubled, t.heading] for t in tables],
        "rows": [[place[id(r.table)], r.number, r.token, r.cells, r.turned] for r in returned.rows],
        "sheet": returned.sheet,
        "problems": returned.problems,
        "notes": returned.notes,
    }


def returned_of(record: Mapping[str, Any], path: Path, data: bytes) -> Returned:
    """The reverse of :func:`returned_record`.

    Args:
        record: What was read.
        path: The file.
        data: Its bytes.
    """
    form = record["format"]
    tables = tuple(
        ReturnedTable(name, form, columns, doubled, heading)
        for name, columns, doubled, heading in record["tables"]
    )
    return Returned(
        path=path,
        digest=record["digest"],
        format=form,
        data=data,
        tables=tables,
        rows=tuple(
            ReturnedRow(tables[table], number, token, cells, turned or NOTHING)
            for table, number, token, cells, turned in record["rows"]
        ),
        sheet=record["sheet"],
        problems=tuple(record["problems"]),
        notes=tuple(record["notes"]),
    )


@dataclass(frozen=True)
class SheetPart:
    """What one worksheet, or a file without any, holds; fields as in :class:`Returned`."""

    tables: tuple[ReturnedTable, ...] = ()
    rows: tuple[ReturnedRow, ...] = ()
    sheet: str | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def token_of(cell: CellValue) -> str:
    """A row's id as it is looked up, whatever a program did to its cell."""
    return tidy(as_text(cell)[0]).casefold() if cell != "" else ""
