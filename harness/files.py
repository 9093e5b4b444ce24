"""Writes files whole or not at all, and says what to do where nothing can be written.

What is renamed into place was on the disk before, and so was the folder above it: a name that is
there after a power cut names what was written.
"""

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import DiskError, HarnessError, UsageError, shown, told_as

NO_PLACE = (errno.ENOENT, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""Error numbers that mean "cannot be written" of a folder or file that is still to be made."""

_NOT_WRITABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
_NOT_SYNCED = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
_AT_ONCE = 8
_BROKEN = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO)
_OTHER_RUNS = "Choose another with --runs-dir."


def refuse_address(name: str | Path, where: str | None = None) -> None:
    """Refuse an address such as ``s3://bucket/rows``, which a path would take for a folder's name.

    Args:
        name: What is to be a path.
        where: The place that names it.

    Raises:
        UsageError: It is an address.
    """
    scheme, colon, _ = str(name).partition(":/")
    if colon and len(scheme) > 1 and scheme.replace("+", "").isalnum():
        raise UsageError(
            f"{str(name)!r} is an address, and a path is needed: files are read and written here.",
            where=where,
            hint="Copy it to this machine first, or mount it.",
        )


def local_path(
    name: str | Path,
    folder: Path = Path(),
    kind: type[HarnessError] = UsageError,
    hint: str | None = None,
) -> Path:
    """A path as a user writes it, ``~`` for a home included.

    Args:
        name: The path.
        folder: What relative paths start from.
        kind: The error to raise.
        hint: What the user can do about it.

    Raises:
        HarnessError: No file can be called that, or its home is unknown.
    """
    with told_as(kind, f"{shown(str(name))} cannot be a path here", hint=hint):
        path = folder / Path(name).expanduser()
        path.exists()  # what is too long, or forbidden, shows here
        return path


def read_json(
    file: Path,
    kind: type[HarnessError],
    what: str,
    *,
    hint: str | None = None,
    finite: bool = False,
) -> Any:
    """What a JSON file holds.

    Args:
        file: The file.
        kind: The error to raise.
        what: What cannot be read where it is none, such as "The adapter's settings".
        hint: What the user can do about it.
        finite: Whether NaN and infinity are refused, which are no JSON; some models have them.

    Raises:
        HarnessError: It is missing, no JSON, or nested too deeply.
    """
    refused = _not_finite if finite else None
    with told_as(kind, f"{what} cannot be read", where=str(file), hint=hint):
        return json.loads(file.read_text("utf-8"), parse_constant=refused)


def json_or_nothing(file: Path) -> Any:
    """What a JSON file holds; None where it cannot be read, which others tell, or is no loss."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _not_finite(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no number")


def write_atomic(
    path: Path, content: str | bytes, *, hint: str = _OTHER_RUNS, private: bool = False
) -> None:
    """Write a file so that readers see the old or the new content, never a part.

    Args:
        path: The file; folders above it are made.
        content: What it is to hold.
        hint: What the user can do where the folder cannot be written.
        private: Whether nobody but its owner may read it.

    Raises:
        DiskError: There is no room, no permission, or no such place.
    """
    with room_on_disk(path.parent, hint=hint, also=NO_PLACE):
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(content.encode() if isinstance(content, str) else content)
                stream.flush()
                os.fsync(stream.fileno())
            if not private:  # as mkstemp makes it
                os.chmod(name, 0o644)  # noqa: PTH101
            os.replace(name, path)  # noqa: PTH105
            sync(path.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def sync(path: Path) -> None:
    """Have the disk hold a file's content, or the names in a folder.

    Raises:
        OSError: It cannot.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # some network file systems have no way to sync a folder
        if error.errno not in _NOT_SYNCED or not path.is_dir():
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Have the disk hold everything in a folder: files first, then the folders that name them.

    Raises:
        OSError: It cannot.
    """
    inside = list(folder.rglob("*"))
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a journal takes many in one turn
        for kind in (Path.is_file, Path.is_dir):
            list(pool.map(sync, filter(kind, inside)))
    sync(folder)


def make_folder(folder: Path, *, hint: str = _OTHER_RUNS) -> None:
    """Make a folder, and make sure that files can be written to it, before much work is done.

    Args:
        folder: The folder; those above it are made too.
        hint: What the user can do where it cannot be written.

    Raises:
        DiskError: There is no room, no permission, or no such place.
    """
    with room_on_disk(folder, hint=hint, also=NO_PLACE):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="."):
            pass


@contextmanager
def room_on_disk(
    folder: Path, *, hint: str = _OTHER_RUNS, also: Sequence[int] = ()
) -> Iterator[None]:
    """Turn "no space left", "not permitted" and "I/O error" into errors that say what to do.

    Args:
        folder: Where is written.
        hint: What the user can do where it cannot be.
        also: Further error numbers that mean so here.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskError(
                "There is no room left on the disk; the unfinished result was discarded, "
                "finished ones are kept.",
                where=str(folder),
                hint="Free some space (harness prune lists what can go) and run again to resume.",
            ) from error
        if error.errno in _BROKEN:
            raise DiskError(
                f"The disk failed: {error.strerror}"
                f"{f': {error.filename2 or error.filename}' if error.filename else ''}. The "
                "unfinished result was discarded, finished ones are kept.",
                where=str(folder),
                hint="See what the system's log says of the disk, then run again to resume.",
            ) from error
        if error.errno in (*_NOT_WRITABLE, *also) and error.filename is not None:
            raise DiskError(
                f"The folder cannot be written: {error.strerror}: "
                f"{error.filename2 or error.filename}.",
                where=str(folder),
                hint=hint,
            ) from error
        raise
