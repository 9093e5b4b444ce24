"""The methods paragraph, and the facts that it and the datasheet give."""

from __future__ import annotations

from harness.ratings.methods.documents import facts, methods_paragraph
from harness.ratings.records import (
    Agreement,
    Estimate,
    HumanResults,
    Item,
    RaterSummary,
    SheetPlan,
    SheetRow,
)
from harness.suite.ratings import CRITERIA
from tests.unit.ratings.human_records import sheets_of

VARIANTS = ("base@nf4", "checkpoint-40")


def plan_of(**changes: object) -> SheetPlan:
    fields: dict[str, object] = {
        "id": "bcdf",
        "run": "suite/run",
        "task": "summaries",
        "variants": VARIANTS,
        "baseline": "base@nf4",
        "predictions": {},
        "raters": ("ada", "grace"),
        "criteria": tuple(CRITERIA.values()),
        "pairs": (VARIANTS,),
        "splits": ("report",),
        "seed": 7,
    }
    return SheetPlan.model_validate({**fields, **changes})


def items_of(n: int, clusters: int | None = None) -> list[Item]:
    return [
        Item(id=f"i{k}", cluster=f"c{k % (clusters or n)}", split="report", prompt="p", outputs={})
        for k in range(n)
    ]


def row_of(number: int, **fields: object) -> SheetRow:
    return SheetRow.model_validate(
        {"token": f"t{number}", "position": number, "rater": "ada", "item": "i0", **fields}
    )


def rows_of() -> list[SheetRow]:
    """Two raters, items i0 and i1 on scales; i1 compared (i0 has equal texts); a row repeated."""
    rows = []
    for rater in ("ada", "grace"):
        scale = [("i0", VARIANTS), ("i1", VARIANTS[:1]), ("i1", VARIANTS[1:])]
        rows += [
            row_of(len(rows) + 1, rater=rater, kind="scale", item=item, variants=variants)
            for item, variants in scale
        ]
        rows.append(row_of(len(rows) + 1, rater=rater, kind="pair", item="i1", variants=VARIANTS))
    again = rows[0]
    rows.append(
        row_of(
            12,
            kind="scale",
            variants=again.variants,
            purpose="repeat",
            repeats=again.token,
        )
    )
    rows.append(row_of(13, kind="scale", variants=VARIANTS[:1], purpose="attention", spoilt="x"))
    return rows


def results_of(plan: SheetPlan, alpha: Estimate) -> HumanResults:
    return HumanResults(
        plan=plan,
        items=2,
        files=(),
        ratings=9,
        asked=10,
        raters=(
            RaterSummary(rater="ada", rows=6, answered=6, repeats=3, repeats_equal=2),
            RaterSummary(rater="grace", rows=4, answered=0),
        ),
        agreement=(
            Agreement(
                name="fluency", level="ordinal", alpha=alpha, units=2, ratings=4, distribution={}
            ),
        ),
        means=(),
    )


def test_facts_count_what_is_asked() -> None:
    """Rows by purpose, loads, overlap, distance of repeats, comparisons of equal texts."""
    found = facts(sheets_of(plan_of(), items_of(2), rows_of()))
    assert found.rows["scale", "main"] == 6
    assert found.rows["pair", "main"] == 2
    assert (found.of("repeat"), found.of("attention"), found.of("same")) == (1, 1, 0)
    assert found.per_rater == (4, 6)
    assert found.overlap == (2, 2)
    assert found.apart == 11
    assert (found.equal, found.shared, found.items) == (1, 1, 2)
    assert found.clusters == 2


def test_swapped_repeats_are_told_only_where_they_are() -> None:
    """That sides are swapped is read off the rows, not taken for granted."""
    first = row_of(1, kind="pair", variants=VARIANTS)
    again = {"kind": "pair", "variants": VARIANTS, "purpose": "repeat", "repeats": "t1"}
    turned, same = row_of(12, **again, swapped=True), row_of(12, **again)
    assert "sides swapped" in methods_paragraph(sheets_of(plan_of(), items_of(2), [first, turned]))
    assert "sides swapped" not in methods_paragraph(
        sheets_of(plan_of(), items_of(2), [first, same])
    )


def test_sampling_says_splits_seed_and_clusters() -> None:
    """Two splits are drawn in equal parts; where clusters repeat, their number is told."""
    items = items_of(10, clusters=8)
    plan = plan_of(splits=("select", "report"))
    text = methods_paragraph(sheets_of(plan, items, []))
    assert "10 examples" in text
    assert "seed 7" in text
    assert "the splits select and report in equal parts" in text
    assert "from 8 clusters" in text


def test_the_paragraph_holds_what_a_methods_section_needs() -> None:
    """Variants, sample, raters, questions, blinding, checks, statistics; one line."""
    text = methods_paragraph(sheets_of(plan_of(), items_of(2), rows_of()))
    assert text.count("\n") == 1
    assert text.endswith(".\n")
    for part in (
        "base@nf4 and checkpoint-40",
        "2 examples of the task summaries",
        "no two of one cluster",
        "2 raters got 4 to 6 rows each; every judgement was asked of 2 raters",
        "fluency (“How well is the text written, whatever it says?”, from 1, not readable, to 5",
        "every pair of variants",
        "A text that several variants wrote was judged once",
        "with A, B or tie (2 in all)",
        "On 1 of 2 items by pair both texts were equal; these count as ties",
        "the key was kept apart",
        "1 row was shown a second time, at least 11 rows apart",
        "1 row was shown with a spoilt output",
        "ordinal for scales and nominal for preferences",
        "Davidson 1970",
    ):
        assert part in text
    assert "Alpha was" not in text


def test_what_was_not_asked_is_not_told() -> None:
    """Without pairs there is no Bradley-Terry, without criteria no scale, without checks none."""
    only_scales = methods_paragraph(sheets_of(plan_of(pairs=()), items_of(2), rows_of()[:3]))
    only_pairs = methods_paragraph(sheets_of(plan_of(criteria=()), items_of(2), rows_of()[3:4]))
    assert "Bradley" not in only_scales
    assert "B or tie" not in only_scales
    assert "no attention checks" in only_scales
    assert "scale" not in only_pairs
    assert "each item counting once" not in only_pairs


def test_references_and_a_shown_reference_are_named_for_what_they_are() -> None:
    """The variant called references is the references of the data."""
    plan = plan_of(variants=(*VARIANTS, "references"), pairs=(), show_reference=True)
    text = methods_paragraph(sheets_of(plan, items_of(2), []))
    assert "checkpoint-40 and the references of the data" in text
    assert "saw the prompt and the reference" in text


def test_one_rater_is_told_in_the_singular() -> None:
    """One rater got rows; every judgement was asked of one."""
    text = methods_paragraph(sheets_of(plan_of(raters=("ada",)), items_of(2), rows_of()[:4]))
    assert "One rater got 4 rows; every judgement was asked of one rater." in text


def test_results_add_what_came_back_and_alpha() -> None:
    """Answered rows, raters that sent something, alpha with its interval where there is one."""
    plan = plan_of()
    alpha = Estimate(value=0.714, low=0.5, high=0.85, n=2)
    text = methods_paragraph(
        sheets_of(plan, items_of(2), rows_of()), results=results_of(plan, alpha)
    )
    assert "Of 10 rows, 9 were answered, by 1 of 2 raters." in text
    assert "Alpha was fluency 0.71 [0.50, 0.85]." in text
    none = results_of(plan, Estimate(value=None, reason="no variance"))
    assert "Alpha was" not in methods_paragraph(
        sheets_of(plan, items_of(2), rows_of()), results=none
    )
