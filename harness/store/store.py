"""The store: results addressed by what can change them, and runs that name results.

Layout under the runs folder::

    .store/<kind>/<key>/identity.json   the readable form of the key
    .store/<kind>/<key>/...             the result's own files
    <suite>/<run-id>/manifest.json      what belongs to a run
    <suite>/<run-id>/report.html        rendered output

A result is written to a temporary folder and renamed, so one that was cut off is never seen;
nothing is overwritten in place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.errors import DiskError, StoreError, UsageError
from harness.schema import Manifest, Record

Kind = Literal[
    "training", "examples", "predictions", "scores", "measurements", "merged", "sheets", "ratings"
]
KINDS: tuple[Kind, ...] = (
    "training",
    "examples",
    "predictions",
    "scores",
    "measurements",
    "merged",
    "sheets",
    "ratings",
)
IDENTITY = "identity.json"
_RUNNING = ".running"  # in a run's folder: locked while an eval of it goes on

_LOCK_MODES = {False: fcntl.LOCK_SH, True: fcntl.LOCK_EX}
_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
_NO_FILE = (errno.ENOENT, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)  # of a file to be made
_OTHER_RUNS = "Choose another with --runs-dir."

# What numpy and zipfile raise on a damaged archive: RuntimeError where a flipped bit claims another
# compression or an encryption, TypeError where the file holds a bare array.
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)

RecordT = TypeVar("RecordT", bound=Record)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest_of(value: Any) -> str:
    """First 20 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:20]


def now() -> str:
    """The time as records keep it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_atomic(path: Path, content: str | bytes, *, hint: str = _OTHER_RUNS) -> None:
    """Write a file so that readers see the old or the new content, never a part.

    Args:
        path: The file; folders above it are made.
        content: What it is to hold.
        hint: What the user can do where the folder cannot be written.

    Raises:
        DiskError: There is no room, no permission, or no such place.
    """
    with room_on_disk(path.parent, hint=hint, also=_NO_FILE):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp makes it private
            os.replace(name, path)  # noqa: PTH105
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def make_folder(folder: Path, *, hint: str = _OTHER_RUNS) -> None:
    """Make a folder, and make sure that files can be written to it, before much work is done.

    Args:
        folder: The folder; those above it are made too.
        hint: What the user can do where it cannot be written.

    Raises:
        DiskError: There is no room, no permission, or no such place.
    """
    with room_on_disk(folder, hint=hint, also=_NO_FILE):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="."):
            pass


@contextmanager
def room_on_disk(
    folder: Path, *, hint: str = _OTHER_RUNS, also: Sequence[int] = ()
) -> Iterator[None]:
    """Turn "no space left" and "not permitted" into errors that say what to do.

    Args:
        folder: Where is written.
        hint: What the user can do where it cannot be.
        also: Further error numbers that mean so here.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskError(
                "There is no room left on the disk; the unfinished result was discarded, "
                "finished ones are kept.",
                where=str(folder),
                hint="Free some space (harness prune lists what can go) and run again to resume.",
            ) from error
        if error.errno in (*_NOT_WRITABLE, *also) and error.filename is not None:
            raise DiskError(
                f"The folder cannot be written: {error.strerror}: "
                f"{error.filename2 or error.filename}.",
                where=str(folder),
                hint=hint,
            ) from error
        raise


class Store:
    """Results and runs under one folder.

    Args:
        root: The runs folder; created when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    # -- results ------------------------------------------------------------------------------

    def path(self, kind: Kind, key: str) -> Path:
        """Folder of a result, whether or not it exists."""
        return self.root / ".store" / kind / key

    def has(self, kind: Kind, key: str) -> bool:
        """Whether a finished result exists."""
        return (self.path(kind, key) / IDENTITY).is_file()

    def keys(self, kind: Kind) -> list[str]:
        """Keys of all finished results of a kind, sorted."""
        names = (p.parent.name for p in (self.root / ".store" / kind).glob(f"*/{IDENTITY}"))
        return sorted(name for name in names if not name.startswith("."))  # those are unfinished

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
                fcntl.flock(stream, fcntl.LOCK_NB | _LOCK_MODES[exclusive])
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
            with room_on_disk(path.parent, also=_NO_FILE):
                path.parent.mkdir(parents=True, exist_ok=True)
                return path.open("a")
        except DiskError:
            if not reading:
                raise
            return path.open("rb") if path.is_file() else None

    @contextmanager
    def writing(
        self, kind: Kind, key: str, identity: Mapping[str, Any], *, replace: bool = False
    ) -> Iterator[Path]:
        """Yield a temporary folder that becomes the result when the block ends without error.

        Args:
            kind: Of the result.
            key: Of the result.
            identity: The readable form of the key.
            replace: Whether it takes the place of a result that is there, as a measurement that
                is made again does; all other results of one key are equal.
        """
        parent = self.path(kind, key).parent
        with room_on_disk(parent):
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=parent, prefix=f".{key}."))
            try:
                yield folder
                self.finish(kind, key, identity, folder, replace=replace)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise

    def finish(
        self,
        kind: Kind,
        key: str,
        identity: Mapping[str, Any],
        folder: Path,
        *,
        replace: bool = False,
    ) -> None:
        """Make a filled folder the result: its identity is written last, then it is renamed."""
        text = json.dumps(identity, indent=1, sort_keys=True, ensure_ascii=False)
        write_atomic(folder / IDENTITY, text + "\n")
        folder.chmod(0o755)
        target = self.path(kind, key)
        if replace and target.exists():
            old = folder.with_name(f"{folder.name}.old")  # a prune removes it if this is cut off
            target.rename(old)
            folder.rename(target)
            shutil.rmtree(old)
            return
        try:
            folder.rename(target)
        except OSError:
            if not self.has(kind, key):
                raise
            shutil.rmtree(folder)  # another process finished the same result first

    def identity(self, kind: Kind, key: str) -> dict[str, Any]:
        """The readable form of a result's key."""
        result: dict[str, Any] = self._json(self.path(kind, key) / IDENTITY)
        return result

    def write_record(self, folder: Path, name: str, record: Record) -> None:
        """Write one record as ``<name>.json`` into a result folder being written."""
        (folder / f"{name}.json").write_text(record.model_dump_json(indent=1) + "\n", "utf-8")

    def write_records(self, folder: Path, name: str, records: Sequence[Record]) -> None:
        """Write records as ``<name>.jsonl`` into a result folder being written."""
        lines = "".join(record.model_dump_json() + "\n" for record in records)
        # surrogatepass is not needed: pydantic refuses lone surrogates when it dumps
        (folder / f"{name}.jsonl").write_text(lines, "utf-8")

    def read_record(self, kind: Kind, key: str, name: str, model: type[RecordT]) -> RecordT:
        """Read ``<name>.json`` of a result."""
        path = self.path(kind, key) / f"{name}.json"
        return self._validated(path, model, self._text(path))

    def read_records(self, kind: Kind, key: str, name: str, model: type[RecordT]) -> list[RecordT]:
        """Read ``<name>.jsonl`` of a result, in order."""
        path = self.path(kind, key) / f"{name}.jsonl"
        lines = self._text(path).split("\n")  # not splitlines: texts may hold U+2028
        return [self._validated(path, model, line) for line in lines if line]

    def read_stats(self, scores_key: str) -> dict[str, NDArray[np.float64]]:
        """Per-example statistics of a scores result: array name -> shape (n, k).

        ``ids/<split>`` holds the example ids of each split, shape (n,), of dtype str.

        Raises:
            StoreError: The file is missing, truncated or damaged.
        """
        path = self.path("scores", scores_key) / "stats.npz"
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except _DAMAGED as error:
            raise StoreError(
                f"Cannot read per-example statistics: {error or type(error).__name__}.",
                where=str(path),
                hint=f"Delete {path.parent} and run the eval again.",
            ) from error

    # -- runs ---------------------------------------------------------------------------------

    def run_dir(self, suite: str, run_id: str) -> Path:
        """Folder of a run, whether or not it exists."""
        return self.root / suite / run_id

    @contextmanager
    def holding(self, suite: str, run_id: str) -> Iterator[None]:
        """Hold a run's manifest from reading to writing it, waiting for others that do.

        An eval and an import of ratings may go on at the same time; neither undoes the other.
        """
        folder = self.run_dir(suite, run_id)
        with room_on_disk(folder, also=_NO_FILE):
            folder.mkdir(parents=True, exist_ok=True)
            stream = (folder / ".lock").open("a")
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    @contextmanager
    def running(self, suite: str, run_id: str) -> Iterator[None]:
        """Mark a run as going on, for :meth:`is_running`; the mark goes with the process."""
        folder = self.run_dir(suite, run_id)
        with room_on_disk(folder, also=_NO_FILE):
            folder.mkdir(parents=True, exist_ok=True)
            stream = (folder / _RUNNING).open("a")
        with stream:
            fcntl.flock(stream, fcntl.LOCK_SH)  # two evals of one run may go on at the same time
            yield

    def is_running(self, suite: str, run_id: str) -> bool:
        """Whether an eval or training of a run is going on now, on this machine."""
        try:
            with (self.run_dir(suite, run_id) / _RUNNING).open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # there is none: an older run, or a folder that was copied
            return False
        return False

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
        path = self.run_dir(manifest.suite, manifest.run_id) / "manifest.json"
        write_atomic(path, manifest.model_dump_json(indent=1) + "\n")
        return path

    def read_manifest(self, path: Path) -> Manifest:
        """Read a manifest from its file or its run folder."""
        path = path / "manifest.json" if path.is_dir() else path
        return self._validated(path, Manifest, self._text(path))

    def latest(self, manifest: Manifest) -> Manifest:
        """A run's manifest as it is on disk now."""
        return self.read_manifest(self.run_dir(manifest.suite, manifest.run_id))

    def manifests(self, suite: str | None = None) -> list[Manifest]:
        """All runs (of one suite), most recently updated first.

        Raises:
            StoreError: The manifest of one of them is unreadable.
        """
        found, unreadable = self.readable_manifests(suite)
        if unreadable:
            raise next(iter(unreadable.values()))
        return found

    def readable_manifests(
        self, suite: str | None = None
    ) -> tuple[list[Manifest], dict[str, StoreError]]:
        """Runs (of one suite), most recently updated first, and why others cannot be read.

        The latter go by their folder, ``SUITE/RUN-ID``.
        """
        found: list[Manifest] = []
        unreadable: dict[str, StoreError] = {}
        for path in sorted(self.root.glob(f"{suite or '*'}/*/manifest.json")):
            try:
                found.append(self.read_manifest(path))
            except StoreError as error:
                unreadable[f"{path.parent.parent.name}/{path.parent.name}"] = error
        found.sort(key=lambda manifest: manifest.updated, reverse=True)
        return found, unreadable

    def other_runs(self, manifest: Manifest) -> list[str]:
        """Names of the other runs of a run's suite, the last written first; none is read."""
        files = [
            (path.stat().st_mtime, f"{manifest.suite}/{path.parent.name}")
            for path in self.root.glob(f"{manifest.suite}/*/manifest.json")
            if path.parent.name != manifest.run_id
        ]
        return [name for _, name in sorted(files, reverse=True)]

    # -- reading ------------------------------------------------------------------------------

    def _text(self, path: Path) -> str:
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(
                f"Cannot read this part of a result: {error}.",
                where=str(path),
                hint=f"Delete {path.parent} and run the eval again to compute it anew.",
            ) from error

    def _json(self, path: Path) -> Any:
        try:
            return json.loads(self._text(path))
        except ValueError as error:
            raise StoreError(
                f"Not valid JSON: {error}.",
                where=str(path),
                hint=f"Delete {path.parent} and run the eval again to compute it anew.",
            ) from error

    def _validated(self, path: Path, model: type[RecordT], text: str) -> RecordT:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            raise StoreError(
                f"Not a valid {model.__name__}: {error.errors()[0]['msg']}.",
                where=str(path),
                hint=f"Delete {path.parent} and run the eval again to compute it anew.",
            ) from error


def find_run(name: str, runs_dir: Path) -> tuple[Store, Manifest]:
    """A run by its folder (or manifest file), its suite's name (the latest), or SUITE/RUN-ID.

    An unreadable manifest is in the way of its own run, and of its suite's latest (which it may
    be), but of no other.

    Raises:
        UsageError: There is no such run.
        StoreError: Its manifest is unreadable.
    """
    path = Path(name)
    if (path / "manifest.json").is_file() or path.name == "manifest.json":
        folder = path.parent if path.name == "manifest.json" else path
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
    known = ", ".join(f"{m.suite}/{m.run_id}" for m in manifests[:5]) or "none"
    also = f"; unreadable: {', '.join(list(unreadable)[:5])}" if unreadable else ""
    raise UsageError(
        f"There is no such run; there are in {store.root}: {known}{also}.",
        where=name,
        hint="Name a run folder, or make one with: harness eval SUITE",
    )
