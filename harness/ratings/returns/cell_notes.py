"""Notes that people hang on cells of an XLSX workbook, which no reader of cells sees."""

import io
import re
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element  # for types only

from harness.ratings.returns.grid import CellNote
from harness.ratings.returns.safe_xml import tree
from harness.ratings.returns.xlsx_parts import all_named, attribute, related

_BOOK = "xl/workbook.xml"
_PLACE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
# what Excel writes for older versions in front of a comment of a conversation
_CONVERSATION = re.compile(r"\[Threaded comment\].*?\bComment:\s*", re.DOTALL)


def workbook_notes(data: bytes) -> dict[str, list[CellNote]]:
    """Worksheet -> its notes.

    Args:
        data: An XLSX file.

    Raises:
        Exception: Whatever :mod:`zipfile` and the XML parser raise of damaged files.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = frozenset(archive.namelist())
        if not any("comments" in name for name in names):
            return {}
        book = related(archive, names, _BOOK)
        notes: dict[str, list[CellNote]] = {}
        for sheet in all_named(tree(archive.read(_BOOK)), "sheet"):
            _, place = book.get(attribute(sheet, "id"), ("", ""))
            for kind, part in related(archive, names, place).values():
                if kind == "comments" and part in names:
                    notes.setdefault(attribute(sheet, "name"), []).extend(
                        _notes(tree(archive.read(part)))
                    )
        return notes


def _notes(root: Element) -> Iterator[CellNote]:
    for comment in all_named(root, "comment"):
        place = _PLACE.fullmatch(attribute(comment, "ref"))
        text = "".join(piece.text or "" for piece in all_named(comment, "t"))
        if place:
            column = 0
            for letter in place[1]:
                column = column * 26 + ord(letter) - 64
            yield CellNote(int(place[2]), column - 1, _CONVERSATION.sub("", text, count=1))
