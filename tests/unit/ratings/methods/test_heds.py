"""The Human Evaluation Datasheet, drafted from the suite and the plan of the sheets."""

from __future__ import annotations

import re

from harness.ratings.methods.documents import TO_FILL_IN, heds_draft
from harness.ratings.records import (
    Agreement,
    Estimate,
    HumanResults,
    Item,
    RaterSummary,
    SheetPlan,
    SheetRow,
)
from harness.suite.ratings import CriterionSpec
from harness.suite.record import recorded_suite
from tests.unit.ratings.human_records import sheets_of
from tests.unit.ratings.methods import test_documents

# The form of HEDS 3.0 (nlp-heds.github.io) counts 41 blank fields before any
# criterion is added: 9 + 5 + 23 + 4 in sections 1, 2, 3 and 5. A criterion adds those of section 4.
ONCE = {
    "1": "1.1.1 1.1.2 1.2 1.3.1.1 1.3.1.2 1.3.1.3 1.3.2.1 1.3.2.2 1.3.2.3",
    "2": "2.1 2.2 2.3 2.4 2.5",
    "3": "3.1.1 3.1.2 3.1.3.1 3.1.3.2 3.1.3.3 3.2.1 3.2.2.1 3.2.2.2 3.2.2.3 3.2.2.4 3.2.3 3.2.4 "
    "3.2.5 3.3.1 3.3.2 3.3.3.1 3.3.3.2 3.3.4.1 3.3.4.2 3.3.5 3.3.6 3.3.7 3.3.8",
    "5": "5.1 5.2 5.3 5.4",
}
PER_CRITERION = (
    "4.1.1 4.1.2 4.1.3 4.2.1 4.2.2 4.2.3 4.3.1.1 4.3.1.2 4.3.2 4.3.3 4.3.4 4.3.5 4.3.6 4.3.7 "
    "4.3.8 4.3.9 4.3.10 4.3.11.1 4.3.11.2 4.3.12.1 4.3.12.2"
)
VARIANTS = ("base@nf4", "checkpoint-40")
SUITE = {
    "name": "demo",
    "description": "Summarise\ndocstrings",
    "base": {"model": "acme/writer", "revision": "abc"},
    "train": {"method": "qlora"},
    "data": {"source": "stdlib-docstrings"},
}


def plan_of(**changes: object) -> SheetPlan:
    return test_documents.plan_of(**{"run": "demo/run", **changes})


ITEMS = [
    Item(id=f"i{k}", cluster=f"c{k}", split="report", prompt="p", outputs={}) for k in range(20)
]


def rows_of(plan: SheetPlan) -> list[SheetRow]:
    rows: list[SheetRow] = []
    for rater in plan.raters:
        for item in ITEMS:
            for pair in plan.pairs:
                rows.append(
                    SheetRow.model_validate(
                        {
                            "token": f"t{len(rows)}",
                            "rater": rater,
                            "position": len(rows),
                            "kind": "pair",
                            "item": item.id,
                            "variants": pair,
                        }
                    )
                )
    return rows


def draft(plan: SheetPlan | None = None, results: HumanResults | None = None) -> str:
    plan = plan or plan_of()
    return heds_draft(sheets_of(plan, ITEMS, rows_of(plan)), recorded_suite(SUITE), results=results)


def answer(text: str, number: str) -> str:
    found = re.search(rf"^\*\*{re.escape(number)} [^*]*\.\*\* (.*)$", text, re.MULTILINE)
    assert found, number
    return found[1]


def test_every_question_is_answered_once_in_order() -> None:
    """All numbers of the form, those of section 4 once per criterion and for the preference."""
    found = re.findall(r"^\*\*(\d\.[\d.]+) ", draft(), re.MULTILINE)
    before = [number for section in "123" for number in ONCE[section].split()]
    assert found == before + 4 * PER_CRITERION.split() + ONCE["5"].split()
    assert len(before) + 4 == 41  # what the empty form counts


def test_a_plan_without_pairs_or_criteria_has_fewer_criteria() -> None:
    """Section 4 is there once per question that raters are asked."""
    for plan, n in ((plan_of(pairs=()), 3), (plan_of(criteria=()), 1)):
        assert draft(plan).count("**4.1.1 ") == n


def test_the_warning_and_the_number_of_open_places_are_on_top() -> None:
    """It must not be sent, and what is open is counted exactly."""
    text = draft()
    top, body = text.split("\n## 1 ", 1)
    assert "Do not send this to raters" in top
    assert f"**{body.count(TO_FILL_IN)} places are still to fill in;**" in top
    assert TO_FILL_IN not in top


def test_what_is_known_is_filled_in() -> None:
    """Systems, sample, power, scales and questions come from suite and plan."""
    text = draft()
    assert (
        "Base model: acme/writer (revision abc), fine-tuned by qlora on stdlib-docstrings" in text
    )
    assert "base@nf4 and checkpoint-40" in text
    assert "Summarise docstrings" in answer(text, "2.3")
    assert answer(text, "3.1.1") == "20"
    assert "seed 7" in answer(text, "3.1.2")
    assert "785 at 55 %" in answer(text, "3.1.3.2")
    assert answer(text, "3.2.1") == "2."
    assert answer(text, "4.3.3") == "5, and “cannot judge”."
    assert "1 = not readable" in answer(text, "4.3.4")
    assert "How well is the text written" in answer(text, "4.3.7")
    assert answer(text, "4.1.2") == "Form."


def test_what_only_the_team_knows_is_left_open() -> None:
    """References, recruitment, payment and ethics are never guessed."""
    text = draft()
    for number in ("1.1.1", "1.3.2.3", "3.2.2.2", "3.2.3", "4.3.1.2", "4.3.11.2", "5.1", "5.4"):
        assert TO_FILL_IN in answer(text, number)


def test_the_place_of_an_own_criterion_is_left_open() -> None:
    """Only the criteria known by name have a known place; a changed scale makes it one's own."""
    own = CriterionSpec(name="fluency", question="Nice?", scale={0: "no", 1: "yes"})
    text = draft(plan_of(criteria=(own,)))
    assert TO_FILL_IN in answer(text, "4.1.1")
    assert answer(text, "4.3.3") == "2, and “cannot judge”."


def test_instructions_stand_on_one_line() -> None:
    """What the suite adds to the instructions is quoted without its line breaks."""
    assert "“Be fair. Thanks.”" in answer(
        draft(plan_of(instructions="Be fair.\n\nThanks.")), "3.2.4"
    )


def test_a_suite_without_training_is_described_by_its_base() -> None:
    """External checkpoints have no train section, and an empty suite no base: left open."""
    plan = plan_of()
    text = heds_draft(
        sheets_of(plan, ITEMS, rows_of(plan)),
        recorded_suite({"base": {"model": "m"}, "train": None}),
    )
    assert "Base model: m. Rated:" in text
    assert "TO FILL IN: base model" in heds_draft(
        sheets_of(plan, ITEMS, rows_of(plan)), recorded_suite({})
    )


def test_results_fill_in_the_agreement() -> None:
    """Once ratings are back, alpha and self-consistency are no longer open."""
    plan = plan_of()
    alpha = Estimate(value=0.714, low=0.5, high=0.85, n=2)
    results = HumanResults(
        plan=plan,
        items=20,
        files=(),
        ratings=40,
        asked=40,
        raters=(RaterSummary(rater="ada", rows=20, answered=20, repeats=3, repeats_equal=2),),
        agreement=(
            Agreement(
                name="fluency", level="ordinal", alpha=alpha, units=2, ratings=4, distribution={}
            ),
        ),
        means=(),
    )
    text = draft(plan, results)
    assert answer(text, "4.3.11.2") == "0.71 [0.50, 0.85]."
    assert answer(text, "4.3.12.2").startswith("2 of 3 answers")
    assert "Of 40 rows, 40 were answered" in answer(text, "3.2.1")
