"""An adapter that changes nothing would score as the base."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.schema import Finding


@dataclass(frozen=True)
class AdapterFacts:
    """An adapter that was loaded.

    Attributes:
        variant: Its variant.
        effect: Largest change that it makes to any logit of a few prompts.
    """

    variant: str
    effect: float


class AdapterEffect:
    """That an adapter changes some logit."""

    about = AdapterFacts

    def findings(self, facts: AdapterFacts) -> Iterator[Finding]:
        """An error where it changes none."""
        if facts.effect == 0:
            yield Finding(
                check="adapter effect",
                severity="error",
                what="it changes no logit, so it scores as the base.",
                why="Its weights are zero, or it adapts no module of this base.",
                hint="Check that the adapter was trained and that its target modules match.",
            )


CHECK = AdapterEffect()
