"""What a rater gets, whatever the format: columns, answers, words. Sheets and page are two views.

Everything in a :class:`RaterSheet` may be seen by its rater; nothing in it names a variant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.ratings.records import Item, RowKind, SheetRow, Sheets
from harness.suite.ratings import PREFERENCE, CriterionSpec

ROW = "row"  # its token
PROMPT, REFERENCE, OUTPUT = "prompt", "reference", "output"
OUTPUT_A, OUTPUT_B = "output A", "output B"
COMMENT, MINUTES = "comment", "minutes"

CANNOT_JUDGE = "cannot judge"
A, B, TIE = "A", "B", "tie"
SHEET_NAMES: dict[RowKind, str] = {"scale": "Ratings", "pair": "Preferences"}
EMPTY = "(no text)"  # what raters see of an output without any

MOST_MINUTES = 600  # a row does not take a working day: a larger number is seconds, or a slip
PAGE_FORMAT, PAGE_VERSION = "qlora-harness ratings", 1  # of the file that a rating page saves

ELSEWHERE = "Choose another folder with --output."
"""The hint where sheets cannot be written."""


@dataclass(frozen=True)
class ShownRow:
    """One row as its rater sees it."""

    token: str  # identifies it
    prompt: str  # what the model was given
    reference: str | None  # the reference, where it is shown
    outputs: tuple[str, ...]  # one text (kind ``scale``), or A's and B's (kind ``pair``)


@dataclass(frozen=True)
class RaterSheet:
    """All that one rater gets."""

    id: str  # of the export; says nothing of the run
    rater: str  # the rater's name
    criteria: tuple[CriterionSpec, ...]  # what is asked of one output
    instructions: str  # the suite's own, added to the general ones
    scale: tuple[ShownRow, ...]  # rows of one output each, in the rater's order
    pair: tuple[ShownRow, ...]  # rows of two outputs each, likewise

    def rows(self, kind: RowKind) -> tuple[ShownRow, ...]:
        """Rows of one kind."""
        return self.scale if kind == "scale" else self.pair

    @property
    def kinds(self) -> tuple[RowKind, ...]:
        """Kinds of which there are rows."""
        return tuple(kind for kind in SHEET_NAMES if self.rows(kind))

    @cached_property  # asked for every row
    def shows_reference(self) -> bool:
        """Whether there is a column for the reference."""
        return any(row.reference is not None for row in (*self.scale, *self.pair))


def rater_sheets(sheets: Sheets) -> list[RaterSheet]:
    """What each rater of an export gets, in the plan's order of raters."""
    plan, by_id = sheets.plan, {item.id: item for item in sheets.items}
    parts: dict[tuple[str, RowKind], list[ShownRow]] = {}
    for row in sorted(sheets.rows, key=lambda row: row.position):
        shown = _shown(row, by_id[row.item], plan.show_reference)
        parts.setdefault((row.rater, row.kind), []).append(shown)
    return [
        RaterSheet(
            id=plan.id,
            rater=rater,
            criteria=plan.criteria,
            instructions=plan.instructions,
            scale=tuple(parts.get((rater, "scale"), ())),
            pair=tuple(parts.get((rater, "pair"), ())),
        )
        for rater in plan.raters
    ]


def _shown(row: SheetRow, item: Item, show_reference: bool) -> ShownRow:
    texts = [item.outputs[name] for name in row.variants]
    if row.kind == "scale":
        texts = texts[:1]
    if row.spoilt is not None:
        texts[-1] = row.spoilt
    if row.swapped:
        texts.reverse()
    reference = item.reference if show_reference else None
    return ShownRow(row.token, item.prompt, reference, tuple(texts))


def columns(sheet: RaterSheet, kind: RowKind) -> list[str]:
    """Column names of one kind of rows, in order: what is shown first, then what is asked."""
    given = [ROW, PROMPT, *([REFERENCE] if sheet.shows_reference else [])]
    given += [OUTPUT] if kind == "scale" else [OUTPUT_A, OUTPUT_B]
    return [*given, *asked(sheet.criteria, kind)]


def asked(criteria: Sequence[CriterionSpec], kind: RowKind) -> list[str]:
    """Names of the columns that a rater fills in."""
    judged = [criterion.name for criterion in criteria] if kind == "scale" else [PREFERENCE]
    return [*judged, COMMENT, MINUTES]


def answers(criterion: CriterionSpec) -> list[str]:
    """What may be answered for a criterion, in the order of every format: as the suite has it."""
    return [*(f"{point} - {words}" for point, words in criterion.scale.items()), CANNOT_JUDGE]


PREFERENCE_ANSWERS: dict[str, str] = {
    A: "A is better",
    B: "B is better",
    TIE: "neither is better",
    CANNOT_JUDGE: "I cannot tell, for want of knowledge or because a text is missing",
}
PREFERENCE_LINES = {answer: f"{answer}: {words}" for answer, words in PREFERENCE_ANSWERS.items()}
"""Answer -> the line that says what it means."""
PREFERENCE_QUESTION = "Which of the two would you rather be given, all in all?"


def general_instructions(sheet: RaterSheet) -> list[str]:
    """What every rater reads first, a paragraph each. Format-specific ones are the formats' own."""
    paragraphs = [
        "You will see texts that computer programs wrote, each with the prompt that it was given. "
        "Please judge every text for itself, as it stands.",
    ]
    if sheet.scale:
        paragraphs.append(
            "Ratings: for each text, choose the point of each scale whose words fit best. Use the "
            f"whole scale. Choose “{CANNOT_JUDGE}” where you lack the knowledge; do not guess."
        )
    if sheet.pair:
        paragraphs.append(
            f"Preferences: two texts answer the same prompt. {PREFERENCE_QUESTION} Choose “{TIE}” "
            "where neither is better; the sides A and B are mixed at random."
        )
    paragraphs.append(
        "Some texts appear more than once, and a few are there to see how ratings work: that is "
        "intended. Judge each anew, without looking back, and please do not discuss texts with "
        "other raters before all sheets are back."
    )
    paragraphs.append(
        "Comments and minutes are optional: a comment helps where a rating needs a reason, minutes "
        "are the time a row took you."
    )
    if sheet.instructions.strip():
        paragraphs.append(sheet.instructions.strip())
    return paragraphs
