"""How work grows with its input, told without a clock: machines differ, counts do not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType


def calls(work: Callable[[], object]) -> int:
    """How many functions, of Python and of C, the work calls."""
    count = 0

    def profile(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def growth(work: Callable[[int], Callable[[], object]], small: int, large: int) -> float:
    """The calls for each unit of the large input by those for each of the small one.

    ``work`` makes an input of a size and gives what is counted. Linear work is at 1, work on all
    pairs at large / small.
    """
    counts = {size: calls(work(size)) for size in (small, large)}
    return (counts[large] / large) / (counts[small] / small)
