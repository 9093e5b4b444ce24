"""The HTML report: one file that loads nothing, runs without JavaScript and trusts no text."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2
import yaml

from harness.metrics.quantities import definitions
from harness.ratings.report.view import human_section
from harness.ratings.report.words import same_words
from harness.render import numbers as fmt
from harness.render.labels import GLOSSARY, RATING_TERMS, measured_name, picked_words
from harness.render.pages import page_environment, render_page
from harness.render.palette import shades
from harness.render.text import marked
from harness.report.browser.html import browser_script, browser_section
from harness.report.browser.view import AllExamples
from harness.report.charts.costs import forest_charts, trade_off_charts
from harness.report.charts.metrics import checkpoint_charts, training_charts, undrawn_words
from harness.report.parts import prices
from harness.report.sections.loss_html import barred_rows, lost_places, marked_words
from harness.report.view.records import (
    ExampleView,
    MatrixCell,
    MatrixRow,
    MeasuredValue,
    MeasurementRow,
    View,
)
from harness.report.view.repeats import grouped_findings, grouped_notes, of_variants
from harness.report.words.comparison import difference_words
from harness.report.words.facts import headline_parts, lead_facts
from harness.report.words.losses import loss_notes
from harness.report.words.selection import (
    BOUNDS,
    axes_words,
    candidate_table,
    held_claims,
    how_chosen,
)
from harness.resources import resource_dir
from harness.results.measurements import sizes
from harness.schema import DataReport
from harness.suite.rules import in_points

_STYLES = ("report.css", "browser.css")
_OUTPUT_CHARS = 2_000
_PROMPT_CHARS = 3_000
_SHORT_CHARS = 200  # outputs up to here stand in narrow columns


def render_html(view: View, examples: AllExamples | None = None) -> str:
    """Write a report as one self-contained page.

    The page's content security policy allows its own style and script by their hashes and
    nothing else, so nothing a model wrote can run or load anything, escaped or not.

    Args:
        view: What to show.
        examples: All examples of the run, for the section that lists them; None: there is none.
    """
    browser = browser_section(examples)
    measured = [row for row in view.measurements.rows if any(row.readings)]
    values = dict(
        view=view,
        matrix=[row for row in view.rows if row.split != "select" and row.task == row.suite_task],
        leaves=[row for row in view.rows if row.split != "select" and row.task != row.suite_task],
        select_rows=[row for row in view.rows if row.split == "select"],
        lm_eval_rows=[row for row in view.rows if row.kind == "lm_eval"],
        signatures=_signatures(view.rows),
        measured=measured,
        candidates=candidate_table(view.selection, view.rows),
        how_chosen=how_chosen(view.selection) if view.selection else "",
        axes=axes_words(view.selection) if view.selection else [],
        claims=held_claims(view),
        constraint_bounds=BOUNDS,
        lost=lost_places(view.losses),
        browser=browser,
        human=human_section(
            view.human, note=view.human_note, chosen=view.verdict.chosen, primary=view.primary
        ),
        facts=lead_facts(view),
        shades=shades(view.variants, view.baseline, view.verdict.chosen),
        findings=grouped_findings(view),
        notes=grouped_notes(view),
        data=_data(view),
        by_step=checkpoint_charts(view),
        undrawn=undrawn_words(view),
        curves=training_charts(view),
        forest=forest_charts(view),
        trade_off=trade_off_charts(view),
        suite_yaml=yaml.safe_dump(view.provenance.spec, sort_keys=False, allow_unicode=True),
        glossary=_glossary(view, measured),
    )
    script = browser_script(resource_dir("reports") / "assets") if browser is not None else ""
    templates = report_environment()
    return render_page(templates, "report.html.j2", values, styles=_STYLES, more_script=script)


def report_environment() -> jinja2.Environment:
    """The shipped templates with the report's own filters."""
    environment = page_environment()
    environment.filters |= {
        "output": lambda text: marked(text, _OUTPUT_CHARS),
        "prompt": lambda text: marked(text, _PROMPT_CHARS),
        "picked": picked_words,
    }
    environment.globals |= {
        "headline_parts": headline_parts,
        "of_variants": of_variants,
        "points_aligned": points_aligned,
        "value_of": _value,
        "difference_of": _difference,
        "sort_value": _sort_value,
        "readings_of": _readings,
        "example_value": _example_value,
        "is_long": _is_long,
        "scrolls": _scrolls,
        "loss_rows": barred_rows,
        "loss_notes": loss_notes,
        "marked_words": marked_words,
        "sizes": sizes,
    }
    return environment


def _value(cell: MatrixCell, row: MatrixRow) -> tuple[str, str]:
    figure = cell.figure
    if figure is None:
        return fmt.NONE, ""
    return fmt.estimate(figure.value, figure.low, figure.high, row.scale)


def _difference(cell: MatrixCell, row: MatrixRow) -> tuple[str, str, str, str]:
    """Value, interval, CSS class and words of a difference; empty where there is none."""
    comparison = cell.comparison
    if comparison is None:
        return "", "", "", ""
    if comparison.delta is None:
        return "", "", "none", f"not compared: {comparison.reason}"
    if comparison.identical:
        brief, full = same_words(row.kind)
        return brief, "", "same", full
    shown = fmt.estimate(comparison.delta, comparison.low, comparison.high, row.scale, signed=True)
    words = f"{difference_words(comparison, row)} against {comparison.baseline}, "
    if comparison.better is None:
        return *shown, "open", words + "not distinguishable"
    side = "better" if comparison.better else "worse"
    return *shown, side, words + side


def _sort_value(cell: MatrixCell) -> str:
    value = cell.figure.value if cell.figure else None
    return "" if value is None else f"{value:.10g}"


def points_aligned(rows: Sequence[MatrixRow]) -> dict[tuple[str, str, str, str], tuple[str, str]]:
    """Values of a table and what pads them, so that each column's decimal points are in a line.

    Args:
        rows: Those of the table.

    Returns:
        The text of each value and its padding, by task, metric, split and variant.
    """
    found: dict[tuple[str, str, str, str], tuple[str, str]] = {}
    for place in range(max((len(row.cells) for row in rows), default=0)):
        column = [(row, row.cells[place]) for row in rows]
        texts = fmt.aligned([_value(cell, row)[0] for row, cell in column])
        for (row, cell), text in zip(column, texts, strict=True):
            value = text.rstrip(fmt.FIGURE_SPACE + fmt.POINT_SPACE)
            found[row.task, row.metric, row.split, cell.variant] = value, text[len(value) :]
    return found


def _readings(row: MeasurementRow) -> list[tuple[str, str]]:
    """Median and quartiles of each reading, in words; all medians in one unit."""
    medians = [reading.median if reading else None for reading in row.readings]
    texts = fmt.quantities(medians, row.unit)
    return [
        (text, _spread(reading, row.unit))
        for text, reading in zip(texts, row.readings, strict=True)
    ]


def _spread(reading: MeasuredValue | None, unit: str) -> str:
    if reading is None:
        return ""
    if reading.median is None:
        return reading.reason or ""
    if reading.low is None or reading.high is None or reading.n < 2:
        return ""
    return f"{fmt.quantity_range(reading.low, reading.high, unit)} · {reading.n}×"


def _example_value(value: float | None, row: MatrixRow | None, *, signed: bool = False) -> str:
    if value is None or row is None:
        return fmt.NONE
    return fmt.number(in_points(value, row.scale), 1 if row.scale else None, signed=signed)


def _data(view: View) -> list[tuple[str, DataReport]]:
    """Reports of data sources, those of several tasks once."""
    groups: list[tuple[list[str], DataReport]] = []
    for task, report in view.data.items():
        same = next((names for names, other in groups if other == report), None)
        if same is None:
            groups.append(([task], report))
        else:
            same.append(task)
    return [(", ".join(names), report) for names, report in groups]


def _is_long(item: ExampleView) -> bool:
    """Whether texts need wide columns."""
    texts = [*item.references, *(output.text for output in item.outputs)]
    return max(map(len, texts), default=0) > _SHORT_CHARS


def _scrolls(text: str) -> bool:
    """Whether a text may need more lines than its place has, and so be reached by keyboard."""
    return len(text) > 300 or text.count("\n") > 8


def _signatures(rows: Sequence[MatrixRow]) -> list[tuple[str, str, str]]:
    """Task, metric and signature, once each."""
    found = {(row.task, row.metric): row.signature for row in rows if row.signature}
    return [(task, metric, signature) for (task, metric), signature in found.items()]


def _glossary(view: View, measured: Sequence[MeasurementRow]) -> list[tuple[str, str]]:
    known = {**definitions(), **prices.DEFINITIONS}
    names = dict.fromkeys(row.name for row in measured if row.name in known)
    ratings = RATING_TERMS if view.human is not None else ()
    return [*GLOSSARY, *ratings, *((measured_name(name), known[name]) for name in names)]
