"""The one difference of two JSON values: dotted keys, and what stood there before and after.

What is absent, null or empty says the same: nothing. So ``{"limits": {}}`` equals ``{}``.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Change(NamedTuple):
    """One value that differs; None stands for nothing."""

    key: str
    old: Any
    new: Any


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every value in which two mappings differ, by dotted key, sorted."""
    before, after = dict(leaves(old)), dict(leaves(new))
    return [
        Change(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all that a nested mapping says; lists are values as a whole."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from leaves(part, f"{prefix}.{key}" if prefix else str(key))
    elif value not in (None, {}, [], ()):
        yield prefix, list(value) if isinstance(value, tuple) else value
