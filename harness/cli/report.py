"""``harness report``: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    DEFAULT_RUNS,
    AsJson,
    RunsDir,
    found_run,
    own_run,
    say,
    say_json,
    store_in,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.report.view.records import View
    from harness.schema import Manifest
    from harness.store.runs import Store


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A run folder, a suite's name (its latest run), or SUITE/RUN-ID; "
            "of several, the first is the reference that the others are compared with.",
        ),
    ],
    format_: Annotated[
        str, typer.Option("--format", help="html, markdown, json, csv, or all.")
    ] = "html",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; default: the run's own."),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant", help="Of several runs, compare this variant; default: each run's choice."
        ),
    ] = None,
    open_report: Annotated[bool, typer.Option("--open", help="Open the HTML report.")] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Render the report of a finished or unfinished run again, or compare several runs."""
    if len(runs) > 1:
        paths = _compare(runs, runs_dir, variant, format_, output, as_json)
        if open_report and paths:
            typer.launch(str(paths[0]))
        return
    from harness.report.browser.view import AllExamples
    from harness.report.build import build_view
    from harness.report.tables import render_json
    from harness.report.write import write_report

    if variant is not None:
        raise UsageError(
            "Only a comparison of several runs takes a variant.",
            where="--variant",
            hint="Name another RUN, or leave --variant out.",
        )
    store, manifest = found_run(runs[0], runs_dir)
    if manifest.members:
        paths = _pooled(store, manifest, format_, output, as_json)
        if open_report and paths:
            typer.launch(str(paths[0]))
        return
    view = build_view(store, manifest)
    if as_json:
        say_json(render_json(view))
        return
    folder = output or store.run_dir(manifest.suite, manifest.run_id)
    paths = write_report(view, folder, format_, AllExamples(store, manifest))
    for path in paths:
        say(str(path))
    if open_report:
        typer.launch(str(paths[0]))


def _pooled(
    store: Store, manifest: Manifest, format_: str, output: Path | None, as_json: bool
) -> list[Path]:
    """Write the report of a run that pools others, or print it as JSON; what was written."""
    from harness.compare.pooled_write import render_pooled_json, write_pooled
    from harness.compare.pooling import pool

    view = pool(store, manifest)
    if as_json:
        say_json(render_pooled_json(view))
        return []
    paths = write_pooled(view, output or store.run_dir(manifest.suite, manifest.run_id), format_)
    for path in paths:
        say(str(path))
    return paths


def _compare(
    runs: list[str],
    runs_dir: Path,
    variant: str | None,
    format_: str,
    output: Path | None,
    as_json: bool,
) -> list[Path]:
    """Write the comparison of several runs, or print it as JSON; what was written."""
    from harness.compare.build import build_comparison
    from harness.compare.words import verdict_lines
    from harness.compare.write import render_runs_json, write_runs

    view = build_comparison([own_run(run, runs_dir) for run in runs], variant)
    if as_json:
        say_json(render_runs_json(view))
        return []
    folder = output or store_in(runs_dir).root / "comparisons" / view.digest()
    paths = write_runs(view, folder, format_)
    say("\n".join(verdict_lines(view)))
    for path in paths:
        say(str(path))
    return paths


def write_own_report(store: Store, manifest: Manifest) -> tuple[View, list[Path]]:
    """Write the HTML report into the run's own folder; what it says, and where it is."""
    from harness.report.browser.view import AllExamples
    from harness.report.build import build_view
    from harness.report.write import write_report

    view = build_view(store, manifest)
    folder = store.run_dir(manifest.suite, manifest.run_id)
    return view, write_report(view, folder, examples=AllExamples(store, manifest))
