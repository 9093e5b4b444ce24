"""What a run holds, gathered for its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.parts.contents import RunContents
from harness.report.sections.data import SECTION
from harness.schema import Overlap, Proof, TrainingRun
from tests.stores import marked_anew

APART = Proof(probe="packed rows are apart", outcome="fallback", words="They were padded.")


def test_what_was_proved_of_a_training_is_of_all_that_came_of_it(make_run: Callable[..., Any]):
    """Of checkpoints and what is merged of them, and not of the base."""
    run = make_run(n=4)
    manifest = run.build()
    path = run.store.path("training", manifest.training_key) / "training.json"
    training = TrainingRun.model_validate_json(path.read_text("utf-8"))
    training = training.model_copy(update={"proofs": (APART,)})
    path.write_text(training.model_dump_json(), "utf-8")
    marked_anew(run.store, "training", manifest.training_key)
    proofs = RunContents(run.store, manifest).proofs
    assert {item.proof for item in proofs} == {APART}
    assert [item.variant for item in proofs] == [
        variant.id for variant in manifest.variants if variant.kind != "base"
    ]


def test_overlaps_are_shown_and_make_groups_of_examples(make_run: Callable[..., Any]):
    """The page has the first of them, the table all; losses are told with and without them."""
    run = make_run(n=24)
    manifest = run.build()
    own = [
        example.id for example in RunContents(run.store, manifest).examples_of("summary").values()
    ]
    overlaps = [
        Overlap(example_id=name, split="report", level="near", train_id=f"row-{place}", share=0.9,
                span=f"<b>words {place}</b>")
        for place, name in enumerate(own[-14:])
    ]  # fmt: skip
    with run.store.writing("overlaps", "o1", {}) as folder:
        run.store.write_records(folder, "overlaps", overlaps)
    view = build_view(run.store, manifest.model_copy(update={"overlaps": {"summary": "o1"}}))
    page = render_html(view)
    assert "&lt;b&gt;words 0&lt;/b&gt;" in page
    assert "row-9" in page
    assert "row-10" not in page.partition("<script")[0]
    assert len(SECTION.tables(view)["overlaps"].rows) == 14
    groups = {group.kind for group in view.losses.primary.summary.strata}
    assert "training overlap" in groups
