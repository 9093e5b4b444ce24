"""The difference of two JSON values."""

from __future__ import annotations

from typing import Any

import pytest

from harness.diff import difference


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}, ["a.c"]),
        ({"a": 1}, {"a": 1, "b": 2}, ["b"]),
        ({"a": {"b": 1}}, {"a": None}, ["a.b"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
        ({"z": 1, "a": {"y": 1}}, {}, ["a.y", "z"]),
        ({"a": (1, 2)}, {"a": [1, 2]}, []),
    ],
)
def test_differences_have_dotted_keys(
    old: dict[str, Any], new: dict[str, Any], keys: list[str]
) -> None:
    """Nested mappings are followed, lists differ as a whole; sorted by key."""
    assert [change.key for change in difference(old, new)] == keys


@pytest.mark.parametrize("nothing", [None, {}, [], (), {"inner": {}}, {"inner": None}])
def test_empty_says_as_much_as_absent(nothing: object) -> None:
    """Limits of no split are no limits; zero, false and the empty text are values."""
    assert difference({"limits": nothing}, {}) == []
    assert difference({}, {"limits": nothing}) == []
    assert difference({"limits": {"report": 9}}, {"limits": nothing}) == [
        ("limits.report", 9, None)
    ]
    assert [change.new for change in difference({}, {"a": 0, "b": False, "c": ""})] == [
        0,
        False,
        "",
    ]
