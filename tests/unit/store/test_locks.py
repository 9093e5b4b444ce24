"""Locks where the file system has none."""

from __future__ import annotations

import errno
import fcntl
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StoreWarning
from harness.store import locks


@pytest.fixture
def lockless(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("lockless")
def test_what_must_not_be_interrupted_is_held_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told; another process waits for it, but not for one that was killed."""
    monkeypatch.setattr(locks, "_PATIENCE_S", 0.1)
    path, held = tmp_path / "lock", tmp_path / "lock.held"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with locks.holding(path, exclusive=True):
            assert held.exists()
            with locks.holding(path, exclusive=True):  # waits, but not for ever
                pass
    assert not held.exists()
    assert {item.category for item in told} == {StoreWarning}
    assert "has no locks" in str(told[0].message)


@pytest.mark.usefixtures("lockless")
def test_long_commands_are_not_kept_apart_and_that_is_told(tmp_path: Path) -> None:
    """Nothing would tell whether the holder still lives."""
    told = pytest.warns(StoreWarning, match="one eval, training or prune at a time")
    with locks.open_lock(tmp_path / "lock") as stream, told:
        assert not locks.lock(stream, exclusive=False)
    assert not locks.is_held(tmp_path / "lock")


def test_other_errors_of_a_lock_stay_errors(tmp_path: Path) -> None:
    """Such as that another process holds it."""
    with locks.holding(tmp_path / "lock", exclusive=True):
        assert locks.is_held(tmp_path / "lock")
