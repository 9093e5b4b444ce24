"""Examples that scores are claimed on and that were trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.schema import Finding, Overlap

_CHECK = "training overlap"
_MOST = 0.5  # share of copies from which a task measures memory


@dataclass(frozen=True)
class OverlapFacts:
    """What the examples of one task share with the rows that were trained on."""

    task: str
    scored: int  # examples of the task
    trained: int  # training rows
    overlaps: Sequence[Overlap]


class TrainingOverlap:
    """That what is scored was not trained on."""

    about = OverlapFacts

    def findings(self, facts: OverlapFacts) -> Iterator[Finding]:
        """A warning of copies, an error where they are most of the task; a note of shared runs."""
        copies = [item for item in facts.overlaps if item.level != "contained"]
        runs = [item for item in facts.overlaps if item.level == "contained"]
        if copies:
            equal = sum(item.level == "exact" for item in copies)
            yield Finding(
                check=_CHECK,
                severity="error" if len(copies) >= _MOST * facts.scored else "warning",
                what=f"{facts.task}: {len(copies)} of {facts.scored} scored examples are training "
                f"rows, too ({equal} with an equal input, {len(copies) - equal} near copies): "
                f"{_example(copies[0])}.",
                why="What was learnt by heart scores higher than what was understood.",
                hint="Take them out of the data, or have the splits made by cluster. Nothing was "
                "dropped; the losses by group are told with and without them.",
            )
        if runs:
            yield Finding(
                check=_CHECK,
                severity="info",
                what=f"{facts.task}: {len(runs)} of {facts.scored} scored examples share a run of "
                "13 words with a training row, or most of their runs of eight words: "
                f"{_example(runs[0])}.",
                why="It may be a quotation or a phrase of the field, so nothing was dropped.",
            )


def _example(item: Overlap) -> str:
    return f"for example {item.example_id} and {item.train_id}, “{item.span}”"


CHECK = TrainingOverlap()
