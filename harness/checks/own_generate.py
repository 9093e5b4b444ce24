"""Texts that are written by transformers' own generate, with options of its own."""

from collections.abc import Iterator

from harness.schema import Finding
from harness.suite.spec import Suite


class OwnGenerate:
    """That a task's decoding is not the one that is proved against the forward pass."""

    about = Suite

    def findings(self, facts: Suite) -> Iterator[Finding]:
        """A note for each."""
        for name, task in facts.tasks.items():
            options = getattr(task, "generation", None)
            if options:
                said = ", ".join(f"{option}={value}" for option, value in options.items())
                yield Finding(
                    check="decoding",
                    severity="note",
                    what=f"{name} is written by transformers' own generate, with {said}.",
                    why="No loop of ours checks these texts against the forward pass, and prompts "
                    "are answered one at a time.",
                )


CHECK = OwnGenerate()
