"""Text that a spreadsheet cell can hold: nothing is changed without being counted.

Limits are Excel's, the narrowest of the programs that raters use; the escapes of the file format
itself are :mod:`harness.ratings.sheets.workbook`'s.
"""

import re
from collections import Counter
from functools import lru_cache

from harness.ratings.layout import EMPTY, RaterSheet, ShownRow

Changes = Counter[str]
"""Reason, in words for the user -> how many cells were changed for it. Sums with ``+``."""

LIMIT = 32_767  # UTF-16 units per cell: an emoji counts two

RETURNS = "carriage returns made plain line breaks"
CONTROLS = "control characters made visible, as ␀ or �"
SURROGATES = "lone surrogates, which are no characters, replaced by �"
BLANK = f"texts without anything to see shown as “{EMPTY}”"
CUT = f"texts cut at the {LIMIT:,} characters that a cell holds, with a mark that says so"
APOSTROPHE = "texts that begin like a formula given an apostrophe in front (CSV only)"

_RETURN = re.compile("\r\n?")
# C0 but for tab and line feed, DEL, C1, and the two non-characters that XML does not allow
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_RARE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LIVE = tuple("=+-@\t\n\r＝＋－＠")  # Excel in Japanese takes the wide ones, too


def cell_text(text: str, changes: Changes | None = None, *, limit: int = LIMIT) -> str:
    """What a cell shows of a text, and reads back as.

    Args:
        text: Any string, valid Unicode or not.
        changes: Gains one per reason for which the text had to be changed.
        limit: Most UTF-16 units of the result.

    Returns:
        The text with line feeds as its only line breaks, control characters as their symbols
        (U+2400 and up) or U+FFFD, and U+FFFD for lone surrogates and non-characters; cut, with a
        mark that says how much is missing, where it is too long; :data:`layout.EMPTY` where there
        is nothing to see. Everything else, blanks at its ends included, is as it was.
    """
    text, reasons = _shown(text, limit)
    if changes is not None:
        changes.update(reasons)
    return text


@lru_cache(maxsize=2**14)  # every rater sees the same texts
def _shown(text: str, limit: int) -> tuple[str, tuple[str, ...]]:
    """A cell's text, and for what it had to be changed."""
    reasons = []
    if _RARE.search(text):
        for pattern, repair, reason in _REPAIRS:
            text, count = pattern.subn(repair, text)
            if count:
                reasons.append(reason)
    if not text or text.isspace():
        text = EMPTY
        reasons.append(BLANK)
    # a text of half the limit fits whatever it holds
    if len(text) > limit // 2 and len(units := text.encode("utf-16-le")) > 2 * limit:
        text = _cut(text, units, limit)
        reasons.append(CUT)
    return text, tuple(reasons)


def shown_texts(sheet: RaterSheet, row: ShownRow) -> list[str]:
    """What a row shows after its token, in the order of :func:`layout.columns`."""
    reference = [row.reference or EMPTY] if sheet.shows_reference else []
    return [row.prompt, *reference, *row.outputs]


def is_live(text: str) -> bool:
    """Whether a program that takes the text for typing would run it as a formula."""
    return text.startswith(_LIVE)


def delimited_text(text: str, changes: Changes | None = None) -> str:
    """What a cell of a CSV file holds of a text.

    That is :func:`cell_text`, with an apostrophe in front of what would be a formula: CSV has no
    other way to say that a cell is text, and quotes do not help.
    """
    shown = cell_text(text, changes, limit=LIMIT - 1)
    if not is_live(shown):
        return shown
    if changes is not None:
        changes[APOSTROPHE] += 1
    return f"'{shown}"


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "�"


_REPAIRS = (
    (_RETURN, "\n", RETURNS),
    (_CONTROL, _visible, CONTROLS),
    (_SURROGATE, "�", SURROGATES),
)


def _mark(missing: int) -> str:
    # On the same line: LibreOffice breaks lines of over 16,367 units in texts of several lines.
    return f" [… the text goes on for {missing:,} more characters]"


def _cut(text: str, units: bytes, limit: int) -> str:
    room = limit - len(_mark(len(text)))  # what is missing has no more digits than the whole
    kept = units[: 2 * room].decode("utf-16-le", "ignore")  # half a pair is dropped
    return kept + _mark(len(text) - len(kept))
