"""A rater's sheet as an XLSX workbook that can be filled in but not spoilt.

The same sheet gives the same bytes at any time: dates are fixed, in the properties and in the
archive, and nothing is drawn at random.
"""

import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.files import write_atomic
from harness.ratings import layout
from harness.ratings.records import RowKind
from harness.ratings.sheets.formula_guard import Changes, cell_text, is_live, shown_texts
from harness.suite.ratings import PREFERENCE

INSTRUCTIONS = "Instructions"
MAX_ROWS = 1_048_576  # of a worksheet, the header among them

_CREATED = datetime(2000, 1, 1, tzinfo=UTC)  # any date but today's
_WIDTHS = {
    layout.ROW: 12,
    layout.PROMPT: 45,
    layout.REFERENCE: 45,
    layout.OUTPUT: 65,
    layout.OUTPUT_A: 50,
    layout.OUTPUT_B: 50,
}
_WIDTHS |= {layout.COMMENT: 30, layout.MINUTES: 9}
_ANSWER = 20  # characters wide: a column to choose in
_PAGE = 100  # likewise: the instructions
_LINE, _TALLEST = 15, 27  # points per line; lines per row, of which Excel allows 409 points
_FIXED = {"valign": "top", "text_wrap": True, "border": 1, "border_color": "#C8C8C8"}
_FORMATS: dict[str, dict[str, Any]] = {
    "title": {"bold": True, "font_size": 14, "valign": "top"},
    "label": {"bold": True, "valign": "top", "text_wrap": True},
    "paragraph": {"valign": "top", "text_wrap": True},
    "header": {**_FIXED, "bold": True, "bg_color": "#E4E8EE"},
    "token": {**_FIXED, "font_color": "#707070"},
    "text": _FIXED,
    # "@" keeps programs from reading "1 - 2" as a date or a comment as a formula
    "answer": {**_FIXED, "locked": False, "bg_color": "#FFF9E0", "num_format": "@"},
    "number": {**_FIXED, "locked": False, "bg_color": "#FFF9E0"},
    "run": {},  # of a text in pieces; the cell's own format rules
}
_PROTECTION = {"format_columns": True, "format_rows": True}
_FILLING = (
    "Fill in the shaded columns of the sheets behind this one: click a cell and choose from its "
    "list (Alt+Down opens it). What each answer means stands below; what is asked also shows where "
    "the mouse rests on a column's name.",
    "Where a text is longer than its cell shows, make the column wider, or click the text and read "
    "it in the bar above the table; the bar's lower edge can be dragged down.",
    "Leave the column “row” as it is: your answers are found by it. All other cells are locked. "
    "You may stop at any row, save, and go on later.",
    "Save as an Excel workbook (.xlsx) or an OpenDocument spreadsheet (.ods), keep the file's "
    "name, and send it back.",
)

_ESCAPE = "_x[0-9a-fA-F]{4}_"
# XlsxWriter escapes what looks like an escape, but not where two share an underscore, and it
# writes "<r>...</r>" as markup. Pieces that hold neither are written as they are.
_IN_PIECES = re.compile(f"_x[0-9a-fA-F]{{4}}(?={_ESCAPE})")
_SEAMS = re.compile(r"(?<=_x[0-9a-fA-F]{4})(?=_)|(?<=^<)(?=r>)")


def write_workbook(sheet: layout.RaterSheet, path: Path) -> Changes:
    """Write one rater's workbook.

    Args:
        sheet: What the rater gets; nothing else enters the file.
        path: The file; folders above it are made.

    Returns:
        Cells whose text had to be changed, by reason.

    Raises:
        UsageError: There are more rows than a worksheet holds.
        DiskError: The folder cannot be written.
    """
    import xlsxwriter

    most = max((len(sheet.rows(kind)) for kind in sheet.kinds), default=0)
    if most >= MAX_ROWS:
        raise UsageError(
            f"{sheet.rater} would get {most:,} rows, but a worksheet holds {MAX_ROWS - 1:,} of "
            "them.",
            where="human.items",
            hint="Ask for fewer items, or for more raters with a smaller overlap.",
        )
    stream = io.BytesIO()
    options = {
        "in_memory": True,  # this also fixes the dates in the archive
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
    }
    book = xlsxwriter.Workbook(stream, options)
    book.set_properties({"title": "Rating sheet", "author": "", "created": _CREATED})
    formats = {name: book.add_format(style) for name, style in _FORMATS.items()}
    live = {
        name: book.add_format({**style, "quote_prefix": True}) for name, style in _FORMATS.items()
    }
    writer = _Writer(sheet, book, formats, live, Changes())
    ranges = writer.instructions()
    for kind in sheet.kinds:
        writer.rows(kind, ranges)
    book.close()
    write_atomic(path, stream.getvalue(), hint=layout.ELSEWHERE)
    return writer.changes


@dataclass(frozen=True)
class _Writer:
    """What the functions that fill worksheets share."""

    sheet: layout.RaterSheet
    book: Any  # xlsxwriter's, which is untyped
    formats: dict[str, Any]
    live: dict[str, Any]  # the same, for text that would be a formula if it were typed
    changes: Changes

    def instructions(self) -> dict[str, str]:
        """Write the first worksheet; returns column name -> range of its possible answers."""
        page = self.book.add_worksheet(INSTRUCTIONS)
        page.set_column(0, 0, 22)
        page.set_column(1, 1, _PAGE)
        page.hide_gridlines(2)
        self._finish(page)
        self._text(page, 0, 0, "Rating sheet", "title")
        row = 2
        for label, words in (("Sheet", self.sheet.id), ("Rater", self.sheet.rater)):
            self._text(page, row, 0, label, "label")
            self._text(page, row, 1, words, "paragraph")
            row += 1
        for kind in self.sheet.kinds:
            self._text(page, row, 0, f"{layout.SHEET_NAMES[kind]} done", "label")
            formula, value = self._progress(kind)
            page.write_formula(row, 1, formula, self.formats["paragraph"], value)
            row += 1
        for label, paragraphs in (
            ("What to do", layout.general_instructions(self.sheet)),
            ("How to fill in", _FILLING),
        ):
            row += 1
            self._text(page, row, 0, label, "label")
            # a row each: the height of a row is limited, the number of rows is not
            for line in (line for text in paragraphs for line in text.splitlines() if line.strip()):
                _fit(page, row, [line], [_PAGE])
                self._text(page, row, 1, line, "paragraph")
                row += 1
        return self._answers(page, row + 1)

    def _answers(self, page: Any, row: int) -> dict[str, str]:
        """Write what is asked and may be answered; returns what dropdowns show, by column."""
        ranges = {}
        page.set_column(2, 2, None, None, {"hidden": True})
        listed = row
        for criterion in self.sheet.criteria if self.sheet.scale else ():
            self._text(page, row, 0, criterion.name, "label")
            self._text(page, row, 1, criterion.question, "label")
            _fit(page, row, [criterion.question], [_PAGE])
            points = layout.answers(criterion)
            for offset, answer in enumerate(points, 1):
                _fit(page, row + offset, [answer], [_PAGE])
                self._text(page, row + offset, 1, answer, "paragraph")
            # points alone, too, so that nobody who types 5 is asked whether that was meant
            choices = [*points, *map(str, criterion.points)]
            for choice in choices:
                self._text(page, listed, 2, choice, "paragraph")
                listed += 1
            ranges[criterion.name] = f"={INSTRUCTIONS}!$C${listed - len(choices) + 1}:$C${listed}"
            row += len(points) + 2
        if self.sheet.pair:
            self._text(page, row, 0, PREFERENCE, "label")
            self._text(page, row, 1, layout.PREFERENCE_QUESTION, "label")
            for offset, (answer, meaning) in enumerate(layout.PREFERENCE_ANSWERS.items(), 1):
                self._text(page, row + offset, 0, answer, "paragraph")
                self._text(page, row + offset, 1, meaning, "paragraph")
            last = row + 1 + len(layout.PREFERENCE_ANSWERS)
            ranges[PREFERENCE] = f"={INSTRUCTIONS}!$A${row + 2}:$A${last}"
        return ranges

    def rows(self, kind: RowKind, ranges: dict[str, str]) -> None:
        """Write the worksheet of one kind of rows."""
        page = self.book.add_worksheet(layout.SHEET_NAMES[kind])
        names = layout.columns(self.sheet, kind)
        first = len(names) - len(layout.asked(self.sheet.criteria, kind))
        rows = self.sheet.rows(kind)
        for column, name in enumerate(names):
            page.set_column(column, column, _WIDTHS.get(name, _ANSWER))
            self._text(page, 0, column, name, "header")
        blanks = [
            self.formats["number" if name == layout.MINUTES else "answer"] for name in names[first:]
        ]
        widths = [_WIDTHS[name] for name in names[1:first]]
        for number, row in enumerate(rows, 1):
            texts = shown_texts(self.sheet, row)
            _fit(page, number, texts, widths)
            self._text(page, number, 0, row.token, "token")
            for column, text in enumerate(texts, 1):
                self._text(page, number, column, text, "text")
            for column, blank in enumerate(blanks, first):
                page.write_blank(number, column, None, blank)
        self._validations(page, names, first, len(rows), ranges)
        page.freeze_panes(1, 1)
        page.set_selection(1, first, 1, first)
        page.set_landscape()
        page.repeat_rows(0)
        page.ignore_errors({"number_stored_as_text": f"A2:XFD{len(rows) + 1}"})
        self._finish(page)

    def _validations(
        self, page: Any, names: Sequence[str], first: int, count: int, ranges: dict[str, str]
    ) -> None:
        questions = {criterion.name: criterion.question for criterion in self.sheet.criteria}
        questions[PREFERENCE] = layout.PREFERENCE_QUESTION
        for column in range(first, len(names)):
            name = names[column]
            rule: dict[str, Any]
            if name in ranges:
                note = {"author": "", "x_scale": 2, "font_size": 10}
                page.write_comment(0, column, cell_text(questions[name]), note)
                message = "It is not in the list of this cell. Do you want to keep it?"
                rule = {"validate": "list", "source": ranges[name], "error_message": message}
                rule["error_type"] = "warning"  # the import takes more spellings than the list has
            elif name == layout.MINUTES:
                message = f"Please write minutes, such as 2 or 0.5, {layout.MOST_MINUTES} at most."
                rule = {"validate": "decimal", "criteria": "between", "error_message": message}
                rule |= {"minimum": 0, "maximum": layout.MOST_MINUTES, "error_type": "stop"}
            else:
                continue
            rule["error_title"] = "This may not be readable"
            page.data_validation(1, column, count, column, rule)

    def _progress(self, kind: RowKind) -> tuple[str, str]:
        """Formula that counts the rows in which nothing asked for is empty; what it gives now."""
        from xlsxwriter.utility import xl_range_abs

        names, rows = layout.columns(self.sheet, kind), len(self.sheet.rows(kind))
        wanted = layout.asked(self.sheet.criteria, kind)[:-2]  # comment and minutes are optional
        first = len(names) - len(wanted) - 2
        filled = "*".join(
            f'({layout.SHEET_NAMES[kind]}!{xl_range_abs(1, column, rows, column)}<>"")'
            for column in range(first, first + len(wanted))
        )
        words = f" of {rows} rows"
        return f'=SUMPRODUCT({filled}*1)&"{words}"', f"0{words}"

    def _finish(self, page: Any) -> None:
        """What all worksheets share: protection without a password, and the print layout."""
        page.protect("", _PROTECTION)
        page.fit_to_pages(1, 0)
        page.set_paper(9)  # A4
        known = [name.replace("&", "&&") for name in (self.sheet.id, self.sheet.rater)]
        page.set_footer(f"&L{known[0]}&CPage &P of &N&R{known[1]}")

    def _text(self, page: Any, row: int, column: int, text: str, style: str) -> None:
        shown = cell_text(text, self.changes)
        formats = self.live if is_live(shown) else self.formats
        if shown.startswith("<r>") or ("_x" in shown and _IN_PIECES.search(shown)):
            pieces = _SEAMS.split(shown)
            runs = [part for piece in pieces[1:] for part in (self.formats["run"], piece)]
            page.write_rich_string(row, column, pieces[0], *runs, formats[style])
        else:
            page.write_string(row, column, shown, formats[style])


def _fit(page: Any, row: int, texts: Sequence[str], widths: Sequence[int]) -> None:
    """Make a row as tall as its longest text needs, going by characters.

    Excel would fit rows without a height by itself, but LibreOffice shows one line of each.
    """
    tallest = max(1, *map(_height, texts, widths))
    if tallest > 1:
        page.set_row(row, _LINE * tallest)


@lru_cache(maxsize=2**14)  # every rater sees the same texts
def _height(text: str, width: int) -> int:
    """How many lines a text needs in a column, as far as a row can hold them."""
    # a width is in digits, and words do not fill it to the end
    lines = text[: _TALLEST * width].splitlines()
    needed = sum(max(1, math.ceil(_columns(line) / (0.95 * width))) for line in lines)
    return min(needed, _TALLEST)


def _columns(line: str) -> int:
    """Width of a line in characters, Chinese, Japanese, Korean ones and emoji counting two."""
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)
