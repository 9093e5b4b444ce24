"""Markdown of texts that nobody can vouch for."""

from __future__ import annotations

import pytest

from harness.render.markdown import code


@pytest.mark.parametrize(
    ("text", "span"), [("a_b [x]", "`a_b [x]`"), ("a`b", "`` a`b ``"), ("a\nb", "`a b`")]
)
def test_a_command_is_shown_as_code_to_be_copied(text: str, span: str) -> None:
    """Nothing is escaped inside; the fence is longer than any run of backticks in it."""
    assert code(text) == span
