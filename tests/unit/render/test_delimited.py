"""CSV that every reader divides into the same records."""

from __future__ import annotations

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from harness.render.delimited import csv_text

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(
    st.lists(st.lists(TEXTS, min_size=2, max_size=3), max_size=3), st.sampled_from(["\n", "\r\n"])
)
@example([["a\rb", "c"]], "\n")
@example([['say "so"', "\r"]], "\r\n")
def test_records_come_back(lines: list[list[str]], end: str) -> None:
    """A bare carriage return in a text is no end of a record."""
    text = csv_text(lines, end=end)
    read = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert [[cell.removeprefix("'") for cell in line] for line in read] == [
        [cell.removeprefix("'") for cell in line] for line in lines
    ]


def test_values_are_in_their_own_units() -> None:
    """Nothing where there is none, and no cell that is run as a formula."""
    assert csv_text([["a", None, True, 0.1, 5], ["=1+1", "-x", -1, "b\rc", ""]]) == (
        "a,,true,0.1,5\n'=1+1,'-x,-1,\"b\rc\",\n"
    )
