"""Tables as text: comma, semicolon, tab or bar between cells, in whatever encoding."""

import csv
import io
import re
from collections.abc import Iterator

from harness.errors import DataError

DELIMITERS = (",", ";", "\t", "|")

_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # a first line that Excel reads, not shows


def delimiters_of(text: str) -> tuple[str, ...]:
    """What may stand between its cells: what it says itself, or any that programs write."""
    line = text[:10].splitlines()[0] if text[:10].strip() else ""
    said = _SEPARATOR.fullmatch(line)
    return (said[1],) if said else DELIMITERS


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
