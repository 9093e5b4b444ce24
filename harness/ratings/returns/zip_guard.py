"""How far a spreadsheet's cells reach, before a reader is asked to hold all that lies between."""

import io
import re
import zipfile
from typing import IO

from harness.ratings.returns.grid import column_of

MOST_CELLS = 10_000_000  # of one worksheet's rectangle, filled or not: about 300 MB in memory

_WORKSHEET = re.compile(r"xl/worksheets/[^/]*\.xml")
_FILLED = re.compile(rb'<(?:\w+:)?c\b[^>]*?\br="([A-Z]{1,3})(\d{1,10})"[^>]*(?<!/)>')
_DIMENSION = re.compile(
    rb'<(?:\w+:)?dimension\b[^>]*?\bref="(?:[A-Z]+\d+:)?([A-Z]{1,3})(\d{1,10})"'
)


def far_cell(data: bytes) -> str | None:
    """Where a workbook has a cell so far out that its rectangle would not fit into memory.

    A blank typed into the last cell of a worksheet (Ctrl+Down, Ctrl+Right) makes a rectangle of
    17 thousand million cells. The spreadsheet reader would ask for 512 GiB, and the operating
    system would end the process without a word to the user.

    Args:
        data: An XLSX file.

    Returns:
        The place in words; None where there is no such cell.

    Raises:
        Exception: Whatever :mod:`zipfile` raises of damaged archives.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            if _WORKSHEET.fullmatch(name):
                with archive.open(name) as part:
                    rows, columns = _extent(part)
                if rows * columns > MOST_CELLS:
                    return f"at about column {columns:,} and row {rows:,}"
    return None


def _extent(part: IO[bytes]) -> tuple[int, int]:
    """Rows and columns of an XLSX worksheet up to its last cell.

    Excel and LibreOffice say it at the start. Where that is missing, or too much to be believed
    (it counts formats of empty cells), the cells that hold something are looked at.
    """
    start = part.read(4096)
    if stated := _DIMENSION.search(start):
        rows, columns = int(stated[2]), _number(stated[1])
        if rows * columns <= MOST_CELLS:
            return rows, columns
    rows = columns = 0
    chunk = start
    while chunk:
        for letters, number in _FILLED.findall(chunk):
            rows, columns = max(rows, int(number)), max(columns, _number(letters))
        more = part.read(2**22)
        chunk = chunk[-256:] + more if more else b""  # so that cells across two chunks are found
    return rows, columns


def _number(letters: bytes) -> int:
    """A column from 1."""
    return column_of(letters.decode("ascii")) + 1
