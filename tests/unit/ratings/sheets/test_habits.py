"""What one variant's outputs have that the others' do not."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from harness.ratings.sheets.habits import LAYOUT, layout_gaps, length_gaps, telling_phrases
from tests.growth import growth

WORDS = [f"word{n}" for n in range(400)]


def texts(n: int, seed: int, length: int = 12, *, start: str = "", end: str = ".") -> list[str]:
    """Random sentences; no phrase is likely to come twice."""
    draw = random.Random(seed)
    return [f"{start}{' '.join(draw.choices(WORDS, k=length))}{end}" for _ in range(n)]


# -- phrases --------------------------------------------------------------------------------------


def test_a_phrase_of_one_variant_is_found_with_its_counts() -> None:
    """In 8 of 20 outputs of a and in none of b: one habit, the longest form of it."""
    a = texts(20, 1)
    a[:8] = [f"{text} It is important to." for text in a[:8]]
    found = telling_phrases({"a": a, "b": texts(20, 2)})
    assert [(h.variant, h.count, h.elsewhere, h.seen, h.starts) for h in found] == [
        ("a", 8, 0, 20, False)
    ]
    assert found[0].words in ("it is important", "is important to")


def test_a_phrase_that_others_use_too_is_no_habit() -> None:
    """Two of 50 outputs of the other variant (4 %) are more than hardly ever."""
    a = [f"In this paper we {text}" for text in texts(50, 1)]
    b = texts(50, 2)
    b[:2] = [f"In this paper we {text}" for text in b[:2]]
    assert telling_phrases({"a": a, "b": b}) == []


def test_the_thresholds_are_those_that_are_documented() -> None:
    """20 % of the outputs is often, 18 % is not; 2 % of another's is hardly ever, 4 % is not."""

    def found(mine: int, other: int) -> int:
        a, b = texts(50, 1), texts(50, 2)
        a[:mine] = [f"{text} quite so then" for text in a[:mine]]
        b[:other] = [f"{text} quite so then" for text in b[:other]]
        return len(telling_phrases({"a": a, "b": b}))

    assert found(10, 0) == found(10, 1) == 1
    assert found(9, 0) == found(10, 2) == 0


def test_a_line_start_is_found_as_it_is_written() -> None:
    """A label at the start of lines is a habit, whatever follows it."""
    found = telling_phrases({"a": texts(20, 1, start="Summary: "), "b": texts(20, 2)})
    assert [(h.words, h.starts, h.count) for h in found] == [("Summary:", True, 20)]


def test_marks_without_words_are_line_starts_too() -> None:
    """A dash at the start of lines is a habit."""
    found = telling_phrases({"a": texts(20, 1, start="- "), "b": texts(20, 2)})
    assert [(h.words, h.variant) for h in found] == [("-", "a")]


def test_at_most_five_are_given_and_overlapping_ones_once() -> None:
    """A long common sentence is one habit per stretch of words, five in all."""
    tail = " ".join(f"tail{n}" for n in range(60))
    found = telling_phrases({"a": texts(20, 1, end=f" {tail}"), "b": texts(20, 2)})
    assert len(found) == 5
    words = [word for habit in found for word in habit.words.split()]
    assert len(set(words)) >= 10  # not five shifts of the same three words


def test_few_items_or_one_variant_give_no_habits() -> None:
    """Below ten items a common phrase may be chance; one variant has nobody to differ from."""
    assert telling_phrases({"a": texts(9, 1, start="So: "), "b": texts(9, 2)}) == []
    assert telling_phrases({"a": texts(20, 1, start="So: ")}) == []
    assert telling_phrases({}) == []


def test_a_long_export_is_sampled_and_says_how_many_it_saw() -> None:
    """With a small budget every k-th item is looked at, never fewer than ten."""
    outputs = {"a": texts(100, 1, start="So: "), "b": texts(100, 2)}
    found = telling_phrases(outputs, budget=4_000)
    assert 10 <= found[0].seen < 100
    assert found[0].count == found[0].seen


# -- lengths --------------------------------------------------------------------------------------


def test_a_gap_of_medians_is_found() -> None:
    """100 characters against 40: 2.5 times, and always the longer."""
    medians, gaps = length_gaps({"a": ["x" * 40] * 12, "b": ["x" * 100] * 12})
    assert medians == {"a": 40, "b": 100}
    assert [(g.longer, g.shorter, g.ratio, g.share) for g in gaps] == [("b", "a", 2.5, 1.0)]


def test_a_small_but_steady_gap_is_found() -> None:
    """One word more on 9 of 10 items tells as well, though medians hardly differ."""
    a = ["x" * (40 + 5 * k) for k in range(20)]
    b = [text + "xx" if k % 10 else text for k, text in enumerate(a)]
    _, gaps = length_gaps({"a": a, "b": b})
    assert [(g.longer, g.share) for g in gaps] == [("b", pytest.approx(0.95))]


def test_equal_lengths_are_no_gap() -> None:
    """The same lengths in another order tell nothing, nor do fewer than ten items."""
    a = ["x" * (40 + k) for k in range(20)]
    assert length_gaps({"a": a, "b": a[::-1]})[1] == []
    assert length_gaps({"a": ["x"] * 9, "b": ["xxxx"] * 9})[1] == []


def test_empty_texts_have_no_ratio_but_a_gap() -> None:
    """Where one variant writes nothing, the ratio is infinite, and no division fails."""
    _, gaps = length_gaps({"a": [""] * 12, "b": ["text"] * 12})
    assert gaps[0].longer == "b"
    assert gaps[0].ratio == float("inf")
    assert length_gaps({"a": [""] * 12, "b": [""] * 12})[1] == []


# -- layout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "text", "plain"),
    [
        ("headings", "## Title\nText.", "C# is a language, see #4."),
        ("lists", "Two:\n- one\n- two", "A well-known one - and so on"),
        ("lists", "1. one\n2. two", "1.5 litres"),
        ("bold or code marks", "Use **this**.", "2 * 3 * 4"),
        ("bold or code marks", "Call `main`.", "Call main."),
        ("several lines", "One.\nTwo.", "One.\n"),
        ("no final punctuation (cut off?)", "It returns the", "It returns the sum."),
        ("no final punctuation (cut off?)", "such as (this", "He said “so.”"),
        ("white space at the start or end", " So.", "So."),
    ],
)
def test_features_of_layout(feature: str, text: str, plain: str) -> None:
    """Each feature is seen where it is, and not in a text that only looks like it."""
    assert LAYOUT[feature](text)
    assert not LAYOUT[feature](plain)


def test_sentence_ends_of_other_scripts_are_ends() -> None:
    """Chinese, Hindi and Arabic texts are not taken for cut off; no text at all is not either."""
    unfinished = LAYOUT["no final punctuation (cut off?)"]
    for text in ("这是摘要。", "यह सार है।", "هل هذا ملخص؟", "", "  "):
        assert not unfinished(text)


def test_a_gap_of_layout_needs_thirty_of_a_hundred() -> None:
    """3 of 10 outputs more is a gap, 2 of 10 is not."""

    def gaps(n: int) -> dict[str, dict[str, int]]:
        a = texts(10, 1)
        return layout_gaps({"a": a, "b": ["- " + t if k < n else t for k, t in enumerate(a)]})

    assert gaps(3) == {"lists": {"a": 0, "b": 3}}
    assert gaps(2) == {}


def test_few_items_have_no_layout_gap() -> None:
    """Nine items are too few."""
    assert layout_gaps({"a": ["a."] * 9, "b": ["- a."] * 9}) == {}


@pytest.mark.parametrize("look", [telling_phrases, length_gaps, layout_gaps])
def test_looking_grows_with_the_items(look: Callable[[dict[str, list[str]]], object]) -> None:
    """Four times the outputs are hardly more work for each of them."""

    def work(items: int) -> Callable[[], object]:
        base = texts(items, 0, 45)
        outputs = {f"v{k}": base[k:] + base[:k] for k in range(8)}
        return lambda: look(outputs)

    assert growth(work, 100, 400) < 1.2
