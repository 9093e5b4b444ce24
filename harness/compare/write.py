"""Writes a comparison of runs to files: HTML, Markdown, JSON and CSV of the same view."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.compare.html import render_runs_html
from harness.compare.markdown import render_runs_markdown
from harness.compare.view import RunsView
from harness.files import write_atomic
from harness.render.table import Raw, data_table, to_csv
from harness.report.write import formats_of


def render_runs_json(view: RunsView) -> str:
    """The whole view as JSON: the same view gives the same bytes."""
    return view.model_dump_json(indent=1) + "\n"


def render_runs_csv(view: RunsView) -> str:
    """Every score of every run as CSV, in the metrics' own units, with its paired difference."""
    return to_csv(data_table("Scores of all runs", _COLUMNS, _lines(view)))


_COLUMNS = (
    *("task", "metric", "split", "run", "suite", "run_id", "what", "variant"),
    *("n", "value", "low", "high", "method"),
    *("reference", "delta", "delta_low", "delta_high", "better", "identical"),
    *("delta_method", "p_value", "p_holm", "unit", "scale", "higher_is_better", "reason"),
)
_ELSEWHERE = "Choose another folder with --output."

_RENDERERS: Mapping[str, tuple[str, Callable[[RunsView], str]]] = {
    "html": ("comparison.html", render_runs_html),
    "markdown": ("comparison.md", render_runs_markdown),
    "json": ("comparison.json", render_runs_json),
    "csv": ("comparison.csv", render_runs_csv),
}


def write_runs(view: RunsView, folder: Path, format_: str = "html") -> list[Path]:
    """Render a comparison into a folder, replacing earlier renderings of the same format.

    Args:
        view: What to show.
        folder: Where ``comparison.html``, ``.md``, ``.json`` or ``.csv`` go.
        format_: One of html, markdown, json, csv, or ``all``.

    Returns:
        The files written.

    Raises:
        UsageError: There is no such format.
    """
    paths = []
    for name in formats_of(format_, list(_RENDERERS)):
        file, render = _RENDERERS[name]
        write_atomic(folder / file, render(view), hint=_ELSEWHERE)
        paths.append(folder / file)
    return paths


def _lines(view: RunsView) -> Iterator[tuple[Raw, ...]]:
    for what, rows in (("compared", view.rows), ("base", view.base_rows)):
        for row in rows:
            for run, cell in zip(view.runs, row.cells, strict=True):
                figure, comparison = cell.figure, cell.comparison
                values: tuple[Raw, ...] = (None,) * 5
                if figure is not None:
                    bounds = (figure.value, figure.low, figure.high)
                    values = (figure.n, *bounds, figure.method)
                paired: tuple[Raw, ...] = (None,) * 8
                if comparison is not None:
                    bounds = (comparison.delta, comparison.low, comparison.high)
                    paired = (comparison.baseline, *bounds, comparison.better, comparison.identical)
                    paired += (comparison.method, comparison.p_value)
                yield (
                    *(row.task, row.metric, row.split, run.label, run.suite, run.run_id, what),
                    *(run.variant if what == "compared" else run.baseline, *values, *paired),
                    run.p_holm if row.primary else None,
                    *(row.unit, row.scale),
                    row.higher_is_better,
                    cell.missing
                    or (figure.reason if figure else None)
                    or (comparison.reason if comparison else None),
                )
