"""What the verbs of the command line share: arguments, options, and how a run is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from harness.schema import Manifest
    from harness.store.runs import Store

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
        typer.secho(
            f"warning: {len(others) + 1} runs are named {run}. This is {manifest.name}, the one "
            f"touched last. There {'is' if len(others) == 1 else 'are'} also: {listed}.",
            err=True,
            fg="yellow",
        )
    return store, manifest


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True))
