"""What every file format is read into: worksheets of cells, and the notes that hang on cells."""

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CellValue = str | float | bool | datetime.date | datetime.time | datetime.timedelta


@dataclass(frozen=True)
class CellNote:
    """A note that a person hung on a cell; spreadsheets call it comment, note or annotation."""

    row: int  # from 1
    column: int  # from 0
    text: str
    is_error: bool = False  # no note, but an error value that the cell holds and no reader gives


@dataclass(frozen=True)
class Grid:
    """The cells of one worksheet, or of a file that holds one table."""

    name: str  # the worksheet's; empty where the format has none
    # Each with its number, from 1. Empty ones may be left out. May be read once.
    rows: Iterable[tuple[int, Sequence[CellValue]]]
    left: int = 0  # columns before the first one of ``rows``
    notes: Sequence[CellNote] = ()


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


def letters(column: int) -> str:
    """A column's letters, from 0: A, B, ..., Z, AA."""
    letters = ""
    column += 1
    while column:
        column, digit = divmod(column - 1, 26)
        letters = chr(65 + digit) + letters
    return letters


def column_of(letters: str) -> int:
    """The reverse of :func:`letters`."""
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - 64
    return column - 1
