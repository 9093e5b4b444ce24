"""``harness runs``, ``harness verify`` and ``harness prune``: parse, call, print."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.cli.options import say

if TYPE_CHECKING:
    from harness.schema import Manifest
    from harness.store.runs import Store


def runs(runs_dir: options.RunsDir = options.DEFAULT_RUNS, as_json: options.AsJson = False) -> None:
    """List runs, the latest first."""
    store = options.store_in(runs_dir)
    manifests, unreadable = store.readable_manifests()
    for error in unreadable.values():
        options.warn(f"unreadable: {error}")
    if as_json:
        options.print_json(
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
        say(f"There are no runs in {store.root}.")
    if manifests:
        options.print_table(
            ("run", "updated", "state", "command"),
            [(m.name, m.updated, _state(store, m), m.command) for m in manifests],
        )


def _state(store: Store, manifest: Manifest) -> str:
    if manifest.members:
        return f"{store.state_of(manifest)}, pools {len(manifest.members)} runs"
    failed = sum(cell.status == "failed" for cell in manifest.cells)
    cells = f"{manifest.done_cells} of {manifest.planned_cells} cells"
    return f"{store.state_of(manifest)}, {cells}{f', {failed} failed' if failed else ''}"


def verify(
    run: Annotated[
        str | None, typer.Argument(help="Only what this run names; default: the whole store.")
    ] = None,
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Read everything that is stored, and say what is not as it was written; exit 1 if some is."""
    from harness.store.runs import find_run
    from harness.store.verify import BROKEN
    from harness.store.verify import verify as look
    from harness.suite.record import refuse_pooled

    store, manifest = options.store_in(runs_dir), None
    if run is not None:
        store, manifest = find_run(run, runs_dir)
        refuse_pooled(manifest)
    seen = list(look(store, manifest))
    broken = [item for item in seen if item.state in BROKEN]
    if as_json:
        options.print_json([asdict(item) for item in seen])
    else:
        if broken:
            options.print_table(
                ("what", "state", "why", "what mends it"),
                [(item.what, item.state, item.why, item.remedy) for item in broken],
            )
        counts = Counter(item.state for item in seen)
        told = ", ".join(f"{n} {state}" for state, n in counts.items()) or "nothing is stored"
        say(f"{store.root}: {told}.")
    if broken:
        raise typer.Exit(1)


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
    runs_dir: options.RunsDir = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Remove results that no run names, and cut-off leftovers; lists them unless --yes."""
    from harness.store.prune import Extra, find_garbage, remove_garbage

    store, also = options.store_in(runs_dir), Extra(merged, unfinished, ratings)
    garbage = (remove_garbage if yes else find_garbage)(store, also)
    if as_json:
        options.print_json(
            [{"path": str(g.path), "bytes": g.size_bytes, "why": g.why} for g in garbage]
        )
        return
    if garbage:
        options.print_table(
            ("size", "path", "why"),
            [(f"{g.size_bytes / 1e6:.1f} MB", str(g.path), g.why) for g in garbage],
        )
    total = sum(item.size_bytes for item in garbage) / 1e6
    verb = "Removed" if yes else "Would remove"
    hint = "" if yes or not garbage else "  Run again with --yes to remove."
    say(f"{verb} {len(garbage)} items, {total:.1f} MB.{hint}")
