"""What a suite may say about human raters: what they see, and what they are asked of it."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.schema import Split
from harness.suite.rules import Spec

PREFERENCE = "preference"  # of two outputs; beside the criteria, a metric of its own
REFERENCES = "references"  # in human.variants: the reference itself, rated like a variant
CHECKPOINTS = "checkpoints"  # in human.variants: every checkpoint of the run
_TAKEN = (PREFERENCE, "row", "prompt", "reference", "output", "comment", "minutes", "notes")

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class CriterionSpec(Spec):
    """One thing that raters judge of a single output, on a scale whose points are all in words."""

    name: Name = Field(description="Names the column and the metric.")
    question: str = Field(min_length=1, description="What the rater is asked.")
    scale: dict[int, str] = Field(
        min_length=2,
        max_length=11,
        description="Every point of the scale and what it means, worst first: {1: ..., 2: ...}.",
    )

    @model_validator(mode="after")
    def _anchored(self) -> Self:
        points = list(self.scale)
        if points != list(range(points[0], points[0] + len(points))) or points[0] < 0:
            raise ValueError("scale must hold whole numbers from 0 or more, rising by one")
        if any(not words.strip() for words in self.scale.values()):
            raise ValueError("every point of the scale needs words that say what it means")
        if self.name in _TAKEN:
            raise ValueError(f"a criterion must not be called {self.name}: a column is")
        return self

    @property
    def points(self) -> tuple[int, ...]:
        """Points of the scale, worst first."""
        return tuple(self.scale)


CRITERIA: dict[str, CriterionSpec] = {
    criterion.name: criterion
    for criterion in (
        CriterionSpec(
            name="fluency",
            question="How well is the text written, whatever it says?",
            scale={
                1: "not readable",
                2: "hard to read: errors in most sentences",
                3: "readable, with several errors or odd phrases",
                4: "reads well, with a small slip",
                5: "reads as if an attentive person wrote it",
            },
        ),
        CriterionSpec(
            name="relevance",
            question="Does the text do what was asked, and keep to what matters?",
            scale={
                1: "does not answer what was asked",
                2: "touches it, but misses most of what matters",
                3: "covers about half of what matters, or pads it",
                4: "covers nearly all that matters, with little else",
                5: "covers all that matters, and nothing else",
            },
        ),
        CriterionSpec(
            name="correctness",
            question="Is what the text says true, going by the prompt?",
            scale={
                1: "wrong or made up throughout",
                2: "more wrong than right",
                3: "right in the main, with a serious error",
                4: "right, with a minor slip",
                5: "right in everything it says",
            },
        ),
    )
}
"""Criteria that a suite may name without describing them."""


_MOST_RATERS = 10_000  # each has a name and a sheet


class HumanSpec(Spec):
    """Rating sheets: which outputs, how many, for whom, and what is asked of them."""

    task: str | None = Field(
        None, description="Generation task whose outputs are rated; default: the one that decides."
    )
    variants: tuple[str, ...] = Field(
        ("baseline", "chosen"),
        min_length=1,
        description="Whose outputs: baseline, chosen (by select), merged (of the chosen), "
        "checkpoints (all), references, or variant names.",
    )
    splits: tuple[Split, ...] = Field(
        ("report",),
        min_length=1,
        description="Items come from these in equal parts; a constraint of select on ratings "
        "reads those of select.",
    )
    items: int = Field(
        38,  # the most, if even, that stays below 90 minutes at the seconds of human/advice.py
        gt=0,
        description="Examples to rate, at most one per cluster if it can.",
    )
    raters: int | tuple[Name, ...] = Field(
        3, description="How many raters, or a name for each (lower-case; they see it)."
    )
    overlap: int | None = Field(
        None, gt=0, description="Raters per item; default: every rater sees every item."
    )
    criteria: tuple[str | CriterionSpec, ...] = Field(
        tuple(CRITERIA),
        description="What is judged of each output: fluency, relevance, correctness, or your own "
        "with name, question and scale.",
    )
    preference: Literal["all", "baseline", "none"] = Field(
        "all",
        description="Which two outputs are compared: all pairs, each with the baseline, none.",
    )
    show_reference: bool = Field(False, description="Whether raters see the reference.")
    repeats: float = Field(
        0.08, ge=0, le=0.5, description="Share of rows shown a second time, for self-consistency."
    )
    attention: float = Field(
        0.04, ge=0, le=0.5, description="Share of added rows with a spoilt output, as a check."
    )
    same: float = Field(
        0.04, ge=0, le=0.5, description="Share of added comparisons of a text with itself."
    )
    instructions: str = Field("", description="Added to the instructions that raters read first.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in self.criteria:
            if isinstance(name, str) and name not in CRITERIA:
                raise ValueError(
                    f"criteria names {name!r}, but only {', '.join(CRITERIA)} are known by name; "
                    "describe your own with name, question and scale"
                )
        names = [criterion.name for criterion in self.all_criteria]
        if len(set(names)) < len(names):
            raise ValueError("criteria names one of them twice")
        if not names and self.preference == "none":
            raise ValueError("raters need criteria or preference: nothing would be asked of them")
        if isinstance(self.raters, int) and self.raters > _MOST_RATERS:
            raise ValueError(f"raters must be at most {_MOST_RATERS:,}")
        if not isinstance(self.raters, int) and len(set(self.raters)) < len(self.raters):
            raise ValueError("raters names one of them twice")
        if not self.rater_names:
            raise ValueError("raters must be at least 1")
        if self.overlap is not None and self.overlap > len(self.rater_names):
            raise ValueError(
                f"overlap asks for {self.overlap} raters per item, but there are "
                f"{len(self.rater_names)}"
            )
        if len(set(self.variants)) < len(self.variants) or len(set(self.splits)) < len(self.splits):
            raise ValueError("variants and splits must not name anything twice")
        return self

    @property
    def all_criteria(self) -> tuple[CriterionSpec, ...]:
        """The criteria in full, in the order in which they are asked."""
        return tuple(CRITERIA[c] if isinstance(c, str) else c for c in self.criteria)

    @property
    def rater_names(self) -> tuple[str, ...]:
        """One name per rater, as files are called by; ``rater-1`` and so on where none is given."""
        if isinstance(self.raters, int):
            return tuple(f"rater-{number}" for number in range(1, self.raters + 1))
        return self.raters

    @property
    def raters_per_item(self) -> int:
        """How many raters see each item."""
        return self.overlap or len(self.rater_names)
