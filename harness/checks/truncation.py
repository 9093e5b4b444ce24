"""Prompts that were cut to fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.schema import Finding


@dataclass(frozen=True)
class TruncationFacts:
    """Prompts of one task.

    Attributes:
        task: The task.
        cut: How many were cut on the left.
        prompts: How many there are.
    """

    task: str
    cut: int
    prompts: int


class Truncation:
    """That prompts are scored whole."""

    about = TruncationFacts

    def findings(self, facts: TruncationFacts) -> Iterator[Finding]:
        """A warning where some were cut."""
        if facts.cut:
            yield Finding(
                check="truncated prompts",
                severity="warning",
                what=f"{facts.task}: {facts.cut} of {facts.prompts} prompts were cut on the left.",
                hint="Raise max_length.",
            )


CHECK = Truncation()
