"""Finds and removes what no run needs, while no run is going on."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.files import room_on_disk
from harness.schema import Manifest
from harness.store.results import ASIDE, KINDS, Kind
from harness.store.runs import Store

_BY_PEOPLE: tuple[Kind, ...] = ("sheets", "ratings")


@dataclass(frozen=True)
class Garbage:
    """A folder that may go, its size, and why it may."""

    path: Path
    size_bytes: int
    why: str


@dataclass(frozen=True)
class Extra:
    """What may go although it may still be of use."""

    # merged weights that a run still names (they can be made again); without it, only those of
    # adapters that no run merged
    merged: bool = False
    # trainings that were cut off (they could be resumed), and finished trainings and texts of runs
    # that were interrupted before they could name them
    unfinished: bool = False
    # rating sheets and what raters returned, where no run names them; people made them
    ratings: bool = False


NOTHING_MORE = Extra()


def find_garbage(store: Store, also: Extra = NOTHING_MORE) -> list[Garbage]:
    """Results that no run names, leftovers of writes that were cut off, and merged weights.

    Args:
        store: Where to look.
        also: What else may go.
    """
    return [Garbage(path, _size(path), why) for path, why in _candidates(store, also)]


def remove_garbage(store: Store, also: Extra = NOTHING_MORE) -> list[Garbage]:
    """Remove what ``find_garbage`` finds, and return it.

    Raises:
        UsageError: An eval or training is going on in this folder.
        DiskError: Something may not be removed.
    """
    with store.locked(exclusive=True), room_on_disk(store.root):
        garbage = find_garbage(store, also)
        for item in garbage:
            if item.path.is_dir():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
    return garbage


def referenced(manifests: Sequence[Manifest]) -> set[tuple[Kind, str]]:
    """Results that some run names, as (kind, key)."""
    names: set[tuple[Kind, str]] = set()
    for manifest in manifests:
        names.update(("training", key) for key in manifest.training_keys.values())
        names.update(("examples", key) for key in manifest.examples.values())
        names.update(("overlaps", key) for key in manifest.overlaps.values())
        if manifest.human is not None:
            names.add(("sheets", manifest.human.sheets))
            if manifest.human.ratings is not None:
                names.add(("ratings", manifest.human.ratings))
        for cell in manifest.cells:
            named: list[tuple[Kind, str | None]] = [
                ("predictions", cell.predictions_key),
                ("scores", cell.scores_key),
                ("measurements", cell.measurements_key),
            ]
            names.update((kind, key) for kind, key in named if key)
    return names


def _candidates(store: Store, also: Extra) -> Iterator[tuple[Path, str]]:
    manifests = store.manifests()
    for kind in KINDS:
        if kind == "merged":
            yield from _unused_merged(store, also, manifests)
        elif kind not in _BY_PEOPLE or also.ratings:
            yield from _unnamed(store, also, manifests, kind)
        folder = store.root / ".store" / kind
        if folder.is_dir():
            yield from _leftovers(folder, also.unfinished)
    yield from ((path, "cut off") for path in sorted(store.root.glob("*/*/.*.json.*")))


def _unused_merged(
    store: Store, also: Extra, manifests: Sequence[Manifest]
) -> Iterator[tuple[Path, str]]:
    adapters = {
        variant.digests.get("adapter")
        for manifest in manifests
        for variant in manifest.variants
        if variant.kind == "merged"
    }
    whole = store.keys("merged")
    for key in store.names("merged"):
        used = key in whole and store.identity("merged", key).get("adapter") in adapters
        if also.merged or not used:
            yield store.path("merged", key), "merged weights; they can be made again"


def _unnamed(
    store: Store, also: Extra, manifests: Sequence[Manifest], kind: Kind
) -> Iterator[tuple[Path, str]]:
    named, whole = referenced(manifests), store.keys(kind)
    cut_off = [m for m in manifests if store.state_of(m) in ("interrupted", "running")]
    for key in store.names(kind):
        if (kind, key) in named:
            continue
        path = store.path(kind, key)
        if key not in whole:
            yield path, "damaged or cut off, and no run names it"
        elif not any(_is_next_of(manifest, store, kind, key) for manifest in cut_off):
            yield path, "no run names it"
        elif also.unfinished:
            yield path, "of a run that was interrupted; eval would go on with it"


def _is_next_of(manifest: Manifest, store: Store, kind: Kind, key: str) -> bool:
    """Whether an interrupted run may have left a result that its manifest did not come to name.

    A training is so if its suite says the same of training, texts and scores if they are of one of
    the run's variants: rather too much is kept than hours of work removed.
    """
    identity, spec = store.identity(kind, key), manifest.spec
    if kind == "training":
        return all(identity.get(part) == spec.get(part) for part in ("train", "seed"))
    if isinstance(weights := identity.get("weights"), dict):
        variants = {(v.kind, v.digests.get("adapter")) for v in manifest.variants}
        return (weights.get("kind"), weights.get("adapter")) in variants
    texts = identity.get("predictions")
    return (
        isinstance(texts, str)
        and store.has("predictions", texts)
        and _is_next_of(manifest, store, "predictions", texts)
    )


def _leftovers(folder: Path, unfinished: bool) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.glob(".*")):
        if ASIDE in path.suffixes:
            if folder.name not in _BY_PEOPLE:
                yield path, "damaged, and made anew since"
        elif path.suffix not in (".work", ".lock"):
            yield path, "cut off"
        elif unfinished:
            yield path, "a training that was cut off; eval would resume it"


def _size(path: Path) -> int:
    size = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        with suppress(FileNotFoundError):  # a run that is going on may have renamed it
            size += file.stat().st_size if file.is_file() else 0
    return size
