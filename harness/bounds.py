"""Ends what a user's template or pattern makes endless, or makes large."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 2.0  # that a template may take for one row, or a pattern for its files
_MEMORY = 2**28  # bytes that it may take; a row of ten million letters fits
_SIZES = "/proc/self/statm"  # of this process, in pages; the first is the address space
_PAGE = resource.getpagesize()


class TooLongError(Exception):
    """Something took longer than it may."""


class TooLargeError(Exception):
    """Something took more memory than it may."""


@contextmanager
def bounded(seconds: float = SECONDS, memory: int = _MEMORY) -> Iterator[None]:
    """End the block where it takes too long or too much, if the main thread runs it.

    Other threads cannot be ended; where the system does not tell how large a process is, only time
    is bounded.

    Args:
        seconds: That it may take.
        memory: Bytes that it may take.

    Raises:
        TooLongError: It took longer.
        TooLargeError: It took more.
    """
    try:
        with time_limit(seconds), _memory_limit(memory):
            yield
    except MemoryError as error:
        raise TooLargeError(f"it takes more than {memory // 2**20:,} MiB") from error


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """End the block where it takes too long, if the main thread runs it; see `bounded`.

    Raises:
        TooLongError: It took longer.
    """
    if _is_bounded():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TooLongError(f"it takes longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_bounded() -> bool:
    """Whether a bound around this one stands, or none can be set."""
    if threading.current_thread() is not threading.main_thread():
        return True
    return signal.getitimer(signal.ITIMER_REAL) != (0.0, 0.0)


def address_space() -> int | None:
    """Bytes of this process's address space; None where the system does not tell."""
    try:
        file = os.open(_SIZES, os.O_RDONLY)  # for every row, so without Python's own files
    except OSError:
        return None
    try:
        return int(os.read(file, 64).split()[0]) * _PAGE
    finally:
        os.close(file)


@contextmanager
def _memory_limit(memory: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = soft
    if threading.current_thread() is threading.main_thread():
        used = address_space()
        if used is not None:
            most = used + memory if soft == resource.RLIM_INFINITY else min(soft, used + memory)
    if most == soft:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
