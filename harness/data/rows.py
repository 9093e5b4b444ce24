"""A row on its way from a source to an example, and the cleaning every row goes through."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

# Lone surrogates cannot be encoded as UTF-8, and NUL ends a string in many tools.
_UNWRITABLE = re.compile("[\ud800-\udfff\x00]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class DataRow:
    """One row as its source holds it.

    Attributes:
        fields: The row's fields, JSON-like after `clean`.
        split: The source's own name of the split it came from; ``train`` where it has none.
        where: Its place, such as ``train.jsonl:14``.
    """

    fields: dict[str, Any]
    split: str
    where: str


@dataclass(slots=True)
class SourceRows:
    """All rows of a source, and what reading them left out or noticed.

    Attributes:
        rows: In the order of the source.
        splits: The source's own splits, those without rows included.
        dropped: Reason -> rows that the source itself was found to hold and that are not in rows.
        notes: What the report should say about the reading.
    """

    rows: list[DataRow]
    splits: tuple[str, ...] = ("train",)
    dropped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def clean(fields: Mapping[str, Any], changes: Counter[str]) -> dict[str, Any]:
    """Make a row's values safe to render and to write as JSON.

    Lone surrogates and NUL become U+FFFD; NaN, infinity and binary values become null; dates
    become ISO 8601 text.

    Args:
        fields: The row as read.
        changes: Counts each kind of change, once per row.
    """
    seen: set[str] = set()
    cleaned = {str(_clean(key, seen)): _clean(value, seen) for key, value in fields.items()}
    changes.update(seen)
    return cleaned


def _clean(value: Any, seen: set[str]) -> Any:
    result: Any
    if value is None or isinstance(value, bool | int):
        result = value
    elif isinstance(value, str):
        result, n = _UNWRITABLE.subn(_REPLACEMENT, value)
        if n:
            seen.add("had lone surrogates or NUL characters, replaced by U+FFFD")
    elif isinstance(value, float):
        result = value if math.isfinite(value) else None
        if result is None:
            seen.add("had NaN or infinite numbers, read as null")
    elif isinstance(value, Mapping):
        result = {str(_clean(key, seen)): _clean(item, seen) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        result = [_clean(item, seen) for item in value]
    elif isinstance(value, bytes):
        seen.add("had binary values, read as null")
        result = None
    else:  # Decimal, timedelta and the like from Parquet
        result = value.isoformat() if isinstance(value, date | time) else str(value)
    return result
