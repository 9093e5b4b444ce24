"""Names of others on a terminal and in a CI log: seen, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.printable import one_line, printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("task “größe”: 5 %\n\tnext", "task “größe”: 5 %\n\tnext"),
        ("a::b and c:: d", "a::b and c:: d"),
        ("\x1b[2Jgone\x07", "\\x1b[2Jgone\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("one\rtwo", "one\\x0dtwo"),
        ("\u202egpj", "\\u202egpj"),
        ("::error::x", "\\x3a:error::x"),
        ("fine\n  ::set-output name=a::b", "fine\n  \\x3a:set-output name=a::b"),
        ("a ##[error]b ##vso[task]", "a #\\x23[error]b #\\x23vso[task]"),
        ("## heading", "## heading"),
    ],
)
def test_lines_are_shown_and_do_nothing(text: str, shown: str) -> None:
    """Escape sequences, marks that hide or reorder, and workflow commands become escapes."""
    assert printable(text) == shown


@given(st.text(st.sampled_from("ab:# \n\t\x1b\x85\u2028[")))
def test_no_line_is_a_command(text: str) -> None:
    """Whatever the runner takes for a line."""
    for line in printable(text).splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
        assert line.replace("\t", "").isprintable()


def test_a_name_stays_on_its_line() -> None:
    """Of a name, line breaks and tabs are escapes, too; so of the place of an error."""
    assert one_line("a\nb\tc") == "a\\x0ab\\x09c"
    assert str(DataError("Bad.", where="x\n::error::y")) == "x\\x0a::error::y: Bad."


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_json_stays_the_same_value(value: object) -> None:
    """Escapes of JSON say the same."""
    shown = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(shown) == value


def test_json_does_nothing_to_a_terminal() -> None:
    """C1 controls and commands in strings are escaped."""
    assert printable_json('["\x9b2J", "##[error]"]') == '["\\u009b2J", "##\\u005berror]"]'
