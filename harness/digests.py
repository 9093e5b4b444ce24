"""Digests: sha256 of files (remembered between runs), of texts and of JSON values.

Torch-free and below every other module, so that ``harness validate`` can tell in well under a
second whether anything that a result depends on has changed.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from harness import resources
from harness.errors import UsageError

# Hashing a file of this size takes a few milliseconds, about as long as looking it up on disk.
_REMEMBERED_BYTES = 4 * 2**20
# A file changed this recently could change again within one tick of the file system's clock and
# keep its time stamp (the "racy git" problem), so its digest is not remembered yet.
_SETTLED_NS = 2 * 10**9

SEAL = "sha256"
"""The field of a JSON object that holds the digest of all others."""

_Stamp = tuple[int, int, int]
_SEEN: dict[Path, tuple[_Stamp, str]] = {}  # what this process has hashed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS file_digest (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, sha256 TEXT
)
"""


def text_digest(text: str) -> str:
    """Sha256 of a text's UTF-8 bytes, 64 hex digits; lone surrogates are allowed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def value_digest(value: Any) -> str:
    """Sha256 of a JSON value's canonical form, 64 hex digits; any text is allowed in it."""
    return text_digest(canonical_json(value))


def short_digest(value: Any) -> str:
    """The first 20 digits of a JSON value's digest, as keys of the store have them."""
    return value_digest(value)[:20]


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the digest of what it holds, so that a change to it is seen."""
    content = {name: part for name, part in value.items() if name != SEAL}
    return {**content, SEAL: value_digest(content)}


def seal_holds(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object is as it was when it was sealed; so is one that never was."""
    return SEAL not in value or sealed(value)[SEAL] == value[SEAL]


def file_digest(path: str | Path) -> str:
    """Sha256 of a file's content, 64 hex digits.

    A digest is remembered by path, size and the times of the last change to content and inode: by
    the process, and of files of 4 MiB and more in ``digests.sqlite3`` in the cache folder. Several
    processes may ask at the same time. Where the cache cannot be used, each computes its own.

    Args:
        path: A regular file.

    Raises:
        UsageError: There is no such file, or it cannot be read.
    """
    file = Path(path).absolute()
    try:
        return _file_digest(file)
    except OSError as error:
        raise UsageError(
            f"Cannot read this file: {error.strerror or error}.",
            where=str(path),
            hint="Check the path and its permissions.",
        ) from error


def content_digest(file: Path) -> str:
    """Sha256 of a file's content as it is on the disk now, whatever is remembered of it.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file_digest(file: Path) -> str:
    while True:
        stamp = _stamp(file)
        large = stamp[0] >= _REMEMBERED_BYTES
        seen = _SEEN.get(file)
        remembered = seen[1] if seen and seen[0] == stamp else large and _recall(file, stamp)
        if remembered:
            return remembered
        digest = content_digest(file)
        if _stamp(file) == stamp:  # else it was written to meanwhile: read it again
            break
    if time.time_ns() - max(stamp[1:]) > _SETTLED_NS:
        _SEEN[file] = stamp, digest
        if large:
            _remember(file, stamp, digest)
    return digest


def _stamp(file: Path) -> _Stamp:
    """Size in bytes, and times of the last change of content and of the inode in ns.

    The inode's time matters: unpacking an archive restores the content's time, so two
    checkpoints of equal size can share it.
    """
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def _cache() -> Iterator[sqlite3.Connection]:
    folder = resources.cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    # sqlite's own locks make concurrent writers wait for each other
    with closing(sqlite3.connect(folder / "digests.sqlite3", timeout=10)) as connection:
        connection.execute(_SCHEMA)
        with connection:
            yield connection


def _recall(file: Path, stamp: _Stamp) -> str | None:
    query = "SELECT sha256 FROM file_digest WHERE path=? AND size=? AND mtime_ns=? AND ctime_ns=?"
    try:
        with _cache() as connection:
            row = connection.execute(query, (str(file), *stamp)).fetchone()
    except (OSError, sqlite3.Error):  # an unusable cache costs time, never a result
        return None
    return str(row[0]) if row else None


def _remember(file: Path, stamp: _Stamp, digest: str) -> None:
    try:
        with _cache() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO file_digest VALUES (?, ?, ?, ?, ?)",
                (str(file), *stamp, digest),
            )
    except (OSError, sqlite3.Error):  # likewise
        return
