"""The file that a rating page saves."""

import json
import re
from typing import Any

from harness.errors import DataError
from harness.ratings import layout
from harness.ratings.returns.answers import tidy
from harness.ratings.returns.encodings import decode
from harness.ratings.returns.formats import AGAIN
from harness.ratings.returns.grid import as_text
from harness.ratings.returns.returned import ReturnedRow, ReturnedTable, SheetPart, token_of

_LONE = re.compile("[\ud800-\udfff]")


def read_page(data: bytes, where: str) -> SheetPart:
    """Read the file that a rating page saves."""
    page, notes = _page_of(data, where)
    names: dict[str, int] = {}
    table = ReturnedTable("", "json", names)
    rows, problems = [], []
    for number, entry in enumerate(page["rows"]):
        token = entry.get(layout.ROW) if isinstance(entry, dict) else None
        if not isinstance(token, str):
            problems.append(
                f"{where}, rows[{number}]: found no “{layout.ROW}”; needed is the row's id; the "
                "file was changed after the page saved it: ask for the page's own file."
            )
            continue
        texts = {name: _value_text(value) for name, value in entry.items() if name != layout.ROW}
        cells = {name: text for name, text in texts.items() if tidy(text)}
        for name in cells:
            names.setdefault(name, len(names))
        rows.append(ReturnedRow(table, number, token_of(token), cells))
    return SheetPart(
        (table,), tuple(rows), str(page.get("sheet", "")), tuple(problems), tuple(notes)
    )


def _page_of(data: bytes, where: str) -> tuple[dict[str, Any], list[str]]:
    """A page's file, and notes on what was changed in it."""
    text, _ = decode(data, where)
    notes = []
    try:
        page = json.loads(text)
        if "\\ud" in text.lower():  # an escape that may be half a character
            text = json.dumps(page, ensure_ascii=False)
            text, count = _LONE.subn("\N{REPLACEMENT CHARACTER}", text)
            if count:
                notes.append(f"holds {count} halves of characters, which became “\ufffd”")
            page = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"The file is not valid JSON: {error}.", where=where, hint=AGAIN) from error
    form = page.get("format") if isinstance(page, dict) else None
    if form != layout.PAGE_FORMAT or not isinstance(page.get("rows"), list):
        raise DataError(
            f"A file of format “{layout.PAGE_FORMAT}” was needed, but this is other JSON.",
            where=where,
            hint="Send the file that the page's button saves.",
        )
    if page.get("version") != layout.PAGE_VERSION:
        raise DataError(
            f"A rating page's file of version {layout.PAGE_VERSION} was needed, but this is of "
            f"version {page.get('version')!r:.40}.",
            where=where,
            hint="Import it with the version of the harness that made the page.",
        )
    return page, notes


def _value_text(value: Any) -> str:
    """Text of a JSON value; what is no text or number stays recognisable."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return as_text(value)[0] if isinstance(value, (int, float)) else json.dumps(value)
