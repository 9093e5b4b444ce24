"""Locks between processes: shared or exclusive, and gone with the process however that ends.

Where a file system has none (ENOLCK and the like, as some network mounts say), that is told: what
must not be interrupted is then held by a file that only one process can make, and nothing keeps
long-lived commands apart.

They are flock's own. filelock's exclusive lock is the same call, but its shared ones are not: one
is a transaction of SQLite, which a store that can only be read does not allow, the other a file
with a heartbeat, which outlives a killed process.
"""

import errno
import fcntl
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.errors import StoreWarning
from harness.files import NO_PLACE, room_on_disk

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_PATIENCE_S = 30  # for a file of another process, which writes a manifest in milliseconds


def open_lock(path: Path) -> IO[Any]:
    """A lock's file, made with the folders above it.

    Raises:
        DiskError: It cannot be written.
    """
    with room_on_disk(path.parent, also=NO_PLACE):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a")


def lock(stream: IO[Any], *, exclusive: bool, wait: bool = False) -> bool:
    """Lock an open file until it is closed, as it is when the process ends.

    Args:
        stream: The open file.
        exclusive: Whether nobody else may hold it.
        wait: Whether to wait for others that do.

    Returns:
        Whether the file system has locks; where it has none, it is told.

    Raises:
        BlockingIOError: Others hold it, and nobody waits.
    """
    if _flock(stream, exclusive=exclusive, wait=wait):
        return True
    told = (
        f"The file system of {Path(stream.name).parent} has no locks: run one eval, training or "
        "prune at a time there"
    )
    warnings.warn(told, StoreWarning, stacklevel=2)
    return False


def _flock(stream: IO[Any], *, exclusive: bool, wait: bool) -> bool:
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(stream, mode if wait else mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


@contextmanager
def holding(path: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock of a file, waiting for others that do."""
    with open_lock(path) as stream:
        if lock(stream, exclusive=exclusive, wait=True) or not exclusive:
            yield
        else:
            with _made_alone(path.with_name(f"{path.name}.held")):
                yield


@contextmanager
def _made_alone(path: Path) -> Iterator[None]:
    """Hold what only one process can make; one that a killed process left is passed over."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            time.sleep(0.02)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file; not where there is no such file."""
    try:
        with path.open("rb") as stream:
            _flock(stream, exclusive=True, wait=False)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
