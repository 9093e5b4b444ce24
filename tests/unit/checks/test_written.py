"""What a variant wrote, as a whole: self-reference, degeneration, drift, no change at all."""

from collections.abc import Sequence

import pytest

from harness.checks.base import findings_about
from harness.checks.written import WrittenFacts, drifts
from harness.schema import Example, Finding, Prediction

TEXTS = [f"the answer to question {n} is {n} and nothing else" for n in range(40)]
GOOD = [f"it is {n}" for n in range(40)]
LOOP = "it is so it is so it is so"


def outputs(texts: Sequence[str], cut: int = 0) -> dict[str, Prediction]:
    return {
        f"e{n}": Prediction(
            example_id=f"e{n}", text=text, prompt_tokens=5, new_tokens=5, finish_reason="eos",
            truncated_prompt_tokens=int(n < cut),
        )
        for n, text in enumerate(texts)
    }  # fmt: skip


def noticed(
    texts: Sequence[str],
    before: Sequence[str] = GOOD,
    references: Sequence[str] = TEXTS,
    *,
    variant: str = "checkpoint-2",
    cut: int = 0,
) -> list[Finding]:
    examples = {
        f"e{n}": Example(id=f"e{n}", prompt=f"q{n}", completion="", references=(reference,),
                         cluster="c", split="report")
        for n, reference in enumerate(references)
    }  # fmt: skip
    facts = WrittenFacts("task", variant, "base", outputs(texts, cut), outputs(before), examples)
    return findings_about(facts)


def test_outputs_of_their_own_are_not_told_of() -> None:
    """Neither of the baseline nor of a candidate, right or wrong."""
    assert noticed([f"well, {text}" for text in GOOD]) == []
    assert noticed(GOOD, variant="base") == []


def test_references_that_the_baseline_wrote_are_an_error() -> None:
    """As in a book that scores against the base's own outputs: the base has 1.0, the adapter 1.07.

    Of another variant it is a note: it may have learnt them.
    """
    (error,) = noticed(TEXTS, TEXTS, variant="base")
    assert (error.check, error.severity) == ("self-reference", "error")
    assert "40 of 40 references of task are word for word" in error.what
    (note,) = noticed(TEXTS)
    assert note.severity == "info"


def test_short_or_few_references_are_met_by_chance() -> None:
    """Labels are right word for word; so may two sentences be."""
    labels = ["yes" if n % 2 else "no" for n in range(40)]
    assert noticed(labels, references=labels, variant="base") == []
    assert noticed(TEXTS[:2], TEXTS[:2], TEXTS[:2], variant="base") == []
    assert noticed([*TEXTS[:20], *GOOD[20:]], variant="base") == []


@pytest.mark.parametrize(
    ("text", "what"),
    [(LOOP, "output repeats itself"), ("  ", "output is empty"), ("Это верно", "another script")],
)
def test_outputs_that_degenerate_are_told_with_the_change(text: str, what: str) -> None:
    """And with an example; fewer, or as many as the baseline has, are no change."""
    (finding,) = noticed([text] * 12 + GOOD[12:])[:1]
    assert (finding.severity, finding.check) == ("warning", "outputs")
    assert f"12 of 40 outputs of task: {what}" in finding.what.replace("output is in ", "")
    assert "0 of 40 with base" in finding.what
    assert "example e0" in finding.what
    assert noticed([text] * 2 + [f"so {text}" for text in GOOD[2:]]) == []
    before = [text] * 12 + GOOD[12:]
    after = [text] * 12 + [f"so {text}" for text in GOOD[12:]]
    assert noticed(after, before) == []


def test_of_three_outputs_most_are_told() -> None:
    """No test tells a change in three, but all of them loop."""
    assert "2 of 3 outputs" in noticed([LOOP, LOOP, "a"], GOOD[:3], TEXTS[:3])[0].what


def test_degenerate_outputs_of_the_baseline_are_a_note() -> None:
    """It is what is to be improved."""
    before = [LOOP] * 30 + GOOD[30:]
    (note,) = noticed(before, before, variant="base")
    assert note.severity == "info"
    assert noticed([f"so {text}" for text in GOOD], before) == []


def test_outputs_that_are_all_the_baselines_are_told() -> None:
    """As where an adapter was not applied, and nobody told."""
    (finding,) = noticed(GOOD)
    assert "all 40 outputs of task are those of base" in finding.what
    assert noticed([*GOOD[:-1], "other"]) == []


def test_unequal_truncation_is_told() -> None:
    """Variants that saw different prompts were asked different things."""
    (finding,) = noticed([f"so {text}" for text in GOOD], cut=3)
    assert "3 prompts of task were cut, and 0 with base" in finding.what


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("It is good", "Это хорошо", True),
        ("Это всё good", "Это хорошо", False),
        ("これは良い", "これはよい", False),
        ("ﾆﾎﾝです", "日本", False),
        ("Ａｎｓｗｅｒ", "answer", False),
        ("42 + 1", "Это хорошо", False),
        ("It is good", "42", False),
    ],
)
def test_a_script_is_told_by_most_letters(text: str, reference: str, expected: bool) -> None:
    """Digits and signs are of none."""
    assert drifts(text, [reference]) is expected
