"""Power cuts: what was not synced is gone, and a plain re-run goes on from what was."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.table import Row
from tests.faults.world import World, command

_IMAGE_MB = 64


def cut_power(world: World, *, quick: bool) -> Iterator[Row | str]:
    """In this process, file by file; and on an image of ext4, where that can be mounted."""
    yield _cut_files(world, moments=2 if quick else 20)
    if quick:
        return
    why = why_no_image(world.folder)
    yield why if why else _cut_image(world, moments=10)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


class _Disk:
    """Knows what was synced, and keeps copies of a store as a power cut at a moment leaves it.

    Names survive, contents only where they were synced: the worst that journals allow.
    """

    def __init__(self, runs: Path, cuts: Path, at: set[int]) -> None:
        self.runs, self.cuts, self.at = runs, cuts, at
        self.moment = 0
        self._synced: set[tuple[int, int, int]] = set()
        self._cutting = False

    def synced(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """An fsync that is noted, after which the power may be cut."""

        def fsync(descriptor: int) -> None:
            call(descriptor)
            self._synced.add(_stamp(os.fstat(descriptor)))
            self._pass()

        return fsync

    def renamed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A renaming after which the power may be cut."""

        def rename(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            self._pass()
            return result

        return rename

    def _pass(self) -> None:
        self.moment += 1
        if self.moment in self.at and not self._cutting:
            self._cutting = True
            self._cut(self.cuts / f"cut-{self.moment}")
            self._cutting = False

    def _cut(self, copy: Path) -> None:
        with contextlib.suppress(shutil.Error):  # a file may vanish while it is copied
            shutil.copytree(self.runs, copy, symlinks=True)
        for path in copy.rglob("*"):
            original = self.runs / path.relative_to(copy)
            if path.is_file() and original.exists() and _stamp(original.stat()) not in self._synced:
                path.write_bytes(b"")


@contextlib.contextmanager
def _watched(disk: _Disk) -> Iterator[None]:
    before = os.fsync, os.replace, os.rename
    os.fsync = disk.synced(os.fsync)
    os.replace, os.rename = disk.renamed(os.replace), disk.renamed(os.rename)
    try:
        yield
    finally:
        os.fsync, os.replace, os.rename = before


def _cut_files(world: World, moments: int) -> Row:
    row = Row("power cut: all that was not synced is empty")
    runs, cuts = world.folder / "powered", world.folder / "cuts"
    with _watched(counted := _Disk(runs, cuts, set())):
        world.eval(runs)
    shutil.rmtree(runs)
    at = set(random.Random(7).sample(range(1, counted.moment), moments))
    with _watched(_Disk(runs, cuts, at)):
        world.eval(runs)
    shutil.rmtree(runs)
    for cut in sorted(cuts.iterdir()):
        go_on(world, row, cut, cut.name)
    return row


def go_on(world: World, row: Row, runs: Path, case: str) -> None:
    """A plain re-run ends as an undisturbed run does; nothing of before is believed unseen."""
    looked, again = command("verify", "--runs-dir", str(runs)), world.eval(runs)
    left = world.unhealed(runs)
    row.saw(f"{case} ({left})", looked, again, detected=None, healed=not left)
    shutil.rmtree(runs)


# -- an image of ext4 -----------------------------------------------------------------------------


def why_no_image(folder: Path) -> str | None:
    """Why no image can be mounted here; None where one can."""
    if os.geteuid() != 0:
        return "ext4 images: only root may mount them"
    try:
        with _image(folder / "trial.img", folder / "trial"):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return f"ext4 images: {error}"


@contextlib.contextmanager
def mounted(what: Path | str, where: Path, *options: str) -> Iterator[Path]:
    """Mount something, and unmount it at the end."""
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", *options, str(what), str(where)], check=True, capture_output=True)
    try:
        yield where
    finally:
        # lazily: this process may still have weights of it mapped
        subprocess.run(["umount", "-l", str(where)], check=False, capture_output=True)


@contextlib.contextmanager
def _image(image: Path, where: Path) -> Iterator[Path]:
    with image.open("wb") as stream:
        stream.truncate(_IMAGE_MB * 2**20)
    make = ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", str(image)]
    subprocess.run(make, check=True, capture_output=True)
    with mounted(image, where, "-o", "loop,commit=1"):
        yield where


def _cut_image(world: World, moments: int) -> Row:
    row = Row("power cut: an ext4 image copied during a run, mounted again, its journal replayed")
    draw, image = random.Random(11), world.folder / "disk.img"
    for moment in range(moments):
        copy = world.folder / "cut.img"
        with _image(image, world.folder / "disk") as disk:
            _run_and_copy(world, disk / "runs", image, copy, draw.random() * world.seconds)
        with mounted(copy, world.folder / "disk", "-o", "loop") as disk:
            after = world.folder / "after"
            shutil.copytree(disk / "runs", after) if (disk / "runs").exists() else after.mkdir()
        go_on(world, row, after, f"image {moment}")
    return row


def _run_and_copy(world: World, runs: Path, image: Path, copy: Path, seconds: float) -> None:
    """Start a run, stop it after a while, copy the image, and kill it."""
    group = world.start(runs)
    time.sleep(seconds)
    os.killpg(group, signal.SIGSTOP)
    shutil.copyfile(image, copy)
    os.killpg(group, signal.SIGKILL)
    os.waitpid(group, 0)
