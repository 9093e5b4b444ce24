"""Every kind of file of a store, damaged in every way: seen, and mended by a plain re-run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.store.runs import Store
from tests.damages import DAMAGES, WHERE_EMPTY
from tests.faults.table import Row
from tests.faults.world import Ended, World, command

_PASSED_OVER = {"README.md"}  # of a checkpoint; damaged like any other, but one is enough
_NO_RUN = ("gone", "a link to nothing", "an empty folder around it")
"""Of a manifest, these make a run that never was; the next one has its results."""


def kinds_of_files(runs: Path) -> dict[str, tuple[Path, Path]]:
    """Each kind of file of a store: one of it, and another of the same name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((runs / ".store").glob("*/[!.]*/**/*")):
        if path.is_file() and path.name not in _PASSED_OVER:
            kind = path.relative_to(runs / ".store").parts[0]
            found.setdefault(f"{kind}/{path.name}", []).append(path.relative_to(runs))
    manifest = next(runs.glob("*/*/manifest.json")).relative_to(runs)
    found["manifest.json"] = [manifest]
    foreign = found["examples/identity.json"][0]
    return {
        name: (paths[0], paths[-1] if len(paths) > 1 else foreign) for name, paths in found.items()
    }


def damage_files(world: World, *, quick: bool) -> Iterator[Row]:
    """One row for each kind of result; quick: each kind of file in one of the ways, in turn."""
    files = kinds_of_files(world.runs)
    rows: dict[str, Row] = {}
    for place, (name, (path, other)) in enumerate(files.items()):
        kind = name.partition("/")[0]
        row = rows.setdefault(kind, Row(f"a damaged file: {kind}"))
        empty = not (world.runs / path).stat().st_size
        ways = [way for way in DAMAGES if not empty or way in WHERE_EMPTY]
        if kind == "manifest.json":
            ways = [way for way in ways if way not in _NO_RUN]
        for way in [ways[place % len(ways)]] if quick else ways:
            with world.copy() as copy:
                DAMAGES[way](copy / path, world.runs / other)
                _try(world, row, copy, f"{name}, {way}")
    yield from rows.values()


def _try(world: World, row: Row, copy: Path, case: str) -> None:
    runs = ("--runs-dir", str(copy))
    seen = command("verify", *runs)
    read = _readers(copy, runs)
    again = world.eval(copy)
    left = world.unhealed(copy)
    row.saw(f"{case} ({left})", seen, *read, again, detected=seen.code == 1, healed=not left)


def _readers(copy: Path, runs: tuple[str, str]) -> list[Ended]:
    """Those that read what may be damaged; what they answer is theirs, but no traceback."""
    names = [manifest.name for manifest in Store(copy).readable_manifests()[0]] or ["small"]
    return [command(verb, names[0], *runs) for verb in ("select", "report")]
