"""Results of a store, addressed by what can change them.

Layout under the runs folder::

    .store/<kind>/<key>/identity.json   the readable form of the key
    .store/<kind>/<key>/...             the result's own files

A result is written to a temporary folder and renamed, so one that was cut off is never seen;
nothing is overwritten in place.
"""

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from harness.errors import StoreError
from harness.files import room_on_disk, write_atomic
from harness.schema import Record

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
IDENTITY = "identity.json"

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
        self.root = root.expanduser().absolute()

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

    def read_later_records(
        self, kind: Kind, key: str, name: str, model: type[RecordT]
    ) -> list[RecordT]:
        """Like :meth:`read_records`; none where the result is of a version that kept none."""
        there = (self.path(kind, key) / f"{name}.jsonl").is_file()
        return self.read_records(kind, key, name, model) if there else []

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
