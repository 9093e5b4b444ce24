"""Every kind of file of a store, damaged in every way: seen, and mended by what makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from harness.store.runs import Store
from tests.damages import DAMAGES, WHERE_EMPTY
from tests.e2e.test_sheets import Sheets, fill_all
from tests.faults.table import Row
from tests.faults.world import Ended, World, command

_PASSED_OVER = {"README.md"}  # of a checkpoint; damaged like any other, but one is enough
_NO_RUN = ("gone", "a link to nothing", "an empty folder around it")
"""Of a manifest, these make a run that never was, so there is nothing to notice."""
_NO_STORE = ("a folder in its place", "an empty folder around it")
"""Of a baseline: its folder is the project's own, and what is no file was never written by us."""
_OF_PEOPLE = ("measurements", "sheets", "ratings")
"""Kinds that the smallest suite has none of."""

Heal = Callable[[Path], Ended]
"""What makes damaged results of a kind anew, in a runs folder."""


def kinds_of_files(runs: Path) -> dict[str, tuple[Path, Path]]:
    """Each kind of file of a store: one of it, and another that holds something else.

    The other is one of the same name where there is such a one.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted((runs / ".store").glob("*/[!.]*/**/*")):
        if path.is_file() and path.name not in _PASSED_OVER:
            kind = path.relative_to(runs / ".store").parts[0]
            name = f"returns/*{path.suffix}" if path.parent.name == "returns" else path.name
            found.setdefault(f"{kind}/{name}", []).append(path.relative_to(runs))
    manifest = next(runs.glob("*/*/manifest.json")).relative_to(runs)
    found["manifest.json"] = [manifest]
    foreign = [found["overlaps/identity.json"][0], manifest]
    return {
        name: (path, next(p for p in [*others, *foreign] if not _equal(runs, p, path)))
        for name, (path, *others) in found.items()
    }


def _equal(runs: Path, one: Path, other: Path) -> bool:
    return (runs / one).read_bytes() == (runs / other).read_bytes()


def damage_files(world: World, *, quick: bool) -> Iterator[Row]:
    """One row for each kind of result; quick: each kind of file in one of the ways, in turn."""
    yield from _damage(world, kinds_of_files(world.runs), quick=quick).values()
    people = _People(world.folder / "people")
    files = kinds_of_files(people.runs)
    files = {name: two for name, two in files.items() if name.startswith(_OF_PEOPLE)}
    yield from _damage(people, files, people.heals, quick=quick).values()
    yield _damage_baseline(people, quick=quick)


def _damage(
    world: World,
    files: Mapping[str, tuple[Path, Path]],
    heals: Mapping[str, Heal] | None = None,
    *,
    quick: bool,
) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for place, (name, (path, other)) in enumerate(files.items()):
        kind = name.partition("/")[0]
        empty = not (world.runs / path).stat().st_size
        ways = [way for way in DAMAGES if not empty or way in WHERE_EMPTY]
        for way in [ways[place % len(ways)]] if quick else ways:
            never = kind == "manifest.json" and way in _NO_RUN
            what = "a run without its manifest" if never else f"a damaged file: {kind}"
            row = rows.setdefault(what, Row(what))
            with world.copy() as copy:
                DAMAGES[way](copy / path, world.runs / other)
                heal = (heals or {}).get(kind, world.eval)
                _try(world, row, copy, f"{name}, {way}", heal, quiet=never)
    return rows


def _try(world: World, row: Row, copy: Path, case: str, heal: Heal, *, quiet: bool) -> None:
    runs = ("--runs-dir", str(copy))
    seen = command("verify", *runs)
    read = _readers(copy, runs)
    again = heal(copy)
    left = world.unhealed(copy)
    detected = None if quiet else seen.code == 1
    row.saw(f"{case} ({left})", seen, *read, again, detected=detected, healed=not left)


def _readers(copy: Path, runs: tuple[str, str]) -> list[Ended]:
    """Those that read what may be damaged; what they answer is theirs, but no traceback."""
    names = [manifest.name for manifest in Store(copy).readable_manifests()[0]] or ["small"]
    return [command(verb, names[0], *runs) for verb in ("select", "report")]


class _People(World):
    """A run that was measured and rated, too; what people made is mended by what they returned."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder,
            matrix={"base": ["fp32"]},
            measure={"prompt_tokens": [8], "new_tokens": [4], "repeats": 2},
            human={"items": 8, "splits": ["select", "report"], "raters": 3, "overlap": 2},
        )
        self.sheets = folder / "sheets"
        exported = self._export(self.runs)
        returned = folder / "returned"
        returned.mkdir()
        done = Sheets(self.runs, self.sheets, exported)  # type: ignore[arg-type]  # reads no result
        self.returned = fill_all(done, returned)
        imported = self._import(self.runs)
        if exported.code or imported.code:
            raise RuntimeError(exported.text + imported.text)
        self.note_truth()

    @property
    def heals(self) -> dict[str, Heal]:
        """Kind -> what makes it anew."""
        return {"sheets": self._export, "ratings": self._import}

    def _export(self, runs: Path) -> Ended:
        line = ("sheet", "export", "small", "-o", str(self.sheets), "--runs-dir", str(runs))
        return command(*line)

    def _import(self, runs: Path) -> Ended:
        files = [str(path) for path in self.returned]
        return command("sheet", "import", "small", *files, "--runs-dir", str(runs))


def _damage_baseline(world: World, *, quick: bool) -> Row:
    """Both files of a baseline; the gate must not answer by them, until a run is accepted anew."""
    row, folder = Row("a damaged file: baseline"), world.folder / "gate"
    folder.mkdir()
    baseline = folder / "baseline.json"
    runs, out = ("--runs-dir", str(world.runs)), str(folder / "out")
    check = ("gate", "small", "--baseline", str(baseline), "--output", out, *runs)
    accept = ("gate", "accept", "small", "--baseline", str(baseline), "--reason", "tried", *runs)
    files = (baseline, baseline.with_suffix(".npz"))
    first = command(*accept)
    if first.code:
        raise RuntimeError(first.text)
    ways = [way for way in DAMAGES if way not in _NO_STORE]
    for place, file in enumerate(files):
        for way in [ways[place]] if quick else ways:
            whole = {path: path.read_bytes() for path in files}
            DAMAGES[way](file, files[1 - place])
            seen = command(*check)
            again = command(*accept)
            healed = again.code == 0 and command(*check).code == 0
            case = f"{file.name}, {way} (gate {seen.code}, accept {again.code})"
            row.saw(case, seen, again, detected=seen.code == 4, healed=healed)
            for path, content in whole.items():
                path.unlink(missing_ok=True)
                path.write_bytes(content)
    return row
