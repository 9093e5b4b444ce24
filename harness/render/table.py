"""One table for every output: HTML, Markdown, terminal and CSV render the same cells.

HTML is written by the macro ``table`` of ``reports/templates/macros.html.j2``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from markupsafe import Markup

from harness.printable import one_line, visible
from harness.render.delimited import Raw, csv_text, plain_value
from harness.render.markdown import code, markdown_table, plain
from harness.render.numbers import FIGURE_SPACE, NONE, POINT_SPACE, aligned, number

T = TypeVar("T")
Side = Literal["better", "worse", "open", "same", ""]
Status = Literal["kept", "broken", "unsure", "unknown"]

SIGNS = {
    "better": "▲",
    "worse": "▼",
    "open": "≈",
    "same": "=",
    "kept": "✓",
    "broken": "✗",
    "unsure": "?",
    "unknown": "–",
}
_OWN = re.compile(r"\\\[([-−+\d.,e]+, [-−+\d.,e]+)\\\]|\\(<) (?=\d)")  # intervals, p < 0.001
_UNBOUNDED = 10_000  # characters of a line, which a terminal wraps by itself


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table."""

    text: str  # the value
    more: tuple[str, ...] = ()  # quieter lines below it
    side: Side | Status = ""  # what the value says of its variant, for the sign beside it
    words: str = ""  # the side in words
    # a difference that the side is of, on a line of its own; else it is of the value
    change: str = ""
    beyond: str = ""  # a quieter line below the change
    drawing: Markup | None = None  # an SVG or other markup in place of the text
    interval: str = ""  # belongs to the text; on a page quieter and below it
    tag: str = ""  # what sets the text apart from those above and below it: ``the choice``
    strong: bool = False  # whether the value is marked
    code: bool = False  # whether the text is to be copied as it is
    note: str = ""  # shown on a page while a pointer rests on the cell
    style: str = ""  # classes on a page
    pad: str = ""  # follows the text on a page, so that decimal points stand in a line
    raw: Raw = None  # what a CSV holds, and a page sorts by; the text where there is none

    @property
    def lines(self) -> list[str]:
        """The cell as lines of plain text."""
        first = f"{self.text} {self.interval}".strip() + (f" ({self.tag})" if self.tag else "")
        lines = [first, *self.more, *([self.change] if self.change else [])]
        if self.side and self.words:
            lines[-1 if self.change else 0] += f", {self.words}"
        return [*lines, self.beyond] if self.beyond else lines


@dataclass(frozen=True)
class Head:
    """A column's name."""

    text: str  # the name
    quiet: str = ""  # a quieter line below it
    numeric: bool = True  # whether the column holds numbers
    note: str = ""  # shown on a page while a pointer rests on it
    style: str = ""  # classes on a page


@dataclass(frozen=True)
class Band:
    """A heading over the rows that follow; in other forms the first column of these rows."""

    before: int  # index of the row that it stands above
    text: str  # what they have in common
    quiet: str = ""  # more of that, quieter


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with what they are about."""

    caption: str  # what it shows
    header: tuple[Head, ...]  # its columns
    rows: tuple[tuple[Cell, ...], ...]  # each as many cells as there are columns
    bands: tuple[Band, ...] = ()  # headings over rows; none, or the first is above the first row
    over: str = ""  # what the bands are, at the head of the column that they are elsewhere

    @property
    def groups(self) -> list[tuple[Band | None, tuple[tuple[Cell, ...], ...]]]:
        """The rows under each heading; all of them where there is none."""
        starts = [*(band.before for band in self.bands), len(self.rows)]
        under: list[tuple[Band | None, tuple[tuple[Cell, ...], ...]]] = [
            (b, self.rows[b.before : end]) for b, end in zip(self.bands, starts[1:], strict=True)
        ]
        return under or [(None, self.rows)]

    @property
    def unbanded(self) -> Table:
        """The same without headings, which stand in a column of their own."""
        if not self.bands:
            return self
        rows = tuple(
            (Cell(", ".join(filter(None, (band.text, band.quiet)))), *row)
            for band, rows in self.groups
            if band is not None
            for row in rows
        )
        return Table(self.caption, (*texts(self.over), *self.header), rows)


def texts(*names: str) -> tuple[Head, ...]:
    """Columns of texts."""
    return tuple(Head(name, numeric=False) for name in names)


def numbers(*names: str) -> tuple[Head, ...]:
    """Columns of numbers."""
    return tuple(Head(name) for name in names)


def make_table(caption: str, header: Sequence[Head], rows: Iterable[Sequence[Cell | str]]) -> Table:
    """A table, of which plain texts are cells too."""
    cells = (tuple(Cell(c) if isinstance(c, str) else c for c in row) for row in rows)
    return Table(caption, tuple(header), tuple(cells))


def table_of(
    caption: str, items: Iterable[T], columns: Mapping[str, Callable[[T], Cell | Raw]]
) -> Table:
    """A table with a row for each item; columns of numbers are numeric.

    Args:
        caption: What it shows.
        items: What the rows are about.
        columns: Name of a column -> what stands in it for an item.
    """
    rows = [tuple(_cell_of(show(item)) for show in columns.values()) for item in items]
    numeric = [
        any(cell.raw is not None for cell in column)
        and all(cell.raw is not None or cell.text == NONE for cell in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(columns)
    heads = [Head(name, numeric=own) for name, own in zip(columns, numeric, strict=True)]
    return Table(caption, tuple(heads), tuple(rows))


def _cell_of(value: Cell | Raw) -> Cell:
    if isinstance(value, Cell):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(f"{value:,}" if isinstance(value, int) else number(value), raw=value)
    return Cell(NONE if value is None else str(value))


def data_table(caption: str, names: Sequence[str], lines: Iterable[Sequence[Raw]]) -> Table:
    """A table of values in their own units, for a CSV."""
    rows = (tuple(Cell(str(plain_value(value)), raw=value) for value in line) for line in lines)
    return Table(caption, texts(*names), tuple(rows))


def raw_fields(record: object, *names: str) -> tuple[Raw, ...]:
    """Fields of a record for a line of a CSV; None for each where there is no record."""
    return tuple(None if record is None else getattr(record, name) for name in names)


def with_points_aligned(table: Table) -> Table:
    """The table with its values padded, so that each column's decimal points are in a line."""
    columns = [aligned([cell.text for cell in column]) for column in zip(*table.rows, strict=True)]
    rows = []
    for place, row in enumerate(table.rows):
        pads = [column[place][len(column[place].rstrip(_PADDING)) :] for column in columns]
        rows.append(tuple(replace(cell, pad=pad) for cell, pad in zip(row, pads, strict=True)))
    return replace(table, rows=tuple(rows))


_PADDING = FIGURE_SPACE + POINT_SPACE


def to_markdown(table: Table | None, *, caption: bool = True) -> str:
    """The table, under its caption if asked for; empty where there is none."""
    if table is None:
        return ""
    header = [plain(head.text) for head in table.unbanded.header]
    body = [[_markdown_cell(cell) for cell in row] for row in table.unbanded.rows]
    text = markdown_table(header, body)
    return f"{plain(table.caption)}:\n\n{text}" if caption else text


def _markdown_cell(cell: Cell) -> str:
    first, *more = cell.lines
    if cell.code:
        return code(first).replace("|", "\\|")
    shown = plain(first)
    if cell.strong or cell.tag:
        shown = shown.replace(plain(cell.text), f"**{plain(cell.text)}**", 1)
    return _OWN.sub(_unescaped, "<br>".join([shown, *map(plain, more)]))


def _unescaped(match: re.Match[str]) -> str:
    """Numbers are markup nowhere, and read better without backslashes."""
    return f"[{match[1]}]" if match[1] else "< "


def to_text(table: Table) -> str:
    """The table for a terminal: columns of plain text, two spaces apart, no markup."""
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for head in table.unbanded.header:
        grid.add_column(Text(visible(head.text)), no_wrap=True)
    for row in table.unbanded.rows:
        grid.add_row(*(Text(one_line(" ".join(filter(None, cell.lines)))) for cell in row))
    lines = io.StringIO()
    Console(file=lines, width=_UNBOUNDED, color_system=None).print(grid)
    return "\n".join(line.rstrip() for line in lines.getvalue().splitlines())


def to_csv(table: Table) -> str:
    """The table as CSV with a header line, values in their own units."""
    body = ([cell.text if cell.raw is None else cell.raw for cell in row] for row in table.rows)
    return csv_text([[head.text for head in table.header], *body])
