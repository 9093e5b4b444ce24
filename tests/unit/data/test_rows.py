"""Cleaning of rows."""

import json
from collections import Counter
from datetime import date, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from harness.data.rows import clean

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None)), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(codec=None)), ANYTHING))
def test_a_clean_row_can_be_written(row):
    """Whatever a row holds, its clean form is valid UTF-8 JSON without NUL, NaN or infinity."""
    text = json.dumps(clean(row, Counter()), ensure_ascii=False, allow_nan=False)
    assert "\0" not in text
    assert "\\u0000" not in text
    text.encode("utf-8")


def test_changes_are_counted_once_per_row():
    """Each kind of change counts rows, not values; what is only converted is not counted."""
    changes = Counter()
    assert clean({"a": "x\ud800y\0", "b": ["\0"], "c": float("nan")}, changes) == {
        "a": "x\N{REPLACEMENT CHARACTER}y\N{REPLACEMENT CHARACTER}",
        "b": ["\N{REPLACEMENT CHARACTER}"],
        "c": None,
    }
    clean({"a": "\0", "b": b"\x01", "c": 1.5}, changes)
    assert changes == {
        "had lone surrogates or NUL characters, replaced by U+FFFD": 2,
        "had NaN or infinite numbers, read as null": 1,
        "had binary values, read as null": 1,
    }
    changes.clear()
    assert clean(
        {"d": date(2020, 1, 2), "t": datetime(2020, 1, 2, 3), "n": Decimal("1.10")}, changes
    ) == {
        "d": "2020-01-02",
        "t": "2020-01-02T03:00:00",
        "n": "1.10",
    }
    assert not changes
