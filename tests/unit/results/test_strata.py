"""Groups of examples: what belongs where, and that nothing is lost on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.outputs import CUT, SAME
from harness.results.strata import (
    FINDING,
    Group,
    OutputPair,
    category_groups,
    example_groups,
    quartile_groups,
    ratio_groups,
    text_lengths,
)
from harness.schema import Example, Prediction


def example(name: str, reference: str = "one two three", **metadata: Any) -> Example:
    return Example(
        id=name,
        prompt="say it",
        completion=reference,
        references=(reference,),
        cluster=name,
        split="report",
        metadata=metadata,
    )


def prediction(name: str, text: str, **changes: Any) -> Prediction:
    fields = {"prompt_tokens": 9, "new_tokens": 3, "finish_reason": "eos"} | changes
    return Prediction(example_id=name, text=text, **fields)


def members(groups: list[Group]) -> dict[str, list[int]]:
    return {group.name: np.flatnonzero(group.rows).tolist() for group in groups}


def test_quartiles_are_named_by_what_is_in_them() -> None:
    """Eight lengths make four groups of two; the cuts are numpy's quartiles, 2.75, 4.5, 6.25."""
    found = members(quartile_groups("prompt length", "tokens", [8, 1, 7, 2, 6, 3, 5, 4]))
    assert found == {
        "1 to 2 tokens": [1, 3],
        "3 to 4 tokens": [5, 7],
        "5 to 6 tokens": [4, 6],
        "7 to 8 tokens": [0, 2],
    }


def test_equal_lengths_stay_together() -> None:
    """Ties are never cut apart, and one length alone is no way of grouping."""
    assert members(quartile_groups("k", "words", [3, 3, 3, 3, 3, 9])) == {
        "3 words": [0, 1, 2, 3, 4],
        "9 words": [5],
    }
    assert quartile_groups("k", "words", [3, 3, 3]) == []
    assert quartile_groups("k", "words", []) == []


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.data())
def test_groups_of_one_kind_partition_the_examples(lengths: list[int], data: Any) -> None:
    """Every example is in exactly one quartile, one ratio and one value of a field."""
    n = len(lengths)
    own = data.draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))
    values = data.draw(st.lists(st.sampled_from(["a", "b", None]), min_size=n, max_size=n))
    fields, _ = category_groups([{"field": value} for value in values])
    for groups in (quartile_groups("k", "words", lengths), ratio_groups(own, lengths), fields):
        if groups:
            assert np.array_equal(sum(group.rows.astype(int) for group in groups), np.ones(n))
            assert all(group.rows.any() for group in groups)


def test_output_lengths_are_cut_at_fixed_ratios() -> None:
    """4 of 10 words are less than half; 8 of 10 belong to the middle; no reference is its own."""
    found = members(ratio_groups([4, 5, 8, 10, 13, 20, 7], [10, 10, 10, 10, 10, 10, 0]))
    assert found == {
        "less than 0.5 of the reference": [0],
        "0.5 to 0.8 of the reference": [1],
        "0.8 to 1.25 of the reference": [2, 3],
        "1.25 to 2 times the reference": [4],
        "more than 2 times the reference": [5],
        "the reference is empty": [6],
    }


def test_labels_and_unspaced_languages_are_counted_in_characters() -> None:
    """Texts of one word have no lengths in words worth looking at."""
    assert text_lengths(["yes", "maybe"]) == ("characters", [3, 5])
    assert text_lengths(["a b c", "a b c d"]) == ("words", [3, 4])


def test_only_short_categories_are_taken() -> None:
    """Ids, long texts, numbers with fractions and constants are no categories."""
    rows = [
        {"id": str(i), "source": "ab"[i % 2], "level": i % 3, "p": i / 7, "same": 1, "t": "x" * 99}
        for i in range(12)
    ]
    rows[0].pop("source")
    groups, notes = category_groups(rows)
    found = [(group.kind, group.name, int(group.rows.sum())) for group in groups]
    assert found == [
        ("field level", "0", 4),
        ("field level", "1", 4),
        ("field level", "2", 4),
        ("field source", "(not given)", 1),
        ("field source", "a", 5),
        ("field source", "b", 6),
    ]
    assert notes == []


def test_fields_beyond_eight_are_named() -> None:
    """Looks are bounded, and what was not looked at is said."""
    groups, notes = category_groups([{f"f{k}": i % 2 for k in range(10)} for i in range(8)])
    assert len({group.kind for group in groups}) == 8
    assert notes == ["Fields not looked at, to bound the looks: f8, f9."]


def test_groups_come_from_the_records() -> None:
    """Lengths and findings are the candidate's; the baseline's output is compared with it."""
    names = ["a", "b", "c"]
    examples = {
        name: example(name, "one two three four"[: 9 + 3 * i]) for i, name in enumerate(names)
    }
    before = {name: prediction(name, "yes") for name in names}
    after = before | {"b": prediction("b", "no", finish_reason="length", prompt_tokens=30)}
    groups, notes = example_groups(names, examples, OutputPair(before, after))
    found = {(group.kind, group.name): np.flatnonzero(group.rows).tolist() for group in groups}
    assert found["prompt length", "9 tokens"] == [0, 2]
    assert found[FINDING, CUT] == [1]
    assert found[FINDING, SAME] == [0, 2]
    assert notes == []


@pytest.mark.parametrize(("kept", "word"), [("outputs", "examples"), ("examples", "outputs")])
def test_missing_records_are_said(kept: str, word: str) -> None:
    """What cannot be looked at because a record is missing is a note."""
    names = ["a", "b"]
    examples = {name: example(name) for name in (names if kept == "examples" else names[:1])}
    texts = {name: prediction(name, "x") for name in (names if kept == "outputs" else names[:1])}
    _, notes = example_groups(names, examples, OutputPair(texts, texts))
    assert len(notes) == 1
    assert notes[0].startswith(f"Some {word} are missing")
