"""``harness eval`` and ``harness train``: parse, call, print."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.cli.options import say
from harness.cli.report import write_own_report
from harness.errors import UsageError
from harness.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.console import Reporter
    from harness.schema import Manifest
    from harness.store.runs import Store

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but warnings and results.")]


def eval_(
    suite: options.SuiteArgument,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="VARIANT/TASK",
            help="Compute only these cells; wildcards work; repeatable.",
        ),
    ] = None,
    limit: options.LimitOption = None,
    overrides: options.SetOption = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
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
    smoke: options.Smoke = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Train if needed, run what is missing, render the report, print the verdict."""
    from harness.run.members import run_members
    from harness.run.pipeline import run_suite
    from harness.run.state import Options
    from harness.suite.members import members_of

    file, store = options.suite_and_store(suite, overrides, limit, runs_dir, smoke=smoke)
    asked = Options(
        only=tuple(only or ()),
        command=_command_line(),
        measure_again=measure_again,
        executor=executor,
    )
    if members_of(file.suite):
        manifest, runs = run_members(file, store, asked, _reporter(verbose, quiet))
        path = _print_pooled(store, manifest, runs)
    else:
        manifest = run_suite(file, store, asked, _reporter(verbose, quiet))
        runs, path = [manifest], _print_outcome(store, manifest)
    if open_report:
        typer.launch(str(path))
    if any(cell.status == "failed" for run in runs for cell in run.cells):
        raise typer.Exit(1)


def train(
    suite: options.SuiteArgument,
    overrides: options.SetOption = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
    smoke: options.Smoke = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
) -> None:
    """Only train; a training that was interrupted goes on from its last checkpoint."""
    from harness.run.members import run_members
    from harness.run.pipeline import run_suite
    from harness.run.state import Options
    from harness.suite.members import members_of

    file, store = options.suite_and_store(suite, overrides, None, runs_dir, smoke=smoke)
    if file.suite.train is None:
        raise UsageError(
            "This suite has no train section.",
            where=str(file.path),
            hint="Add one, or evaluate with: harness eval",
        )
    asked = Options(command=_command_line(), train_only=True)
    if members_of(file.suite):
        _, runs = run_members(file, store, asked, _reporter(verbose, quiet))
    else:
        runs = [run_suite(file, store, asked, _reporter(verbose, quiet))]
    for manifest in runs:
        _print_checkpoints(store, manifest)


def _print_checkpoints(store: Store, manifest: Manifest) -> None:
    from harness.schema import TrainingRun

    for key in manifest.training_keys.values():
        folder = store.path("training", key)
        run = store.read_record("training", key, "training", TrainingRun)
        for checkpoint in run.checkpoints:
            loss = "" if checkpoint.eval_loss is None else f"  eval loss {checkpoint.eval_loss:.4f}"
            say(f"{folder / checkpoint.path}{loss}")


def smoke_run(suite: str, runs_dir: Path) -> tuple[Store, Manifest]:
    """The smoke test of a suite, or of its first fold or seed, for what other verbs try on it.

    Raises:
        UsageError: The suite is wrong, or a cell failed.
    """
    from harness.run.pipeline import run_suite
    from harness.run.state import Options
    from harness.validate.members import member_files

    file, store = options.suite_and_store(suite, None, None, runs_dir, smoke=True)
    file = next(iter(member_files(file).values()), file)
    manifest = run_suite(file, store, Options(command=_command_line()), _reporter(False, False))
    for cell in manifest.cells:
        if cell.status == "failed":
            name = f"{cell.variant}/{cell.task}"
            raise UsageError(f"{name} failed: {cell.reason}", where=str(file.path))
    return store, manifest


def _reporter(verbose: bool, quiet: bool) -> Reporter:
    from harness.console import Reporter

    return Reporter(-1 if quiet else int(verbose))


def _command_line() -> str:
    return shlex.join(["harness", *sys.argv[1:]])


def _print_outcome(store: Store, manifest: Manifest) -> Path:
    """Render the report and print what it says first; where the report is."""
    from harness.report.words.verdict import verdict_text

    view, (path, *_) = write_own_report(store, manifest)
    say(verdict_text(view))
    _print_failures(manifest)
    say(f"Report: {path}")
    return path


def _print_pooled(store: Store, manifest: Manifest, runs: Sequence[Manifest]) -> Path:
    """Render the report of each training and that of all together; where the latter is."""
    from harness.compare.pooled_words import verdict_lines
    from harness.compare.pooled_write import write_pooled
    from harness.compare.pooling import pool

    for run in runs:
        write_own_report(store, run)
        _print_failures(run, f"{run.suite}: ")
    view = pool(store, manifest)
    (path,) = write_pooled(view, store.run_dir(manifest.suite, manifest.run_id))
    say("\n".join(verdict_lines(view)))
    say(f"Report: {path}")
    return path


def _print_failures(manifest: Manifest, of: str = "") -> None:
    for cell in manifest.cells:
        if cell.status == "failed":
            name = one_line(f"{of}{cell.variant}/{cell.task}")
            say(f"failed: {name}: {cell.reason}", err=True, fg="red")
