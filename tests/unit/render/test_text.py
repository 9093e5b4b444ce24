from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.printable import visible
from harness.render.text import marked


def test_tabs_newlines_and_joiners_stay() -> None:
    """What text needs is left alone: white space, accents, emoji with joiners, Persian."""
    text = "a\tb\nc é 👩‍🚀 می‌خواهم"
    assert visible(text) == text


def test_controls_are_escaped_by_code() -> None:
    """Each unseen character becomes the escape a programmer would write."""
    assert visible("\x1b[0m \u202e \u2028 \U000e0041") == "\\x1b[0m \\u202e \\u2028 \\U000e0041"


def test_nothing_written_is_said() -> None:
    """Empty and white outputs are named, since they cannot be seen."""
    assert "(empty)" in marked("", 10)
    assert "(only white space)" in marked(" \n", 10)


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_text_becomes_safe_html(text: str) -> None:
    """Whatever the text, the result can be encoded and holds no markup but the marks."""
    result = str(marked(text, 40))
    result.encode()
    bare = result.replace('<span class="unseen">', "").replace('<span class="note">', "")
    assert "<" not in bare.replace("</span>", "")
    assert all(character not in result for character in "\x00\x1b\u2028\u202e\ufeff")
