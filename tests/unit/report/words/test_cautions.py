"""What limits a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.view.records import View
from harness.report.words.selection import selection_text
from tests.unit.report.test_build import SMALL

VARIANTS = ("base@nf4", "checkpoint-40", "checkpoint-60")


def overtaken(make_run: Callable[..., Any], later: int) -> View:
    """A later checkpoint as good as the earlier one on select, and ``later`` words on report."""
    written: Counter[str] = Counter()

    def write(variant: str, reference: str) -> str:
        words = reference.split()
        written[variant] += 1
        on_report = written[variant] > written["base@nf4"] / 2  # the base comes first, in full
        if variant == "base@nf4":
            return words[0]
        return " ".join(words[: later if variant == "checkpoint-60" and on_report else 4])

    run = make_run(variants=VARIANTS, spec=SMALL, text=write)
    return build_view(run.store, run.build())


def test_a_checkpoint_that_does_better_on_report_is_told(make_run: Callable[..., Any]) -> None:
    """The choice stands; readers who see the matrix learn why, with the paired difference."""
    view = overtaken(make_run, later=9)
    assert view.verdict.chosen == "checkpoint-40"
    rival = view.choice.rival
    assert rival is not None
    assert (rival.baseline, rival.candidate, rival.better) == (
        "checkpoint-40", "checkpoint-60", True,
    )  # fmt: skip
    row = view.primary_row
    assert row is not None
    values = {cell.variant: cell.figure.value for cell in row.cells if cell.figure}
    assert rival.delta == pytest.approx(values["checkpoint-60"] - values["checkpoint-40"])
    line = next(line for line in view.verdict.cautions if "On the report split" in line)
    assert line.startswith("On the report split checkpoint-60 does better than the choice, check")
    assert "select.rule: best" in line
    assert "does better than the choice" in render_html(view)
    assert "does better than the choice" in render_markdown(view)
    assert f"Note: {line}" in selection_text(view)


@pytest.mark.parametrize("later", [3, 4])
def test_no_better_checkpoint_no_caution(make_run: Callable[..., Any], later: int) -> None:
    """Equal or worse ones are nothing to tell."""
    view = overtaken(make_run, later)
    assert view.choice.rival is None
    assert not any("does better than the choice" in line for line in view.verdict.cautions)


@pytest.mark.parametrize(("words", "told"), [(12, True), (4, False)])
def test_outputs_cut_off_are_told(make_run: Callable[..., Any], words: int, told: bool) -> None:
    """Where a tenth or more of the baseline's or the choice's outputs did not end by themselves."""

    def write(variant: str, reference: str) -> str:
        if variant == "base@nf4":
            return " ".join(["word"] * words)  # the made-up run calls more than ten words cut off
        return " ".join(reference.split()[:5])

    run = make_run(variants=VARIANTS, spec=SMALL, text=write)
    view = build_view(run.store, run.build())
    found = [line for line in view.verdict.cautions if "cut at max_new_tokens" in line]
    assert len(found) == told
    for line in found:
        n = view.outputs[0].n
        assert f"{n} of {n} of base@nf4, 0 of {n} of checkpoint-40" in line
