"""Spoilt texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ratings.design.attention import spoil
from harness.ratings.design.chance import Chance


def test_words_are_shuffled() -> None:
    """A sentence keeps its words in another order."""
    text = "The council voted to close the old bridge in spring."
    spoilt = spoil(text, [], Chance(1))
    assert spoilt != text
    assert sorted(spoilt.split()) == sorted(text.split())


def test_characters_of_a_text_without_blanks_are_shuffled() -> None:
    """Chinese, which has no blanks, keeps its characters in another order."""
    text = "市议会投票决定在春天关闭这座旧桥"
    spoilt = spoil(text, [], Chance(1))
    assert spoilt != text
    assert sorted(spoilt) == sorted(text)


@pytest.mark.parametrize("text", ["", " ", "positive", "42", "the the the the the", "a\u0301"])
def test_a_short_text_becomes_words_of_random_letters(text: str) -> None:
    """A label or a number cannot be shuffled into something that is no label or number."""
    spoilt = spoil(text, ["positive", "negative"], Chance(1))
    assert len(spoilt.split()) >= 4
    assert spoilt.replace(" ", "").isalpha()


@given(
    text=st.text(max_size=60), avoid=st.lists(st.text(max_size=5), max_size=3), seed=st.integers()
)
def test_it_is_never_a_real_output(text: str, avoid: list[str], seed: int) -> None:
    """Neither the text itself nor any output of the item, blanks aside; and never blank."""
    spoilt = spoil(text, avoid, Chance(seed))
    assert spoilt.strip()
    assert spoilt.strip() not in {other.strip() for other in (*avoid, text)}


def test_orders_that_are_real_outputs_are_passed_over() -> None:
    """Of the orders of four words, one that is a real output is not taken."""
    import itertools

    orders = [" ".join(words) for words in itertools.permutations("abcd")]
    spoilt = spoil(orders[0], orders[1:], Chance(1))
    assert spoilt not in orders
