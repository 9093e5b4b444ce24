"""Disks that are full, read-only, failing or without locks: a message, and nothing is lost."""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.power import mounted
from tests.faults.table import Row
from tests.faults.world import World

_SIZES_KB = (16, 32, 64, 128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
_MESSAGES = (0, 1, 2)  # exit codes that come with one


def fail_disks(world: World, *, quick: bool) -> Iterator[Row | str]:
    """One row for each way in which a disk fails."""
    try:
        with mounted("tmpfs", world.folder / "small", "-t", "tmpfs", "-o", "size=64k"):
            pass
        yield _fill(world, _SIZES_KB[4:5] if quick else _SIZES_KB)
        yield _read_only(world)
    except (OSError, subprocess.CalledProcessError) as error:
        yield f"full and read-only disks: no small file system can be mounted here ({error})"
    for what, calls in _FAILING.items():
        yield _fail(world, what, calls, times=1 if quick else 12)
    yield _without_locks(world)


def _fill(world: World, sizes_kb: tuple[int, ...]) -> Row:
    row, place = Row(f"full disk, of {len(sizes_kb)} sizes"), world.folder / "small"
    for size in sizes_kb:
        with mounted("tmpfs", place, "-t", "tmpfs", "-o", f"size={size}k"):
            full = world.eval(place / "runs")
            remount = ["mount", "-o", "remount,size=256m", str(place)]
            subprocess.run(remount, check=True, capture_output=True)
            again = world.eval(place / "runs")
            told = full.code in _MESSAGES and (full.code == 0 or str(place) in full.text)
            left = world.unhealed(place / "runs")
            row.saw(f"{size} kB ({left})", full, again, detected=told, healed=not left)
    return row


def _read_only(world: World) -> Row:
    row, place = Row("read-only folder"), world.folder / "small"
    for store in ("empty", "finished"):
        source = world.folder / f"{store}-source"
        source.mkdir()
        if store == "finished":
            shutil.copytree(world.runs, source / "runs")
            shutil.rmtree(next((source / "runs" / ".store" / "scores").iterdir()))
        with mounted(source, place, "--bind"):
            change = ["mount", "-o", "remount,bind,ro", str(place)]
            subprocess.run(change, check=True, capture_output=True)
            refused = world.eval(place / "runs")
        again = world.eval(source / "runs")
        told = refused.code == 2 and str(place) in refused.text
        left = world.unhealed(source / "runs")
        row.saw(f"{store} ({left})", refused, again, detected=told, healed=not left)
    return row


class _Failing:
    """A call of the system that fails at one moment, where it concerns a store."""

    def __init__(self, call: Callable[..., Any], runs: Path, at: int) -> None:
        self.call, self.runs, self.left = call, str(runs), at

    def __call__(self, *args: Any, **options: Any) -> Any:
        if self._concerns(args[0]):
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO), self.runs)
        return self.call(*args, **options)

    def _concerns(self, what: Any) -> bool:
        if isinstance(what, int):
            what = Path(f"/proc/self/fd/{what}").resolve()
        return str(what).startswith(self.runs)


_FAILING: dict[str, tuple[tuple[Any, str], ...]] = {
    "an I/O error in rename": ((os, "rename"), (os, "replace")),
    "an I/O error in fsync": ((os, "fsync"),),
    "an I/O error in opening and reading": ((io, "open"), (builtins, "open")),
}


@contextlib.contextmanager
def _failing(calls: tuple[tuple[Any, str], ...], runs: Path, at: int) -> Iterator[None]:
    before = [(module, name, getattr(module, name)) for module, name in calls]
    for module, name, call in before:
        setattr(module, name, _Failing(call, runs, at))
    try:
        yield
    finally:
        for module, name, call in before:
            setattr(module, name, call)


def _fail(world: World, what: str, calls: tuple[tuple[Any, str], ...], times: int) -> Row:
    row = Row(what)
    for time in range(times):
        with world.copy() as copy:
            shutil.rmtree(next((copy / ".store" / "scores").iterdir()))  # something is to be done
            with _failing(calls, copy, 1 + 7 * time):
                failed = world.eval(copy)
            again = world.eval(copy)
            told = failed.code in _MESSAGES and (failed.code == 0 or str(copy) in failed.text)
            left = world.unhealed(copy)
            row.saw(f"call {1 + 7 * time} ({left})", failed, again, detected=told, healed=not left)
    return row


def _without_locks(world: World) -> Row:
    row, flock = Row("a file system without locks"), fcntl.flock

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with world.copy() as copy:
        shutil.rmtree(next((copy / ".store" / "scores").iterdir()))
        fcntl.flock = refuse
        try:
            ended = world.eval(copy)
        finally:
            fcntl.flock = flock
        told = ended.code == 0 and "has no locks" in ended.text
        left = world.unhealed(copy)
        row.saw(left, ended, detected=told, healed=not left)
    return row
