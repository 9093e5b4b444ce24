"""One table for every output: HTML, Markdown, terminal and CSV render the same cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from harness.render.markdown import markdown_table, plain

Side = Literal["better", "worse", "open", "same", ""]


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: The value.
        more: Quieter lines below it.
        side: What the value says of its variant, for the mark beside it.
        words: The side in words.
        change: A difference that the side is of, on a line of its own; else it is of the value.
        beyond: A quieter line below the change.
        drawing: An SVG in place of the text.
    """

    text: str
    more: tuple[str, ...] = ()
    side: Side = ""
    words: str = ""
    change: str = ""
    beyond: str = ""
    drawing: Markup | None = None


@dataclass(frozen=True)
class Head:
    """A column's name.

    Attributes:
        text: The name.
        quiet: A quieter line below it.
        numeric: Whether the column holds numbers.
    """

    text: str
    quiet: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """A table whose rows begin with what they are about."""

    caption: str
    header: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]


def to_markdown(table: Table | None) -> str:
    """The table under its caption; empty where there is none."""
    if table is None:
        return ""
    header = [plain(head.text) for head in table.header]
    body = [[_markdown_cell(cell) for cell in row] for row in table.rows]
    return f"{plain(table.caption)}:\n\n{markdown_table(header, body)}"


def _markdown_cell(cell: Cell) -> str:
    lines = [cell.text, *cell.more, *([cell.change] if cell.change else [])]
    place = -1 if cell.change else 0  # of what the words are about
    if cell.side and cell.words:
        lines[place] += f", {cell.words}"
    lines += [cell.beyond] if cell.beyond else []
    return "<br>".join(plain(line) for line in lines)
