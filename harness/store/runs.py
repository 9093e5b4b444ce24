"""Runs of a store: each names the results that belong to it.

Layout under the runs folder::

    <suite>/<run-id>/manifest.json      what belongs to a run
    <suite>/<run-id>/report.html        rendered output
"""

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import IO, Any

from harness.digests import SEAL, seal_holds, sealed
from harness.errors import DiskError, StoreError, StoreWarning, UsageError
from harness.files import local_path, room_on_disk, write_atomic
from harness.hints import did_you_mean
from harness.schema import Manifest
from harness.store import locks
from harness.store.results import ASIDE, Results

MANIFEST = "manifest.json"
_ANEW = "Run the eval again: it sets the damaged manifest aside and makes it anew."
_RUNNING = ".running"  # in a run's folder: locked while an eval of it goes on


def _with_places(manifest: Manifest, change: Callable[[str], str]) -> Manifest:
    """A manifest whose variants' weights lie elsewhere."""
    variants = tuple(
        v if v.adapter is None else v.model_copy(update={"adapter": change(v.adapter)})
        for v in manifest.variants
    )
    return manifest.model_copy(update={"variants": variants})


def usual_root() -> Path:
    """Where runs lie where no other place is named."""
    return Path(environ.get("HARNESS_RUNS", "runs")).expanduser().absolute()


def now() -> str:
    """The time as records keep it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Store(Results):
    """Results under one folder, and the runs that name them.

    Args:
        root: The runs folder; created when something is first written.
    """

    def run_dir(self, suite: str, run_id: str) -> Path:
        """Folder of a run, whether or not it exists."""
        return self.root / suite / run_id

    def manifest_file(self, suite: str, run_id: str) -> Path:
        """Where a run's manifest lies, whether or not it exists."""
        return self.run_dir(suite, run_id) / MANIFEST

    def earlier_manifest(self, suite: str, run_id: str) -> Manifest | None:
        """A run's manifest as it is on disk, to go on with; None where there is none.

        One that cannot be read is set aside, and told: what it names is found by its keys.
        """
        path = self.manifest_file(suite, run_id)
        if not path.exists():
            return None
        try:
            return self.read_manifest(path)
        except StoreError as error:
            aside = path.with_name(f".{MANIFEST}{ASIDE}.{time.time_ns()}")
            with room_on_disk(path.parent):
                path.rename(aside)
            told = f"{path} was damaged ({error.problem}): made anew, set aside as {aside.name}"
            warnings.warn(told, StoreWarning, stacklevel=2)
            return None

    def holding(self, suite: str, run_id: str) -> AbstractContextManager[None]:
        """Hold a run's manifest from reading to writing it, waiting for others that do.

        An eval and an import of ratings may go on at the same time; neither undoes the other.
        """
        return locks.holding(self.run_dir(suite, run_id) / ".lock", exclusive=True)

    def running(self, suite: str, run_id: str) -> AbstractContextManager[None]:
        """Mark a run as going on, for :meth:`is_running`; the mark goes with the process.

        Two evals of one run may go on at the same time.
        """
        return locks.holding(self.run_dir(suite, run_id) / _RUNNING, exclusive=False)

    def is_running(self, suite: str, run_id: str) -> bool:
        """Whether an eval or training of a run is going on now, on this machine."""
        return locks.is_held(self.run_dir(suite, run_id) / _RUNNING)

    def state_of(self, manifest: Manifest) -> str:
        """What became of a run, in one word: complete, running, interrupted or partial.

        Partial is what ended as it was asked to (``--only``, ``train``) or with cells that failed.
        """
        if self.is_running(manifest.suite, manifest.run_id):
            return "running"
        if manifest.complete:
            return "complete"
        return "interrupted" if manifest.ended is False else "partial"

    def write_manifest(self, manifest: Manifest) -> Path:
        """Write a run's manifest, replacing the earlier one in one step."""
        path = self.manifest_file(manifest.suite, manifest.run_id)
        value = sealed(self._portable(manifest).model_dump(mode="json"))
        write_atomic(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
        return path

    def read_manifest(self, path: Path) -> Manifest:
        """Read a manifest from its file or its run folder.

        Raises:
            StoreError: It is missing, unreadable, or not as it was written.
        """
        path = path / MANIFEST if path.is_dir() else path
        value = self._unsealed(path)
        value.pop(SEAL, None)
        return self._here(self._validated(path, Manifest, json.dumps(value)))

    def _portable(self, manifest: Manifest) -> Manifest:
        """A manifest with paths inside the store relative to it, so that a copy works by itself."""
        return _with_places(manifest, lambda place: place.removeprefix(f"{self.root}/"))

    def _here(self, manifest: Manifest) -> Manifest:
        """A manifest with paths inside the store as they are where it lies now.

        Those of earlier versions name the folder in which the run was made; what lies in this
        store under the same name goes before it.
        """
        folders = [f".store/training/{key}/" for key in manifest.training_keys.values()]

        def here(place: str) -> str:
            inside = next((folder for folder in folders if folder in place), "")
            if not inside:
                return place
            _, own, name = place.rpartition(inside)
            path = self.root / f"{own}{name}"
            return str(path) if path.exists() or place.startswith(inside) else place

        return _with_places(manifest, here)

    def is_sealed(self, manifest: Manifest) -> bool:
        """Whether a run's manifest holds a digest; those of earlier versions do not."""
        return SEAL in self._unsealed(self.manifest_file(manifest.suite, manifest.run_id))

    def _unsealed(self, path: Path) -> dict[str, Any]:
        """A manifest as it is stored, which is as it was written."""
        try:
            value = json.loads(self._text(path))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict) or not seal_holds(value):
            raise StoreError("This manifest was changed.", where=str(path), hint=_ANEW)
        return value

    def latest(self, manifest: Manifest) -> Manifest:
        """A run's manifest as it is on disk now."""
        return self.read_manifest(self.run_dir(manifest.suite, manifest.run_id))

    def manifests(self, suite: str | None = None) -> list[Manifest]:
        """All runs (of one suite), most recently updated first.

        Raises:
            StoreError: The manifest of one of them is unreadable.
        """
        manifests, unreadable = self.readable_manifests(suite)
        if unreadable:
            raise next(iter(unreadable.values()))
        return manifests

    def readable_manifests(
        self, suite: str | None = None
    ) -> tuple[list[Manifest], dict[str, StoreError]]:
        """Runs (of one suite), most recently updated first, and why others cannot be read.

        The latter go by their folder, ``SUITE/RUN-ID``.
        """
        manifests: list[Manifest] = []
        unreadable: dict[str, StoreError] = {}
        for path in sorted(self.root.glob(f"{suite or '*'}/*/manifest.json")):
            try:
                manifests.append(self.read_manifest(path))
            except StoreError as error:
                unreadable[f"{path.parent.parent.name}/{path.parent.name}"] = error
        manifests.sort(key=lambda manifest: manifest.updated, reverse=True)
        return manifests, unreadable

    def other_runs(self, manifest: Manifest) -> list[str]:
        """Names of the other runs of a run's suite, the last written first; none is read."""
        files = [
            (path.stat().st_mtime, f"{manifest.suite}/{path.parent.name}")
            for path in self.root.glob(f"{manifest.suite}/*/manifest.json")
            if path.parent.name != manifest.run_id
        ]
        return [name for _, name in sorted(files, reverse=True)]

    @contextmanager
    def locked(self, *, exclusive: bool = False, reading: bool = False) -> Iterator[None]:
        """Hold the store while computing into it (shared), or while removing from it (exclusive).

        The lock goes with the process, however that ends.

        Args:
            exclusive: Whether nobody else may hold it.
            reading: Whether nothing is written, so that a store that cannot be written will do.

        Raises:
            UsageError: Others hold it, and one of the two sides wants it for itself.
            DiskError: The store cannot be written.
        """
        stream = self._lock_file(reading=reading)
        if stream is None:
            yield
            return
        with stream:
            try:
                locks.lock(stream, exclusive=exclusive)
            except BlockingIOError as error:
                what = "An eval or training is" if exclusive else "A prune is"
                raise UsageError(
                    f"{what} going on in this folder.",
                    where=str(self.root),
                    hint="Run this again when it has ended.",
                ) from error
            yield

    def _lock_file(self, *, reading: bool) -> IO[Any] | None:
        """The file by which the store is held; None where it has none and cannot be written."""
        path = self.root / ".store" / "lock"
        try:
            return locks.open_lock(path)
        except DiskError:
            if not reading:
                raise
            return path.open("rb") if path.is_file() else None


def find_run(name: str, runs_dir: Path) -> tuple[Store, Manifest]:
    """A run by its folder (or manifest file), its suite's name (the latest), or SUITE/RUN-ID.

    An unreadable manifest is in the way of its own run, and of its suite's latest (which it may
    be), but of no other.

    Raises:
        UsageError: There is no such run.
        StoreError: Its manifest is unreadable.
    """
    path = local_path(name)
    if (path / MANIFEST).is_file() or path.name == MANIFEST:
        folder = path.parent if path.name == MANIFEST else path
        store = Store(folder.resolve().parent.parent)
        return store, store.read_manifest(folder)
    store = Store(runs_dir)
    manifests, unreadable = store.readable_manifests()
    for folder_name, error in unreadable.items():
        if name in (folder_name, *folder_name.split("/")):
            raise error
    for manifest in manifests:  # the latest first
        if name in (manifest.suite, manifest.name, manifest.run_id):
            return store, manifest
    near = did_you_mean(name, {other: None for m in manifests for other in (m.suite, m.name)})
    known = ", ".join(f"{m.suite}/{m.run_id}" for m in manifests[:5]) or "none"
    also = f"; unreadable: {', '.join(list(unreadable)[:5])}" if unreadable else ""
    raise UsageError(
        f"There is no such run; there are in {store.root}: {known}{also}.",
        where=name,
        hint=f"{near} Name a run folder, or make one with: harness eval SUITE".lstrip(),
    )
