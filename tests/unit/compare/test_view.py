from __future__ import annotations

import base64
import copy
import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from harness.cli import main as cli
from harness.compare.build import build_comparison, run_labels
from harness.compare.charts import forest_chart, loss_charts, style_of
from harness.compare.view import RunsView
from harness.compare.words import cautions, headline, not_compared, support, verdict_lines
from harness.compare.write import (
    render_runs_csv,
    render_runs_html,
    render_runs_json,
    render_runs_markdown,
    write_runs,
)
from harness.errors import UsageError
from harness.metrics.base import FloatArray, mean_of
from harness.report.view.records import MatrixRow
from harness.results.comparisons import comparison
from harness.schema import Checkpoint, Comparison, Example, LogEntry, Manifest, TrainingRun
from harness.stats.panel import Panel, Quantity, Sample
from harness.store.runs import Store
from tests.unit.gate.gate_runs import ENVIRONMENT, SPEC, VARIANTS, N, Runs
from tests.unit.report.page_parser import Page
from tests.unit.report.test_html import HOSTILE

CHOSEN, PRIMARY = "checkpoint-4", ("answers", "rougeL", "report")
WHOLE = {"spec": SPEC}
SLOPE = np.linspace(-0.1, 0.3, N)  # its mean is 0.1

Found = tuple[Store, Manifest]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sloped(values: FloatArray) -> FloatArray:
    """Better by 0.1 on average, and worse on some examples."""
    return values + SLOPE


def run(store: Store, run_id: str, manifest: dict[str, Any] | None = None, **fields: Any) -> Found:
    """A finished run, by default of the answers alone, which is faster."""
    fields = {"spec": named("small"), "measured": False, **fields}
    return store, Runs(store, run_id, **fields).build(**(manifest or {}))


def named(name: str, *tasks: str, **changes: Any) -> dict[str, Any]:
    """The suite of the made-up runs under another name: some of its tasks, some keys set."""
    spec = copy.deepcopy(SPEC)
    spec["name"] = name
    spec["tasks"] = {task: spec["tasks"][task] for task in tasks or ("answers",)}
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        place = spec
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return spec


def better(store: Store, run_id: str = "r2", **fields: Any) -> Found:
    return run(store, run_id, changed={(CHOSEN, "answers", "rougeL"): sloped}, **fields)


def row_of(view: RunsView, task: str, metric: str, split: str) -> MatrixRow:
    (row,) = (r for r in view.rows if (r.task, r.metric, r.split) == (task, metric, split))
    return row


def difference(view: RunsView, label: str, key: tuple[str, str, str] = PRIMARY) -> Comparison:
    cell = row_of(view, *key).cell(label)
    assert cell is not None
    assert cell.comparison is not None
    return cell.comparison


# -- paired differences ---------------------------------------------------------------------------


def test_runs_are_paired_by_example(store: Store) -> None:
    """The difference is that of the two arrays, with the interval of a comparison within a run."""
    view = build_comparison([run(store, "r1"), better(store)])
    found = difference(view, "small/r2")
    ids = np.array([f"answers-{i:03d}" for i in range(N)])
    values = Runs(store)._values(CHOSEN, *PRIMARY)
    sides = [
        Sample(name, ids, ids, np.stack([array, np.ones(N)], axis=1))
        for name, array in (("small/r1", values), ("small/r2", values + SLOPE))
    ]
    panel = Panel(Quantity(*PRIMARY, mean_of, scale=1.0), sides, seed=7)
    wanted = comparison(panel, *panel.variants)
    assert found.delta == pytest.approx(0.1)
    assert (found.low, found.high, found.n) == (wanted.low, wanted.high, N)
    assert (found.baseline, found.better, found.identical) == ("small/r1", True, False)
    assert headline(view) == (
        "small/r2 (checkpoint-4) is better than small/r1 (checkpoint-4) on answers ROUGE-L: "
        f"+10.0 [+{100 * (found.low or 0):.1f}, +{100 * (found.high or 0):.1f}] on the same 120 "
        "examples of the report split."
    )


def test_the_order_of_examples_does_not_matter(store: Store) -> None:
    """Examples are matched by their ids: reversed ids of reversed values give the same."""

    def backwards(name: str) -> str:
        return re.sub(r"\d{3}$", lambda digits: f"{N - 1 - int(digits[0]):03d}", name)

    change = {(CHOSEN, "answers", "rougeL"): lambda values: sloped(values)[::-1]}
    view = build_comparison([run(store, "r1"), run(store, "r2", rename=backwards, changed=change)])
    assert difference(view, "small/r2").delta == pytest.approx(0.1)


def test_equal_runs_are_identical(store: Store) -> None:
    """Nothing is called a difference where every score is the same."""
    view = build_comparison([run(store, "r1", **WHOLE), run(store, "r2", **WHOLE)])
    assert difference(view, "small/r2").identical
    assert "scores exactly as small/r1 (checkpoint-4) on answers ROUGE-L" in headline(view)
    assert support(view) == [
        "small/r2: of 3 further metrics, 2 identical, 1 not compared."  # mmlu has no statistics
    ]


def test_a_small_difference_is_not_distinguishable(store: Store) -> None:
    """An interval that includes zero is said to."""

    def noise(values: FloatArray) -> FloatArray:
        return values + np.random.default_rng(1).normal(0, 0.1, N)

    changed = {(CHOSEN, "answers", "rougeL"): noise}
    view = build_comparison([run(store, "r1"), run(store, "r2", changed=changed)])
    assert difference(view, "small/r2").better is None
    assert "is not distinguishable from" in headline(view)
    assert headline(view).endswith("; the interval includes zero.")


def test_a_lower_loss_is_better(store: Store) -> None:
    """The sign is the metric's own; the verdict turns it."""
    changed = {(CHOSEN, "held_out", "eval_loss"): lambda values: values - 0.2 - 0.1 * SLOPE}
    spec = named("small", "answers", "held_out")
    view = build_comparison(
        [run(store, "r1", spec=spec), run(store, "r2", spec=spec, changed=changed)]
    )
    found = difference(view, "small/r2", ("held_out", "eval_loss", "eval"))
    assert found.delta == pytest.approx(-0.21)
    assert found.better is True
    assert "Better: held_out eval loss −0.210" in support(view)[0]


def test_bases_are_compared_too(store: Store) -> None:
    """Each run's own baseline has rows of its own, against the reference's."""
    changed = {("base@nf4", "answers", "rougeL"): sloped}
    view = build_comparison([run(store, "r1"), run(store, "r2", changed=changed)])
    (row,) = (r for r in view.base_rows if (r.task, r.metric, r.split) == PRIMARY)
    comparison = row.cells[1].comparison
    assert comparison is not None
    assert comparison.delta == pytest.approx(0.1)
    assert difference(view, "small/r2").identical  # the choices are equal


def test_the_gain_over_the_own_base_is_within_each_run(store: Store) -> None:
    """It is the mean difference of the run's two arrays, whatever the other run has."""
    view = build_comparison([run(store, "r1"), better(store)])
    values = {name: Runs(store)._values(name, *PRIMARY) for name in ("base@nf4", CHOSEN)}
    gain = float((values[CHOSEN] - values["base@nf4"]).mean())
    found = [facts.over_base for facts in view.runs]
    assert [c.delta if c else None for c in found] == pytest.approx([gain, gain + 0.1])
    assert [c.baseline if c else None for c in found] == ["base@nf4"] * 2


# -- what is not paired ---------------------------------------------------------------------------


def test_other_examples_are_never_joined(store: Store) -> None:
    """Disjoint ids: both values stand, no difference, and how many examples each has alone."""
    other = run(store, "r2", rename=lambda name: f"other-{name}")
    view = build_comparison([run(store, "r1"), other])
    found = difference(view, "small/r2")
    assert (found.delta, found.better) == (None, None)
    assert found.reason == (
        "other examples: none is in both, 120 only in small/r1, 120 only in small/r2"
    )
    row = row_of(view, *PRIMARY)
    assert [cell.figure.n if cell.figure else None for cell in row.cells] == [N, N]
    assert "is not compared with" in headline(view)
    assert "Side by side: small/r1 49.3" in headline(view)


def test_examples_in_common_are_not_picked_out(store: Store) -> None:
    """Where only some ids are shared, those are not compared either; the settings say why."""

    def partly(name: str) -> str:
        return name if name < "answers-060" else f"other-{name}"

    spec = named("small", seed=8)
    view = build_comparison([run(store, "r1"), run(store, "r2", rename=partly, spec=spec)])
    reason = str(difference(view, "small/r2").reason)
    assert reason.startswith("other examples: 60 are in both, 60 only in small/r1, 60 only in")
    assert "seed: 7 against 8" in reason


def examples(store: Store, key: str, **changes: Any) -> dict[str, Any]:
    """Write the examples that the answers are of; for the manifest of their run."""
    rows = [
        Example(
            id=name,
            prompt=changes.get("prompt", "Q"),
            completion="A",
            references=(changes.get("reference", "A") if index < 3 else "A",),
            cluster=name,
            split="report",
        )
        for split in ("s", "")
        for index, name in enumerate(f"answers-{split}{i:03d}" for i in range(N))
    ]
    with store.writing("examples", key, {"rows": key}) as folder:
        store.write_records(folder, "examples", rows)
    return {"examples": {"answers": key}}


OTHER_PROMPT = {
    "examples": {
        "data": {"files": "f1"},
        "prompt": {"prompt": "Say: {{ text }}", "completion": "{{ label }}"},
        "seed": 7,
    },
    "decoding": {"max_new_tokens": 64},
}


def test_another_prompt_is_compared_and_told(store: Store) -> None:
    """The same references: prompt and decoding are a part of what is compared, and are named."""
    first = run(store, "r1", examples(store, "e1"), identity={"decoding": {"max_new_tokens": 32}})
    second = better(store, manifest=examples(store, "e2", prompt="Say: Q"), identity=OTHER_PROMPT)
    view = build_comparison([first, second])
    assert difference(view, "small/r2").delta == pytest.approx(0.1)
    (told,) = (line for line in cautions(view) if line.startswith("answers of small/r2"))
    assert "decoding.max_new_tokens (32 against 64)" in told
    assert "prompt.prompt ({{ text }} against Say: {{ text }})" in told


def test_other_references_are_not_compared(store: Store) -> None:
    """Equal ids do not help where the same id asks for something else."""
    first = run(store, "r1", examples(store, "e1"))
    second = better(store, manifest=examples(store, "e2", reference="B"), identity=OTHER_PROMPT)
    view = build_comparison([first, second])
    found = difference(view, "small/r2")
    assert found.reason == "of the 120 examples, 3 have other references"


def test_what_cannot_be_told_is_not_compared(store: Store) -> None:
    """Other prompts whose examples cannot be read: the keys that differ are named."""
    view = build_comparison([run(store, "r1"), better(store, identity=OTHER_PROMPT)])
    reason = str(difference(view, "small/r2").reason)
    assert reason.startswith("whether the examples are the same cannot be told (prompt.prompt: ")


def test_another_task_of_lm_eval_is_not_compared(store: Store) -> None:
    """Such as another number of shots; what only decides speed does not matter."""
    asked = {"lm_eval": {"task": "mmlu", "num_fewshot": 0, "batch_size": 8}}
    spec = named("small", "mmlu")
    first = run(store, "r1", identity=asked, spec=spec)
    faster = {"lm_eval": {**asked["lm_eval"], "batch_size": 32}}
    shots = {"lm_eval": {**asked["lm_eval"], "num_fewshot": 5}}
    second = run(store, "r2", identity=faster, spec=spec)
    third = run(store, "r3", identity=shots, spec=spec)
    view = build_comparison([first, second, third])
    key = ("mmlu/law", "acc", "all")
    assert difference(view, "small/r2", key).identical
    assert difference(view, "small/r3", key).reason == (
        "the task itself differs: num_fewshot: 0 against 5"
    )


class Altered(Runs):
    """Runs whose scores were made by another version, or with other tokens."""

    signature = "v1"
    tokens = 1.0

    def _scores(self, variant: str, task: str, kind: str) -> tuple[list[Any], dict[str, Any]]:
        scores, arrays = super()._scores(variant, task, kind)
        if kind == "perplexity":
            for name in (name for name in arrays if "/eval_loss/" in name):
                arrays[name][:5, 1] = self.tokens
        changed = [
            s.model_copy(update={"signature": s.signature.replace("v1", self.signature)})
            for s in scores
        ]
        return changed, arrays


def test_another_version_of_a_metric_is_not_compared(store: Store) -> None:
    """Signatures say how a score was made, and must be equal."""
    other = Altered(store, "r2", spec=named("small"), measured=False)
    other.signature = "v2"
    view = build_comparison([run(store, "r1"), (store, other.build())])
    found = difference(view, "small/r2")
    assert found.reason == "another signature: rougeL|v1 against rougeL|v2"


def test_losses_of_other_tokens_are_not_compared(store: Store) -> None:
    """A loss is one per token; the numbers of tokens must be equal on every example."""
    spec = named("small", "held_out")
    other = Altered(store, "r2", spec=spec, measured=False)
    other.tokens = 2.0
    view = build_comparison([run(store, "r1", spec=spec), (store, other.build())])
    found = difference(view, "small/r2", ("held_out", "eval_loss", "eval"))
    assert found.reason == (
        "a loss is one per token, and of the 120 completions, 5 have another number of tokens"
    )


def test_a_failed_cell_is_missing_with_its_reason(store: Store) -> None:
    """The run stands in the table without a value, and the others are compared."""
    failed = {(CHOSEN, "answers"): "RuntimeError: out of memory"}
    view = build_comparison(
        [run(store, "r1"), run(store, "r2", failed=failed), better(store, "r3")]
    )
    cell = row_of(view, *PRIMARY).cells[1]
    assert (cell.figure, cell.missing) == (None, "failed: RuntimeError: out of memory")
    assert "small/r2: 1 cell failed or was skipped." in cautions(view)
    assert any("failed: RuntimeError: out of memory" in line for line in support(view))
    assert difference(view, "small/r3").better is True


def test_a_reference_without_the_score_leaves_values_side_by_side(store: Store) -> None:
    """What the reference failed at is not compared with anything, and the verdict says so."""
    failed = {(CHOSEN, "answers"): "RuntimeError: out of memory"}
    view = build_comparison([run(store, "r1", failed=failed), run(store, "r2")])
    assert view.deciding is None
    assert headline(view).startswith(
        "small/r1 (checkpoint-4) has no answers ROUGE-L to compare by, so no run is called better"
    )
    assert difference(view, "small/r2").reason == "small/r1 has no such score"


def test_scores_of_another_unit_have_a_row_of_their_own(store: Store) -> None:
    """One name for two metrics does not put them into one row."""

    class Percent(Runs):
        def _scores(self, variant: str, task: str, kind: str) -> tuple[list[Any], dict[str, Any]]:
            scores, arrays = super()._scores(variant, task, kind)
            return [s.model_copy(update={"scale": 100.0}) for s in scores], arrays

    view = build_comparison(
        [
            run(store, "r1"),
            (store, Percent(store, "r2", spec=named("small"), measured=False).build()),
        ]
    )
    rows = [r for r in view.rows if (r.task, r.metric, r.split) == PRIMARY]
    assert [r.scale for r in rows] == [1.0, 100.0]
    assert [[c.figure is None for c in r.cells] for r in rows] == [[False, True], [True, False]]
    assert [r.primary for r in rows] == [True, False]
    assert Page(render_runs_html(view)).errors == []


# -- which runs, which variants -------------------------------------------------------------------


def test_labels_tell_runs_apart(store: Store, tmp_path: Path) -> None:
    """The suite where it is enough, then the run's id, then the folder."""
    other = Store(tmp_path / "other")
    found = [
        run(store, "r1"),
        run(store, "r2"),
        run(store, "r3", spec=named("large")),
        run(other, "r1"),
    ]
    assert run_labels(found) == [
        f"{store.root}/small/r1",
        "small/r2",
        "large",
        f"{other.root}/small/r1",
    ]


def test_a_run_is_not_compared_with_itself(store: Store) -> None:
    """Named twice, under whichever name, or alone: an error that says what to name."""
    found = run(store, "r1")
    with pytest.raises(UsageError, match="named twice: small/r1"):
        build_comparison([found, run(store, "r2"), found])
    with pytest.raises(UsageError, match="needs two runs or more, found 1"):
        build_comparison([found])


def test_the_variant_is_the_choice_else_the_last_checkpoint_else_the_base(store: Store) -> None:
    """What stands in for a choice is said."""
    chosen = run(store, "r1", chosen="checkpoint-2")
    last = run(store, "r2", chosen=None)
    base = run(store, "r3")[1]
    base = base.model_copy(update={"variants": base.variants[:1], "selection": None})
    view = build_comparison([chosen, last, (store, base)])
    assert [(facts.variant, facts.how) for facts in view.runs] == [
        ("checkpoint-2", "chosen"),
        ("checkpoint-4", "last"),
        ("base@nf4", "base"),
    ]
    assert cautions(view)[:2] == [
        "small/r2: checkpoint-4 is the last checkpoint, because no checkpoint was chosen: None has "
        "a score.",
        "small/r3: base@nf4 is the base, because the run has no checkpoint.",
    ]
    assert view.runs[2].over_base is None


def test_another_variant_can_be_named(store: Store) -> None:
    """It is taken of all runs; a run that lacks it is an error that names what it has."""
    found = [run(store, "r1"), run(store, "r2")]
    view = build_comparison(found, "merged-4")
    assert {facts.variant for facts in view.runs} == {"merged-4"}
    assert view.command.endswith("--variant merged-4")
    with pytest.raises(UsageError, match=r"small/r1 has no variant 'best'; it has base@nf4, check"):
        build_comparison(found, "best")


# -- several runs ---------------------------------------------------------------------------------


def test_several_runs_are_held_against_the_first(store: Store) -> None:
    """The headline counts them, each has a sentence, and p-values are adjusted by Holm's method."""
    strong = better(store, "r3")
    noisy = {
        (CHOSEN, "answers", "rougeL"): lambda values: (
            values + 0.02 + np.random.default_rng(5).normal(0, 0.1, N)
        )
    }
    view = build_comparison([run(store, "r1"), run(store, "r2", changed=noisy), strong])
    single = [difference(view, label).p_value or 0.0 for label in ("small/r2", "small/r3")]
    smaller, larger = sorted(single)
    wanted = {smaller: min(1.0, 2 * smaller), larger: max(larger, 2 * smaller)}  # Holm, by hand
    assert [facts.p_holm for facts in view.runs] == [None, *(wanted[p] for p in single)]
    assert headline(view).startswith(
        "Of 2 runs held against small/r1 (checkpoint-4) on answers ROUGE-L (report split): "
    )
    assert "Largest gain: small/r3 (checkpoint-4), ROUGE-L +10.0" in headline(view)
    assert sum("ROUGE-L: " in line for line in support(view)) == 2
    assert any("best of several runs looks better than it is" in line for line in cautions(view))


def test_a_difference_that_many_looks_explain_is_told(store: Store) -> None:
    """Where the interval leaves zero out, but Holm's p-value does not, the sentence says both."""
    view = build_comparison([run(store, "r1"), better(store), run(store, "r3")])
    facts = tuple(f.model_copy(update={"p_holm": 0.08}) for f in view.runs)
    lines = support(view.model_copy(update={"runs": facts}))
    assert "though not after Holm's correction for 2 comparisons (p = 0.08)" in lines[0]


def test_many_runs_work(store: Store) -> None:
    """Colours come again, dashed and then from the start; no run is left out."""
    found = [run(store, f"r{index:02d}") for index in range(17)]
    view = build_comparison(found)
    styles = [style_of(view, facts) for facts in view.runs]
    assert len(set(styles[:16])) == 16
    assert styles[16] == styles[0]
    page = render_runs_html(view)
    assert all(f"small/r{index:02d}" in page for index in range(17))


# -- what differs ---------------------------------------------------------------------------------


def test_only_settings_that_differ_are_listed(store: Store) -> None:
    """With their values, grouped; those of the environment and the data too."""
    place = ENVIRONMENT.model_copy(
        update={"versions": {"torch": "2.14.0"}, "fingerprint": "b" * 20}
    )
    spec = named("small", train__args__learning_rate=0.01, train__args__warmup_ratio=0.1)
    second = run(store, "r2", spec=spec, environment=place, measured=True)
    view = build_comparison([run(store, "r1", measured=True), second])
    assert [(d.group, d.key, d.values) for d in view.differences] == [
        ("Training", "train.args.learning_rate", ("0.005", "0.01")),
        ("Training", "train.args.warmup_ratio", (None, "0.1")),
        ("Hardware and versions", "fingerprint", ("a" * 20, "b" * 20)),
        ("Hardware and versions", "torch", ("2.13.0", "2.14.0")),
    ]
    assert (
        "Memory and speed of small/r2 were measured on other hardware than those of small/r1, and "
        "are not compared." in cautions(view)
    )


def test_costs_are_compared_on_the_same_hardware(store: Store) -> None:
    """Median speed at the smallest sizes: 100 tok/s, and twice that."""
    found = [run(store, "r1", measured=True), run(store, "r2", measured=True, speed=2.0)]
    view = build_comparison(found)
    assert [facts.costs.decode_tokens_per_s for facts in view.runs] == [100.0, 200.0]
    assert [facts.costs.memory_bytes for facts in view.runs] == [5e8, 5e8]
    assert "small/r2 decodes faster (200 against 100 tok/s)." in support(view)


def test_runs_that_decide_otherwise_are_told(store: Store) -> None:
    """The reference's metric is compared; that the other chose by another one is a caution."""
    manifest = run(store, "r2")[1]
    assert manifest.selection is not None
    other = manifest.selection.model_copy(update={"metric": "exact_match"})
    manifest = manifest.model_copy(update={"selection": other})
    view = build_comparison([run(store, "r1"), (store, manifest)])
    assert cautions(view)[0].startswith(
        "small/r2 decides by exact match of answers, small/r1 by ROUGE-L of answers: "
    )
    assert view.deciding is row_of(view, *PRIMARY)


def trained(store: Store, key: str, losses: list[float]) -> dict[str, Any]:
    """Write a training whose losses are logged every second step, and the last as eval loss."""
    log = [LogEntry(step=2 * (i + 1), loss=loss) for i, loss in enumerate(losses)]
    log += [LogEntry(step=2, eval_loss=1.5), LogEntry(step=4, eval_loss=1.75)]
    record = TrainingRun(
        method="qlora",
        base_model="tiny:llama",
        log=tuple(log),
        checkpoints=(Checkpoint(name="checkpoint-2", step=2, path="checkpoint-2", digest="d"),),
        trainable_parameters=100,
        total_parameters=1000,
        rows_used=64,
        tokens_per_second=50.0,
        peak_memory_bytes=1_000_000,
        seconds=12.0,
        steps=2 * len(losses),
        environment=ENVIRONMENT,
    )
    with store.writing("training", key, {"key": key}) as folder:
        store.write_record(folder, "training", record)
    return {"training_key": key}


def test_trainings_stand_side_by_side(store: Store) -> None:
    """Final and best losses, and one line per run in the charts with the data below them."""
    first = run(store, "r1", trained(store, "t1", [3.0, 2.0]))
    second = run(store, "r2", trained(store, "t2", [3.0, 2.5, 1.25]))
    view = build_comparison([first, second, run(store, "r3")])
    found = [facts.training for facts in view.runs]
    assert [t and (t.steps, t.final_loss, t.final_eval_loss, t.best_eval_loss) for t in found] == [
        (4, 2.0, 1.75, 1.5),
        (6, 1.25, 1.75, 1.5),
        None,
    ]
    train, evaluated = loss_charts(view)
    assert train.header == ("step", "small/r1", "small/r2")
    assert train.rows == (("2", "3", "3"), ("4", "2", "2.5"), ("6", "", "1.25"))
    assert [chart.svg.count("<path ") for chart in (train, evaluated)] == [2, 2]
    assert "not trained by this run" in render_runs_html(view)


# -- what is written ------------------------------------------------------------------------------


@pytest.fixture
def view(store: Store) -> RunsView:
    spec = named("small", "answers", "mmlu")
    first = run(store, "r1", trained(store, "t1", [3.0, 2.0]), spec=spec)
    failed = {(CHOSEN, "mmlu"): "RuntimeError: <b>bad</b>"}
    second = better(store, manifest=trained(store, "t2", [3.0, 1.0]), failed=failed, spec=spec)
    third = run(store, "r3", rename=lambda name: f"other-{name}", spec=spec)
    return build_comparison([first, second, third])


def test_the_page_is_well_formed_and_loads_nothing(view: RunsView) -> None:
    """Elements nest, ids are unique, links stay inside, and the policy has the page's hashes."""
    page = render_runs_html(view)
    found = Page(page)
    assert (found.errors, found.open) == ([], [])
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in found.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not {"src", "srcset", "action", "style"} & attributes.keys()
        assert str(attributes.get("href") or "#").startswith("#")
        assert str(attributes.get("href") or "#")[1:] in {"", *ids}
    policy = str(next(a["content"] for _, a in found.tags if "http-equiv" in a))
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        [body] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "url(" not in page


def test_the_page_reads_in_order_and_names_its_tables(view: RunsView) -> None:
    """Verdict first; every table has a caption and every header cell a scope."""
    page = render_runs_html(view)
    assert re.findall(r'<section id="(\w+)"', page) == [
        *("verdict", "runs", "matrix", "settings", "training", "provenance", "reading"),
    ]
    tags = [tag for tag, _ in Page(page).tags]
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in attributes for tag, attributes in Page(page).tags if tag == "th")
    assert re.findall(r"<(\w+)[^>]* hidden>", page) == ["button"]  # the only thing that needs JS


def test_the_forest_draws_what_was_compared(view: RunsView) -> None:
    """A run on other examples has no bar; the table beneath has the figures."""
    chart = forest_chart(view)
    assert chart is not None
    assert [line[:2] for line in chart.rows] == [
        ("answers: ROUGE-L", "small/r2"),
        ("answers: exact match", "small/r2"),
    ]


def test_hostile_text_is_text(store: Store) -> None:
    """Whatever names, reasons, prompts and commands hold, it adds no element to the page."""
    spec = named(
        "small", "answers", "mmlu", prompt__prompt=HOSTILE[0] + HOSTILE[4], description=HOSTILE[2]
    )
    second = run(store, "r2", failed={(CHOSEN, "mmlu"): HOSTILE[3]}, spec=spec)[1]
    changes = {"command": f"harness eval {HOSTILE[1]}", "run_id": HOSTILE[2] + HOSTILE[7]}
    view = build_comparison([run(store, "r1"), (store, second.model_copy(update=changes))])
    page = render_runs_html(view)
    found = Page(page)
    assert found.errors == []
    tags = [tag for tag, _ in found.tags]
    assert not {"img", "iframe"} & set(tags)
    assert (tags.count("script"), tags.count("style")) == (1, 1)
    assert not any(name.startswith("on") for _, a in found.tags for name in a)
    assert "<script>alert(1)</script>" in "".join(found.words)
    for text in (page, render_runs_markdown(view), "\n".join(verdict_lines(view))):
        assert not set("\x00\x07\x1b\u2028\u202e\u200b") & set(text)
    assert "<script>" not in re.sub(r"`[^`]*`", "", render_runs_markdown(view)).replace("\\<", "")


def test_markdown_says_the_same(view: RunsView) -> None:
    """The verdict, tables with one column count each, and why something is not compared."""
    text = render_runs_markdown(view)
    assert text.startswith("# Comparison of 3 runs\n\n**Of 2 runs held against small/r1 ")
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "Not compared: small/r3, answers ROUGE-L, answers exact match" in text
    assert "harness report small/r1 small/r2 small/r3" in text


def test_csv_and_json_hold_every_score(view: RunsView) -> None:
    """In the metrics' own units, with the reasons of what is missing."""
    lines = list(csv.DictReader(io.StringIO(render_runs_csv(view))))
    (line,) = (
        line
        for line in lines
        if (line["task"], line["metric"], line["split"]) == PRIMARY
        and (line["run_id"], line["what"]) == ("r2", "compared")
    )
    assert float(line["delta"]) == pytest.approx(0.1)
    assert (line["reference"], line["better"], line["variant"]) == ("small/r1", "true", CHOSEN)
    reasons = [
        line["reason"] for line in lines if line["run_id"] == "r3" and line["task"] == "answers"
    ]
    assert set(reasons) == {
        "other examples: none is in both, 120 only in small/r1, 120 only in small/r3"
    }
    assert RunsView.model_validate_json(render_runs_json(view)) == view


def test_the_same_records_give_the_same_bytes(store: Store) -> None:
    """Nothing depends on time or chance, and the folder's name is that of the runs in order."""
    found = [run(store, "r1"), better(store)]
    first, second = build_comparison(found), build_comparison(found)
    assert render_runs_html(first) == render_runs_html(second)
    assert first.digest() == second.digest() != build_comparison(found[::-1]).digest()
    assert first.digest() != build_comparison(found, "merged-4").digest()


def test_every_reason_is_told_once(view: RunsView) -> None:
    """Runs and scores that share a reason share a line."""
    lines = not_compared(view, view.rows)
    assert len(lines) == len(set(lines))
    assert (
        "small/r2, mmlu acc, mmlu/law acc, mmlu/art acc: failed: RuntimeError: <b>bad</b>." in lines
    )


# -- the command line -----------------------------------------------------------------------------


def call(*args: str, store: Store) -> Any:
    return CliRunner().invoke(cli.app, ["report", *args, "--runs-dir", str(store.root)])


def test_one_run_is_reported_as_ever(store: Store) -> None:
    """Into its own folder, without a comparison; a variant is for several runs only."""
    run(store, "r1")
    done = call("small", store=store)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [str(store.run_dir("small", "r1") / "report.html")]
    assert not (store.root / "comparisons").exists()
    assert isinstance(call("small", "--variant", "merged-4", store=store).exception, UsageError)


def test_several_runs_are_compared(store: Store, tmp_path: Path) -> None:
    """Into a folder of their own or the one that is named; --json prints, and --format chooses."""
    found = [run(store, "r1"), better(store)]
    view = build_comparison(found)
    done = call("small/r1", "small/r2", store=store)
    page = store.root / "comparisons" / view.digest() / "comparison.html"
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [*verdict_lines(view), str(page)]
    assert page.read_text("utf-8") == render_runs_html(view)
    done = call("small/r1", "small/r2", "-o", str(tmp_path / "out"), "--format", "all", store=store)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("comparison.csv", "comparison.html", "comparison.json", "comparison.md"),
    ]
    done = call("small/r1", "small/r2", "--json", store=store)
    assert json.loads(done.stdout)["runs"][1]["run_id"] == "r2"
    twice = call("small", "small/r1", store=store)  # a suite's name is its latest run, here r1
    assert isinstance(twice.exception, UsageError)
    assert [m.run_id for m in store.manifests()] == ["r1", "r2"]  # a comparison is no run


def test_an_unknown_format_is_refused(view: RunsView, tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(UsageError, match="no format 'pdf'"):
        write_runs(view, tmp_path, "pdf")


def test_the_variants_of_the_builder_are_known() -> None:
    """Guards the expectations above: four variants, of which two are checkpoints."""
    assert VARIANTS == ("base@nf4", "checkpoint-2", "checkpoint-4", "merged-4")
