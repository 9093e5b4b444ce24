"""Names of rows and sheets."""

from __future__ import annotations

import hashlib
import re

from harness.ratings.design.tokens import LETTERS, row_token, sheet_id


def test_letters_spell_nothing() -> None:
    """No vowels, no y, no digits, no signs: no words, numbers, dates or formulas."""
    assert re.sub("[aeiouy]", "", "abcdefghijklmnopqrstuvwxyz") == LETTERS


def test_a_token_is_a_digest_in_letters() -> None:
    """Source: the same number written to base 20, lowest digit first, by hand."""
    number = int(hashlib.sha256(b"key:ada:3:0").hexdigest()[:32], 16)
    digits = [number // 20**place % 20 for place in range(8)]
    assert row_token("key", "ada", 3, set()) == "".join(LETTERS[digit] for digit in digits)


def test_a_token_that_is_taken_gives_way() -> None:
    """Two rows never share one, and which one gives way depends on their order alone."""
    taken: set[str] = set()
    first = row_token("key", "ada", 3, taken)
    second = row_token("key", "ada", 3, taken)
    assert taken == {first, second}
    assert first != second


def test_a_sheet_has_a_short_name() -> None:
    """Six letters, of the key alone."""
    assert re.fullmatch(f"[{LETTERS}]{{6}}", sheet_id("key"))
    assert sheet_id("key") == sheet_id("key") != sheet_id("other")
