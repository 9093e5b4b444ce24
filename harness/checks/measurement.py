"""Times and speeds that were taken on a busy machine, or differ much from repeat to repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.schema import Finding


@dataclass(frozen=True)
class MeasurementFacts:
    """Measured variants.

    Attributes:
        variants: Those that share the measurement.
        doubts: Why its times and speeds are in doubt; empty where they are not.
    """

    variants: Sequence[str]
    doubts: Sequence[str]


class SteadyMeasurement:
    """That a machine was idle, and its repeats agree."""

    about = MeasurementFacts

    def findings(self, facts: MeasurementFacts) -> Iterator[Finding]:
        """A warning where they do not."""
        if facts.doubts:
            names, reasons = ", ".join(facts.variants), "; ".join(facts.doubts)
            yield Finding(
                check="measurement",
                severity="warning",
                what=f"The times and speeds of {names} are in doubt: {reasons}.",
                why="Other programs slow a CPU down, and not every variant alike, so speeds that "
                "were measured then are not comparable.",
                hint="Measure again when the machine is idle: harness eval SUITE --measure-again.",
            )


CHECK = SteadyMeasurement()
