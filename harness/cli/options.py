"""What the verbs of the command line share: arguments, options, and how a run is found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.printable import printable, printable_json

if TYPE_CHECKING:
    from harness.schema import Manifest
    from harness.store.runs import Store
    from harness.validate.suite import CheckedSuite

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run folder, a suite's name (its latest run), or SUITE/RUN-ID."
    ),
]
RunsDir = Annotated[
    Path, typer.Option("--runs-dir", envvar="HARNESS_RUNS", help="Where runs and results lie.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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
Smoke = Annotated[
    bool,
    typer.Option(
        "--smoke", help="Try every step within a minute: a tiny random model, a few rows."
    ),
]
DEFAULT_RUNS = Path("runs")
_LISTED = 3  # runs of the same name


def found_run(run: str, runs_dir: Path) -> tuple[Store, Manifest]:
    """A run as it was named, with a warning where others have that name too.

    The store is imported only now, so that ``--help`` is quick.
    """
    from harness.store.runs import find_run

    store, manifest = find_run(run, runs_dir)
    others = store.other_runs(manifest) if run == manifest.suite else []
    if others:
        listed = ", ".join(others[:_LISTED]) + (", …" if len(others) > _LISTED else "")
        warn(
            f"warning: {len(others) + 1} runs are named {run}. This is {manifest.name}, the one "
            f"touched last. There {'is' if len(others) == 1 else 'are'} also: {listed}."
        )
    return store, manifest


def real_run(run: str, runs_dir: Path) -> tuple[Store, Manifest]:
    """A run as it was named, which is no smoke test.

    Raises:
        UsageError: It is one: nobody may rate it, compare with it, or ship what it has. Or it only
            pools other runs.
    """
    from harness.suite.record import refuse_smoke

    store, manifest = own_run(run, runs_dir)
    refuse_smoke(manifest)
    return store, manifest


def own_run(run: str, runs_dir: Path) -> tuple[Store, Manifest]:
    """A run as it was named, which has outputs of its own.

    Raises:
        UsageError: It only pools other runs.
    """
    from harness.suite.record import refuse_pooled

    store, manifest = found_run(run, runs_dir)
    refuse_pooled(manifest)
    return store, manifest


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    say_json(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True))


def say_json(text: str) -> None:
    """Print JSON that is text already; whatever is in its strings does nothing to a terminal."""
    typer.echo(printable_json(text))


def say(text: str, *, err: bool = False, fg: str | None = None) -> None:
    """Print lines; whatever names are in them, they do nothing to a terminal or a CI log."""
    typer.secho(printable(text), err=err, fg=fg)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns of texts."""
    from harness.render.table import make_table, texts, to_text

    say(to_text(make_table("", texts(*header), rows)))


def warn(text: str) -> None:
    """Print a line that should not be missed, beside the output."""
    say(text, err=True, fg="yellow")


def loaded_suite(
    suite: str, overrides: list[str] | None, limit: int | None, *, rows: bool = False
) -> CheckedSuite:
    """A suite that passed all checks, with a warning of what could not be checked."""
    from harness.suite.arguments import unchecked_arguments
    from harness.validate.suite import read_suite

    file = read_suite(suite, overrides or (), limit, rows=rows)
    lines = [line for spec in file.suite.trainings.values() for line in unchecked_arguments(spec)]
    for line in dict.fromkeys(lines):
        warn(f"warning: {line}")
    return file


def suite_and_store(
    suite: str, overrides: list[str] | None, limit: int | None, runs_dir: Path, *, smoke: bool
) -> tuple[CheckedSuite, Store]:
    """A suite that passed all checks, or its smoke test, and the runs that it belongs to."""
    file = loaded_suite(suite, overrides, limit)
    if not smoke:
        return file, store_in(runs_dir)
    from harness.run.smoke import FOLDER, smoke_suite

    store = store_in(runs_dir / FOLDER)
    small = smoke_suite(file, store.root / "rows")
    for line in small.suite.smoke:
        say(f"smoke: {line}", err=True)
    return small, store


def refuse_beside_smoke(**given: object) -> None:
    """Refuse options by which what a smoke test makes could leave its folder, or be ignored.

    Raises:
        UsageError: One is given.
    """
    from harness.errors import UsageError

    names = [f"--{name}" for name, value in given.items() if value is not None]
    if names:
        raise UsageError(
            f"A smoke test keeps to its own folder and baseline, so it takes no {names[0]}.",
            where=names[0],
            hint="Leave it out.",
        )


def store_in(runs_dir: Path) -> Store:
    """The runs and results of a folder."""
    from harness.files import refuse_address
    from harness.store.runs import Store

    refuse_address(runs_dir, "--runs-dir")
    return Store(runs_dir)
