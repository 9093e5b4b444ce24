from __future__ import annotations

import numpy as np
import pytest

from harness.analysis.compare import Panel, Quantity, Sample
from harness.analysis.select import primary_metric, select
from harness.metrics.base import mean_of
from harness.schema import Selection
from harness.spec import Suite

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
) -> Selection:
    quantity = Quantity("summary", "rougeL", "select", mean_of, higher, 1.0 if higher else None)
    ids = np.array([f"e{index}" for index in range(4)])
    samples = [
        Sample(name, ids, ids, np.stack([np.array(row), np.ones(4)], axis=1))
        for name, row in values.items()
    ]
    known = {name: step for name, step in STEPS.items() if name in values}
    return select(Panel(quantity, samples), steps or known, "base")


def test_an_earlier_checkpoint_within_one_standard_error_is_preferred() -> None:
    """c60 is best by .01, less than the standard error .0526 of its paired difference to c40."""
    found = choose(VALUES)
    assert found.chosen == "c40"
    assert "c60 has the highest rougeL of summary on select (60.00, n = 4)." in found.reason
    assert "difference of 1.00 is within its standard error of 5.26" in found.reason
    names, values = zip(*found.ranking, strict=True)
    assert names == ("c60", "c40", "c20", "base")
    assert values == pytest.approx((0.6, 0.59, 0.35, 0.15))


def test_a_clear_best_is_chosen() -> None:
    """A gain of .25 with a standard error of .0289 is no tie."""
    found = choose({name: VALUES[name] for name in ("base", "c20", "c60")})
    assert found.chosen == "c60"
    assert "That is 45.00 better than base (15.00)." in found.reason


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


def test_a_checkpoint_without_scores_is_named() -> None:
    """A candidate whose cell failed is left out, and the reason says so."""
    found = choose({name: VALUES[name] for name in ("base", "c60")}, dict(STEPS))
    assert found.chosen == "c60"
    assert "no score: c20, c40" in found.reason
    assert found.ranking[-1] == ("c40", None)


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
    assert primary_metric(suite.model_dump(mode="json")) == expected
