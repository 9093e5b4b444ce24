import pytest

from harness.metrics.sentences import split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One sentence", ["One sentence"]),
        ("He left. She stayed! Why?", ["He left.", "She stayed!", "Why?"]),
        ("Dr. Roe saw approx. 5.3 units (Fig. 2). Fine.",
         ["Dr. Roe saw approx. 5.3 units (Fig. 2).", "Fine."]),
        ('He said "Stop!" Then he left.', ['He said "Stop!"', "Then he left."]),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    """Common abbreviations and decimal points end no sentence."""
    assert list(split_sentences(text)) == expected
