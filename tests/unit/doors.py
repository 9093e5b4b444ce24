"""Doors in tests: what they know of packages is forgotten, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.doors import CHECKS, ENGINES, EXECUTORS, SECTIONS, TASK_TYPES

DOORS = (TASK_TYPES, ENGINES, EXECUTORS, SECTIONS, CHECKS)


@contextmanager
def doors_open_anew() -> Iterator[None]:
    """Look for packages anew within the block."""
    loaded = [dict(door._loaded) for door in DOORS]
    for door in DOORS:
        vars(door).pop("_foreign", None)
    yield
    for door, before in zip(DOORS, loaded, strict=True):
        vars(door).pop("_foreign", None)
        door._loaded.clear()
        door._loaded.update(before)
