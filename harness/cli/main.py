"""The verbs of the command line: parse, call, print. No logic lives here."""

from __future__ import annotations

import shlex
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from harness import __version__
from harness.cli.gate import gate_app
from harness.cli.options import DEFAULT_RUNS, AsJson, RunArgument, RunsDir, found_run, print_json
from harness.cli.sheet import sheet_app
from harness.errors import HarnessError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from harness.console import Reporter
    from harness.schema import Manifest
    from harness.store.runs import Store
    from harness.validate.suite import CheckedSuite

app = typer.Typer(
    name="harness",
    help="Evaluate QLoRA fine-tuning: which checkpoint to ship, how sure, and at what cost.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)

SuiteArgument = Annotated[
    str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a built-in suite.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the suite; repeatable."),
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="At most this many examples per task and split."),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but warnings and results.")]
_INTERRUPTED = 130  # exit code after Ctrl-C
_BUG = 70  # EX_SOFTWARE of sysexits.h

app.add_typer(gate_app)
app.add_typer(sheet_app, name="sheet")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"qlora-harness {__version__}")
        raise typer.Exit


@app.command("eval")
def eval_(
    suite: SuiteArgument,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="VARIANT/TASK",
            help="Compute only these cells; wildcards work; repeatable.",
        ),
    ] = None,
    limit: LimitOption = None,
    overrides: SetOption = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    measure_again: Annotated[
        bool,
        typer.Option("--measure-again", help="Measure memory and speed anew, in place of stored."),
    ] = False,
    executor: Annotated[
        str,
        typer.Option(metavar="NAME[:ADDRESS]", help="Where cells are computed; default: here."),
    ] = "local",
    open_report: Annotated[
        bool, typer.Option("--open", help="Open the report in the browser.")
    ] = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Train if needed, run what is missing, render the report, print the verdict."""
    from harness.run.pipeline import run_suite
    from harness.run.state import Options

    file, store = _load(suite, overrides, limit), _store(runs_dir)
    options = Options(
        only=tuple(only or ()),
        command=_command_line(),
        measure_again=measure_again,
        executor=executor,
    )
    manifest = run_suite(file, store, options, _reporter(verbose, quiet))
    _print_outcome(store, manifest)
    if open_report:
        typer.launch(str(_report_path(store, manifest)))
    if any(cell.status == "failed" for cell in manifest.cells):
        raise typer.Exit(1)


@app.command()
def train(
    suite: SuiteArgument,
    overrides: SetOption = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Only train; a training that was interrupted goes on from its last checkpoint."""
    from harness.run.pipeline import run_suite
    from harness.run.state import Options
    from harness.schema import TrainingRun

    file, store = _load(suite, overrides, None), _store(runs_dir)
    if file.suite.train is None:
        raise UsageError(
            "This suite has no train section.",
            where=str(file.path),
            hint="Add one, or evaluate with: harness eval",
        )
    options = Options(command=_command_line(), train_only=True)
    manifest = run_suite(file, store, options, _reporter(verbose, quiet))
    if manifest.training_key is None:
        raise TypeError("training leaves a key")
    folder = store.path("training", manifest.training_key)
    run = store.read_record("training", manifest.training_key, "training", TrainingRun)
    for checkpoint in run.checkpoints:
        loss = "" if checkpoint.eval_loss is None else f"  eval loss {checkpoint.eval_loss:.4f}"
        typer.echo(f"{folder / checkpoint.path}{loss}")


@app.command()
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
    view = build_view(store, manifest)
    if as_json:
        typer.echo(render_json(view))
        return
    folder = output or store.run_dir(manifest.suite, manifest.run_id)
    paths = write_report(view, folder, format_, AllExamples(store, manifest))
    for path in paths:
        typer.echo(str(path))
    if open_report:
        typer.launch(str(paths[0]))


@app.command()
def select(
    run: RunArgument,
    copy_to: Annotated[
        Path | None,
        typer.Option("--copy-to", metavar="DIR", help="Leave the choice there, ready to ship."),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--form", help="What to copy: adapter (default) or merged.")
    ] = None,
    as_json: AsJson = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Say which checkpoint to ship and why; copy it with --copy-to. Exit code 1 if none."""
    from harness.release.select import card_note, describe, form_named, select_run, ship

    wanted = form_named(form, copy_to)
    store, manifest = found_run(run, runs_dir)
    selected, state = select_run(store, manifest), store.state_of(manifest)
    if as_json:
        print_json({**selected.record, "state": state})
    else:
        typer.echo(f"Run {manifest.name} ({state})\n\n{describe(selected)}")
    if selected.unwritten:
        typer.secho(
            f"note: selection.json was not written: {selected.unwritten}", err=True, fg="yellow"
        )
    if selected.chosen is None:
        raise typer.Exit(1)
    if copy_to is not None:
        folder = ship(store, selected, copy_to, wanted)
        typer.echo(f"Copied to {folder}", err=as_json)
        if note := card_note():
            typer.echo(note, err=True)


@app.command()
def card(
    run: RunArgument,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write to; default: card/ in the run's own."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="A checkpoint; default: the run's choice.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--form", help="What is shipped: adapter (default) or merged.")
    ] = None,
    repo_id: Annotated[
        str | None, typer.Option("--repo-id", metavar="OWNER/NAME", help="Where it will be.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a card that was changed, or is another's.")
    ] = False,
    as_json: AsJson = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
) -> None:
    """Write a model card: README.md with its results as metadata, and .eval_results/*.yaml."""
    from harness.release.card.forms import named_form
    from harness.release.card_file import card_run, describe

    wanted = None if form is None else named_form(form)
    store, manifest = found_run(run, runs_dir)
    written = card_run(
        store,
        manifest,
        output=output,
        variant=variant,
        form=wanted,
        repo_id=repo_id,
        force=force,
    )
    if as_json:
        print_json(written.as_json())
    else:
        typer.echo(describe(written))


@app.command()
def suites(as_json: AsJson = False) -> None:
    """List the built-in suites."""
    from harness.suite.file import builtin_suites, load_suite

    found = {name: load_suite(str(path)).suite for name, path in builtin_suites().items()}
    if as_json:
        print_json([{"name": name, "description": s.description} for name, s in found.items()])
        return
    width = max(map(len, found), default=0)
    for name, loaded in found.items():
        typer.echo(f"{name:<{width}}  {loaded.description}")


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Built-in suite to start from.")] = "tiny",
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write; default: NAME.yaml.")
    ] = None,
) -> None:
    """Copy a built-in suite as a start of your own."""
    from harness.suite.init import copy_suite

    typer.echo(str(copy_suite(name, to)))


@app.command()
def validate(
    suite: SuiteArgument,
    overrides: SetOption = None,
    limit: LimitOption = None,
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: AsJson = False,
) -> None:
    """Check a suite; show its matrix, its cells, what is done and why something is stale."""
    from harness.plan.explain import describe_plan, plan_as_json

    file, store = _load(suite, overrides, limit, rows=True), _store(runs_dir)
    if as_json:
        print_json(plan_as_json(file, store))
    else:
        typer.echo(describe_plan(file, store))


@app.command()
def runs(runs_dir: RunsDir = DEFAULT_RUNS, as_json: AsJson = False) -> None:
    """List runs, the latest first."""
    store = _store(runs_dir)
    manifests, unreadable = store.readable_manifests()
    for error in unreadable.values():
        typer.secho(f"unreadable: {error}", err=True, fg="yellow")
    if as_json:
        print_json(
            [
                {
                    **manifest.model_dump(mode="json", exclude={"spec"}),
                    "state": store.state_of(manifest),
                    "planned": manifest.planned_cells,
                    "done": manifest.done_cells,
                }
                for manifest in manifests
            ]
        )
        return
    if not manifests and not unreadable:
        typer.echo(f"There are no runs in {store.root}.")
    for manifest in manifests:
        failed = sum(cell.status == "failed" for cell in manifest.cells)
        typer.echo(
            f"{manifest.name}  {manifest.updated}  {store.state_of(manifest)}, "
            f"{manifest.done_cells} of {manifest.planned_cells} cells"
            f"{f', {failed} failed' if failed else ''}  {manifest.command}"
        )


@app.command()
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only list.")] = False,
    merged: Annotated[
        bool, typer.Option("--merged", help="Also weights of merged models (they can be remade).")
    ] = False,
    unfinished: Annotated[
        bool,
        typer.Option("--unfinished", help="Also what runs that were cut off would go on with."),
    ] = False,
    ratings: Annotated[
        bool, typer.Option("--ratings", help="Also rating sheets and returns that no run names.")
    ] = False,
    runs_dir: RunsDir = DEFAULT_RUNS,
    as_json: AsJson = False,
) -> None:
    """Remove results that no run names, and cut-off leftovers; lists them unless --yes."""
    from harness.store.prune import Extra, find_garbage, remove_garbage

    store, also = _store(runs_dir), Extra(merged, unfinished, ratings)
    garbage = (remove_garbage if yes else find_garbage)(store, also)
    if as_json:
        print_json([{"path": str(g.path), "bytes": g.size_bytes, "why": g.why} for g in garbage])
        return
    for item in garbage:
        typer.echo(f"{item.size_bytes / 1e6:10.1f} MB  {item.path}  ({item.why})")
    total = sum(item.size_bytes for item in garbage) / 1e6
    verb = "Removed" if yes else "Would remove"
    hint = "" if yes or not garbage else "  Run again with --yes to remove."
    typer.echo(f"{verb} {len(garbage)} items, {total:.1f} MB.{hint}")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Print device, dtype decision, versions and missing extras."""
    from harness.cli.doctor import describe, diagnose

    diagnosis = diagnose()
    if as_json:
        print_json(diagnosis)
    else:
        typer.echo(describe(diagnosis))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a suite (editors complete from it)."""
    from harness.suite.spec import suite_schema

    print_json(suite_schema())


def main() -> None:
    """Entry point: a message instead of a traceback for what a user can mend."""
    try:
        app(standalone_mode=True)
    except HarnessError as error:
        typer.secho(f"error: {error}", err=True, fg="red")
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        missing = _missing_extra(error)
        if missing is None:
            _exit_with_bug()
        typer.secho(f"error: {missing}", err=True, fg="red")
        sys.exit(missing.exit_code)
    except Exception:  # what a user can mend was caught above
        _exit_with_bug()
    except SystemExit as end:
        if end.code == _INTERRUPTED:  # typer has turned the KeyboardInterrupt into this
            typer.echo("interrupted; run the same command again to resume", err=True)
        raise


def _exit_with_bug() -> NoReturn:
    """The traceback, for a report of it; 1 is kept for what the documentation says."""
    traceback.print_exc()
    typer.secho(
        "This is a bug of qlora-harness, and nothing that you did. Please report it with the lines "
        "above; what was finished is kept.",
        err=True,
        fg="red",
    )
    sys.exit(_BUG)


def _missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error that names the extra to install, if a package of one is what is missing."""
    from harness.cli.doctor import OPTIONAL

    package = (error.name or "").partition(".")[0]
    return MissingExtraError(package, OPTIONAL[package][0]) if package in OPTIONAL else None


def _load(
    suite: str, overrides: list[str] | None, limit: int | None, *, rows: bool = False
) -> CheckedSuite:
    from harness.suite.arguments import unchecked_arguments
    from harness.validate.suite import read_suite

    file = read_suite(suite, overrides or (), limit, rows=rows)
    for line in unchecked_arguments(file.suite.train) if file.suite.train else ():
        typer.secho(f"warning: {line}", err=True, fg="yellow")
    return file


def _store(runs_dir: Path) -> Store:
    from harness.store.runs import Store

    return Store(runs_dir)


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

    view = build_comparison([found_run(run, runs_dir) for run in runs], variant)
    if as_json:
        typer.echo(render_runs_json(view))
        return []
    folder = output or _store(runs_dir).root / "comparisons" / view.digest()
    paths = write_runs(view, folder, format_)
    typer.echo("\n".join(verdict_lines(view)))
    for path in paths:
        typer.echo(str(path))
    return paths


def _reporter(verbose: bool, quiet: bool) -> Reporter:
    from harness.console import Reporter

    return Reporter(-1 if quiet else int(verbose))


def _command_line() -> str:
    return shlex.join(["harness", *sys.argv[1:]])


def _report_path(store: Store, manifest: Manifest) -> Path:
    return store.run_dir(manifest.suite, manifest.run_id) / "report.html"


def _print_outcome(store: Store, manifest: Manifest) -> None:
    """Render the report and print what it says first."""
    from harness.report.browser.view import AllExamples
    from harness.report.build import build_view
    from harness.report.words.verdict import verdict_text
    from harness.report.write import write_report

    view = build_view(store, manifest)
    folder = store.run_dir(manifest.suite, manifest.run_id)
    path = write_report(view, folder, examples=AllExamples(store, manifest))[0]
    typer.echo(verdict_text(view))
    failed = [cell for cell in manifest.cells if cell.status == "failed"]
    for cell in failed:
        typer.secho(f"failed: {cell.variant}/{cell.task}: {cell.reason}", err=True, fg="red")
    typer.echo(f"Report: {path}")
