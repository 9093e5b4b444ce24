"""Whatever a run looks like, its report is well formed and shows no broken figure."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings

from harness.ratings.records import HumanResults
from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import Table, render_csv, render_json
from harness.report.view.records import View
from harness.store.runs import Store
from tests.unit.ratings.human_records import results
from tests.unit.report.made_up_runs import MadeUp, Status, made_up_runs
from tests.unit.report.page_parser import Page

BROKEN = re.compile(r"\b(None|nan|NaN|inf|Infinity|undefined)\b")
LONGEST = 26  # characters of a number, its sign and separators included

ALL = tuple(f"variant {place}" for place in range(50))


def done(names: Sequence[str], tasks: Iterable[str]) -> dict[tuple[str, str], Status]:
    """That every variant finished every task."""
    return {(name, task): "done" for name in names for task in tasks}


@contextmanager
def reported(run: MadeUp) -> Iterator[tuple[View, AllExamples]]:
    """What the report of a made-up run is made of."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        manifest = run.write(store)
        yield build_view(store, manifest), AllExamples(store, manifest)


def check(view: View, examples: AllExamples | None = None) -> Page:
    """Every way of writing the report holds, and the HTML page is given back."""
    check_markdown(view)
    check_data(view)
    return check_html(view, examples)


def check_html(view: View, examples: AllExamples | None) -> Page:
    """The page nests, its ids are unique, its links lead somewhere, and its figures are figures."""
    page = Page(render_html(view, examples))
    assert page.errors == []
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {*page.links} <= {*page.ids}
    check_figures(page.figures)
    return page


def check_figures(shown: list[str]) -> None:
    """No figure is a word of Python's, and none is endless."""
    assert [text for text in shown if BROKEN.search(text)] == []
    long = rf"[\d,.]{{{LONGEST},}}"
    assert [text for text in shown if re.search(long, text)] == []


def check_markdown(view: View) -> None:
    """Each table of the page has as many cells in every row, and all figures are figures."""
    lines = render_markdown(view).splitlines()
    rows = [re.split(r"(?<!\\)\|", line) for line in lines if line.startswith("|")]
    check_figures([cell for row in rows for cell in row])


def check_data(view: View) -> None:
    """JSON gives the view back, and the tables of the CSV are rectangular."""
    text = render_json(view)
    assert View.model_validate_json(text) == view
    json.loads(text, parse_constant=pytest.fail)
    for table in get_args(Table):
        lines = list(csv.reader(io.StringIO(render_csv(view, table))))
        assert {len(line) for line in lines} == {len(lines[0])}
        assert not [line for line in lines if {"None", "nan", "inf"} & {*line}]


@settings(max_examples=25, deadline=None)
@given(made_up_runs())
@example(MadeUp(("base",), {"q": "lm_eval"}, {("base", "q"): "absent"}, selects=False))
@example(MadeUp(("base",), {"sum": "generation"}, {("base", "sum"): "done"}, log=()))
@example(MadeUp(("base",), {"sum": "generation"}, {("base", "sum"): "failed"}))
@example(MadeUp(("a", "b"), {"q": "lm_eval"}, {("a", "q"): "done", ("b", "q"): "absent"}))
def test_any_run_has_a_report(run: MadeUp) -> None:
    """Every format renders; HTML is well formed and JSON comes back as the same view."""
    with reported(run) as (view, examples):
        check(view, examples)


def test_fifty_variants() -> None:
    """The matrix has a column for each of fifty variants, and each of them is named in it."""
    tasks: dict[str, Any] = {"sum": "generation", "loss": "perplexity", "q": "lm_eval"}
    level = tuple(1 + place / 50 for place in range(50))
    readings = tuple((1e9 + place,) for place in range(50))
    with reported(MadeUp(ALL, tasks, done(ALL, tasks), level=level, readings=readings)) as made:
        view, _ = made
        page = check(*made)
    assert {len(row.cells) for row in view.rows} == {50}
    assert {*ALL} <= {word.strip() for word in page.words}


@pytest.mark.parametrize("value", [1e-300, 1e-9, 1e9, 1e100])
def test_figures_of_any_size_stay_short(value: float) -> None:
    """A loss that ran away takes no more room than another; a tiny one does not become zero."""
    names, tasks = ("a", "b"), {"loss": "perplexity", "q": "lm_eval"}
    readings = ((value,), (2 * value,))
    run = MadeUp(names, tasks, done(names, tasks), level=(value, 2 * value), readings=readings)
    with reported(run) as made:
        page = check(*made)
    assert not [text for text in page.figures if re.fullmatch(r"[+−]?0\.0{5,}", text.strip())]


def test_a_model_that_diverged() -> None:
    """A perplexity too large to be squared has its interval; one beyond a float, a reason."""
    names, tasks = ("a", "b", "c"), {"loss": "perplexity"}
    run = MadeUp(names, tasks, done(names, tasks), level=(3.0, 400.0, 900.0))
    with reported(run) as (view, examples):
        check(view, examples)
    fine, diverged, beyond = next(row for row in view.rows if row.metric == "perplexity").cells
    assert fine.figure is not None
    assert diverged.figure is not None
    assert beyond.figure is not None
    assert 1 < fine.figure.value < 100
    assert diverged.figure.value > 1e150
    assert diverged.figure.low < diverged.figure.value < diverged.figure.high
    assert beyond.figure.value is None
    assert beyond.figure.reason


@pytest.mark.parametrize(
    "human", [None, results(), results(means=(), preference=None, agreement=(), raters=())]
)
def test_ratings_and_no_ratings(sample: Any, human: HumanResults | None) -> None:
    """A view with human ratings is rendered as whole as one without."""
    check(sample.view.model_copy(update={"human": human}))
