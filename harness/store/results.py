"""Results of a store, addressed by what can change them.

Layout under the runs folder::

    .store/<kind>/<key>/identity.json   the mark: the readable form of the key, and of each file
                                        size and digest
    .store/<kind>/<key>/...             the result's own files

A result is written to a temporary folder, synced to disk, marked and renamed, so one that was cut
off is never seen; nothing is overwritten in place. What is not as its mark says counts as missing,
so that whoever needs it makes it anew; the damaged folder is set aside then.
"""

import shutil
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.errors import StoreError, StoreWarning
from harness.files import local_path, room_on_disk, sync, sync_tree, write_atomic
from harness.schema import Record
from harness.store.mark import MARK, Damage, check_contents, check_file, mark_of, read_mark

Kind = Literal[
    "training",
    "examples",
    "predictions",
    "scores",
    "measurements",
    "merged",
    "sheets",
    "ratings",
    "overlaps",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
ASIDE = ".damaged"  # in the name of what was set aside
HEALED = "Run the eval again: it sets the damaged result aside and computes it anew."

# What numpy and zipfile raise on a damaged archive: RuntimeError where a flipped bit claims another
# compression or an encryption, TypeError where the file holds a bare array.
_DAMAGED = (
    OSError, ValueError, EOFError, KeyError, TypeError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip

RecordT = TypeVar("RecordT", bound=Record)


class Results:
    """Results under one folder.

    Args:
        root: The runs folder; created when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = local_path(root).absolute()

    def path(self, kind: Kind, key: str) -> Path:
        """Folder of a result, whether or not it exists."""
        return self.root / ".store" / kind / key

    def has(self, kind: Kind, key: str) -> bool:
        """Whether a finished result exists that is as it was written."""
        return self.damage(kind, key) is None

    def damage(self, kind: Kind, key: str, *, anew: bool = False) -> str | None:
        """Why a result is not whole; None where it is.

        Args:
            kind: Of the result.
            key: Of the result.
            anew: Whether to read everything, even what this user's processes have read before.
        """
        folder = self.path(kind, key)
        try:
            check_contents(read_mark(kind, key, folder).files or {}, folder, anew=anew)
        except Damage as damage:
            return str(damage)
        return None

    def keys(self, kind: Kind) -> list[str]:
        """Keys of all results of a kind that were finished, sorted; their files may be damaged."""
        return [key for key in self.names(kind) if self._is_marked(kind, key)]

    def names(self, kind: Kind) -> list[str]:
        """Names of all that stands among the results of a kind, sorted, whatever it is."""
        # those with a dot are unfinished
        paths = (self.root / ".store" / kind).glob("[!.]*")
        return sorted(path.name for path in paths)

    def _is_marked(self, kind: Kind, key: str) -> bool:
        try:
            read_mark(kind, key, self.path(kind, key))
        except Damage:
            return False
        return True

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
        """Make a filled folder the result: it is synced and marked, then renamed.

        What stands in its place is set aside if it is damaged, and told.
        """
        sync_tree(folder)
        write_atomic(folder / MARK, mark_of(kind, key, identity, folder).text)
        folder.chmod(0o755)
        target = self.path(kind, key)
        while not self._placed(kind, key, folder, replace=replace):
            if self.has(kind, key):
                shutil.rmtree(folder)  # another process finished the same result first
                return
        sync(target.parent)

    def _placed(self, kind: Kind, key: str, folder: Path, *, replace: bool) -> bool:
        """Rename a folder into its place, if that is free or may be made so."""
        target, old = self.path(kind, key), None
        if target.exists() or target.is_symlink():
            why = self.damage(kind, key)
            if why is None and not replace:
                return False
            # a prune removes it if this is cut off
            old = folder.with_name(f".{key}{ASIDE if why else '.old'}.{time.time_ns()}")
            with suppress(FileNotFoundError):  # another process was faster
                target.rename(old)
                if why:
                    told = f"{target} was damaged ({why}): made anew, set aside as {old.name}"
                    warnings.warn(told, StoreWarning, stacklevel=2)
        try:
            folder.rename(target)
        except OSError:
            if not target.exists():
                raise
            return False
        if old is not None and ASIDE not in old.name:
            shutil.rmtree(old, ignore_errors=True)
        return True

    def identity(self, kind: Kind, key: str) -> dict[str, Any]:
        """The readable form of a result's key.

        Raises:
            StoreError: Its mark is missing or damaged.
        """
        try:
            return dict(read_mark(kind, key, self.path(kind, key)).identity)
        except Damage as damage:
            where = str(self.path(kind, key) / MARK)
            raise StoreError(
                f"Cannot read this result: {damage}.", where=where, hint=HEALED
            ) from damage

    def add_digests(self, kind: Kind, key: str) -> None:
        """Mark a result of an earlier version anew, with the digests of what it holds now."""
        folder = self.path(kind, key)
        with suppress(Damage):
            mark = read_mark(kind, key, folder)
            if mark.files is None:
                sync_tree(folder)
                write_atomic(folder / MARK, mark_of(kind, key, mark.identity, folder).text)

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
        path = self._checked(kind, key, f"{name}.json")
        return self._validated(path, model, self._text(path))

    def read_records(self, kind: Kind, key: str, name: str, model: type[RecordT]) -> list[RecordT]:
        """Read ``<name>.jsonl`` of a result, in order."""
        path = self._checked(kind, key, f"{name}.jsonl")
        lines = self._text(path).split("\n")  # not splitlines: texts may hold U+2028
        return [self._validated(path, model, line) for line in lines if line]

    def read_later_records(
        self, kind: Kind, key: str, name: str, model: type[RecordT]
    ) -> list[RecordT]:
        """Like :meth:`read_records`; none where the result is of a version that kept none."""
        there = self.holds(kind, key, f"{name}.jsonl")
        return self.read_records(kind, key, name, model) if there else []

    def holds(self, kind: Kind, key: str, name: str) -> bool:
        """Whether a result was finished with such a file; earlier versions kept fewer."""
        folder = self.path(kind, key)
        with suppress(Damage):  # reading it will say what is wrong
            files = read_mark(kind, key, folder).files
            return (folder / name).is_file() if files is None else name in files
        return True

    def read_stats(self, scores_key: str) -> dict[str, NDArray[np.float64]]:
        """Per-example statistics of a scores result: array name -> shape (n, k).

        ``ids/<split>`` holds the example ids of each split, shape (n,), of dtype str.

        Raises:
            StoreError: The file is missing, truncated or damaged.
        """
        path = self._checked("scores", scores_key, "stats.npz")
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except _DAMAGED as error:
            raise StoreError(
                f"Cannot read per-example statistics: {error or type(error).__name__}.",
                where=str(path),
                hint=HEALED,
            ) from error

    def _checked(self, kind: Kind, key: str, name: str) -> Path:
        """The path of a result's file, which is as it was written."""
        folder = self.path(kind, key)
        try:
            check_file(read_mark(kind, key, folder), folder, name)
        except Damage as damage:
            problem = f"This result is damaged: {damage}."
            raise StoreError(problem, where=str(folder / name), hint=HEALED) from damage
        return folder / name

    def _text(self, path: Path) -> str:
        try:
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = f"Cannot read this part of a result: {error}."
            raise StoreError(problem, where=str(path), hint=HEALED) from error

    def _validated(self, path: Path, model: type[RecordT], text: str) -> RecordT:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            problem = f"Not a valid {model.__name__}: {error.errors()[0]['msg']}."
            raise StoreError(problem, where=str(path), hint=HEALED) from error
