from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.data.splits import hash_point
from harness.metrics.base import mean_of
from harness.schema import ConstraintCheck, Manifest, Selection
from harness.select.checkpoint import select, select_checkpoint
from harness.select.constraints import explained
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.pareto import Objective
from harness.store.runs import Store
from harness.suite.deciding import primary_metric
from harness.suite.record import recorded_suite, suite_of
from harness.suite.spec import Suite
from tests.stores import marked_anew
from tests.unit.conftest import SPEC, RunFactory

# Four examples. Paired differences to c60 and their standard errors (sd / sqrt(4)), by hand:
#   c20: .3 .2 .3 .2  mean .25,  se .0289 -> not within one standard error
#   c40: .1 -.1 .1 -.06  mean .01,  se .0526 -> within
VALUES = {
    "base": [0.1, 0.2, 0.1, 0.2],
    "c20": [0.3, 0.4, 0.3, 0.4],
    "c40": [0.5, 0.7, 0.5, 0.66],
    "c60": [0.6, 0.6, 0.6, 0.6],
}
STEPS = {"c20": 20, "c40": 40, "c60": 60}


def choose(
    values: dict[str, list[float]],
    steps: dict[str, int | None] | None = None,
    *,
    higher: bool = True,
    **options: Any,
) -> Selection:
    quantity = Quantity("summary", "rougeL", "select", mean_of, higher, 1.0 if higher else None)
    ids = np.array([f"e{index}" for index in range(4)])
    samples = [
        Sample(name, ids, ids, np.stack([np.array(row), np.ones(4)], axis=1))
        for name, row in values.items()
    ]
    known = {name: step for name, step in STEPS.items() if name in values}
    return select(Panel(quantity, samples), steps or known, "base", **options)


def test_an_earlier_checkpoint_within_one_standard_error_is_preferred() -> None:
    """c60 is best by .01, less than the standard error .0526 of its paired difference to c40."""
    found = choose(VALUES)
    assert found.chosen == "c40"
    assert "c60 has the highest ROUGE-L of summary on select (60.00, n = 4)." in found.reason
    assert "difference of 1.00 is within its standard error of 5.26" in found.reason
    names, values = zip(*found.ranking, strict=True)
    assert names == ("c60", "c40", "c20", "base")
    assert values == pytest.approx((0.6, 0.59, 0.35, 0.15))


def test_a_clear_best_is_chosen() -> None:
    """A gain of .25 with a standard error of .0289 is no tie."""
    found = choose({name: VALUES[name] for name in ("base", "c20", "c60")})
    assert found.chosen == "c60"
    assert "That is 45.00 better than base (15.00); " in found.reason


def test_pairing_decides_and_not_the_single_errors() -> None:
    """A small gain on every example is certain, however much the examples differ."""
    earlier = [0.1, 0.9, 0.2, 0.8]
    found = choose({"base": [0] * 4, "c20": earlier, "c60": [value + 0.02 for value in earlier]})
    assert found.chosen == "c60"


def test_a_tie_goes_to_the_earlier() -> None:
    """Equal values: the earlier checkpoint."""
    assert choose({"base": [0] * 4, "c20": [0.5] * 4, "c60": [0.5] * 4}).chosen == "c20"


def test_lower_losses_win() -> None:
    """Where lower is better the smallest value is chosen, with its own words."""
    found = choose({"base": [4, 5, 4, 5], "c20": [2, 3, 2, 3], "c60": [3, 4, 3, 4]}, higher=False)
    assert found.chosen == "c20"
    assert "lowest" in found.reason
    assert found.ranking[0] == ("c20", 2.5)


def test_no_gain_over_the_baseline_is_said() -> None:
    """A best checkpoint that is no better than the baseline is named with that fact."""
    found = choose({"base": [0.9] * 4, "c20": [0.2, 0.3, 0.2, 0.3], "c60": [0.1] * 4})
    assert found.chosen == "c20"
    assert "that is no gain: base scores at least as well (90.00)" in found.reason


def test_an_adapter_that_does_nothing_is_noticed() -> None:
    """Equal scores on every example are suspicious."""
    found = choose({"base": [0.2, 0.3, 0.2, 0.3], "c20": [0.2, 0.3, 0.2, 0.3]})
    assert "it scores exactly as base does on every example" in found.reason


def test_unknown_steps_count_as_late() -> None:
    """An adapter of unknown step is not preferred for being early."""
    same = {"base": [0] * 4, "c20": [0.5] * 4, "c60": [0.5] * 4}
    assert choose(same, {"c20": None, "c60": 60}).chosen == "c60"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"c20": None, "c40": None, "c60": None}, "step of c60, so no other is preferred as"),
        ({"c20": 20, "c40": 40, "c60": None}, "step of c60, so no other is preferred as"),
        ({"c20": 20, "c40": None, "c60": 60}, "step of c40: not preferred as earlier"),
        ({"c20": 20, "c40": 60, "c60": 60}, ""),
    ],
)
def test_nothing_is_earlier_without_a_step(steps: dict[str, int | None], words: str) -> None:
    """c40 is as good as c60, but is not known to be earlier; without a step, the best is chosen."""
    choice = choose(VALUES, steps)
    assert choice.chosen == "c60"
    assert "is earlier" not in choice.reason
    assert words in choice.reason
    assert ("Nothing tells the training step" in choice.reason) == bool(words)


def test_a_checkpoint_without_scores_is_named() -> None:
    """A candidate whose cell failed is left out, and the reason says so."""
    found = choose({name: VALUES[name] for name in ("base", "c60")}, dict(STEPS))
    assert found.chosen == "c60"
    assert "no score: c20, c40" in found.reason
    assert found.ranking[-1] == ("c40", None)


def checked(variant: str, status: Any, **changes: Any) -> ConstraintCheck:
    """What became of a constraint on HellaSwag: 5 points lost, by .03 to .07."""
    known = {"value": -0.05, "low": -0.07, "high": -0.03, "bound": 0.02, "n": 50, "scale": 1.0}
    what = "hellaswag acc: at most 2 points worse than base"
    fields = {"data": "select half", **(known if status != "unknown" else {"reason": "no score"})}
    return ConstraintCheck(variant=variant, what=what, status=status, **{**fields, **changes})


def test_a_checkpoint_that_breaks_a_constraint_is_not_chosen() -> None:
    """The best is excluded with what it breaks; the rule goes on among the others."""
    found = choose(VALUES, checks=[checked("c60", "broken")])
    assert found.chosen == "c40"
    assert (
        "c60 has the highest ROUGE-L of summary on select (60.00, n = 4), but breaks"
        in found.reason
    )
    assert "of those that keep to them, c40 has the highest (59.00)." in found.reason
    assert explained(found.constraints[0]) == (
        "hellaswag acc: at most 2 points worse than base, but it is 5.00 points worse, with 95 % "
        "certainty at least 3.00 points worse (n = 50)"
    )
    assert [c.allowed for c in found.candidates] == [True, True, False]


def test_a_worse_checkpoint_that_is_excluded_is_no_part_of_the_reason() -> None:
    """It would not have been chosen anyway; the candidates say that it is excluded."""
    found = choose(VALUES, checks=[checked("c20", "broken")])
    assert found.chosen == "c40"
    assert "excluded" not in found.reason
    assert [c.allowed for c in found.candidates] == [False, True, True]


def test_where_all_are_excluded_none_is_chosen() -> None:
    """And the reason says which constraints exclude how many."""
    names = ("c20", "c40", "c60")
    found = choose(VALUES, checks=[checked(name, "broken") for name in names])
    assert found.chosen is None
    assert found.reason == (
        "No checkpoint keeps to the constraints: "
        "3 of 3 break “hellaswag acc: at most 2 points worse than base”."
    )
    assert found.ranking[0][0] == "c60"


@pytest.mark.parametrize("status", ["unsure", "unknown", "kept"])
def test_what_the_data_leave_open_is_allowed(status: str) -> None:
    """Only what the data shows to be broken excludes; the reason keeps to three sentences."""
    found = choose(VALUES, checks=[checked("c40", status), checked("c60", status)])
    assert found.chosen == "c40"
    assert all(candidate.allowed for candidate in found.candidates)
    assert found.reason.count(". ") <= 2


def test_the_rule_best_takes_the_best_value() -> None:
    """However small its lead."""
    found = choose(VALUES, rule="best")
    assert (found.chosen, found.rule) == ("c60", "best")
    assert "earlier" not in found.reason


def test_candidates_carry_their_evidence() -> None:
    """Against Student's t by scipy, and the sign-flip p of four clusters by hand."""
    found = choose(VALUES)
    c20 = found.candidates[0]
    gains = np.array(VALUES["c20"]) - np.array(VALUES["base"])
    assert (c20.variant, c20.step, c20.value) == ("c20", 20, pytest.approx(0.35))
    assert c20.delta == pytest.approx(gains.mean())
    reach = stats.t.ppf(0.975, 3) * gains.std(ddof=1) / 2
    assert (c20.low, c20.high) == pytest.approx((gains.mean() - reach, gains.mean() + reach))
    # all four gains of each are positive: no other of the 2**4 patterns reaches as far
    assert [c.p_adjusted for c in found.candidates] == pytest.approx([1 / 16] * 3)
    assert "chance alone gives one of 3 checkpoints such a gain with p = 0.062." in found.reason


def test_losses_are_better_where_they_are_lower() -> None:
    """The adjusted p is that of a gain, not of a greater value."""
    found = choose({"base": [4, 5, 4, 5], "c20": [2, 3, 2, 3], "c60": [7, 8, 7, 9]}, higher=False)
    assert [c.p_adjusted for c in found.candidates] == pytest.approx([1 / 16, 1.0])


def test_the_front_is_over_quality_and_the_other_axes() -> None:
    """c20 is small, c60 the best; c40 is as large as c60 and worse."""
    memory = Objective(
        "peak_rss_bytes", {"c20": 1e9, "c40": 2e9, "c60": 2e9}, higher_is_better=False
    )
    found = choose(VALUES, axes=[memory])
    assert [c.efficient for c in found.candidates] == [True, False, True]
    assert found.axes == ("rougeL of summary", "peak_rss_bytes")
    assert found.candidates[0].axes == {
        "rougeL of summary": pytest.approx(0.35),
        "peak_rss_bytes": 1e9,
    }


def test_a_baseline_among_the_candidates_is_not_compared_with_itself() -> None:
    """A suite may name a checkpoint as its baseline."""
    values = {"base": VALUES["base"], "c20": VALUES["c20"]}
    found = choose(values, {"base": 10, "c20": 20})
    assert [c.delta for c in found.candidates] == [None, pytest.approx(0.2)]
    assert [name for name, _ in found.ranking] == ["c20", "base"]


CONSTRAINTS: list[dict[str, Any]] = [
    {"task": "smoke_hellaswag", "metric": "acc", "max_drop": 1},
    {"measurement": "decode_tokens_per_s", "min": 20},
]


@pytest.fixture
def run(tmp_path: Path) -> RunFactory:
    """A stored run with a task of each kind and measurements."""
    spec = SPEC | {"select": {"constraints": CONSTRAINTS}}
    return RunFactory(Store(tmp_path / "runs"), n=60, spec=spec, training=False)


def chosen_of(run: RunFactory, manifest: Manifest) -> Selection:
    return select_checkpoint(
        run.store, manifest.variants, manifest.cells, suite_of(manifest), manifest.baseline
    )


def test_constraints_are_read_from_the_store(run: RunFactory) -> None:
    """Every checkpoint is too slow, so none is chosen; base and merged are no candidates."""
    found = run.build().selection
    assert found is not None
    assert found.chosen is None
    assert "3 of 3 break “decode speed at least 20 tok/s”" in found.reason
    assert [c.variant for c in found.candidates] == [
        "checkpoint-20",
        "checkpoint-40",
        "checkpoint-60",
    ]
    assert len(found.constraints) == 6
    assert found.axes == (
        "rougeL of summary",
        "smoke_hellaswag acc against the baseline",
        "peak_rss_bytes",
        "decode_tokens_per_s",
    )


def test_a_measurement_that_failed_excludes_nobody(run: RunFactory) -> None:
    """It is said, with the reason."""
    run.failed = {(name, "measure"): "killed" for name in run.variants}
    found = run.build().selection
    assert found is not None
    assert found.chosen is not None
    assert {c.reason for c in found.constraints if not c.data} == {"failed: killed"}


@pytest.mark.parametrize("part", ["report", "select"])
def test_nothing_that_is_claimed_is_read_before(run: RunFactory, part: str) -> None:
    """Other figures on report, and on the half of documents kept for it, change no word of it."""
    manifest = run.build()
    before = chosen_of(run, manifest)
    for cell in manifest.cells:
        if cell.scores_key is None or cell.kind == "perplexity":
            continue
        path = run.store.path("scores", cell.scores_key) / "stats.npz"
        with np.load(path) as archive:
            arrays = dict(archive)
        for name, ids in list(arrays.items()):
            if not name.startswith("ids/"):
                continue
            where = name.removeprefix("ids/")
            if where in ("select", "report"):
                rows = np.full(len(ids), where == part)
                names = [key for key in arrays if key.endswith(f"/{where}")]
            else:
                points = [hash_point(manifest.spec["seed"], "constraint", str(c)) for c in ids]
                rows = (np.array(points) < 0.5) == (part == "select")
                names = [key for key in arrays if key.startswith(f"{where.removesuffix('/all')}/")]
            for key in names:
                if not key.startswith(("ids/", "clusters/")):
                    arrays[key][rows] = arrays[key][rows][::-1] * 0.5
        np.savez_compressed(path, **arrays)
        marked_anew(run.store, "scores", cell.scores_key)
    after = chosen_of(run, manifest)
    assert (after == before) == (part == "report")


PROMPT = {"prompt": "{{ a }}", "completion": "{{ b }}"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("summary", "rougeL")),
        ({"select": {"metric": "bleu"}}, ("summary", "bleu")),
        ({"select": {"task": "qa"}}, ("qa", "f1")),
        ({"tasks": {"held": {"type": "perplexity", "splits": ["select"]}}}, ("held", "eval_loss")),
        ({"tasks": {"arc": {"type": "lm_eval", "task": "arc_easy"}}}, None),
        ({"tasks": {"s": {"type": "generation", "metrics": ["f1"], "splits": ["report"]}}}, None),
    ],
)
def test_the_primary_metric(changes: dict[str, object], expected: tuple[str, str] | None) -> None:
    """The first generation task on select decides by its first metric, unless select says else."""
    suite = Suite.model_validate(
        {
            "name": "s",
            "base": {"model": "tiny:llama"},
            "data": {"source": "a.jsonl"},
            "prompt": PROMPT,
            "tasks": {
                "arc": {"type": "lm_eval", "task": "arc_easy"},
                "summary": {"type": "generation", "metrics": [{"name": "rougeL"}, "bleu"]},
                "qa": {"type": "generation", "metrics": ["f1"]},
            },
            **changes,
        }
    )
    assert primary_metric(suite) == expected
    assert primary_metric(recorded_suite(suite.model_dump(mode="json"))) == expected
