"""Messages that can be printed, whatever they are about."""

from __future__ import annotations

import pytest

from harness.errors import DataError, HarnessError, UsageError, shown, told_as


def test_a_message_prints_and_is_no_longer_than_two_thousand_characters() -> None:
    """Escape sequences, halves of characters and long names in any part of it."""
    error = HarnessError("a\x1b[31m\ud800" * 999, where="p" * 5_000 + ":14", hint="h" * 9_000)
    assert len(str(error)) <= 2_000
    assert "\\x1b[31m\\ud800" in str(error)
    assert str(error.where).endswith(":14")


def test_a_value_is_shown_as_far_as_it_goes() -> None:
    """Numbers that Python does not print, too."""
    assert shown("a") == "'a'"
    assert shown(10**5_000) == "a int"
    assert len(shown("x" * 999)) == 200


def test_what_a_library_raises_is_told_as_ours() -> None:
    """Errors of ours pass; loops and interrupts do not become messages."""
    with pytest.raises(DataError, match="It fails: 'a'") as told, told_as(DataError, "It fails"):
        raise KeyError("a")
    assert isinstance(told.value.__cause__, KeyError)
    with pytest.raises(UsageError, match="mine"), told_as(DataError, "It fails"):
        raise UsageError("mine")
    with pytest.raises(KeyboardInterrupt), told_as(DataError, "It fails"):
        raise KeyboardInterrupt
    with pytest.raises(DataError, match="nested too deeply"), told_as(DataError, "It fails"):
        raise RecursionError
