"""The methods paragraph: how the ratings were made, for the team's own paper or report.

It names the variants, as the datasheet (:mod:`harness.ratings.methods.heds`) does: neither may
reach a rater.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.ratings.layout import CANNOT_JUDGE, PREFERENCE_QUESTION
from harness.ratings.methods.facts import (
    Facts,
    came_back,
    checks,
    facts,
    listed,
    sampling,
    span,
    variants_in_words,
)
from harness.ratings.methods.heds import heds_draft
from harness.ratings.records import HumanResults, Item, SheetPlan, SheetRow

__all__ = ["heds_draft", "methods_paragraph"]


def methods_paragraph(
    plan: SheetPlan,
    items: Sequence[Item],
    rows: Sequence[SheetRow],
    *,
    results: HumanResults | None = None,
) -> str:
    """One paragraph on how the ratings were made, to be pasted into a paper or report.

    Args:
        plan: The export's plan.
        items: Its items.
        rows: Rows of all raters.
        results: What the ratings say, once they are back: adds what came back and the agreement.

    Returns:
        Sentences in the past tense on one line, and a line end.
    """
    found = facts(plan, items, rows)
    sentences = [
        f"We had outputs of {variants_in_words(plan)} judged by people.",
        sampling(plan, items, found),
        _raters(plan, found),
        *_questions(plan, found),
        _blinding(plan),
        checks(found),
        *_statistics(plan),
        *came_back(results),
    ]
    return " ".join(sentences) + "\n"


def _raters(plan: SheetPlan, found: Facts) -> str:
    number, (low, high) = len(plan.raters), found.overlap
    raters = "One rater" if number == 1 else f"{number} raters"
    each = "" if number == 1 else " each"
    by = "one rater" if high == 1 else f"{span(low, high)} raters"
    rows = span(*found.per_rater)
    return f"{raters} got {rows} rows{each}; every judgement was asked of {by}."


def _questions(plan: SheetPlan, found: Facts) -> list[str]:
    sentences = []
    if plan.criteria:
        scales = listed(
            f"{c.name} (“{c.question}”, from {c.points[0]}, {c.scale[c.points[0]]}, to "
            f"{c.points[-1]}, {c.scale[c.points[-1]]})"
            for c in plan.criteria
        )
        sentences.append(
            f"Each output was judged on {scales}, with words at every point of a scale and the "
            f"choice “{CANNOT_JUDGE}”."
        )
        if found.shared:
            sentences.append(
                "A text that several variants wrote was judged once and counts for each of them."
            )
    if plan.pairs:
        which = (
            "every pair of variants"
            if len(plan.pairs) == len(plan.variants) * (len(plan.variants) - 1) // 2
            else listed(" with ".join(pair) for pair in plan.pairs)
        )
        sentences.append(
            f"For {which}, raters saw both outputs and answered “{PREFERENCE_QUESTION}” with A, "
            f"B or tie ({found.rows['pair', 'main']} in all)."
        )
        if found.equal:
            sentences.append(
                f"On {found.equal} of {len(plan.pairs) * found.items} items by pair both texts "
                "were equal; these count as ties and were not asked."
            )
    return sentences


def _blinding(plan: SheetPlan) -> str:
    reference = " and the reference" if plan.show_reference else ""
    sides = "; sides were mixed and balanced for every rater and pair" if plan.pairs else ""
    return (
        f"Raters saw the prompt{reference}, and nothing that names a variant: rows had random "
        f"codes, and the key was kept apart. The order of rows was drawn for each rater{sides}."
    )


def _statistics(plan: SheetPlan) -> list[str]:
    levels = [
        *(["ordinal for scales"] if plan.criteria else []),
        *(["nominal for preferences"] if plan.pairs else []),
    ]
    sentences = [f"Agreement is Krippendorff's alpha ({listed(levels)}) with a 95 % interval."]
    if plan.criteria:
        compared = (
            ", and differences from the baseline within raters, with intervals over raters as well "
            "(two-way; three raters or more)"
            if plan.baseline
            else ""
        )
        sentences.append(
            "Criteria are means over items, each item counting once with the raters who judged it "
            f"for all variants, with 95 % intervals over clusters of items{compared}."
        )
    if plan.pairs:
        sentences.append(
            "Preferences are given as the share of wins and half the ties over items, and as "
            "strengths of a Bradley-Terry model with ties (Davidson 1970), with 95 % intervals "
            "over clusters of items, and over raters as well (two-way; three raters or more)."
        )
    return sentences
