"""Which of several variants no other one beats in everything."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """One respect in which variants are compared."""

    name: str  # what it is, in words
    # value of each variant; None (or absent) where it is not known
    values: Mapping[str, float | None]
    higher_is_better: bool = True  # False for memory, losses and error rates

    def worth(self, variant: str) -> float:
        """The value oriented so that more is better; an unknown one is worse than any other."""
        value = self.values.get(variant)
        if value is None:
            return -math.inf
        return value if self.higher_is_better else -value


def efficient(axes: Sequence[Objective]) -> set[str]:
    """Variants on the Pareto front: no other is as good on every axis and better on one.

    Args:
        axes: At least one; only variants with a value on the first take part.

    Returns:
        Their names. Variants that are equal on all axes are on the front together.
    """
    names = [name for name, value in axes[0].values.items() if value is not None]
    points = {name: tuple(axis.worth(name) for axis in axes) for name in names}
    return {
        name
        for name, own in points.items()
        if not any(
            other != own and all(o >= s for o, s in zip(other, own, strict=True))
            for other in points.values()
        )
    }
