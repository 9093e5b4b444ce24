"""Binary Excel workbooks (.xlsb): cells, and the notes on them.

python-calamine passes over the short cell records, which SheetJS writes and Excel reads, as though
the cells were empty.

Source:
    [MS-XLSB] 2.1.4 (records), 2.4.313 (BrtCellRk) and following, 2.5.122 (RkNumber).
"""

import datetime
import io
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.ratings.returns.grid import CellNote, CellValue, Grid
from harness.ratings.returns.xlsx_parts import related

_BOOK = "xl/workbook.bin"
_ROW, _LAST_CELL, _FIRST_SHORT, _LAST_SHORT = 0, 11, 12, 18
_SHARED, _FORMAT, _STYLE, _STYLES, _STYLES_END = 19, 44, 47, 617, 618
_BOOK_PROPERTIES, _SHEET, _NOTE, _NOTE_TEXT = 153, 156, 635, 637
_DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}  # built-in formats
_ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}
_NO_DATE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.')  # parts of a format that only show something
_DAY_ONE, _DAY_ONE_MAC = datetime.datetime(1899, 12, 30), datetime.datetime(1904, 1, 1)


def read_xlsb(data: bytes) -> Iterator[Grid]:
    """Every worksheet of a workbook, hidden ones too; error values are their texts.

    Raises:
        Exception: Whatever :mod:`zipfile` and :mod:`struct` raise of damaged files.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = frozenset(archive.namelist())
        book = related(archive, names, _BOOK)
        parts = {kind: part for kind, part in book.values()}
        records = list(_records(archive.read(_BOOK)))
        first = next((body for kind, body in records if kind == _BOOK_PROPERTIES), b"\0")
        shared = [
            _string(body, 1)[0]
            for kind, body in _part(archive, names, parts.get("sharedStrings"))
            if kind == _SHARED
        ]
        dates = _date_styles(list(_part(archive, names, parts.get("styles"))))
        reader = _Reader(shared, dates, _DAY_ONE_MAC if first[0] & 1 else _DAY_ONE)
        for kind, body in records:
            if kind != _SHEET:
                continue
            place, end = _string(body, 8)
            part = book.get(place, ("", ""))[1]
            notes = [
                note
                for what, other in related(archive, names, part).values()
                if what == "comments"
                for note in _notes(_part(archive, names, other))
            ]
            rows = reader.rows(_part(archive, names, part))
            yield Grid(_string(body, end)[0], rows, notes=notes)


@dataclass(frozen=True)
class _Reader:
    """What all worksheets share."""

    shared: Sequence[str]  # texts by number
    dates: Mapping[int, bool]  # style -> whether it shows a number as a date or a time
    start: datetime.datetime  # day 0

    def rows(
        self, records: Iterator[tuple[int, bytes]]
    ) -> Iterator[tuple[int, Sequence[CellValue]]]:
        number, column = 0, -1
        cells: dict[int, CellValue] = {}
        for kind, body in records:
            if kind == _ROW:
                if cells:
                    yield number + 1, _row(cells)
                number, column, cells = _unsigned(body, 0), -1, {}
            elif 1 <= kind <= _LAST_CELL:
                column = _unsigned(body, 0)
                if value := self._value(kind, body, 4):
                    cells[column] = value[0]
            elif _FIRST_SHORT <= kind <= _LAST_SHORT:
                column += 1
                if value := self._value(kind - _LAST_CELL, body, 0):
                    cells[column] = value[0]
        if cells:
            yield number + 1, _row(cells)

    def _value(self, kind: int, body: bytes, at: int) -> tuple[CellValue] | None:
        """The value of a cell whose style stands at a place; None of empty ones."""
        style, at = _unsigned(body, at) & 0xFFFFFF, at + 4
        if kind in (6, 8):
            return (_string(body, at)[0],)
        if kind == 7:
            return (self.shared[_unsigned(body, at)],)
        if kind in (3, 11):
            return (_ERRORS.get(body[at], "#ERROR!"),)
        if kind in (4, 10):
            return (body[at] != 0,)
        if kind in (2, 5, 9):
            bits = _unsigned(body, at)
            value = _short_number(bits) if kind == 2 else struct.unpack_from("<d", body, at)[0]
            return (self._number(value, style),)
        return None

    def _number(self, value: float, style: int) -> CellValue:
        if not self.dates.get(style):
            return value
        span = datetime.timedelta(days=value)
        moment = self.start + datetime.timedelta(seconds=round(span.total_seconds()))
        return moment.time() if 0 <= value < 1 else moment


def _row(cells: Mapping[int, CellValue]) -> list[CellValue]:
    last = max(cells)
    if last >= 2**14:
        raise ValueError(f"a cell is in column {last + 1:,}")
    return [cells.get(column, "") for column in range(last + 1)]


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each record; both numbers in front have seven bits a byte."""
    at = 0
    while at < len(data):
        kind, at = _packed(data, at, 2)
        size, at = _packed(data, at, 4)
        if at + size > len(data):
            raise EOFError("a record is cut off")
        yield kind, data[at : at + size]
        at += size


def _packed(data: bytes, at: int, most: int) -> tuple[int, int]:
    number = 0
    for place in range(most):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            break
    return number, at


def _part(
    archive: zipfile.ZipFile, names: frozenset[str], name: str | None
) -> Iterator[tuple[int, bytes]]:
    return _records(archive.read(name)) if name in names and name is not None else iter(())


def _unsigned(body: bytes, at: int) -> int:
    return int(struct.unpack_from("<I", body, at)[0])


def _string(body: bytes, at: int) -> tuple[str, int]:
    """A text and the place behind it; its length is in units of UTF-16."""
    length = _unsigned(body, at)
    end = at + 4 + (0 if length == 0xFFFFFFFF else 2 * length)
    if end > len(body):
        raise EOFError("a text is cut off")
    return body[at + 4 : end].decode("utf-16-le", "replace"), end


def _short_number(bits: int) -> float:
    if bits & 2:
        value = float((bits >> 2) - (1 << 30 if bits & 0x80000000 else 0))
    else:
        value = struct.unpack("<d", struct.pack("<Q", (bits & 0xFFFFFFFC) << 32))[0]
    return value / 100 if bits & 1 else value


def _date_styles(records: Sequence[tuple[int, bytes]]) -> dict[int, bool]:
    own = {
        int.from_bytes(body[:2], "little"): bool(
            re.search("[dmyhs]", _NO_DATE.sub("", _string(body, 2)[0]), re.IGNORECASE)
        )
        for kind, body in records
        if kind == _FORMAT
    }
    dates: dict[int, bool] = {}
    inside = False
    for kind, body in records:
        inside = (inside or kind == _STYLES) and kind != _STYLES_END
        if inside and kind == _STYLE:
            code = int.from_bytes(body[2:4], "little")
            dates[len(dates)] = own.get(code, code in _DATES)
    return dates


def _notes(records: Iterator[tuple[int, bytes]]) -> Iterator[CellNote]:
    row = column = 0
    for kind, body in records:
        if kind == _NOTE:
            row, column = _unsigned(body, 4), _unsigned(body, 12)
        elif kind == _NOTE_TEXT:
            yield CellNote(row + 1, column, _string(body, 1)[0])
