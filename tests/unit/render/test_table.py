"""One table in four forms: the same cells as page, Markdown, terminal text and CSV."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from harness.render.delimited import Raw, plain_cell
from harness.render.numbers import FIGURE_SPACE, NONE, POINT_SPACE
from harness.render.pages import page_environment
from harness.render.table import (
    Band,
    Cell,
    Head,
    Table,
    data_table,
    make_table,
    numbers,
    table_of,
    texts,
    to_csv,
    to_markdown,
    to_text,
    with_points_aligned,
)
from tests.unit.report.page_parser import Page

HOSTILE = '<script>x</script> | **b** [a](b) \u202e"'


def page_of(table: Table, **values: Any) -> str:
    source = '{% import "macros.html.j2" as ui with context %}{{ ui.table(table, "sortable") }}'
    return page_environment().from_string(source).render(table=table, **values)


SCORES = Table(
    "Scores",
    (*texts("Metric"), Head("a", "baseline"), Head("b")),
    (
        (
            Cell("BLEU", tag="decides"),
            Cell("8.1"),
            Cell("12.0", strong=True, interval="[9.0, 15.1]"),
        ),
        (
            Cell("loss", ("lower is better",)),
            Cell("2.5", raw=2.5),
            Cell("2.1", side="better", words="better", change="−0.4 [−0.5, −0.3]", beyond="n = 9"),
        ),
    ),
    (Band(0, "summary", "n = 10"), Band(1, "held_out")),
    over="Task",
)


def test_markdown_has_headings_as_a_column_and_words_for_signs() -> None:
    """Numbers stay readable: nothing in them is markup."""
    assert to_markdown(SCORES).splitlines() == [
        "Scores:",
        "",
        "| Task | Metric | a | b |",
        "| --- | --- | --- | --- |",
        "| summary, n = 10 | **BLEU** (decides) | 8.1 | **12.0** [9.0, 15.1] |",
        "| held\\_out | loss<br>lower is better | 2.5 | "
        "2.1<br>−0.4 [−0.5, −0.3], better<br>n = 9 |",
    ]
    assert to_markdown(SCORES, caption=False).startswith("| Task |")
    assert to_markdown(None) == ""


def test_text_is_aligned_for_a_terminal() -> None:
    """Columns two spaces apart, wide characters counted as they are shown, no markup."""
    table = make_table("t", texts("name", "value"), [("a", "1"), ("語語", "[red]2[/red]")])
    assert to_text(table).splitlines() == ["name  value", "a     1", "語語  [red]2[/red]"]
    assert to_text(SCORES).splitlines()[1].startswith("summary, n = 10  BLEU (decides)")
    assert "\\u202e" in to_text(make_table("t", texts("x"), [(HOSTILE,)]))


def test_csv_has_values_in_their_own_units() -> None:
    """Raw values where there are any, else what is shown; nothing is a formula."""
    rows = list(csv.reader(io.StringIO(to_csv(SCORES))))
    assert rows[0] == ["Metric", "a", "b"]
    assert rows[2] == ["loss", "2.5", "2.1"]
    lines: list[tuple[Raw, ...]] = [("=1+1", -1.5, None, True), ("x", 2, 0.25, False)]
    table = data_table("d", ("a", "b", "c", "d"), lines)
    assert to_csv(table) == "a,b,c,d\n'=1+1,-1.5,,true\nx,2,0.25,false\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), (-1.5, -1.5), (True, "true"), (None, ""), ("a-b", "a-b")],
)
def test_no_cell_is_a_formula(value: Raw, shown: Raw) -> None:
    """A text that a spreadsheet would compute is quoted; numbers stay numbers."""
    assert plain_cell(value) == shown


def test_a_page_has_headings_over_rows_and_signs_with_words() -> None:
    """Well formed, each group in a body of its own, values to sort by."""
    page = page_of(SCORES)
    assert Page(page).errors == []
    assert page.count("<tbody>") == page.count('scope="rowgroup"') == 2
    assert '<span class="marked">12.0</span>' in page
    assert '<i aria-hidden="true">▲</i> −0.4' in page
    assert '<span class="hidden">, better</span>' in page
    assert 'data-sort="2.5"' in page
    assert '<span class="tag">decides</span>' in page


def test_texts_of_unknown_origin_are_text_everywhere() -> None:
    """Markup, pipes and marks of direction."""
    cell = Cell(HOSTILE, (HOSTILE,), note=HOSTILE, tag=HOSTILE)
    table = make_table(HOSTILE, texts(HOSTILE), [(cell,), (Cell(HOSTILE, code=True),)])
    page, text = page_of(table), to_markdown(table)
    assert Page(page).errors == []
    assert "<script" not in page
    for shown in (page, text):
        assert "\u202e" not in shown
    assert len(text.splitlines()) == 6
    assert all(line.startswith("| ") and line.endswith(" |") for line in text.splitlines()[2:])


def test_names_of_variants_have_their_swatch_on_a_page() -> None:
    """In heads that name several, too, each on a line."""
    table = make_table("t", (*texts("x"), Head("a, b")), [("a", "1")])
    page = page_of(table, swatches={"a": "adapter v1", "b": "base v0"})
    assert page.count('class="swatch') == 3
    assert page.count('class="line"') == 2


def test_points_of_a_column_stand_in_a_line() -> None:
    """Padded on the page only."""
    table = with_points_aligned(make_table("t", numbers("x"), [("8.1",), ("79",), ("a",)]))
    assert [row[0].pad for row in table.rows] == ["", POINT_SPACE + FIGURE_SPACE, ""]
    assert [row[0].text for row in table.rows] == ["8.1", "79", "a"]


def test_columns_of_numbers_are_numeric() -> None:
    """Numbers are shown with separated thousands, what is missing by a dash."""
    table = table_of(
        "t",
        [("a", 1200, None), ("b", 3, 2.5)],
        {"name": lambda item: item[0], "n": lambda item: item[1], "x": lambda item: item[2]},
    )
    assert [head.numeric for head in table.header] == [False, True, True]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["a", "1,200", NONE],
        ["b", "3", "2.50"],
    ]
    assert table_of("t", [], {"name": str}).header[0].numeric is False
