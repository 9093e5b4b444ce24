"""A comparison of runs as Markdown, for a pull request or a terminal."""

from collections.abc import Iterator

from harness.compare.tables import results_table, runs_table, settings_table, training_table
from harness.compare.view import RunsView
from harness.compare.words import cautions, headline, named, not_compared, support
from harness.render.markdown import code, plain
from harness.render.table import to_markdown


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
