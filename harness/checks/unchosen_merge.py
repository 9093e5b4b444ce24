"""A merged model of a checkpoint that nothing chose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.schema import Finding


@dataclass(frozen=True)
class UnchosenMergeFacts:
    """What is merged in place of a choice.

    Attributes:
        merged: The checkpoint that is merged.
        reason: Why none was chosen.
    """

    merged: str
    reason: str


class UnchosenMerge:
    """That what is merged was chosen."""

    about = UnchosenMergeFacts

    def findings(self, facts: UnchosenMergeFacts) -> Iterator[Finding]:
        """A warning: these facts are that it was not."""
        yield Finding(
            check="choice of what to merge",
            severity="warning",
            what=f"No checkpoint was chosen, so the last one, {facts.merged}, is merged.",
            why=facts.reason,
            hint="Score a task on the select split, or say in matrix.merged what to merge.",
        )


CHECK = UnchosenMerge()
