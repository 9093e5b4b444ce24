"""Words of the report."""

from __future__ import annotations

import pytest

from harness.render.labels import listed


@pytest.mark.parametrize(
    ("parts", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_lists_in_words(parts: list[str], text: str) -> None:
    """The last part follows an and."""
    assert listed(parts) == text
