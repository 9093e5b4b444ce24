"""Gating whole runs: what is compared, what is refused, and what is only listed."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.splits import hash_point
from harness.digests import SEAL
from harness.errors import BaselineError, QualityError, SuiteError, UsageError
from harness.gate.accept import accept_baseline, broken_floors
from harness.gate.baseline import read_baseline, sidecar_of
from harness.gate.check import run_gate
from harness.metrics.base import FloatArray
from harness.plan.plan import make_plan
from harness.schema import GateCheck, GateResult, Manifest
from harness.store.runs import Store
from harness.validate.suite import check_suite
from tests.unit.gate.gate_runs import ENVIRONMENT, SPEC, N, Runs
from tests.unit.suites import suite_file

CHOSEN = "checkpoint-4"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "baseline.json"


def spec(**gate: Any) -> dict[str, Any]:
    return copy.deepcopy(SPEC) | {"gate": gate}


def accept(store: Store, path: Path, runs: Runs | None = None, **changes: Any) -> Manifest:
    manifest = (runs or Runs(store)).build(**changes)
    accept_baseline(store, manifest, path, "because", "me")
    return manifest


def gate(store: Store, path: Path, *, manifest: dict[str, Any] | None = None, **fields: Any) -> Any:
    """The result of a second run that differs from the first in ``fields``."""
    return run_gate(store, Runs(store, "r2", **fields).build(**(manifest or {})), path)


def worse(by: float) -> Any:
    def change(values: FloatArray) -> FloatArray:
        return values - by + np.random.default_rng(1).normal(0, 0.01, len(values))

    return change


def found(result: GateResult, metric: str, task: str = "answers") -> GateCheck:
    (check,) = (c for c in result.checks if (c.task, c.metric) == (task, metric))
    return check


# -- what is compared -----------------------------------------------------------------------------


def test_an_equal_run_is_identical(store: Store, path: Path) -> None:
    """Every metric of every task as a whole, on report, else all, else eval; exit code 0."""
    accept(store, path)
    result = gate(store, path)
    scores = [c for c in result.checks if c.kind == "quality"]
    assert [(c.task, c.metric, c.split) for c in scores] == [
        ("answers", "rougeL", "report"),
        ("answers", "exact_match", "report"),
        ("held_out", "eval_loss", "eval"),
        ("mmlu/law", "acc", "all"),
        ("mmlu/art", "acc", "all"),
    ]
    assert {c.verdict for c in scores} == {"identical"}
    assert (result.verdict, result.exit_code, result.problems) == ("pass", 0, ())
    assert (result.run, result.baseline_run) == ("small/r2", "small/r1")
    assert result.changes == ()


def test_ids_with_slashes_make_no_group(store: Store, path: Path) -> None:
    """Members of a group are told by their signature, not by what their documents are called."""
    accept(store, path, Runs(store, rename=lambda name: f"part/{name}"))
    result = gate(store, path, rename=lambda name: f"part/{name}")
    members = [c.task for c in result.checks if c.task.startswith("mmlu/")]
    assert members == ["mmlu/law", "mmlu/art"]


def test_equal_scores_of_other_outputs_are_not_identical(store: Store, path: Path) -> None:
    """0/1 scores of the same texts are identical; of other texts they are bounded.

    Texts of another split than the score's do not matter.
    """
    accept(store, path)
    assert found(gate(store, path), "exact_match").verdict == "identical"
    elsewhere = run_gate(store, Runs(store, "r3", select_texts="other").build(), path)
    assert found(elsewhere, "exact_match").verdict == "identical"
    other = run_gate(store, Runs(store, "r4", texts="other").build(), path)
    check = found(other, "exact_match")
    assert (check.verdict, check.gain) == ("inconclusive", 0.0)
    assert "outputs are not known to be equal" in check.method


def test_a_loss_beyond_the_margin_is_a_regression(store: Store, path: Path) -> None:
    """Exit code 1, with the metric in the headline and the chosen checkpoint as the subject."""
    accept(store, path)
    result = gate(store, path, changed={(CHOSEN, "answers", "rougeL"): worse(0.06)})
    check = found(result, "rougeL")
    assert (result.exit_code, check.verdict) == (1, "regression")
    assert (check.subject, check.variant) == ("chosen", CHOSEN)
    assert (check.margin, check.n) == (0.02, N)
    assert "chosen answers: ROUGE-L on report" in result.headline


def test_other_variants_are_not_gated(store: Store, path: Path) -> None:
    """Only what gate.variants names decides."""
    accept(store, path)
    changed = {("base@nf4", "answers", "rougeL"): worse(0.3)}
    assert gate(store, path, changed=changed).exit_code == 0


def test_merged_is_that_of_the_chosen(store: Store, path: Path) -> None:
    """Its loss counts where gate.variants names it."""
    rules = spec(variants=["chosen", "merged"])
    accept(store, path, Runs(store, spec=rules))
    changed = {("merged-4", "answers", "rougeL"): worse(0.06)}
    result = gate(store, path, spec=rules, changed=changed)
    assert [(c.subject, c.variant) for c in result.checks if c.verdict == "regression"] == [
        ("merged", "merged-4")
    ]


def test_another_choice_is_compared_and_named(store: Store, path: Path) -> None:
    """The chosen checkpoint is gated whichever it is; that it changed is listed."""
    accept(store, path)
    result = gate(store, path, chosen="checkpoint-2")
    assert "chosen: was checkpoint-4, is checkpoint-2" in result.changes
    assert found(result, "rougeL").variant == "checkpoint-2"


def test_named_metrics_have_margins_splits_and_floors(store: Store, path: Path) -> None:
    """gate.metrics replaces the default list."""
    rules = spec(
        margin=1,
        metrics=[
            {"task": "answers", "metric": "rougeL", "split": "select", "margin": "10%"},
            {"task": "mmlu/law", "metric": "acc", "floor": 99},
        ],
        variants=["base@nf4"],
    )
    accept(store, path, Runs(store, spec=rules))
    result = gate(store, path, spec=rules)
    checks = [c for c in result.checks if c.kind != "measurement"]
    assert [(c.task, c.split, c.kind, c.verdict) for c in checks] == [
        ("answers", "select", "quality", "identical"),
        ("mmlu/law", "all", "quality", "identical"),
        ("mmlu/law", "all", "floor", "regression"),
    ]
    assert checks[0].margin == pytest.approx(0.1 * (checks[0].value or 0))
    assert checks[1].margin == pytest.approx(0.01)
    assert result.exit_code == 1


def test_a_score_that_is_new_is_listed(store: Store, path: Path) -> None:
    """It cannot be compared yet, and says so; a new task likewise."""
    accept(store, path, Runs(store, dropped={(CHOSEN, "answers", "exact_match")}))
    check = found(gate(store, path), "exact_match")
    assert (check.verdict, check.decides) == ("not_compared", False)
    assert "new" in (check.reason or "")


def test_what_cannot_be_paired_is_listed(store: Store, path: Path) -> None:
    """A metric without statistics is not gated, and not passed over in silence."""
    members = {(CHOSEN, f"mmlu/{name}", "acc") for name in ("law", "art")}
    accept(store, path, Runs(store, dropped=members))
    line = "not gated: chosen mmlu/acc on all: the metric gives no per-example statistics"
    assert line in gate(store, path, dropped=members).changes


def test_too_few_examples_are_inconclusive(store: Store, path: Path) -> None:
    """Exit code 3, or 0 where the accepted rules only warn; the needed n is given."""
    accept(store, path)
    noisy = {(CHOSEN, "mmlu/law", "acc"): lambda values: np.roll(values, 7)}
    result = gate(store, path, changed=noisy)
    assert (result.verdict, result.exit_code) == ("inconclusive", 3)
    assert (found(result, "acc", "mmlu/law").needed_n or 0) > N
    rules = spec(on_inconclusive="warn")
    accept(store, path, Runs(store, "r3", spec=rules))
    warn = run_gate(store, Runs(store, "r4", changed=noisy, spec=rules).build(), path)
    assert (warn.verdict, warn.exit_code) == ("inconclusive", 0)


# -- missing and invalid --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "needle"),
    [
        ({"failed": {(CHOSEN, "held_out"): "out of memory"}}, "failed: out of memory"),
        ({"dropped": {(CHOSEN, "answers", "exact_match")}}, "not among the run's scores"),
        ({"chosen": None}, "no checkpoint was chosen: None has a score."),
    ],
)
def test_what_the_run_lacks_fails(
    store: Store, path: Path, fields: dict[str, Any], needle: str
) -> None:
    """A cell, a metric, or the chosen checkpoint itself: missing, exit code 5."""
    accept(store, path)
    result = gate(store, path, **fields)
    missing = [c for c in result.checks if c.verdict == "missing"]
    assert missing
    assert needle in (missing[0].reason or "")
    assert (result.verdict, result.exit_code) == ("invalid", 5)


def test_a_task_that_was_removed_fails(store: Store, path: Path) -> None:
    """Leaving a task out of the suite is no way past the gate."""
    accept(store, path)
    without = spec()
    del without["tasks"]["held_out"]
    result = gate(store, path, spec=without)
    assert found(result, "eval_loss", "held_out").verdict == "missing"
    assert result.exit_code == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"undefined": {(CHOSEN, "answers", "rougeL")}},
        {"changed": {(CHOSEN, "answers", "rougeL"): lambda v: np.where(v > 0.5, np.nan, v)}},
        {"rename": lambda text: f"other-{text}"},
        {"rename": lambda text: text.replace("001", "000")},
    ],
    ids=["undefined", "nan", "disjoint ids", "duplicate ids"],
)
def test_invalid_data_fails_closed(store: Store, path: Path, fields: dict[str, Any]) -> None:
    """Exit code 5, with the reason in the check."""
    accept(store, path)
    result = gate(store, path, **fields)
    check = found(result, "rougeL")
    assert (check.verdict, result.exit_code) == ("invalid", 5)
    assert check.reason


def test_a_choice_among_some_checkpoints_only_fails(store: Store, path: Path) -> None:
    """One that was not scored might have been chosen."""
    accept(store, path)
    result = gate(store, path, failed={("checkpoint-2", "answers"): "out of memory"})
    assert result.exit_code == 5
    assert "made without checkpoint-2" in result.problems[1]


def test_an_unfinished_run_is_called_so(store: Store, path: Path) -> None:
    """What is missing because of it is no reason of its own."""
    accept(store, path)
    whole = Runs(store, "r2", spec=spec(measurements=FAST)).build()
    accept_baseline(store, whole, path, "rules", "me")
    words = "The run is not complete (1 of 16 cells). Run: harness eval SUITE"
    for changes in ({"selection": None}, {}):
        left = {"complete": False, "cells": whole.cells[:1], **changes}
        result = run_gate(store, whole.model_copy(update=left), path)
        assert (result.verdict, result.exit_code, result.checks) == ("invalid", 5, ())
        assert (result.headline, result.problems) == (words, (words,))
        assert not [line for line in result.changes if "missing" in line]


def test_unreadable_results_are_an_outcome(store: Store, path: Path) -> None:
    """A damaged store ends with exit code 5 and a result to show, not with an error."""
    accept(store, path)
    manifest = Runs(store, "r2").build()
    (store.path("scores", f"r2-{CHOSEN}-answers") / "stats.npz").write_bytes(b"broken")
    result = run_gate(store, manifest, path)
    assert result.exit_code == 5
    assert "stats.npz" in result.problems[0]


# -- incompatible ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "field"),
    [
        ({"examples": {"data": {"files": "f2"}}}, "tasks.answers.examples.data.files"),
        ({"limit": 5}, "tasks.answers.limit: was not set, is 5"),
        ({"decoding": {"max_new_tokens": 8}}, "tasks.answers.decoding.max_new_tokens"),
        ({"weights": {"base": {"kind": "other"}}}, "tasks.held_out.base.kind"),
    ],
)
def test_other_data_prompts_or_settings_are_refused(
    store: Store, path: Path, identity: dict[str, Any], field: str
) -> None:
    """Exit code 4 and nothing compared; each field that differs is named."""
    accept(store, path)
    result = gate(store, path, identity=identity)
    assert (result.verdict, result.exit_code, result.checks) == ("incompatible", 4, ())
    assert any(field in line for line in result.differences)


def test_what_only_decides_speed_may_differ(store: Store, path: Path) -> None:
    """Batch sizes and weights are what a change may be about."""
    accept(store, path)
    identity = {"batch_size": 99}
    assert gate(store, path, identity=identity).exit_code == 0


def test_other_rows_are_refused(store: Store, path: Path) -> None:
    """The content of the data counts, whatever its files are called."""
    accept(store, path)
    manifest = Runs(store, "r2").build()
    data = {k: v.model_copy(update={"digest": "d2"}) for k, v in manifest.data.items()}
    result = run_gate(store, manifest.model_copy(update={"data": data}), path)
    assert "tasks.answers.examples.data.rows: was 'd1', is 'd2'" in result.differences


def test_another_suite_s_baseline_is_refused(store: Store, path: Path) -> None:
    """By name; and accepting does not overwrite it."""
    accept(store, path)
    other = Runs(store, "r2", spec=copy.deepcopy(SPEC) | {"name": "large"}).build()
    assert "suite: was 'small', is 'large'" in run_gate(store, other, path).differences
    with pytest.raises(UsageError, match="baseline of suite small, and the run is of large"):
        accept_baseline(store, other, path, "why", "me")


def test_a_limited_run_is_refused(store: Store, path: Path) -> None:
    """Neither compared nor accepted, and the field is named."""
    accept(store, path)
    result = gate(store, path, manifest={"limit": 3})
    assert result.exit_code == 4
    assert result.differences[0].startswith("limit: the run was made with --limit 3")
    with pytest.raises(BaselineError, match="limit: the run"):
        accept(store, path, Runs(store, "r3"), limit=3)


def test_an_unreadable_baseline_is_an_outcome(store: Store, path: Path) -> None:
    """Missing or cut off: exit code 4 and the file's name in the headline."""
    none = gate(store, path)
    assert (none.exit_code, none.differences) == (4, ())
    assert none.headline == f"No baseline yet: {path} does not exist."
    assert none.hint.startswith(f"harness gate accept small/r2 --baseline {path} ")
    accept(store, path)
    path.write_text(path.read_text()[:200])
    result = run_gate(store, Runs(store, "r3").build(), path)
    assert (result.exit_code, result.checks) == (4, ())
    assert str(path) in result.headline


def test_what_the_rules_add_needs_a_new_baseline(store: Store, path: Path) -> None:
    """A variant, metric or measurement that the baseline does not have is never passed over."""
    accept(store, path, Runs(store, spec=spec(metrics=[_entry("rougeL")]), measured=False))
    rules = [
        {"variants": ["chosen", "base@nf4"], "metrics": [_entry("rougeL")]},
        {"metrics": [_entry("rougeL"), _entry("exact_match")]},
        {
            "metrics": [_entry("rougeL")],
            "measurements": [{"measurement": "peak_rss_bytes", "margin": "5%"}],
        },
    ]
    words = ("gate.variants", "gate.metrics", "gate.measurements")
    for place, (added, word) in enumerate(zip(rules, words, strict=True)):
        manifest = Runs(store, f"n{place}", spec=spec(**added)).build()
        result = run_gate(store, manifest, path)
        assert result.exit_code == 4, word
        assert result.differences[0].startswith(word)


def _entry(metric: str, task: str = "answers", **more: Any) -> dict[str, Any]:
    return {"task": task, "metric": metric, **more}


NAMED: dict[str, Any] = {
    "metrics": [_entry("rougeL", split="report", margin="90%"), _entry("acc", "mmlu/law")]
}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"margin": 100}, ["gate.margin: was 2, is 100"]),
        (
            {},
            {"alpha": 0.001, "unscaled_margin": "900%"},
            ["gate.alpha: was 0.05, is 0.001", "gate.unscaled_margin: was 2%, is 900%"],
        ),
        ({}, {"on_inconclusive": "warn"}, ["gate.on_inconclusive: was fail, is warn"]),
        ({"require_hardware": True}, {}, ["gate.require_hardware: was True, is False"]),
        (
            {"variants": ["chosen", "base@nf4"]},
            {},
            ["gate.variants[base@nf4] is not gated any more"],
        ),
        (
            NAMED,
            {
                "metrics": [
                    _entry("rougeL", split="report", margin="900%"),
                    _entry("acc", "mmlu/law", floor=1),
                ]
            },
            [
                "gate.metrics[answers/rougeL on report].margin: was 90%, is 900%",
                "gate.metrics[mmlu/law/acc].floor: was not set, is 1",
            ],
        ),
        (
            NAMED,
            {"metrics": [*NAMED["metrics"][:1], _entry("acc", "mmlu/art")]},
            [
                "gate.metrics[mmlu/law/acc] is not gated any more",
                "gate.metrics[mmlu/art/acc] is new",
            ],
        ),
        (
            {},
            {"metrics": [_entry("rougeL")]},
            [
                "gate.metrics: was every score (none is named), is the named ones only",
                "gate.metrics[answers/rougeL] is new",
            ],
        ),
        (
            {"measurements": [{"measurement": "decode_tokens_per_s", "margin": "10%"}]},
            {"measurements": [{"measurement": "decode_tokens_per_s", "margin": "95%"}]},
            ["gate.measurements[decode_tokens_per_s].margin: was 10%, is 95%"],
        ),
    ],
)
def test_other_rules_than_the_accepted_are_refused(
    store: Store, path: Path, before: dict[str, Any], after: dict[str, Any], expected: list[str]
) -> None:
    """Exit code 4 with every rule that differs: no change loosens the gate it has to pass.

    Accepting the baseline anew changes the rules, and its history says why.
    """
    accept(store, path, Runs(store, spec=spec(**before)))
    worse_run = {(CHOSEN, "answers", "rougeL"): worse(0.1)}
    manifest = Runs(store, "r2", spec=spec(**after), changed=worse_run).build()
    result = run_gate(store, manifest, path)
    assert (result.verdict, result.exit_code, result.checks) == ("incompatible", 4, ())
    assert [line for line in result.differences if "does not have" not in line] == expected
    assert result.hint.startswith(f"harness gate accept small/r2 --baseline {path} ")
    assert result.hint.endswith(' --reason "..."')
    accept_baseline(store, manifest, path, "other rules", "me")
    again = run_gate(store, manifest, path)
    assert (again.differences, again.problems) == ((), ())


def test_the_order_of_rules_does_not_matter(store: Store, path: Path) -> None:
    """Only what they say."""
    rules = {"variants": ["chosen", "base@nf4"], **NAMED}
    accept(store, path, Runs(store, spec=spec(**rules)))
    turned = {key: entries[::-1] for key, entries in rules.items()}
    assert gate(store, path, spec=spec(**turned)).exit_code == 0


def test_what_only_choosing_uses_is_listed(store: Store, path: Path) -> None:
    """A task scored on select alone is not gated by default, and not passed over in silence."""
    only = {(CHOSEN, "answers", metric, "report") for metric in ("rougeL", "exact_match")}
    accept(store, path, Runs(store, unscored=only))
    result = gate(store, path, unscored=only)
    lines = [line for line in result.changes if line.startswith("not gated: chosen answers/")]
    assert [line.split(":")[1] for line in lines] == [
        " chosen answers/rougeL on select",
        " chosen answers/exact_match on select",
    ]
    assert "what the checkpoint was chosen by" in lines[0]


ON_SELECT = {"task": "answers", "metric": "rougeL", "split": "select"}


def test_a_choice_is_not_gated_on_what_it_was_chosen_by(
    store: Store, path: Path, tmp_path: Path
) -> None:
    """The suite is refused with its line, and so is the baseline; an old run's gate says it.

    A variant that is named was not chosen by these examples: it may be gated on them.
    """
    rules = {"metrics": [ON_SELECT]}
    with pytest.raises(SuiteError, match=r"suite.yaml:\d+: gate.metrics\[0\].split is select") as e:
        check_suite(suite_file(tmp_path, gate=rules))
    assert str(e.value).endswith("Gate it on report.")
    check_suite(suite_file(tmp_path, gate=rules | {"variants": ["base@nf4"]}))
    with pytest.raises(UsageError, match="cannot be gated: the select split is what"):
        accept(store, path, Runs(store, spec=spec(**rules)))
    accept(store, path, Runs(store, spec=spec(**rules, variants=["base@nf4"])))
    content = json.loads(path.read_text("utf-8"))  # as it was accepted when it was allowed
    del content[SEAL]
    content["gate"]["variants"] = ["chosen"]
    content["subjects"]["chosen"] = content["subjects"].pop("base@nf4")
    path.write_text(json.dumps(content), "utf-8")
    result = gate(store, path, spec=spec(**rules))
    assert any(
        line.startswith("chosen answers/rougeL on select is biased: ") for line in result.changes
    )


# -- what constraints read ------------------------------------------------------------------------


def in_half(part: str, task: str = "mmlu/law") -> NDArray[np.bool_]:
    """Which documents constraints read (``select``) and which not, by the documented rule."""
    ids = [f"{task.rpartition('/')[2]}-{i:03d}" for i in range(N)]
    return np.array(
        [(hash_point(7, "constraint", name) < 0.5) == (part == "select") for name in ids]
    )


@pytest.mark.parametrize("constrained", ["mmlu/law", "mmlu"])
def test_what_constraints_read_does_not_gate_the_choice(
    store: Store, path: Path, constrained: str
) -> None:
    """Luck on the constraints' half of the documents is no defence of a loss on the other one.

    Of equally bad checkpoints the constraint lets through the one that was lucky on its half.
    """
    half = in_half("report")
    rules = spec(metrics=[_entry("acc", "mmlu/law", margin=5)])
    rules["select"] = {"constraints": [{"task": constrained, "metric": "acc", "max_drop": 2}]}
    accept(store, path, Runs(store, spec=rules))

    def lucky(values: FloatArray) -> FloatArray:
        return np.where(half, 0.0, 1.0)

    result = gate(store, path, spec=rules, changed={(CHOSEN, "mmlu/law", "acc"): lucky})
    check = found(result, "acc", "mmlu/law")
    assert (check.split, check.n, check.verdict) == ("report half", int(half.sum()), "regression")
    assert check.value == 0.0
    words = f"{half.sum()} of {N} documents that select.constraints did not read"
    assert any(words in line for line in result.changes)


def test_all_documents_gate_what_no_constraint_chose(store: Store, path: Path) -> None:
    """Neither another task's constraint nor one on a named variant takes any document away."""
    for run, task, variants in (
        ("a", "mmlu/art", ["chosen"]),
        ("b", "mmlu/law", ["checkpoint-4"]),
    ):
        rules = spec(metrics=[_entry("acc", "mmlu/law")], variants=variants)
        rules["select"] = {"constraints": [{"task": task, "metric": "acc", "max_drop": 2}]}
        accept(store, path.with_name(f"{run}.json"), Runs(store, f"{run}1", spec=rules))
        manifest = Runs(store, f"{run}2", spec=rules).build()
        check = found(run_gate(store, manifest, path.with_name(f"{run}.json")), "acc", "mmlu/law")
        assert (check.split, check.n, check.verdict) == ("all", N, "identical")


def test_where_constraints_read_every_document_nothing_is_gated(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one or two documents that may be all: exit code 5 with the reason."""
    rules = spec(metrics=[_entry("acc", "mmlu/law")])
    rules["select"] = {"constraints": [{"task": "mmlu/law", "metric": "acc", "max_drop": 2}]}
    accept(store, path, Runs(store, spec=rules))
    monkeypatch.setattr("harness.select.scores.HALF", 1.0)
    result = gate(store, path, spec=rules)
    check = found(result, "acc", "mmlu/law")
    assert (check.verdict, result.exit_code) == ("invalid", 5)
    assert "read all of its documents" in (check.reason or "")


def test_a_constraint_of_the_baseline_s_run_counts_as_well(store: Store, path: Path) -> None:
    """With another seed its half was another one: what neither of the two read is compared."""
    rules = spec(metrics=[_entry("acc", "mmlu/law")])
    rules["select"] = {"constraints": [{"task": "mmlu/law", "metric": "acc", "max_drop": 2}]}
    accept(store, path, Runs(store, spec=rules))
    check = found(gate(store, path, spec=rules | {"seed": 8}), "acc", "mmlu/law")
    assert 0 < check.n < in_half("report").sum()


def test_a_keyword_is_never_a_variant_s_name(store: Store, path: Path) -> None:
    """A checkpoint folder called "chosen" does not take the place of the chosen checkpoint."""
    accept(store, path)
    manifest = Runs(store, "r2").build()
    posing = manifest.variants[0].model_copy(update={"id": "chosen"})
    variants = (*manifest.variants, posing)
    result = run_gate(store, manifest.model_copy(update={"variants": variants}), path)
    assert {check.variant for check in result.checks} == {CHOSEN}


def test_all_changes_are_kept(store: Store, path: Path) -> None:
    """However many; only renderings may cut."""
    accept(store, path)
    changed = spec()
    changed["train"]["args"] |= {f"option_{i}": i for i in range(200)}
    result = gate(store, path, spec=changed)
    assert sum("suite.train.args.option_" in line for line in result.changes) == 200


def test_what_else_changed_is_listed(store: Store, path: Path) -> None:
    """Training arguments, versions and device may explain a difference."""
    accept(store, path)
    changed = spec()
    changed["train"]["args"]["learning_rate"] = 0.1
    machine = ENVIRONMENT.model_copy(update={"versions": {"torch": "3.0"}})
    result = gate(store, path, spec=changed, environment=machine)
    assert "suite.train.args.learning_rate: was 0.005, is 0.1" in result.changes
    assert "environment.versions.torch: was '2.13.0', is '3.0'" in result.changes


# -- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "needle"),
    [
        ({"metrics": [_entry("bleu")]}, "answers/bleu.*rougeL/report"),
        ({"metrics": [_entry("acc", "mmlu/nosuch")]}, "mmlu/nosuch/acc"),
        ({"variants": ["checkpoint-9"]}, "it has base@nf4, checkpoint-2"),
    ],
)
def test_names_that_nothing_has_are_usage_errors(
    store: Store, path: Path, rules: dict[str, Any], needle: str
) -> None:
    """Exit code 2 with what there is, both when gating and when accepting."""
    accept(store, path)
    manifest = Runs(store, "r2", spec=spec(**rules)).build()
    with pytest.raises(UsageError, match=needle):
        run_gate(store, manifest, path)
    with pytest.raises(UsageError, match=needle):
        accept_baseline(store, manifest, path, "why", "me")


@pytest.mark.parametrize(
    ("rules", "needle"),
    [
        ({"metrics": [_entry("rougeL", "nosuch")]}, "gate.metrics\\[0\\].task names 'nosuch'"),
        ({"metrics": [_entry("bleu")]}, "gate.metrics\\[0\\].metric names 'bleu'"),
        ({"metrics": [_entry("rougeL", split="eval")]}, "gate.metrics\\[0\\].split names 'eval'"),
        ({"metrics": [_entry("acc", "hellaswag", split="report")]}, "scored on: all"),
        ({"metrics": [_entry("rougeL", "answers/part")]}, "answers has no members"),
        ({"measurements": [{"measurement": "speed", "margin": "5%"}]}, "names 'speed'"),
        ({"measurements": [{"measurement": "ttft_s", "margin": "5%"}]}, "measures nothing"),
        ({"metrics": [_entry("rougeL"), _entry("rougeL")]}, "answers rougeL is named 2 times"),
    ],
)
def test_a_suite_s_gate_is_checked_before_anything_runs(
    tmp_path: Path, rules: dict[str, Any], needle: str
) -> None:
    """As far as the file tells: `harness validate` refuses it."""
    with pytest.raises(SuiteError, match=needle):
        check_suite(suite_file(tmp_path, gate=rules))


def test_a_gated_variant_must_be_one_that_the_run_can_have(tmp_path: Path) -> None:
    """Checkpoints that training has yet to make count as far as their names are known."""
    store = Store(tmp_path / "runs")
    training = {"method": "qlora", "args": {"max_steps": 6, "save_steps": 2}}
    named = {"variants": ["chosen", "checkpoint-4", "merged-6", "base@nf4"]}
    assert make_plan(suite_file(tmp_path, train=training, gate=named), store).variants
    wrong = suite_file(tmp_path, train=training, gate={"variants": ["choosen"]})
    with pytest.raises(SuiteError, match=r"names 'choosen'.*Did you mean chosen\?"):
        make_plan(wrong, store)


@pytest.mark.parametrize(
    ("rules", "needle"),
    [
        ({"nosuch": 1}, r"small/r2: .*gate\.nosuch: Extra inputs are not permitted"),
        ({"alpha": 7}, r"gate\.alpha: Input should be less than 0\.5"),
        ([1], "gate: Input should be a valid dictionary"),
    ],
)
def test_invalid_rules_of_a_run_are_told(store: Store, path: Path, rules: Any, needle: str) -> None:
    """Exit code 2 with the key, as a manifest of another version may hold them."""
    accept(store, path)
    manifest = Runs(store, "r2").build()
    broken = manifest.model_copy(update={"spec": {**manifest.spec, "gate": rules}})
    with pytest.raises(UsageError, match=needle):
        run_gate(store, broken, path)
    with pytest.raises(UsageError, match=needle):
        accept_baseline(store, broken, path, "why", "me")


# -- memory and speed -----------------------------------------------------------------------------

FAST = [{"measurement": "decode_tokens_per_s", "margin": "10%"}]


def test_gated_measurements_decide(store: Store, path: Path) -> None:
    """Half the speed is a regression; the smallest sizes count, and directions must be known."""
    rules = spec(measurements=FAST)
    accept(store, path, Runs(store, spec=rules))
    result = gate(store, path, spec=rules, speed=0.5)
    checks = {c.metric: c for c in result.checks if c.kind == "measurement"}
    assert checks.keys() == {"decode_tokens_per_s", "peak_rss_bytes"}
    assert checks["decode_tokens_per_s"].verdict == "regression"
    assert checks["decode_tokens_per_s"].split == "64 + 16 tokens"
    assert not checks["peak_rss_bytes"].decides
    assert result.exit_code == 1


def test_without_rules_measurements_are_listed(store: Store, path: Path) -> None:
    """They decide nothing."""
    accept(store, path)
    result = gate(store, path, speed=0.5)
    assert result.exit_code == 0
    assert found(result, "decode_tokens_per_s", "measure").gain == pytest.approx(-0.5)


def test_other_hardware_is_not_compared(store: Store, path: Path) -> None:
    """It is listed with the reason; with require_hardware it is refused."""
    rules = spec(measurements=FAST)
    accept(store, path, Runs(store, spec=rules))
    other = ENVIRONMENT.model_copy(update={"fingerprint": "b" * 20, "device_name": "Xeon"})
    result = gate(store, path, spec=rules, environment=other, speed=0.1)
    check = found(result, "decode_tokens_per_s", "measure")
    assert (check.verdict, check.decides, result.exit_code) == ("not_compared", True, 0)
    assert "was cpu of AMD EPYC (aaaaaaaa), is cpu of Xeon" in (check.reason or "")
    strict = spec(measurements=FAST, require_hardware=True)
    accept(store, path, Runs(store, "r4", spec=strict))
    refused = run_gate(store, Runs(store, "r3", spec=strict, environment=other).build(), path)
    assert refused.exit_code == 4
    assert refused.differences[0].startswith("hardware: other hardware")


def test_a_record_that_is_used_again_is_no_second_measurement(store: Store, path: Path) -> None:
    """It is neither identical nor a pass, and does not fail; that a rule names it is told."""
    rules = spec(measurements=FAST)
    manifest = accept(store, path, Runs(store, spec=rules))
    result = run_gate(store, manifest, path)
    check = found(result, "decode_tokens_per_s", "measure")
    assert (check.verdict, check.decides, result.exit_code) == ("not_compared", False, 0)
    assert check.reason == "not measured again: the same record as the baseline's"
    assert any("though gate.measurements names it" in line for line in result.changes)
    again = gate(store, path, spec=rules)  # equal readings of another record
    assert found(again, "decode_tokens_per_s", "measure").verdict == "identical"


def test_a_missing_measurement_fails_where_it_decides(store: Store, path: Path) -> None:
    """And is only listed where it does not."""
    rules = spec(measurements=FAST)
    accept(store, path, Runs(store, spec=rules))
    result = gate(store, path, spec=rules, measured=False)
    assert found(result, "decode_tokens_per_s", "measure").verdict == "missing"
    assert result.exit_code == 5
    accept(store, path, Runs(store, "r4"))
    listed = run_gate(store, Runs(store, "r3", measured=False).build(), path)
    assert listed.exit_code == 0
    assert "chosen: memory and speed are missing: the suite measures nothing" in listed.changes


# -- accepting ------------------------------------------------------------------------------------


def test_accepting_keeps_the_history(store: Store, path: Path) -> None:
    """Who, when, why, which run, and what changed."""
    accept(store, path)
    second = Runs(store, "r2", changed={(CHOSEN, "answers", "rougeL"): worse(0.1)}).build()
    written = accept_baseline(store, second, path, "a trade", "someone")
    assert [entry.why for entry in written.history] == ["because", "a trade"]
    last = read_baseline(path).baseline.history[-1]
    assert (last.who, last.run) == ("someone", "small/r2")
    assert last.deltas["chosen answers/rougeL on report"] == pytest.approx(-0.1, abs=0.005)
    assert last.deltas["chosen mmlu/law/acc on all"] == 0.0
    assert run_gate(store, second, path).exit_code == 0


def test_the_history_says_what_else_changed(store: Store, path: Path) -> None:
    """Rules and prompts; the values of another prompt are not subtracted."""
    accept(store, path)
    other = {"examples": {"prompt": {"prompt": "new"}}}
    written = accept_baseline(
        store, Runs(store, "r2", identity=other, spec=spec(margin=3)).build(), path, "new", "me"
    )
    last = written.history[-1]
    assert "tasks.answers.examples.prompt.prompt: was" in last.note
    assert "gate.margin: was 2, is 3" in last.note
    assert last.deltas == {}
    same = accept_baseline(
        store, Runs(store, "r3", identity=other, spec=spec(margin=3)).build(), path, "same", "me"
    ).history[-1]
    assert same.note == ""
    assert set(same.deltas.values()) == {0.0}


def test_floors_that_are_broken_from_the_start_are_named(store: Store, path: Path) -> None:
    """Every later run would fail by them."""
    rules = spec(metrics=[_entry("rougeL", floor=99), _entry("exact_match", floor=1)])
    manifest = Runs(store, spec=rules).build()
    (line,) = broken_floors(accept_baseline(store, manifest, path, "why", "me"))
    assert line.startswith("chosen answers/rougeL on report: ")
    assert line.endswith("is below its floor of 99")


def test_accepting_over_a_broken_baseline_says_what_is_lost(store: Store, path: Path) -> None:
    """The history begins anew, with a note."""
    accept(store, path)
    sidecar_of(path).unlink()
    written = accept_baseline(store, Runs(store, "r2").build(), path, "mended", "me")
    assert len(written.history) == 1
    assert "could not be read" in written.history[0].note


@pytest.mark.parametrize(
    ("fields", "error", "needle"),
    [
        ({"failed": {("base@nf4", "mmlu"): "no room"}}, QualityError, "base@nf4/mmlu: no room"),
        ({"undefined": {(CHOSEN, "answers", "rougeL")}}, QualityError, "undefined: it came out"),
        (
            {"changed": {(CHOSEN, "answers", "rougeL"): lambda v: np.where(v > 0.7, np.nan, v)}},
            QualityError,
            "hold NaN",
        ),
        ({"rename": lambda text: text.replace("001", "000")}, QualityError, "ids are repeated"),
        ({"chosen": None}, UsageError, "no checkpoint was chosen"),
        (
            {"spec": spec(measurements=FAST), "measured": False},
            UsageError,
            "names decode_tokens_per_s.*measures nothing",
        ),
        ({"spec": spec(metrics=[_entry("acc", "mmlu")])}, UsageError, "cannot be gated"),
    ],
)
def test_what_is_not_accepted(
    store: Store, path: Path, fields: dict[str, Any], error: type[Exception], needle: str
) -> None:
    """Incomplete runs, undefined or invalid scores, and what could not be compared later."""
    with pytest.raises(error, match=needle):
        accept(store, path, replace(Runs(store), **fields))
    assert not path.exists()
    assert not sidecar_of(path).exists()


def test_a_reason_and_a_file_are_needed(store: Store, path: Path) -> None:
    """Blank reasons, folders and the sidecar's own name are usage errors."""
    manifest = Runs(store).build()
    for reason, file in (("  ", path), ("why", path.parent), ("why", path.with_suffix(".npz"))):
        with pytest.raises(UsageError):
            accept_baseline(store, manifest, file, reason, "me")


def test_runs_of_before_there_were_rules_have_the_defaults(store: Store, path: Path) -> None:
    """Their manifests hold no gate."""
    old = Runs(store).build()
    bare = {key: part for key, part in old.spec.items() if key != "gate"}
    accept_baseline(store, old.model_copy(update={"spec": bare}), path, "old", "me")
    assert gate(store, path).exit_code == 0
