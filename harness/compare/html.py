"""A comparison of runs as one offline page in the look of the report."""

from harness.compare.charts import forest_chart, loss_charts, style_of
from harness.compare.tables import results_table, runs_table, settings_table, training_table
from harness.compare.view import RunsView
from harness.compare.words import READING, cautions, headline, not_compared, support
from harness.render.pages import page_environment, render_page


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
        "reading": READING,
    }
    styles = ("report.css", "runs.css")
    return render_page(page_environment(), "runs.html.j2", values, styles=styles)
