"""Digests: sha256 of files (remembered between runs), of texts and of JSON values.

Torch-free and below every other module, so that ``harness validate`` can tell in well under a
second whether anything that a result depends on has changed.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from harness import resources
from harness.errors import UsageError

# Hashing a file of this size takes a few milliseconds, about as long as looking it up.
_REMEMBERED_BYTES = 4 * 2**20
# A file changed this recently could change again within one tick of the file system's clock and
# keep its time stamp (the "racy git" problem), so its digest is not remembered yet.
_SETTLED_NS = 2 * 10**9

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


def file_digest(path: str | Path) -> str:
    """Sha256 of a file's content, 64 hex digits.

    Digests of files of 4 MiB and more are remembered by path, size and the times of the last
    change to content and inode, in ``digests.sqlite3`` in the cache folder. Several processes may
    ask at the same time. Where the cache cannot be used, the digest is computed each time.

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


def _file_digest(file: Path) -> str:
    while True:
        stamp = _stamp(file)
        remembered = _recall(file, stamp) if stamp[0] >= _REMEMBERED_BYTES else None
        if remembered:
            return remembered
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if _stamp(file) == stamp:  # else it was written to meanwhile: read it again
            break
    if stamp[0] >= _REMEMBERED_BYTES and time.time_ns() - max(stamp[1:]) > _SETTLED_NS:
        _remember(file, stamp, digest)
    return digest


def _stamp(file: Path) -> tuple[int, int, int]:
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


def _recall(file: Path, stamp: tuple[int, int, int]) -> str | None:
    query = "SELECT sha256 FROM file_digest WHERE path=? AND size=? AND mtime_ns=? AND ctime_ns=?"
    try:
        with _cache() as connection:
            row = connection.execute(query, (str(file), *stamp)).fetchone()
    except (OSError, sqlite3.Error):  # an unusable cache costs time, never a result
        return None
    return str(row[0]) if row else None


def _remember(file: Path, stamp: tuple[int, int, int], digest: str) -> None:
    try:
        with _cache() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO file_digest VALUES (?, ?, ?, ?, ?)",
                (str(file), *stamp, digest),
            )
    except (OSError, sqlite3.Error):  # likewise
        return
