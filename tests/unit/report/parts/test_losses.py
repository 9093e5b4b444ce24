"""Where a choice loses: read from a store, in words, in marked words, and on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.checks.outputs import CUT, EMPTY
from harness.render.worddiff import SHOWN_CHARS, compare_words
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.parts.contents import RunContents
from harness.report.parts.losses import build_losses
from harness.report.sections.losses import barred_table
from harness.report.tables import render_json
from harness.report.view.records import View
from harness.report.words.losses import loss_notes, loss_sentence, strata_table
from harness.results.losses import LossStratum, LossSummary
from harness.schema import Score
from tests.stores import marked_anew

TWO = ("base@nf4", "checkpoint-40")
SMALL: dict[str, Any] = {
    "name": "small",
    "base": {"model": "tiny:llama"},
    "data": {"source": "a.jsonl"},
    "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
    "tasks": {"summary": {"type": "generation", "metrics": ["rougeL", "chrf"]}},
}
HOSTILE = "<script>alert(1)</script> \u202e </article> \x1b[31m {{ 7 * 7 }} return"


def stratum(**changes: Any) -> LossStratum:
    fields = {"kind": "prompt length", "name": "181 to 420 tokens", "n": 20, "clusters": 20}
    return LossStratum(**fields | {"better": 5, "equal": 0, "worse": 15} | changes)


def summary(*strata: LossStratum, **changes: Any) -> LossSummary:
    fields: dict[str, Any] = {
        "task": "summary", "metric": "rougeL", "split": "report", "baseline": "base",
        "candidate": "new", "scale": 1.0, "n": 80, "clusters": 80, "better": 51, "equal": 6,
        "worse": 23, "tenth": 8, "tenth_share": 0.614, "looks": len(strata), "strata": strata,
    }  # fmt: skip
    return LossSummary(**fields | changes)


def half_broken(variant: str, reference: str) -> str:
    """The checkpoint writes nothing where the reference is long, and is right elsewhere."""
    if variant == "base@nf4":
        return " ".join(reference.split()[:3])
    return "" if len(reference.split()) > 7 else reference


def viewed(make_run: Callable[..., Any], **options: Any) -> View:
    run = make_run(spec=SMALL, variants=TWO, training=False, **options)
    return build_view(run.store, run.build())


def test_the_sentence_says_how_often_how_concentrated_and_where() -> None:
    """Counts, the worst tenth's share, and the group that does worse than the rest."""
    worst = stratum(
        gain=-0.041, low=-0.06, high=-0.022, rest_gain=0.023,
        contrast=-0.064, contrast_low=-0.09, contrast_high=-0.038, differs=True,
    )  # fmt: skip
    assert loss_sentence(summary(worst)) == (
        "new is worse than base on 23 of 80 examples in ROUGE-L, better on 51, equal on 6; the "
        "worst tenth (8) carries 61 % of all loss. It does worst on prompts of 181 to 420 tokens "
        "(\u22124.1 [\u22126.0, \u22122.2], the rest +2.3)."
    )


def test_the_sentence_claims_nothing_that_was_not_shown() -> None:
    """Groups that are better, or not distinguishable, are not called worse."""
    better = stratum(contrast=0.1, contrast_low=0.05, contrast_high=0.15, differs=True)
    unsure = stratum(contrast=-0.1, contrast_low=-0.3, contrast_high=0.1, differs=False)
    for item in (better, unsure):
        assert "No group does distinguishably worse than the rest (1 split" in loss_sentence(
            summary(item)
        )
    untested = summary(stratum(reason="too few"), looks=0)
    assert "too few examples to look at groups" in loss_sentence(untested)
    assert loss_sentence(summary(worse=0, tenth_share=None)).startswith(
        "new is worse than base on none of 80 examples"
    )
    assert loss_sentence(summary(identical=True)) == "new and base are identical in ROUGE-L."


def test_rows_say_why_there_is_no_test() -> None:
    """A group that was not tested has its reason in words, and kinds are named once."""
    table = strata_table(summary(stratum(reason="too few"), stratum(name="x", identical=True)))
    first, second = table.rows
    assert (first[-1].side, first[-1].more) == ("", ("too few",))
    assert [band.text for band in table.bands] == ["prompt length"]
    assert (second[4].text, second[4].interval) == ("=", "")


def test_notes_name_the_correction_and_corpus_metrics() -> None:
    """The level's correction is said, and that single values of a corpus metric are a guide."""
    notes = loss_notes(summary(stratum(), metric="bleu", per_example=False))
    assert "1 split into two together (Bonferroni)" in notes[0]
    assert notes[1].startswith("BLEU is not the plain mean")


def test_words_are_marked_against_the_reference() -> None:
    """By hand: the candidate lacks "list", which the baseline has, and adds "nothing"."""
    found = compare_words(["Sort the list in place."], "sort a list", "Sort the nothing in place")
    assert found.candidate == 'Sort the <mark class="extra">nothing</mark> in place'
    assert found.baseline == 'sort <mark class="extra">a</mark> list'
    assert found.references == (
        'Sort <mark class="won">the</mark> <mark class="lost">list</mark> '
        '<mark class="won">in</mark> <mark class="won">place</mark>.',
    )


def test_an_output_is_marked_against_its_nearest_reference() -> None:
    """Of two references, each output's extra words are those beside its own best match."""
    found = compare_words(["one two three", "four five six"], "one two x", "four five y")
    assert found.baseline == 'one two <mark class="extra">x</mark>'
    assert found.candidate == 'four five <mark class="extra">y</mark>'
    assert found.references[0].count("lost") == 2
    assert 'class="missing">three' in found.references[0]


def test_texts_are_escaped_and_folded() -> None:
    """Markup is text, unseen characters show, and long texts fold away with their length."""
    long = "word " * 1_000
    found = compare_words([HOSTILE], "", long)
    assert "<script" not in found.references[0]
    assert "\\u202e" in found.references[0]
    assert "(empty)" in found.baseline
    assert f"… {5_000 - SHOWN_CHARS:,} more characters</summary>" in found.candidate


def test_a_planted_loss_is_found_and_its_examples_shown(make_run: Callable[..., Any]) -> None:
    """Long references lose everything: found by length and by finding, worst examples in order."""
    view = viewed(make_run, n=60, text=half_broken)
    loss = view.losses.primary
    assert loss is not None
    found = {(item.kind, item.name): item for item in loss.summary.strata if item.differs}
    assert found["finding", EMPTY].loss_share == pytest.approx(1.0)
    assert (found["finding", EMPTY].contrast or 0.0) < 0
    assert "examples whose output is empty" in loss.sentence
    assert len(loss.worst) == 10
    gains = [item.gain for item in loss.worst]
    assert gains == sorted(gains)
    for item in loss.worst:
        assert item.baseline is not None
        assert item.candidate is not None
        assert item.candidate.text == ""
        assert EMPTY in item.findings
        assert item.gain == pytest.approx((item.candidate.value or 0) - (item.baseline.value or 0))


def test_counts_agree_with_the_recorded_statistics(sample: Any) -> None:
    """Better and worse examples, counted again from the arrays in the store."""
    view, store = sample.view, sample.store
    loss = view.losses.primary
    values = {}
    for cell in sample.manifest.cells:
        if cell.task == "summary" and cell.variant in (view.baseline, view.verdict.chosen):
            scores = store.read_records("scores", cell.scores_key, "scores", Score)
            assert any(score.metric == "rougeL" for score in scores)
            array = store.read_stats(cell.scores_key)["rougeL/report"]
            values[cell.variant] = array[:, 0] / array[:, 1]
    difference = values[view.verdict.chosen] - values[view.baseline]
    assert loss is not None
    assert loss.summary.worse == int(np.sum(difference < -1e-12))
    assert loss.summary.better == int(np.sum(difference > 1e-12))
    assert loss.summary.n == len(difference)


def lm_eval_run(make_run: Callable[..., Any], hits: dict[str, float]) -> tuple[Any, Any]:
    """A run whose MMLU subjects have as many right answers as wanted, and its group's panels."""
    spec = SMALL | {"tasks": SMALL["tasks"] | {"mmlu": {"type": "lm_eval", "task": "mmlu"}}}
    run = make_run(spec=spec, variants=TWO, training=False, n=60)
    manifest = run.build()
    for cell in manifest.cells:
        if cell.task != "mmlu":
            continue
        folder = run.store.path("scores", cell.scores_key)
        arrays = dict(run.store.read_stats(cell.scores_key))
        for name in [name for name in arrays if name.endswith(("/acc", "/acc_norm"))]:
            right = hits[name.split("/")[1]] if cell.variant == TWO[1] else 0.8
            arrays[name][:, 0] = np.arange(60) < 60 * right
        np.savez_compressed(folder / "stats.npz", **arrays)
        marked_anew(run.store, "scores", cell.scores_key)
    return run, manifest


def test_subjects_of_a_group_are_looked_at_together(make_run: Callable[..., Any]) -> None:
    """Anatomy falls from 48 to 24 of 60, astronomy stays: one analysis that names the lost."""
    run, manifest = lm_eval_run(make_run, {"anatomy": 0.4, "astronomy": 0.8})
    contents = RunContents(run.store, manifest)
    vars(contents)["primary"] = None  # no task decides
    found = build_losses(contents)
    assert found.primary is None
    [loss] = [loss for loss in found.others if loss.summary.task == "mmlu"]
    assert (loss.summary.n, loss.summary.worse, loss.summary.better) == (120, 24, 0)
    first, second = loss.summary.strata
    assert (first.kind, first.name, first.differs) == ("task", "anatomy", True)
    assert (first.gain, second.gain) == (pytest.approx(-0.4), 0.0)
    assert second.identical
    lost = {item.member: len(item.lost) for item in loss.summary.documents}
    assert lost == {"anatomy": 24, "astronomy": 0}
    assert "worse than base@nf4 on 24 of 120 documents in acc" in loss.sentence
    page = render_html(build_view(run.store, manifest))
    assert "Also worse than base@nf4" in page
    assert "mmlu/anatomy-24" in page
    assert "and 4 more, which the JSON names" in page


def test_a_task_that_is_not_shown_worse_is_left_out(make_run: Callable[..., Any]) -> None:
    """Equal subjects give no second section."""
    run, manifest = lm_eval_run(make_run, {"anatomy": 0.8, "astronomy": 0.8})
    view = build_view(run.store, manifest)
    assert all(loss.summary.task != "mmlu" for loss in view.losses.others)


def test_an_example_stands_in_full_once(make_run: Callable[..., Any]) -> None:
    """Where both sections show an example, the later one links to the first."""
    view = viewed(make_run, n=40, text=half_broken)
    page = render_html(view)
    assert view.losses.primary is not None
    shown = {item.id for item in view.losses.primary.worst}
    both = [item for item in view.examples.items if item.id in shown]
    assert both
    assert page.count('Shown in full under <a href="#lost-') == len(both)
    assert len(re.findall(r'id="lost-\d+"', page)) == len(view.losses.primary.worst)


def test_hostile_outputs_stay_text(make_run: Callable[..., Any]) -> None:
    """Markup, template syntax and control characters of a model run nowhere."""
    view = viewed(make_run, n=20, text=lambda v, r: r if v == "base@nf4" else HOSTILE)
    page = render_html(view)
    assert view.losses.primary is not None
    assert len(view.losses.primary.worst) == 10
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "{{ 7" in page
    assert "\u202e" not in render_markdown(view)


def test_markdown_has_sentence_and_table_and_json_everything(make_run: Callable[..., Any]) -> None:
    """The summary for pull requests has the groups; the data has the examples too."""
    view = viewed(make_run, n=60, text=half_broken)
    text = render_markdown(view)
    section = text[text.index("## Where it loses") :]
    assert "checkpoint-40 is worse than" in section
    assert "| finding | output is empty |" in section
    data = json.loads(render_json(view))["losses"]["primary"]
    assert len(data["worst"]) == 10
    assert data["summary"]["strata"]


def test_bars_share_one_axis(make_run: Callable[..., Any]) -> None:
    """Zero stands at the same place in every row, and no two drawings share a name."""
    loss = viewed(make_run, n=60, text=half_broken).losses.primary
    assert loss is not None
    rows = barred_table(loss.summary, "loss-0").rows
    bars = [str(cell.drawing) for cells in rows for cell in cells if cell.drawing]
    zeros = {match for bar in bars for match in re.findall(r'x1="([\d.]+)"[^>]*class="zero"', bar)}
    assert len(bars) > 3
    assert len(zeros) == 1
    idents = [ident for bar in bars for ident in re.findall(r'id="([^"]+)"', bar)]
    assert len(idents) == len(set(idents))


def test_a_loss_per_token_is_turned_and_has_no_outputs(make_run: Callable[..., Any]) -> None:
    """A perplexity task that got worse stands below, with gains below zero."""
    spec = SMALL | {"tasks": SMALL["tasks"] | {"heldout": {"type": "perplexity"}}}
    run = make_run(spec=spec, variants=("checkpoint-40", "base@nf4"), training=False, n=60)
    view = build_view(run.store, run.build(selection=None))
    found = {loss.summary.task: loss.summary for loss in view.losses.others}["heldout"]
    assert (found.baseline, found.metric, found.per_example) == (
        "checkpoint-40",
        "eval_loss",
        False,
    )
    assert found.gain is not None
    assert found.gain < 0
    assert found.worse > found.better
    assert "heldout: eval loss" in render_html(view)


def test_a_run_with_only_a_base_says_so(make_run: Callable[..., Any]) -> None:
    """Without a second variant there is nothing to lose."""
    run = make_run(spec=SMALL, variants=("base@nf4",), training=False)
    view = build_view(run.store, run.build())
    assert view.losses.reason == "There is nothing to compare base@nf4 with."
    assert view.losses.reason in render_html(view)


def test_an_output_cut_at_the_limit_is_a_finding(make_run: Callable[..., Any]) -> None:
    """Outputs that reach max_new_tokens stand as a group of their own."""
    text = lambda v, r: r if v == "base@nf4" else (r.split()[0] + " ") * 12  # noqa: E731
    view = viewed(make_run, n=20, text=text)
    assert view.losses.primary is not None
    assert CUT in {item.name for item in view.losses.primary.summary.strata}
    assert "stopped by max_new_tokens" in render_html(view)
