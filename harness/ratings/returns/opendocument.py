"""OpenDocument spreadsheets (.ods, .fods): cells as their programs show them.

python-calamine ends a row at white space between two cells, which Gnumeric, Calligra and SheetJS
write, and like pandas drops line breaks within a paragraph, as LibreOffice writes them.

Source:
    OASIS Open Document Format 1.3, part 3: 6.1 (white space), 9.1 (tables), 19.385 (values).
"""

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.ratings.returns.grid import CellNote, CellValue, Grid
from harness.ratings.returns.safe_xml import Target, feed

MOST_ROWS, MOST_COLUMNS = 2**20, 2**14  # of a worksheet, as LibreOffice has it

_OFFICE, _TABLE, _TEXT = (
    f"{{urn:oasis:names:tc:opendocument:xmlns:{name}:1.0}}" for name in ("office", "table", "text")
)
_SHEET, _ROW = f"{_TABLE}table", f"{_TABLE}table-row"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")
_NOTE = f"{_OFFICE}annotation"
_NUMBERS = ("float", "percentage", "currency")
_PLACES = {f"{_TEXT}s": "\1", f"{_TEXT}tab": "\2", f"{_TEXT}line-break": "\3"}
_KEPT = str.maketrans("\1\2\3", " \t\n")  # no XML holds these three, so they may stand for others
_BLANKS = re.compile("[ \t\r\n]+")  # of the file, which mean one blank
_CLOCK = re.compile(r"-?PT(\d+)H(\d+)M(\d+)(?:[.,]\d+)?S")


def read_opendocument(chunks: Iterable[bytes]) -> Iterator[Grid]:
    """Every worksheet of a document, hidden ones too.

    Formulas count as what they last gave; error values are their texts, such as ``#N/A``.

    Args:
        chunks: The XML: ``content.xml`` of an ODS file, or all of an FODS file.

    Raises:
        ValueError: A worksheet is larger than any program makes it, or a number is none.
        SyntaxError: It is no well-formed XML.
    """
    content = _Content()
    feed(chunks, content)
    for sheet in content.sheets:
        yield Grid(sheet.name, sheet.numbered(), notes=sheet.notes)


@dataclass
class _Sheet:
    name: str
    rows: list[tuple[int, int, list[CellValue]]] = field(default_factory=list)  # number, repeats
    notes: list[CellNote] = field(default_factory=list)
    height: int = 0  # rows so far

    def numbered(self) -> Iterator[tuple[int, list[CellValue]]]:
        for number, repeats, cells in self.rows:
            for copy in range(repeats):
                yield number + copy, cells


@dataclass
class _Cell:
    attributes: Mapping[str, str]
    lines: list[str] = field(default_factory=list)
    note: list[str] = field(default_factory=list)

    def value(self) -> CellValue:
        """What it holds; its text where it says no more."""
        kind = self.attributes.get(f"{_OFFICE}value-type")
        stated = self.attributes.get(f"{_OFFICE}{'' if kind in _NUMBERS else f'{kind}-'}value")
        text = "\n".join(self.lines)
        if stated is None or (text and kind == "string"):
            return text  # an attribute has no line breaks, and nothing of an error value
        if kind in _NUMBERS:
            return float(stated)
        if kind == "boolean":
            return stated == "true"
        if kind == "date":
            return datetime.datetime.fromisoformat(stated)
        if kind == "time" and (clock := _CLOCK.fullmatch(stated)):
            return _time(*map(int, clock.groups()))
        return stated


def _time(hours: int, minutes: int, seconds: int) -> datetime.time | datetime.timedelta:
    span = datetime.timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if span < datetime.timedelta(days=1):
        return (datetime.datetime.min + span).time()
    return span


class _Content(Target):
    """Takes the events of a document; ``sheets`` are complete when it ends."""

    def __init__(self) -> None:
        self.sheets: list[_Sheet] = []
        self._sheet: _Sheet | None = None
        self._row: list[CellValue] | None = None
        self._blank = 0  # cells without anything since the last one with something
        self._repeats = 1
        self._cell: _Cell | None = None
        self._pieces: list[str] | None = None  # of the paragraph that is being read
        self._in_note = False
        self._aside = 0  # depth inside what only lies on a cell: drawings, tables of a cell

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._aside:
            self._aside += 1
        elif self._cell is not None:
            self._inside(tag, attributes)
        elif self._row is not None:
            if tag in _CELLS:
                self._cell = _Cell(attributes)
        elif self._sheet is not None:
            if tag == _ROW:
                self._row, self._blank, self._repeats = [], 0, _repeats(attributes, "rows")
        elif tag == _SHEET:
            self._sheet = _Sheet(attributes.get(f"{_TABLE}name", ""))

    def _inside(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == _NOTE and self._pieces is None:
            self._in_note = True
        elif tag in _PARAGRAPHS:
            self._pieces = []
        elif self._pieces is not None and tag in _PLACES:
            count = min(int(attributes.get(f"{_TEXT}c", "1")), 2**16)
            self._pieces.append(_PLACES[tag] * count)
        elif not tag.startswith(_TEXT) and not self._in_note:
            self._aside = 1

    def data(self, text: str) -> None:
        if self._pieces is not None and not self._aside:
            self._pieces.append(text)

    def end(self, tag: str) -> None:
        if self._aside:
            self._aside -= 1
        elif self._pieces is not None:
            if tag in _PARAGRAPHS:
                self._end_paragraph(self._pieces)
        elif tag == _NOTE:
            self._in_note = False
        elif self._cell is not None:
            if tag in _CELLS:
                self._end_cell(self._cell)
        elif self._sheet is not None and tag == _SHEET:
            self.sheets.append(self._sheet)
            self._sheet = None
        elif self._row is not None and tag == _ROW:
            self._end_row(self._row)

    def _end_paragraph(self, pieces: list[str]) -> None:
        if self._cell is not None:
            lines = self._cell.note if self._in_note else self._cell.lines
            lines.append(_BLANKS.sub(" ", "".join(pieces)).strip(" ").translate(_KEPT))
        self._pieces = None

    def _end_cell(self, cell: _Cell) -> None:
        self._cell = None
        if self._row is None or self._sheet is None:
            return
        before = len(self._row) + self._blank
        if cell.note:
            place = CellNote(self._sheet.height + 1, before, "\n".join(cell.note))
            self._sheet.notes.append(place)
        repeats, value = _repeats(cell.attributes, "columns"), cell.value()
        if value == "":
            self._blank += repeats
            return
        if before + repeats > MOST_COLUMNS:
            raise ValueError(f"a row has more than {MOST_COLUMNS:,} cells")
        self._row += [""] * self._blank + [value] * repeats
        self._blank = 0

    def _end_row(self, row: list[CellValue]) -> None:
        self._row = None
        if self._sheet is None:
            return
        if row:
            self._sheet.rows.append((self._sheet.height + 1, self._repeats, row))
        self._sheet.height += self._repeats
        if row and self._sheet.height > MOST_ROWS:
            raise ValueError(f"a worksheet has more than {MOST_ROWS:,} rows")


def _repeats(attributes: Mapping[str, str], what: str) -> int:
    return int(attributes.get(f"{_TABLE}number-{what}-repeated", "1"))
