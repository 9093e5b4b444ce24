from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.report.build import build_view
from harness.report.view.records import Choice, Verdict, View
from harness.report.words.cautions import Evidence
from harness.report.words.comparison import detectable
from harness.report.words.verdict import build_verdict, verdict_text
from harness.schema import Comparison, Equivalence, Manifest
from harness.store.runs import Store
from tests.stores import marked_anew

SMALL: dict[str, Any] = {
    "name": "small",
    "base": {"model": "tiny:llama"},
    "data": {"source": "a.jsonl"},
    "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
    "tasks": {"summary": {"type": "generation", "metrics": ["rougeL"]}},
}
TWO = ("base@nf4", "checkpoint-40")


def viewed(make_run: Callable[..., Any], **options: Any) -> tuple[View, Manifest, Store]:
    run = make_run(**options)
    manifest = run.build()
    return build_view(run.store, manifest), manifest, run.store


def test_a_whole_run(sample: Any) -> None:
    """Choice from select, figures from report, cost of the chosen variant, all in one sentence."""
    view, manifest = sample.view, sample.manifest
    assert view.verdict.outcome == "ship"
    assert view.verdict.chosen == manifest.selection.chosen  # type: ignore[union-attr]
    row = view.primary_row
    assert row is not None
    assert (row.task, row.metric, row.split, row.n) == ("summary", "rougeL", "report", 40)
    words = view.verdict.headline
    assert words.startswith(f"Ship {view.verdict.chosen}: ROUGE-L +")
    assert "against base@nf4 on the report split (n = 40), 640 MB, 17.5 tok/s; " in words
    assert any(line.startswith("Merged (merged-40)") for line in view.verdict.support) or (
        view.verdict.chosen != "checkpoint-40"
    )


def test_a_merged_form_as_good_and_cheaper_is_what_to_ship(sample: Any) -> None:
    """Headline, figures and further metrics are of the merged form; the adapter's stand below."""
    view, manifest = sample.view, sample.manifest
    chosen = view.verdict.chosen
    points = tuple(
        point.model_copy(update={"memory_bytes": 5e8, "decode_tokens_per_s": 50.0})
        if point.variant == "merged-40"
        else point
        for point in view.trade_off.points
    )
    found = Equivalence(
        task="summary", metric="rougeL", split="report", first=chosen, second="merged-40", n=40,
        delta=0.001, low=-0.01, high=0.012, margin=0.02, equivalent=True,
    )  # fmt: skip
    cheaper = view.trade_off.model_copy(update={"points": points})

    def verdict(choice: Choice) -> Verdict:
        return build_verdict(Evidence(manifest, view.rows, view.primary, cheaper, choice))

    merged = verdict(view.choice.model_copy(update={"merged": (found,)}))
    assert (merged.chosen, merged.shipped) == (chosen, "merged-40")
    assert merged.headline.startswith(f"Ship {chosen}, merged (merged-40): ROUGE-L +")
    assert "500 MB, 50.0 tok/s" in merged.headline
    assert any(line.startswith(f"As an adapter ({chosen}): ROUGE-L +") for line in merged.support)
    unlike = found.model_copy(update={"equivalent": False})
    adapter = verdict(view.choice.model_copy(update={"merged": (unlike,)}))
    assert (adapter.shipped, adapter.headline) == (chosen, view.verdict.headline)


def test_what_might_be_missed_is_a_caution_only_where_nothing_is_shown(
    make_run: Callable[..., Any], sample: Any
) -> None:
    """It is said once: beside a shown gain as a remark, else as a caution."""
    shown = sample.view.verdict
    assert sum("in 80 of 100" in line for line in shown.support) == 1
    assert not any("in 80 of 100" in line for line in shown.cautions)

    def write(variant: str, reference: str) -> str:
        words = 3 + (len(reference) + (variant == "base@nf4")) % 2
        return " ".join(reference.split()[:words])

    view, _, _ = viewed(make_run, spec=SMALL, variants=TWO, text=write)
    assert view.verdict.outcome == "undecided"
    assert sum("in 80 of 100" in line for line in view.verdict.cautions) == 1
    assert not any("in 80 of 100" in line for line in view.verdict.support)


def test_every_figure_is_the_records_own(sample: Any) -> None:
    """The value recomputed from statistics equals the recorded one, for every score."""
    from harness.schema import Score

    view, manifest, store = sample.view, sample.manifest, sample.store
    for cell in manifest.cells:
        if cell.scores_key is None:
            continue
        for score in store.read_records("scores", cell.scores_key, "scores", Score):
            row = view.row(score.task, score.metric, score.split)
            assert row is not None
            found = row.cell(cell.variant)
            assert found is not None
            assert found.figure is not None
            assert found.figure.value == pytest.approx(score.value)


def test_a_group_comes_before_its_subjects(sample: Any) -> None:
    """A group's own average stands first, with an interval from lm-eval's standard error."""
    view = sample.view
    names = [row.task for row in view.rows if row.suite_task == "mmlu"]
    assert names[0] == "mmlu"
    row = view.row("mmlu", "acc", "all")
    assert row is not None
    assert row.num_fewshot == 5
    figure = row.cells[0].figure
    assert figure is not None
    assert figure.value is not None
    assert figure.low == pytest.approx(figure.value - 1.959964 * 0.031)
    comparison = row.cell("checkpoint-20").comparison
    assert comparison is not None
    assert "no per-example statistics" in str(comparison.reason)


def test_failed_cells_leave_a_reason(sample: Any) -> None:
    """A failed cell is an empty place in the matrix, a failed line, and a caution."""
    row = sample.view.row("mmlu", "acc", "all")
    cell = row.cell("base@fp32")
    assert (cell.figure, cell.missing) == (None, "failed: RuntimeError: <b>bad</b>")
    assert [(c.variant, c.task) for c in sample.view.unfinished] == [("base@fp32", "mmlu")]
    assert any("1 cell failed" in line for line in sample.view.verdict.cautions)


def test_a_failed_baseline_leaves_values_without_comparison(
    make_run: Callable[..., Any],
) -> None:
    """Without the baseline's cell there are figures, but nothing is called better."""
    failed = {("base@nf4", "summary"): "boom"}
    view, _, _ = viewed(make_run, spec=SMALL, variants=TWO, failed=failed)
    row = view.primary_row
    assert row is not None
    comparison = row.cells[1].comparison
    assert comparison is not None
    assert comparison.reason == "base@nf4 has no score to compare with"
    assert view.verdict.outcome == "undecided"
    assert "not compared with base@nf4" in view.verdict.headline


def test_a_failed_measurement_is_kept_apart(make_run: Callable[..., Any]) -> None:
    """What could not be measured says why; the verdict just leaves the cost out."""
    failed = {("checkpoint-40", "measure"): "killed"}
    view, _, _ = viewed(make_run, spec=SMALL | {"measure": {}}, variants=TWO, failed=failed)
    assert view.measurements.missing["checkpoint-40"] == "failed: killed"
    assert "tok/s" not in view.verdict.headline


def test_only_the_base(make_run: Callable[..., Any]) -> None:
    """With nothing but a base the verdict says so and gives its figure."""
    view, _, _ = viewed(make_run, spec=SMALL, variants=TWO[:1], training=False)
    assert view.verdict.outcome == "only_base"
    assert "only the base was evaluated. base@nf4 has ROUGE-L" in view.verdict.headline
    assert view.training is None
    assert view.examples.items
    assert "among" not in view.examples.how


def test_no_finished_cell(make_run: Callable[..., Any]) -> None:
    """A run in which everything failed still has a view."""
    failed = {(name, "summary"): "boom" for name in TWO}
    view, _, _ = viewed(make_run, spec=SMALL, variants=TWO, failed=failed, training=False)
    assert view.rows == ()
    assert view.verdict.outcome == "none"
    assert view.examples.reason


def test_a_run_that_has_just_begun(make_run: Callable[..., Any]) -> None:
    """No cells, no selection: the view is empty and says that the choice was not made."""
    run = make_run(spec=SMALL, variants=TWO)
    manifest = run.build(cells=(), selection=None, complete=False, examples={}, training_key=None)
    view = build_view(run.store, manifest)
    assert "not made" in view.verdict.headline
    assert any("not complete" in line for line in view.verdict.cautions)


def test_no_difference_is_called_undecided(make_run: Callable[..., Any]) -> None:
    """A gain whose interval includes zero ships nothing."""

    def write(variant: str, reference: str) -> str:
        words = 3 + (len(reference) + (variant == "base@nf4")) % 2
        return " ".join(reference.split()[:words])

    view, _, _ = viewed(make_run, spec=SMALL, variants=TWO, text=write)
    assert view.verdict.outcome == "undecided"
    assert "the interval includes zero" in view.verdict.headline
    assert all(cell.mark is None for cell in view.primary_row.cells)  # type: ignore[union-attr]


def test_a_worse_checkpoint_is_not_shipped(make_run: Callable[..., Any]) -> None:
    """Training that did harm is called worse."""
    view, _, _ = viewed(
        make_run,
        spec=SMALL,
        variants=TWO,
        text=lambda variant, reference: reference if variant == "base@nf4" else "nothing here",
    )
    assert view.verdict.outcome == "worse"
    assert view.verdict.headline.startswith("Ship no checkpoint: the choice, checkpoint-40")


def test_an_adapter_without_effect_is_noticed(make_run: Callable[..., Any]) -> None:
    """Equal outputs give neither a gain nor a tie, but an identity."""
    view, _, _ = viewed(
        make_run, spec=SMALL, variants=TWO, text=lambda _, reference: reference[:12]
    )
    assert view.verdict.outcome == "identical"
    assert "scores exactly as base@nf4" in view.verdict.headline


def test_best_is_marked_only_where_it_is_distinguishable(make_run: Callable[..., Any]) -> None:
    """Two equal good variants share the mark; the distinguishably worse base has none."""
    view, _, _ = viewed(
        make_run,
        spec=SMALL,
        variants=("base@nf4", "checkpoint-20", "checkpoint-40"),
        text=lambda variant, reference: "x" if variant == "base@nf4" else reference,
    )
    row = view.primary_row
    assert row is not None
    assert [cell.mark for cell in row.cells] == [None, "tied", "tied"]


def test_variants_on_other_examples_are_not_compared(make_run: Callable[..., Any]) -> None:
    """A variant scored on other examples keeps its interval and says why it is not compared."""
    run = make_run(spec=SMALL, variants=TWO)
    manifest = run.build()
    other = make_run(spec=SMALL, variants=TWO)
    other.store = Store(run.store.root / "other")
    other.n = 10
    other.build()
    source = other.store.path("scores", "checkpoint-40-summary")
    target = run.store.path("scores", "checkpoint-40-summary")
    for name in ("scores.jsonl", "stats.npz"):
        (target / name).write_bytes((source / name).read_bytes())
    marked_anew(run.store, "scores", "checkpoint-40-summary")
    view = build_view(run.store, manifest)
    row = view.primary_row
    assert row is not None
    cell = row.cells[1]
    assert cell.figure is not None
    assert cell.figure.low is not None
    assert cell.comparison is not None
    assert "not scored on the same examples" in str(cell.comparison.reason)


def test_examples_are_picked_by_gain(sample: Any) -> None:
    """Ten examples: four gains first, then middling ones, three losses last; baseline leads."""
    view = sample.view
    items = view.examples.items
    assert [item.picked for item in items] == ["gain"] * 4 + ["middling"] * 3 + ["loss"] * 3
    deltas = [item.delta for item in items]
    assert deltas[0] == max(deltas)  # type: ignore[type-var]
    assert deltas[-1] == min(deltas)  # type: ignore[type-var]
    assert [output.variant for output in items[0].outputs][:2] == [
        "base@nf4",
        view.verdict.chosen,
    ]
    assert len(items[0].outputs) == len(view.variants)


def test_only_true_gains_and_losses_are_called_so(make_run: Callable[..., Any]) -> None:
    """Where nothing differs there are neither gains nor losses to show."""
    view, _, _ = viewed(make_run, n=6, spec=SMALL, variants=TWO, text=lambda _, r: r[:12])
    assert {item.picked for item in view.examples.items} == {"middling"}
    assert "gains (0)" in view.examples.how


def test_fewer_than_ten_examples_are_all_shown_once(make_run: Callable[..., Any]) -> None:
    """With five examples each of them is shown once."""
    view, _, _ = viewed(make_run, n=5, spec=SMALL, variants=TWO)
    ids = [item.id for item in view.examples.items]
    assert len(ids) == len(set(ids)) == 5
    assert any("very few" in line for line in view.verdict.cautions)


def test_variants_of_equal_shape_share_a_column(sample: Any) -> None:
    """Three checkpoints measured once make one column; quartiles come from the repeats."""
    view = sample.view
    assert ("checkpoint-20", "checkpoint-40", "checkpoint-60") in view.measurements.columns
    row = next(row for row in view.measurements.rows if row.name == "decode_tokens_per_s")
    reading = row.readings[0]
    assert reading is not None
    assert (reading.n, reading.low < reading.median < reading.high) == (10, True)  # type: ignore[operator]
    assert view.trade_off.speed_sizes == "128 + 32 tokens"


def test_efficient_variants_are_not_beaten(sample: Any) -> None:
    """The base is efficient (least memory); of the checkpoints, which cost the same, the best."""
    view = sample.view
    points = [point for point in view.trade_off.points if point.efficient]
    checkpoints = [p for p in view.trade_off.points if p.variant.startswith("checkpoint")]
    best = max(checkpoints, key=lambda point: point.quality.value or 0)
    assert {"base@nf4", best.variant} <= {point.variant for point in points}
    assert sum(point.variant.startswith("checkpoint") for point in points) == 1


def test_output_health_counts_every_split(make_run: Callable[..., Any]) -> None:
    """Empty outputs, cut ones and truncated prompts are counted, none is silent."""
    view, _, _ = viewed(
        make_run,
        n=6,
        spec=SMALL,
        variants=TWO,
        text=lambda variant, reference: " " if variant == "base@nf4" else reference,
    )
    base = view.outputs[0]
    assert (base.n, base.empty, base.truncated_prompts) == (12, 12, 2)
    assert sum(base.finished.values()) == 12


def test_the_smallest_detectable_difference() -> None:
    """With a standard error of 1 it is 1.96 + 0.84 = 2.80 (Cohen 1988, two-sided 5 %, 80 %)."""
    found = Comparison(
        task="t", metric="m", split="report", baseline="a", candidate="b", n=9, delta=0.0,
        low=-1.959964, high=1.959964,
    )  # fmt: skip
    assert detectable(found) == pytest.approx(2.8016, abs=1e-3)


def test_the_verdict_for_a_terminal_hides_no_escapes(make_run: Callable[..., Any]) -> None:
    """A reason with a terminal escape is printed as text."""
    failed = {("checkpoint-40", "summary"): "\x1b[2Jboom"}
    view, _, _ = viewed(make_run, spec=SMALL, variants=TWO, failed=failed)
    assert "\x1b" not in verdict_text(view)
