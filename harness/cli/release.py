"""``harness select`` and ``harness card``: parse, call, print."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import options
from harness.cli.options import say


def select(
    run: options.RunArgument,
    copy_to: Annotated[
        Path | None,
        typer.Option("--copy-to", metavar="DIR", help="Leave the choice there, ready to ship."),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--form", help="What to copy: adapter (default) or merged.")
    ] = None,
    as_json: options.AsJson = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
) -> None:
    """Say which checkpoint to ship and why; copy it with --copy-to. Exit code 1 if none."""
    from harness.files import refuse_address
    from harness.release.export import card_note, form_named, ship
    from harness.release.select import describe, select_run

    wanted = form_named(form, copy_to)
    if copy_to is not None:
        refuse_address(copy_to, "--copy-to")
    find = options.own_run if copy_to is None else options.real_run
    store, manifest = find(run, runs_dir)
    selected, state = select_run(store, manifest), store.state_of(manifest)
    if as_json:
        options.print_json({**selected.record, "state": state})
    else:
        say(f"Run {manifest.name} ({state})\n\n{describe(selected)}")
    if selected.unwritten:
        options.warn(f"note: selection.json was not written: {selected.unwritten}")
    if selected.chosen is None:
        raise typer.Exit(1)
    if copy_to is not None:
        folder = ship(store, selected, copy_to, wanted)
        say(f"Copied to {folder}", err=as_json)
        if note := card_note():
            say(note, err=True)


def card(
    run: options.RunArgument,
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
    as_json: options.AsJson = False,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
) -> None:
    """Write a model card: README.md with its results as metadata, and .eval_results/*.yaml."""
    from harness.release.card.forms import named_form
    from harness.release.card_file import card_run, describe

    wanted = None if form is None else named_form(form)
    store, manifest = options.real_run(run, runs_dir)
    written = card_run(
        store, manifest, output=output, variant=variant, form=wanted, repo_id=repo_id, force=force
    )
    if as_json:
        options.print_json(written.as_json())
    else:
        say(describe(written))
