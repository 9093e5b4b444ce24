"""Chance that is the same on every machine and with every version of Python.

Everything is drawn by ``random.Random.random``, the one method whose sequence Python promises to
keep; its ``shuffle`` and ``sample`` have changed before.
"""

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """A seeded source of chance.

    Args:
        seed: What it depends on, and nothing else does.
    """

    def __init__(self, *seed: str | int) -> None:
        self._random = random.Random(":".join(map(str, seed)))  # noqa: S311  # not cryptography

    def point(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def below(self, number: int) -> int:
        """A whole number from 0 to ``number - 1``."""
        return int(self._random.random() * number)

    def pick(self, things: Sequence[T]) -> T:
        """One of them."""
        return things[self.below(len(things))]

    def shuffled(self, things: Iterable[T]) -> list[T]:
        """All of them in random order."""
        return sorted(things, key=lambda _: self._random.random())
