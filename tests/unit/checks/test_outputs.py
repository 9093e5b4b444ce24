"""Findings on made-up outputs whose loops and copies can be counted by eye."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.outputs import (
    COPY,
    CUT,
    DEFINITIONS,
    EMPTY,
    LOOP,
    SAME,
    TRUNCATED,
    copied_share,
    findings_of,
    repeats_itself,
)
from harness.schema import Prediction

PROMPT = "say what the given function of the given module does in one line"


def written(text: str, **changes: Any) -> Prediction:
    fields = {"prompt_tokens": 20, "new_tokens": 5, "finish_reason": "eos"} | changes
    return Prediction(example_id="e", text=text, **fields)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("but it is not a good medicine . " * 3, True),
        ("but it is not a good medicine . " * 2, False),
        ("first this then that and that and that and that was all", True),
        ("no no no no no", True),
        ("no no no no", False),
        (" ".join(f"w{i}" for i in range(40)) + " ", False),
        ((" ".join(f"w{i}" for i in range(40)) + " ") * 3, True),
        ((" ".join(f"w{i}" for i in range(41)) + " ") * 3, False),
        ("", False),
    ],
)
def test_a_loop_is_a_phrase_three_times_or_a_word_five_times(text: str, found: bool) -> None:
    """Phrases of two to forty words three times in succession, single words five times."""
    assert repeats_itself(text.split()) is found


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_a_loop_is_found_wherever_one_is(words: list[str]) -> None:
    """The search that skips places finds the same as looking at every slice."""
    slow = any(
        words[at : at + size] * times == words[at : at + size * times]
        for size in range(1, 41)
        for times in [3 if size > 1 else 5]
        for at in range(len(words) - size * times + 1)
    )
    assert repeats_itself(words) is slow


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("the given function of the", 1.0),
        ("the given function of", 0.0),
        ("it sorts the given function of the given module", 7 / 9),
        ("", 0.0),
    ],
)
def test_words_count_as_copied_in_runs_of_five(text: str, share: float) -> None:
    """Four words of the prompt in a row are chance, five are a copy."""
    assert copied_share(text.split(), PROMPT.split()) == pytest.approx(share)


def test_every_finding_is_found() -> None:
    """Each finding stands alone, and an output may have several."""
    assert findings_of(written("fine")) == ()
    assert findings_of(written(" \n")) == (EMPTY,)
    assert findings_of(written("a", truncated_prompt_tokens=3)) == (TRUNCATED,)
    assert findings_of(written("a b " * 4, finish_reason="length")) == (CUT, LOOP)
    assert findings_of(written("same "), PROMPT, written("same")) == (SAME,)
    assert findings_of(written(f"{PROMPT} x"), PROMPT, written("y")) == (COPY,)
    assert list(DEFINITIONS) == [TRUNCATED, CUT, EMPTY, LOOP, SAME, COPY]
