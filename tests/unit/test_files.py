"""Files are whole or not there, and errors say what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harness.errors import DiskError
from harness.files import make_folder, room_on_disk, write_atomic


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    """No space left on the device becomes a message with a hint, and nothing half-written."""
    with pytest.raises(DiskError, match="no room left") as caught, room_on_disk(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.exit_code == 2
    assert "prune" in str(caught.value)


def test_a_failing_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the path, and nothing half-written is left."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DiskError, match="The disk failed: Input/output error") as caught:
        write_atomic(tmp_path / "a.txt", "text")
    assert caught.value.where == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_is_told_with_the_caller_s_mend() -> None:
    """Also where the system says only that there is no such place."""
    with pytest.raises(DiskError, match="cannot be written") as caught:
        write_atomic(Path("/proc/nosuch/a.txt"), "text", hint="Choose another with --output.")
    assert caught.value.hint == "Choose another with --output."


def test_a_folder_is_made_and_tried_before_it_is_needed(tmp_path: Path) -> None:
    """A folder in which no file can be made is told at once; the trial leaves nothing."""
    make_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    for place in (Path("/proc/x"), Path("/proc/self"), Path("/dev/null")):
        with pytest.raises(DiskError, match="cannot be written") as caught:
            make_folder(place, hint="Choose another with --output.")
        assert caught.value.hint == "Choose another with --output."


def test_an_atomic_write_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    """The old content stands until the new one is whole."""
    path = tmp_path / "a.txt"
    write_atomic(path, "one")
    write_atomic(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_private_files_are_their_owners(tmp_path: Path) -> None:
    """A file that tells variants apart is readable by nobody else; others are as ever."""
    write_atomic(tmp_path / "key", "x", private=True)
    write_atomic(tmp_path / "text", "x")
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("key", "text")] == [0o600, 0o644]
