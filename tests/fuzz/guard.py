"""What every door owes to any input: an answer or a message, and no hanging."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError

LONGEST_S = 15.0  # of 5 that are promised: a busy, slow machine takes up to three times as long
MOST_CHARS = 2_000


def examples(everyday: int, slow: int) -> Any:
    """Parametrizes a test by how many inputs it tries."""
    return pytest.mark.parametrize(
        "tries", [everyday, pytest.param(slow, marks=pytest.mark.slow)], ids=["some", "many"]
    )


def holds(tries: int, strategy: st.SearchStrategy[Any], door: Callable[[Any], object]) -> None:
    """Every input is answered, or refused by an error of ours that prints; nothing hangs."""

    @settings(
        max_examples=tries,
        deadline=None,
        database=None,
        # inputs are small, and what takes long or much is not tried again to make it smaller
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def check(value: Any) -> None:
        knock(lambda: door(value))

    check()


def knock(call: Callable[[], object]) -> None:
    """Any other error than ours goes through."""
    start, message = time.process_time(), ""  # of computing: other programs run, too
    try:
        call()
    except HarnessError as error:
        message = str(error)
    lines = message.split("\n")
    assert all(len(line) <= MOST_CHARS for line in lines)
    assert all(prints(letter) for line in lines for letter in line), ascii(message)
    assert time.process_time() - start < LONGEST_S


def prints(letter: str) -> bool:
    return letter == "\t" or unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")


def deep(depth: int, kind: str = "[]") -> Any:
    """A list in a list in a list, or the same of objects."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "[]" else {"a": value}
    return value


TEXTS = st.one_of(
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        [
            "", " ", "~", "~nobody/x", "s3://bucket/x", "x" * 5_000, "../" * 50, "/", ".", "**/*",
            "[", "\x1b[31m", "\ud800", "\u202e", "a\nb", "tiny:", "tiny:llama", "owner/name", "{{",
            "{{ a.b.c }}", "{{ 9 ** (9 ** 9) }}", "{{ 'a' * 10 ** 12 }}", "{% for a in b %}",
            "{{ range(10 ** 9) | list }}", "evaluate:x", "field:", "1e999", "²", "9" * 5_000,
        ]
    ),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(),
    st.sampled_from([10**30, -(10**400), 2**1100, 0, -1]),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.dates(), st.binary(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(TEXTS, st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=6,
)
