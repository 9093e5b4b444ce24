from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from harness.report.markdown import render_markdown
from harness.report.tables import render_csv, render_json
from harness.report.view.records import View


@pytest.fixture(scope="module")
def view(sample: Any) -> View:
    view: View = sample.view
    reason = "=cmd|'/c calc'!A1 | <b>**x**\n\u202e"
    cells = tuple(
        cell.model_copy(update={"reason": reason}) if cell.status == "failed" else cell
        for cell in view.cells
    )
    return view.model_copy(update={"cells": cells})


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_json_is_the_whole_view(view: View) -> None:
    """What was written reads back as the same view, without NaN."""
    text = render_json(view)
    assert View.model_validate_json(text) == view
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_scores_as_csv(view: View) -> None:
    """One line per variant, metric and split, in the metric's own unit."""
    found = lines(render_csv(view))
    assert len(found) == len(view.rows) * len(view.variants)
    row = view.primary_row
    assert row is not None
    line = next(
        line
        for line in found
        if (line["task"], line["metric"], line["split"]) == ("summary", "rougeL", "report")
        and line["variant"] == "checkpoint-40"
    )
    cell = row.cell("checkpoint-40")
    assert cell is not None
    assert cell.figure is not None
    assert cell.comparison is not None
    assert float(line["value"]) == cell.figure.value
    assert float(line["delta_low"]) == cell.comparison.low
    assert line["better"] == "true"
    failed = next(line for line in found if line["reason"].startswith("failed: "))
    assert (failed["value"], failed["variant"]) == ("", "base@fp32")


def test_other_tables_as_csv(view: View) -> None:
    """Measurements keep bytes and seconds; output counts add up."""
    measured = lines(render_csv(view, "measurements"))
    assert {line["unit"] for line in measured} == {"bytes", "s", "tok/s"}
    for line in lines(render_csv(view, "outputs")):
        assert int(line["eos"]) + int(line["stop"]) + int(line["length"]) == int(line["n"])


def test_no_cell_is_a_formula() -> None:
    """A text that a spreadsheet would compute is quoted."""
    from harness.render.delimited import plain_cell

    assert plain_cell("=1+1") == "'=1+1"
    assert plain_cell(-1.5) == -1.5
    assert plain_cell(True) == "true"


def test_markdown_holds_verdict_matrix_and_failures(view: View) -> None:
    """The summary has the sentence, a table row per metric, and what failed, as plain text."""
    text = render_markdown(view)
    assert f"**{view.verdict.headline.split(':')[0]}" in text
    assert "| summary, report split, n = 40 | **ROUGE-L** (decides) |" in text
    assert "## Memory and speed" in text
    failure = next(line for line in text.splitlines() if "calc" in line)
    assert "\\|" in failure
    assert "\\<b\\>\\*\\*x\\*\\*" in failure
    assert "\\u202e" in failure
    assert "\u202e" not in text


def test_exports_are_deterministic(view: View) -> None:
    """The same view gives the same bytes."""
    assert render_markdown(view) == render_markdown(view)
    assert render_csv(view) == render_csv(view)
