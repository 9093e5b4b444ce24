"""Lines of CSV, for everything that writes them."""

import re
from collections.abc import Iterable, Sequence

Raw = str | float | int | bool | None
"""What a CSV holds: a value in its own unit; None where there is none."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Python's own writer leaves a carriage return bare where lines end otherwise, and readers, Python's
# among them, begin a new record at it.
_QUOTED = re.compile('[",\r\n]')


def csv_text(lines: Iterable[Sequence[Raw]], *, end: str = "\n") -> str:
    """Lines of CSV with commas; no cell is one that a spreadsheet takes for a formula.

    Args:
        lines: Values.
        end: What ends each line.
    """
    return "".join(f"{','.join(map(_cell, line))}{end}" for line in lines)


def plain_cell(value: Raw) -> str | float | int:
    """A cell that no spreadsheet takes for a formula."""
    shown = plain_value(value)
    return f"'{shown}" if isinstance(shown, str) and shown.startswith(_FORMULA) else shown


def _cell(value: Raw) -> str:
    text = str(plain_cell(value))
    if not _QUOTED.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def plain_value(value: Raw) -> str | float | int:
    """A value as CSV writes it: nothing where there is none, ``true`` and ``false``."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value
