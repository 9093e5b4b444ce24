"""What is endless is ended."""

from __future__ import annotations

import resource
import threading
import time

import pytest

from harness.bounds import TooLargeError, TooLongError, bounded, time_limit


def endless() -> None:
    while True:
        pass


def test_what_takes_too_long_is_ended() -> None:
    """And what follows has all the time it wants."""
    with pytest.raises(TooLongError, match=r"longer than 0\.05 s"), time_limit(0.05):
        endless()
    with time_limit(0.05):
        pass
    time.sleep(0.1)


def test_an_inner_bound_leaves_the_outer_one_alone() -> None:
    """The first that was set holds."""
    with pytest.raises(TooLongError, match=r"0\.05"), time_limit(0.05), time_limit(60):
        endless()


def test_other_threads_are_not_bounded() -> None:
    """Signals reach the main thread only."""
    done: list[int] = []

    def work() -> None:
        with time_limit(0.01):
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]


def test_what_takes_too_much_is_ended() -> None:
    """What is doubled without end, too; afterwards there is as much room as before."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(TooLargeError, match="more than 64 MiB"), bounded(60, 2**26):
        doubled("a")
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert len(b"a" * 2**27) == 2**27


def doubled(text: str) -> None:
    while True:
        text += text
