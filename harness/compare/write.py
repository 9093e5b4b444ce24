"""Writes a comparison of runs to files: HTML, Markdown, JSON and CSV of the same view."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.compare.charts import forest_chart, loss_charts, style_of
from harness.compare.tables import results_table, runs_table, settings_table, training_table
from harness.compare.view import RunsView
from harness.compare.words import cautions, headline, named, not_compared, support
from harness.render.delimited import Raw
from harness.render.markdown import code, plain
from harness.render.pages import page_environment, render_page
from harness.render.table import data_table, raw_fields, to_csv, to_markdown
from harness.report.write import write_formats


def render_runs_markdown(view: RunsView) -> str:
    """Write verdict, runs, results, settings that differ, training and provenance."""
    parts = [
        f"# Comparison of {len(view.runs)} runs",
        f"**{plain(headline(view))}**",
        *(plain(line) for line in support(view)),
        "\n".join(f"> {plain(line)}  " for line in cautions(view)),
        "## Runs",
        to_markdown(runs_table(view), caption=False),
        *_results(view),
        "## What differs",
        to_markdown(settings_table(view), caption=False)
        if view.differences
        else "Nothing that is on record.",
        *_training(view),
        "## Provenance",
        "\n".join(f"- {line}" for line in _provenance(view)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _results(view: RunsView) -> Iterator[str]:
    if not view.whole:
        return
    yield "## Results"
    yield (
        "Value and 95 % interval; below, the paired difference from "
        f"{plain(named(view.reference))} on the same examples and its interval. Scores with a best "
        "value are of 100."
    )
    yield to_markdown(results_table(view, "", view.whole), caption=False)
    yield "\n".join(f"- Not compared: {plain(line)}" for line in not_compared(view, view.whole))


def _training(view: RunsView) -> Iterator[str]:
    if any(run.training for run in view.runs):
        yield "## Training"
        yield to_markdown(training_table(view), caption=False)


def _provenance(view: RunsView) -> Iterator[str]:
    yield f"this comparison: {code(view.command)}"
    for run in view.runs:
        command = f", {code(run.command)}" if run.command else ""
        yield (
            f"{plain(run.label)}: run {plain(run.run_id)}, suite digest {plain(run.suite_digest)}"
            f"{command}"
        )


def render_runs_html(view: RunsView) -> str:
    """Write a comparison as one page that loads nothing and trusts no text."""
    select = [row for row in view.rows if row.split == "select"]
    values = {
        "view": view,
        "headline": headline(view),
        "support": support(view),
        "cautions": cautions(view),
        "runs": runs_table(view),
        "matrix": results_table(view, "Results by run and metric", view.whole),
        "leaves": results_table(view, "Results by subject", view.leaves),
        "select": results_table(view, "Results on the select split", select),
        "bases": results_table(view, "Results of the baselines", view.bases, bases=True),
        "refused": not_compared(view, view.whole),
        "forest": forest_chart(view),
        "curves": loss_charts(view),
        "settings": settings_table(view),
        "training": training_table(view) if any(run.training for run in view.runs) else None,
        "swatches": {run.label: style_of(view, run) for run in view.runs},
    }
    styles = ("report.css", "runs.css")
    return render_page(page_environment(), "runs.html.j2", values, styles=styles)


def render_runs_json(view: RunsView) -> str:
    """The whole view as JSON: the same view gives the same bytes."""
    return view.model_dump_json(indent=1) + "\n"


def render_runs_csv(view: RunsView) -> str:
    """Every score of every run as CSV, in the metrics' own units, with its paired difference."""
    return to_csv(data_table("Scores of all runs", _COLUMNS, _lines(view)))


_OF_FIGURE = ("n", "value", "low", "high", "method")
_OF_COMPARISON = (
    *("baseline", "delta", "low", "high", "better", "identical", "method", "p_value"),
)
_COLUMNS = (
    *("task", "metric", "split", "run", "suite", "run_id", "what", "variant"),
    *_OF_FIGURE,
    *("reference", "delta", "delta_low", "delta_high", "better", "identical"),
    *("delta_method", "p_value", "p_holm", "unit", "scale", "higher_is_better", "reason"),
)

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
    return write_formats(_RENDERERS, view, folder, format_)


def _lines(view: RunsView) -> Iterator[tuple[Raw, ...]]:
    for what, rows in (("compared", view.rows), ("base", view.base_rows)):
        for row in rows:
            for run, cell in zip(view.runs, row.cells, strict=True):
                yield (
                    *(row.task, row.metric, row.split, run.label, run.suite, run.run_id, what),
                    run.variant if what == "compared" else run.baseline,
                    *raw_fields(cell.figure, *_OF_FIGURE),
                    *raw_fields(cell.comparison, *_OF_COMPARISON),
                    run.p_holm if row.primary else None,
                    *(row.unit, row.scale, row.higher_is_better, cell.reason),
                )
