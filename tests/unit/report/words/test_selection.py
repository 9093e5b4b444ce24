from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import render_csv, render_json
from harness.report.words.comparison import equivalence_words
from harness.report.words.selection import candidate_table, claims
from harness.report.words.verdict import open_words
from harness.schema import ConstraintCheck, Equivalence, Selection
from tests.unit.report.test_build import SMALL

THREE = ("base@nf4", "checkpoint-40", "merged-40")


def view_of(make_run: Callable[..., Any], variants: Any = THREE, **options: Any) -> Any:
    run = make_run(variants=variants, **options)
    return build_view(run.store, run.build())


def test_what_is_claimed_comes_from_other_examples(sample: Any) -> None:
    """The figure from report, and each constrained score from what choosing did not read."""
    choice, checks = sample.view.choice, sample.manifest.selection.constraints
    assert choice.figure.n == choice.comparison.n == 40
    assert choice.comparison.split == "report"
    assert [held.comparison.split for held in choice.held] == [
        "report half",
        "report half, 2 members pooled",
    ]
    chosen = sample.manifest.selection.chosen
    read = [check for check in checks if check.variant == chosen and check.data]
    assert [check.data for check in read] == ["select half", "select half, 2 members pooled"]
    assert [c.n + held.comparison.n for c, held in zip(read, choice.held, strict=True)] == [40, 80]


def test_the_section_is_in_every_form(sample: Any) -> None:
    """HTML, Markdown, JSON and CSV show candidates and constraints."""
    page, text = render_html(sample.view), render_markdown(sample.view)
    section = page[page.index('<section id="choice">') : page.index('<section id="matrix">')]
    for name in ("checkpoint-20", "checkpoint-40", "checkpoint-60"):
        assert name in section
    assert "decode speed at least 15 tok/s" in section
    assert "✓" in section
    assert "## Choice" in text
    assert "peak resident memory at most 0.7 GB" in text
    held = json.loads(render_json(sample.view))
    assert len(held["selection"]["constraints"]) == 12
    assert held["choice"]["figure"]["n"] == 40
    rows = list(csv.DictReader(io.StringIO(render_csv(sample.view, "candidates"))))
    assert len(rows) == 3 + 12
    assert {row["status"] for row in rows} <= {"", "kept", "unsure", "broken", "unknown"}


def test_a_run_without_a_choice_says_so(make_run: Callable[..., Any]) -> None:
    """In the section's place."""
    run = make_run(spec=SMALL, variants=THREE)
    manifest = run.build(selection=None)
    view = build_view(run.store, manifest)
    assert candidate_table(None, view.rows, view.baseline) is None
    assert "The choice was not made." in render_html(view)
    assert "## Choice" not in render_markdown(view)
    assert claims(view) == []


def test_excluded_checkpoints_are_marked(make_run: Callable[..., Any]) -> None:
    """With the constraint they break."""
    spec = SMALL | {
        "measure": {},
        "select": {"constraints": [{"measurement": "decode_tokens_per_s", "min": 30}]},
    }
    view = view_of(make_run, spec=spec)
    assert view.verdict.outcome == "none"
    assert "keeps to the constraints" in view.verdict.headline
    section = render_html(view)
    assert "excluded" in section
    assert "✗" in section
    assert view.choice.figure is None


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (["kept"], ""),
        (["unsure"], "1 constraint is not decided by the data"),
        (["unknown", "unsure", "kept", "unsure"], "1 constraint could not be checked, 2 are not"),
        (["unknown", "unknown"], "2 constraints could not be checked"),
    ],
)
def test_what_is_open_about_the_choice_is_counted(statuses: list[Any], words: str) -> None:
    """Of the chosen checkpoint alone."""
    checks = [ConstraintCheck(variant="c1", what=str(n), status=s) for n, s in enumerate(statuses)]
    checks.append(ConstraintCheck(variant="c2", what="0", status="unknown"))
    selection = Selection(
        task="t", metric="m", split="select", chosen="c1", reason="", constraints=tuple(checks)
    )
    assert open_words(selection).startswith(words)
    assert bool(open_words(selection)) == bool(words)


def test_the_headline_says_at_once_what_could_not_be_checked(make_run: Callable[..., Any]) -> None:
    """It stands in the first line, before any figure of other tasks."""
    spec = SMALL | {"select": {"constraints": [{"task": "mmlu/nothing", "max_drop": 1}]}}
    verdict = view_of(make_run, spec=spec).verdict
    assert verdict.outcome == "ship"
    assert verdict.headline.endswith("; 1 constraint could not be checked (see Choice).")


@pytest.mark.parametrize(
    ("merged", "words"),
    [
        ("same", "merged-40 scores exactly as checkpoint-40 does on every example of the report"),
        ("other", "merged-40 is worse than checkpoint-40 by more than 2 points"),
    ],
)
def test_merged_and_adapter_are_tested_for_equivalence(
    make_run: Callable[..., Any], merged: str, words: str
) -> None:
    """No significant difference would be no evidence."""

    def write(variant: str, reference: str) -> str:
        words = reference.split()
        if variant == "base@nf4":
            return words[0]
        return " ".join(words[:4] if variant == "merged-40" and merged == "other" else words)

    view = view_of(make_run, spec=SMALL, text=write)
    assert any(line.startswith(words) for line in view.verdict.support)
    assert view.choice.merged[0].identical == (merged == "same")


def found(**changes: Any) -> Equivalence:
    known: dict[str, Any] = {
        "task": "t", "metric": "m", "split": "report", "first": "a", "second": "b", "n": 96,
        "delta": 0.001, "low": -0.008, "high": 0.01, "margin": 0.02,
    }  # fmt: skip
    return Equivalence(**{**known, **changes})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"equivalent": True},
            "b is equivalent to a within 2 points "
            "(difference +0.1, 90 % interval [−0.8, +1.0], n = 96).",
        ),
        (
            {"no_worse": True, "high": 0.03},
            "b is no worse than a within 2 points "
            "(difference +0.1, 90 % interval [−0.8, +3.0], n = 96).",
        ),
        (
            {"equivalent": False, "no_worse": True, "delta": 0.05, "low": 0.03, "high": 0.07},
            "b is better than a by more than 2 points "
            "(difference +5.0, 90 % interval [+3.0, +7.0], n = 96).",
        ),
        (
            {"needed_n": 400},
            "b is not shown equivalent to a within 2 points (difference +0.1, "
            "90 % interval [−0.8, +1.0], n = 96); that needs about n = 400.",
        ),
        ({"delta": None, "reason": "b has no score"}, "b was not compared with a: b has no score."),
    ],
)
def test_equivalence_in_words(sample: Any, changes: dict[str, Any], words: str) -> None:
    """With margin, interval, n, and the n that would decide it."""
    row = sample.view.primary_row
    assert equivalence_words(found(**changes), row) == words


def test_equivalence_of_losses_says_its_unit(sample: Any) -> None:
    """What is not in points is in the metric's own unit."""
    row = next(row for row in sample.view.rows if row.metric == "eval_loss")
    words = equivalence_words(found(equivalent=True), row)
    assert words.startswith("b is equivalent to a within 0.02 nats/token (difference +0.001")


def test_a_merged_form_is_of_the_same_adapter(sample: Any) -> None:
    """Not only of the same step: two trainings may both have a checkpoint-40."""
    manifest = sample.manifest
    assert [v.id for v in manifest.merged_forms("checkpoint-40")] == ["merged-40"]
    assert manifest.merged_forms("checkpoint-20") == []
    other = tuple(
        v.model_copy(update={"digests": {"adapter": "x"}}) if v.kind == "merged" else v
        for v in manifest.variants
    )
    assert manifest.model_copy(update={"variants": other}).merged_forms("checkpoint-40") == []
