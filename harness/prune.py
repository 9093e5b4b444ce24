"""Finds and removes what no run needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.plan import referenced
from harness.store import KINDS, Store


@dataclass(frozen=True)
class Garbage:
    """A folder that may go, its size, and why it may."""

    path: Path
    size_bytes: int
    why: str


def find_garbage(store: Store, *, merged: bool = False) -> list[Garbage]:
    """Results that no run names, leftovers of writes that were cut off, and merged weights.

    Merged weights are removed when no run names their measurement or scores, or always with
    ``merged``: they can be made again from base and adapter.
    """
    return [Garbage(path, _size(path), why) for path, why in _candidates(store, merged)]


def remove_garbage(garbage: list[Garbage]) -> None:
    """Remove what was found."""
    for item in garbage:
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)


def _candidates(store: Store, merged: bool) -> Iterator[tuple[Path, str]]:
    manifests = store.manifests()
    named = referenced(manifests)
    adapters = {
        variant.digests.get("adapter")
        for manifest in manifests
        for variant in manifest.variants
        if variant.kind == "merged"
    }
    for kind in KINDS:
        for key in store.keys(kind):
            path = store.path(kind, key)
            if kind == "merged":
                used = store.identity(kind, key).get("adapter") in adapters
                if merged or not used:
                    yield path, "merged weights; they can be made again"
            elif (kind, key) not in named:
                yield path, "no run names it"
        folder = store.root / ".store" / kind
        if folder.is_dir():
            yield from ((path, "cut off") for path in sorted(folder.glob(".*")))


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
