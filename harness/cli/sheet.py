"""``harness sheet export``, ``import`` and ``status``: parse, call, print. No logic lives here."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.eval import smoke_run
from harness.cli.options import (
    DEFAULT_RUNS,
    AsJson,
    RunArgument,
    RunsDir,
    Smoke,
    own_run,
    print_json,
    print_table,
    real_run,
    refuse_beside_smoke,
    say,
    warn,
)
from harness.cli.report import write_own_report
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.ratings.collect import RaterStatus
    from harness.ratings.records import Sheets

_HELP = """Rating sheets for people: export them blinded, import them filled in.

\b
  harness sheet export RUN           one sheet per rater, as the suite's human section asks
  harness sheet import RUN FILES...  read returned XLSX, ODS, CSV or the page's file
  harness sheet status RUN           what has come back

RUN is a run folder, a suite's name (its latest run), or SUITE/RUN-ID.
"""

sheet_app = typer.Typer(no_args_is_help=True)


@sheet_app.callback(help=_HELP)
def _root() -> None:
    pass


@sheet_app.command("export")
def export(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; default: in the run's own."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="xlsx, csv, html (a page that works offline), or all.")
    ] = "all",
    replace: Annotated[
        bool, typer.Option("--replace", help="Even where ratings of other sheets came back.")
    ] = False,
    smoke: Smoke = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Write one blinded sheet per rater, and the key that stays with you.

    With --smoke RUN is a suite: its smoke test is run, and sheets of it are written.
    """
    from harness.console import Reporter
    from harness.hints import choices
    from harness.ratings.export import FORMATS, KEEP, SEND, export_sheets
    from harness.ratings.sheets.leaks import leak_lines

    if format_ not in (*FORMATS, "all"):
        raise UsageError(
            f"There is no format {format_!r}.",
            where="--format",
            hint=choices(format_, (*FORMATS, "all")),
        )
    if smoke:
        refuse_beside_smoke(output=output)
    store, manifest = smoke_run(run, runs_dir) if smoke else real_run(run, runs_dir)
    formats = FORMATS if format_ == "all" else (format_,)
    reporter = Reporter(-1 if as_json else 0)
    made = export_sheets(store, manifest, output, formats, replace=replace, reporter=reporter)
    plan = made.sheets.plan
    if as_json:
        print_json(
            {
                "id": plan.id,
                "folder": str(made.folder),
                "items": len(made.sheets.items),
                "rows": len(made.sheets.rows),
                "raters": plan.raters,
                "variants": plan.variants,
                "changed_texts": made.changes,
                "taken_over": made.taken_over,
                "leaks": [leak.model_dump(mode="json") for leak in made.leaks],
                "advice": made.advice,
                "notes": plan.notes,
            }
        )
        return
    for line in (*made.advice, *plan.notes):
        say(line)
    for reason, count in made.changes.items():
        warn(f"note: {count} {'text' if count == 1 else 'texts'} changed: {reason}")
    for line in leak_lines(made.leaks):
        warn(line)
    if made.taken_over:
        say(f"{made.taken_over:,} ratings of these sheets were there, and are taken over.")
    say(f"Send each rater one file:   {made.folder / SEND}/RATER/")
    say(f"Keep to yourself:           {made.folder / KEEP}/  (key.csv tells variants apart)")
    place = [] if runs_dir == DEFAULT_RUNS else ["--runs-dir", str(runs_dir)]
    command = ["harness", "sheet", "import", manifest.name, *place]
    say(f"Then: {shlex.join(command)} FILES...")


@sheet_app.command("import")
def import_(
    run: RunArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILES...", help="Returned files.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Let a rater's later file change answers given before."),
    ] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Take what is right of files with mistakes.")
    ] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Read returned sheets. Every mistake is named with its cell; exit code 1 if there is one."""
    from harness.ratings.collect import import_returns, sheet_status
    from harness.ratings.returns.mistakes import summed_up

    store, manifest = real_run(run, runs_dir)
    done = import_returns(store, manifest, files, replace=replace, skip_invalid=skip_invalid)
    checked = done.checked
    report = write_own_report(store, done.manifest)[1] if done.changed else []
    if as_json:
        print_json(
            {
                "ratings": len(checked.ratings),
                "problems": checked.problems,
                "notes": checked.notes,
                "report": [str(path) for path in report],
            }
        )
    else:
        for note in checked.notes:
            say(note)
        for problem in summed_up(checked.mistakes):
            say(f"error: {problem}", err=True, fg="red")
    if checked.problems and not skip_invalid:
        count = len(checked.problems)
        say(
            f"Nothing was imported: {count} {'mistake' if count == 1 else 'mistakes'}. "
            "Have them mended, or take the rest with --skip-invalid.",
            err=True,
            fg="red",
        )
    elif not as_json:
        _print_status(*sheet_status(store, done.manifest))
        for path in report:
            say(f"Report: {path}")
    if checked.problems:
        raise typer.Exit(1)


@sheet_app.command("status")
def status(run: RunArgument, as_json: AsJson = False, runs_dir: RunsDir = DEFAULT_RUNS) -> None:
    """Say how much of each rater's sheet has come back."""
    from harness.ratings.collect import sheet_status

    store, manifest = own_run(run, runs_dir)
    sheets, states = sheet_status(store, manifest)
    if as_json:
        print_json({"id": sheets.plan.id, "raters": [dataclasses.asdict(s) for s in states]})
    else:
        _print_status(sheets, states)


def _print_status(sheets: Sheets, states: tuple[RaterStatus, ...]) -> None:
    say(f"Sheets {sheets.plan.id}, {len(sheets.items)} items:")
    print_table(("rater", "rows", "share", "came back"), map(_status_line, states))


def _status_line(state: RaterStatus) -> tuple[str, str, str, str]:
    share = state.answered / state.asked if state.asked else 1.0
    came = "nothing yet"
    if state.files:
        times = f"{state.returns} returns, the last " if state.returns > 1 else ""
        came = f"{', '.join(state.files)} ({times}{state.last})"
    return state.rater, f"{state.answered:,} of {state.asked:,}", f"{share:.0%}", came
