"""Looks at everything a store holds: is it as it was written, and what would make it so?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import StoreError
from harness.schema import Manifest
from harness.store.mark import MARK, read_mark
from harness.store.prune import referenced
from harness.store.results import KINDS, Kind
from harness.store.runs import Store

State = Literal["whole", "without digests", "damaged", "unmarked", "missing"]
BROKEN: frozenset[State] = frozenset({"damaged", "unmarked", "missing"})
_Place = tuple[Kind, str]


@dataclass(frozen=True)
class Verified:
    """What was seen of one result or manifest.

    Attributes:
        what: ``KIND/KEY`` of a result, ``SUITE/RUN-ID`` of a manifest.
        state: Whole as it was written; written by an earlier version, which kept no digests;
            changed since; cut off before it was marked; or named by a run and not there.
        why: What is wrong with it.
        remedy: What makes it whole.
        runs: Runs that name it.
    """

    what: str
    state: State
    why: str = ""
    remedy: str = ""
    runs: tuple[str, ...] = ()


def verify(store: Store, run: Manifest | None = None) -> Iterator[Verified]:
    """Read everything in a store, or all that a run names, and compare it with its digests.

    Nothing is changed, and nothing is taken from what was read before.
    """
    manifests, unreadable = store.readable_manifests()
    if run is None:
        yield from _manifests(store, manifests, unreadable)
    else:
        yield from _manifests(store, [run], {})
    names: dict[_Place, list[str]] = defaultdict(list)
    for manifest in manifests:
        for place in referenced([manifest]) | _merged(store, manifest):
            names[place].append(manifest.name)
    there = {(kind, name) for kind in KINDS for name in store.names(kind)}
    for place in sorted(there | names.keys()):
        runs = tuple(names.get(place, ()))
        if run is None or run.name in runs:
            yield _result(store, place, runs)


def _manifests(
    store: Store, manifests: Sequence[Manifest], unreadable: dict[str, StoreError]
) -> Iterator[Verified]:
    for manifest in manifests:
        sealed = store.is_sealed(manifest)
        yield Verified(manifest.name, "whole" if sealed else "without digests")
    for name, error in unreadable.items():
        remedy = "harness eval of its suite makes it anew; results are found by their keys"
        yield Verified(name, "damaged", error.problem, remedy)


def _merged(store: Store, manifest: Manifest) -> set[_Place]:
    """Merged weights of a run, which its manifest names by their adapter only."""
    adapters = {v.digests.get("adapter") for v in manifest.variants if v.kind == "merged"}
    keys = store.keys("merged") if adapters else ()
    return {("merged", k) for k in keys if store.identity("merged", k).get("adapter") in adapters}


def _result(store: Store, place: _Place, runs: tuple[str, ...]) -> Verified:
    kind, key = place
    folder, what = store.path(kind, key), f"{kind}/{key}"
    why = store.damage(kind, key, anew=True)
    if why is None:
        old = read_mark(kind, key, folder).files is None
        return Verified(what, "without digests" if old else "whole", runs=runs)
    state: State = "damaged" if (folder / MARK).exists() else "unmarked"
    state = state if folder.exists() else "missing"
    return Verified(what, state, why, _remedy(kind, runs), runs)


def _remedy(kind: Kind, runs: tuple[str, ...]) -> str:
    if kind == "ratings":
        return "harness sheet import of the returned files makes it anew"
    if kind == "sheets":
        return "harness sheet export makes it anew"
    if runs or kind == "merged":
        return "harness eval makes it anew"
    return "no run names it: harness prune removes it"
