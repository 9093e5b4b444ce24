"""What the reader of an XLSX workbook's cells does not see: notes on cells, and error values."""

import io
import re
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element  # for types only

from harness.ratings.returns.grid import CellNote, column_of
from harness.ratings.returns.safe_xml import tree
from harness.ratings.returns.xlsx_parts import all_named, attribute, related

_BOOK = "xl/workbook.xml"
_PLACE = re.compile(r"[A-Z]{1,3}\d{1,7}")
_ERROR = re.compile(
    rb'<(?:\w+:)?c\b([^>]*\bt="e"[^>]*)>(?:(?!</(?:\w+:)?c>).)*?<(?:\w+:)?v>([^<]*)<', re.DOTALL
)
_REFERENCE = re.compile(rb'\br="([A-Z]{1,3}\d{1,7})"')
# what Excel writes for older versions in front of a comment of a conversation
_CONVERSATION = re.compile(r"\[Threaded comment\].*?\bComment:\s*", re.DOTALL)


def workbook_notes(data: bytes) -> dict[str, list[CellNote]]:
    """Worksheet -> its notes and error values.

    Args:
        data: An XLSX file.

    Raises:
        Exception: Whatever :mod:`zipfile` and the XML parser raise of damaged files.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = frozenset(archive.namelist())
        if _BOOK not in names:
            return {}
        book = related(archive, names, _BOOK)
        notes: dict[str, list[CellNote]] = {}
        for sheet in all_named(tree(archive.read(_BOOK)), "sheet"):
            _, place = book.get(attribute(sheet, "id"), ("", ""))
            own = notes.setdefault(attribute(sheet, "name"), [])
            if place in names:
                own += _errors(archive.read(place))
            for kind, part in related(archive, names, place).values():
                if kind == "comments" and part in names:
                    own += _notes(tree(archive.read(part)))
        return notes


def _errors(worksheet: bytes) -> Iterator[CellNote]:
    if b't="e"' not in worksheet:
        return
    for cell, value in _ERROR.findall(worksheet):
        if place := _REFERENCE.search(cell):
            yield _at(place[1].decode(), value.decode("utf-8", "replace"), is_error=True)


def _notes(root: Element) -> Iterator[CellNote]:
    for comment in all_named(root, "comment"):
        text = "".join(piece.text or "" for piece in all_named(comment, "t"))
        if _PLACE.fullmatch(place := attribute(comment, "ref")):
            yield _at(place, _CONVERSATION.sub("", text, count=1))


def _at(address: str, text: str, *, is_error: bool = False) -> CellNote:
    letters = address.rstrip("0123456789")
    return CellNote(int(address[len(letters) :]), column_of(letters), text, is_error)
