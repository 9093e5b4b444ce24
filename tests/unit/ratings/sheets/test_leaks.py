"""What in the outputs themselves tells raters which variant wrote them."""

from __future__ import annotations

import random
from collections.abc import Callable

from harness.ratings.records import Item, SheetPlan
from harness.ratings.sheets.leaks import find_leaks, leak_lines
from harness.schema import Finding
from harness.suite.ratings import CRITERIA, CriterionSpec
from tests.growth import growth

VARIANTS = ("base@nf4", "checkpoint-20")
WORDS = [f"word{n}" for n in range(400)]


def plan_of(
    variants: tuple[str, ...] = VARIANTS,
    *,
    instructions: str = "",
    criteria: tuple[CriterionSpec, ...] = (CRITERIA["fluency"],),
) -> SheetPlan:
    pairs = tuple((a, b) for i, a in enumerate(variants) for b in variants[i + 1 :])
    return SheetPlan(
        id="bcdf",
        run="suite/run",
        task="summaries",
        variants=variants,
        baseline=variants[0],
        predictions={},
        raters=("rater-1",),
        criteria=criteria,
        pairs=pairs,
        splits=("report",),
        instructions=instructions,
        seed=1,
    )


def items_of(*outputs: list[str], variants: tuple[str, ...] = VARIANTS) -> list[Item]:
    return [
        Item(
            id=f"i{k}",
            cluster=f"i{k}",
            split="report",
            prompt="Summarise.",
            outputs=dict(zip(variants, texts, strict=True)),
        )
        for k, texts in enumerate(zip(*outputs, strict=True))
    ]


def sentences(n: int, seed: int, words: int = 10) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=words)) + "." for _ in range(n)]


def checks(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.check for finding in findings]


def test_alike_outputs_have_no_leak() -> None:
    """Random sentences of the same kind give nothing to find."""
    assert find_leaks(plan_of(), items_of(sentences(50, 1), sentences(50, 2))) == ()


def test_no_items_have_no_leak() -> None:
    """Nothing to look at is no failure."""
    assert find_leaks(plan_of(), []) == ()


def test_every_kind_of_leak_is_found_warnings_first() -> None:
    """One export with everything wrong: each check speaks, with why and what to do."""
    a, b = sentences(60, 1), [f"- Sure! {text[:-1]}" * 3 for text in sentences(60, 2)]
    a[0] = "See checkpoint-20."
    b[1] += " As an AI language model, I am ChatGPT"
    b[2] = ""
    a[3] = b[3]
    plan = plan_of((*VARIANTS, "references"), instructions="Is base@nf4 good?")
    items = items_of(a, b, sentences(60, 3), variants=plan.variants)
    findings = find_leaks(plan, items)
    assert set(checks(findings)) == {
        "names in instructions",
        "names in outputs",
        "self-descriptions",
        "telling phrases",
        "telling lengths",
        "telling layout",
        "empty outputs",
        "equal outputs",
    }
    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, reverse=True)  # warning before info
    for finding in findings:
        assert finding.why
        assert finding.hint or finding.severity == "info"


def test_names_in_what_the_team_says_are_found() -> None:
    """Instructions and criteria are read by raters too; also the base model's name counts."""
    criterion = CriterionSpec(name="style", question="Like Acme9?", scale={0: "no", 1: "yes"})
    items = items_of(sentences(3, 1), sentences(3, 2))
    (finding,) = find_leaks(plan_of(criteria=(criterion,)), items, names=["acme9/one"])
    assert finding.check == "names in instructions"
    assert "“acme9”" in finding.what


def test_the_word_base_in_instructions_is_no_variant() -> None:
    """Only a variant's whole name counts: base@nf4 is not the word base."""
    plan = plan_of(instructions="Base your rating on the prompt; see the references.")
    assert find_leaks(plan, items_of(sentences(3, 1), sentences(3, 2))) == ()


def test_a_phrase_is_shown_short_and_without_control_characters() -> None:
    """A model's words are printed in terminals: escapes become visible, long words are cut."""
    a = sentences(20, 1)
    b = [f"\x1b[31m{'x' * 500} {text}" for text in a]
    findings = find_leaks(plan_of(), items_of(a, b))
    phrases = [finding.what for finding in findings if finding.check == "telling phrases"]
    assert phrases
    for what in phrases:
        assert "\x1b" not in what
        assert len(what) < 250


def test_length_gaps_come_with_medians_and_the_lean_of_preferences() -> None:
    """Twice the length: medians of all, the ratio, and that raters like longer texts."""
    findings = find_leaks(plan_of(), items_of(sentences(20, 1, 8), sentences(20, 2, 16)))
    (finding,) = findings
    assert finding.check == "telling lengths"
    assert "checkpoint-20 against base@nf4 (2.0 times; longer on 100 % of the items)" in (
        finding.what
    )
    assert "lean to the longer" in finding.why


def test_empty_outputs_count_even_in_few_items() -> None:
    """One output without text in three items is told; equally many are no warning."""
    (one,) = find_leaks(plan_of(), items_of(["", "b.", "c."], ["d.", "e.", "f."]))
    (both,) = find_leaks(plan_of(), items_of([" ", "b.", "c."], ["d.", "\n", "f."]))
    assert (one.check, one.severity, both.severity) == ("empty outputs", "warning", "info")
    assert "base@nf4 1, checkpoint-20 0 (of 3 each)" in one.what


def test_equal_outputs_warn_from_half_of_the_items() -> None:
    """Nine of 20 equal texts are told, ten are a warning: few votes are left."""
    a, b = sentences(20, 1), sentences(20, 2)
    (few,) = find_leaks(plan_of(), items_of(a, a[:9] + b[9:]))
    (many,) = find_leaks(plan_of(), items_of(a, a[:10] + b[10:]))
    assert (few.check, few.severity, many.severity) == ("equal outputs", "info", "warning")
    assert "base@nf4 and checkpoint-20 on 9 of 20 items" in few.what


def test_many_pairs_are_counted_rather_than_listed() -> None:
    """Of 28 pairs with a gap five are shown, and 23 counted."""
    variants = tuple(f"v{k}" for k in range(8))
    outputs = [["x" * 10 * 2**k + "."] * 12 for k in range(8)]
    findings = find_leaks(plan_of(variants), items_of(*outputs, variants=variants))
    lengths = next(finding for finding in findings if finding.check == "telling lengths")
    assert "and 23 further pairs" in lengths.what


def test_the_search_grows_with_the_items() -> None:
    """Four times the items of eight variants are hardly more work for each of them."""
    variants = tuple(f"checkpoint-{k}" for k in range(8))

    def work(size: int) -> Callable[[], object]:
        base = sentences(size, 0, 45)
        items = items_of(*(base[k:] + base[:k] for k in range(8)), variants=variants)
        return lambda: find_leaks(plan_of(variants), items, names=["acme/writer"])

    assert growth(work, 100, 400) < 1.2


def test_what_several_findings_have_in_common_is_said_once() -> None:
    """Five phrases of a variant need one piece of advice, beside the list of them."""

    def phrase(words: str) -> Finding:
        return Finding(check="p", severity="warning", what=f"“{words}”.", why="Why.", hint="Do.")

    other = Finding(check="e", severity="info", what="Empty.", why="Nothing to see.")
    assert leak_lines([phrase("a"), other, phrase("b")]) == [
        "warning: “a”.",
        "warning: “b”.",
        "  All 2: Why. Do.",
        "info: Empty. Nothing to see.",
    ]
    assert leak_lines([phrase("a")]) == ["warning: “a”. Why. Do."]
