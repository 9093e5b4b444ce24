"""Locks between processes: shared or exclusive, and gone with the process however that ends.

They are flock's own. filelock's exclusive lock is the same call, but its shared ones are not: one
is a transaction of SQLite, which a store that can only be read does not allow, the other a file
with a heartbeat, which outlives a killed process.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.files import NO_PLACE, room_on_disk


def open_lock(path: Path) -> IO[Any]:
    """A lock's file, made with the folders above it.

    Raises:
        DiskError: It cannot be written.
    """
    with room_on_disk(path.parent, also=NO_PLACE):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")


def lock(stream: IO[Any], *, exclusive: bool, wait: bool = False) -> None:
    """Lock an open file until it is closed, as it is when the process ends.

    Args:
        stream: The open file.
        exclusive: Whether nobody else may hold it.
        wait: Whether to wait for others that do.

    Raises:
        BlockingIOError: Others hold it, and nobody waits.
    """
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    fcntl.flock(stream, mode if wait else mode | fcntl.LOCK_NB)


@contextmanager
def holding(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock of a file, waiting for others that do."""
    with open_lock(path) as stream:
        lock(stream, exclusive=exclusive, wait=True)
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; not where there is no such file."""
    try:
        with path.open("rb") as stream:
            lock(stream, exclusive=True)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
