"""Ends what a user's template makes endless, or makes large."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SECONDS = 2.0  # that a template may take for one row


class TooLongError(Exception):
    """Something took longer than it may."""


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """End the block where it takes too long, if the main thread runs it (others cannot be ended).

    Args:
        seconds: That it may take.

    Raises:
        TooLongError: It took longer.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(
        signal.ITIMER_REAL
    ) != (0.0, 0.0):  # a bound around this one stands
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
