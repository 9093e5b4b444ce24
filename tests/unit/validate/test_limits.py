"""Limits that nothing can keep to, or that everything keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import SuiteError
from harness.validate.suite import check_suite
from tests.unit.suites import SUITE, suite_file

TASKS = {
    **SUITE["tasks"],
    "held_out": {"type": "perplexity", "splits": ["select", "report"]},
    "answers": {
        "type": "generation",
        "metrics": [
            "rougeL",
            "chrf",
            "ter",
            {"name": "evaluate:own.py", "options": {"per_example": True, "scale": 1}},
        ],
        "splits": ["select", "report"],
    },
}


def checked(folder: Path, **rules: Any) -> None:
    (folder / "own.py").touch()
    human = {"task": "answers", "items": 4}
    check_suite(suite_file(folder, tasks=TASKS, measure={}, human=human, **rules))


def gated(metric: str, task: str = "answers", **limits: Any) -> dict[str, Any]:
    return {"gate": {"metrics": [{"task": task, "metric": metric, **limits}]}}


def constrained(**constraint: Any) -> dict[str, Any]:
    return {"select": {"constraints": [constraint]}}


FLOOR, MARGIN = "gate.metrics[0].floor is", "gate.metrics[0].margin is"
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "floor above the best": (
        gated("rougeL", floor=600),
        [f"{FLOOR} 600, but rougeL is at most 100 points", "every run would fail"],
    ),
    "floor above the best of 100": (gated("chrf", floor=101), [f"{FLOOR} 101", "at most 100"]),
    "floor above an lm-eval metric": (
        gated("acc_norm", "hellaswag", floor=600),
        [f"{FLOOR} 600", "at most 100 points"],
    ),
    "floor above a module's scale": (gated("evaluate:own.py", floor=101), [f"{FLOOR} 101"]),
    "floor above the last point of raters": (
        gated("fluency", "human", floor=60),
        [f"{FLOOR} 60, but fluency is at most 5:"],
    ),
    "floor on the metric's own scale": (
        gated("rougeL", floor=0.6),
        [f"{FLOOR} 0.6", "asks for a rougeL of 0.006", "Write 60 for a rougeL of 0.6"],
    ),
    "negative floor": (gated("rougeL", floor=-1), ["never below 0 points", "would pass"]),
    "ceiling below any loss": (
        gated("eval_loss", "held_out", floor=-1),
        ["it is a ceiling, and no value is below 0:"],
    ),
    "ceiling below any perplexity": (gated("perplexity", "held_out", floor=0.5), ["below 1:"]),
    "margin of everything": (
        gated("rougeL", margin=100),
        [f"{MARGIN} 100, but more than 100 points cannot be lost"],
    ),
    "share of everything": (gated("chrf", margin="100%"), [f"{MARGIN} 100%", "the whole value"]),
    "margin of all points of raters": (
        gated("fluency", "human", margin=4),
        [f"{MARGIN} 4, but more than 4 cannot be lost"],
    ),
    "margin of all metrics": ({"gate": {"margin": 200}}, ["gate.margin is 200"]),
    "margin of a speed": (
        {"gate": {"measurements": [{"measurement": "decode_tokens_per_s", "margin": "100%"}]}},
        ["gate.measurements[0].margin is 100%", "nothing could break it"],
    ),
    "equivalence of anything": (
        {"select": {"equivalence_margin": 100}},
        ["select.equivalence_margin is 100"],
    ),
    "points of a loss": (
        gated("eval_loss", "held_out", margin=2),
        [f"{MARGIN} 2, but losses are in nats per token", "Write nats such as 0.02"],
    ),
    "points of all losses": (
        {"gate": {"unscaled_margin": 2}},
        ["gate.unscaled_margin is 2, but losses are in nats"],
    ),
    "drop of a loss in points": (
        constrained(task="held_out", max_drop=2),
        ["select.constraints[0].max_drop is 2, but losses are in nats"],
    ),
    "equivalence of a loss in points": (
        {"select": {"task": "held_out", "equivalence_margin": 2}},
        ["equivalence_margin is 2, which is points of 100", "eval_loss, in nats per token", "0.02"],
    ),
    "equivalence of any loss": (
        {"select": {"equivalence_margin": {"nats": 2}}},
        ["select.equivalence_margin.nats is 2, but losses are in nats"],
    ),
    "drop of everything": (
        constrained(task="answers", max_drop="150%"),
        ["select.constraints[0].max_drop is 150%"],
    ),
    "no memory": (
        constrained(measurement="peak_rss_bytes", max=0),
        ["select.constraints[0].max is 0", "no checkpoint could keep to it"],
    ),
    "any speed": (
        constrained(measurement="decode_tokens_per_s", min=-1),
        ["select.constraints[0].min is -1", "every checkpoint keeps to it"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_limit_that_cannot_be_meant_is_refused(tmp_path: Path, case: str) -> None:
    """With file, line, key, what was found and what to write instead."""
    rules, words = REFUSED[case]
    with pytest.raises(SuiteError) as caught:
        checked(tmp_path, **rules)
    for word in words:
        assert word in str(caught.value)
    key = str(caught.value.problem).partition(" ")[0].rpartition(".")[2]
    path, line = str(caught.value.where).rsplit(":", 1)
    assert f"{key}:" in Path(path).read_text("utf-8").splitlines()[int(line) - 1]
    assert caught.value.hint


@pytest.mark.parametrize(
    "rules",
    [
        gated("rougeL", floor=60, margin=99),
        gated("rougeL", floor=100, margin="99%"),
        gated("rougeL", floor=0),
        gated("chrf", floor=0.5),
        gated("ter", floor=120, margin=150),
        gated("eval_loss", "held_out", floor=2.5, margin="150%"),
        gated("eval_loss", "held_out", margin=0.05),
        {"gate": {"unscaled_margin": 0.05}},
        {"select": {"equivalence_margin": {"nats": 0.05, "other": "1%"}}},
        {"select": {"task": "held_out", "equivalence_margin": "1%"}},
        {"select": {"task": "held_out"}},
        gated("evaluate:own.py", floor=-20),
        gated("acc", "hellaswag", floor=25),
        gated("word_perplexity", "hellaswag", floor=600, margin=600),
        gated("preference", "human", floor=45),
        {"gate": {"measurements": [{"measurement": "ttft_s", "margin": "150%"}]}},
        {"gate": {"unscaled_margin": "150%"}},
        constrained(measurement="decode_tokens_per_s", min=0),
    ],
    ids=str,
)
def test_limits_that_can_be_kept_and_broken_pass(tmp_path: Path, rules: dict[str, Any]) -> None:
    """A ceiling is no floor, losses have no end, and of unknown metrics nothing is assumed."""
    checked(tmp_path, **rules)


@pytest.mark.parametrize("margin", [-2, "-5%"])
def test_a_negative_margin_is_refused_with_what_it_means(tmp_path: Path, margin: Any) -> None:
    """In one line: that a number below zero is no text either helps nobody."""
    with pytest.raises(SuiteError) as caught:
        suite_file(tmp_path, gate={"margin": margin})
    (line,) = str(caught.value).splitlines()
    assert "gate.margin must be" in line
    assert f"found {margin!r}. It is how much worse something may get" in line


def test_what_decides_must_give_something_per_example(tmp_path: Path) -> None:
    """A module of the user's that scores a corpus at once could not choose, constrain or gate."""
    (tmp_path / "own.py").touch()
    task = {"type": "generation", "metrics": ["evaluate:own.py", "rougeL"]}
    train = {"args": {"max_steps": 2}}
    data = {**SUITE["data"], "splits": {"train": 0.4, "select": 0.3, "report": 0.3}}
    for rules, key in (
        ({"select": {"metric": "evaluate:own.py"}}, "select.metric"),
        ({"train": train, "data": data}, "select.metric"),
        (constrained(task="answers", max_drop=2), "select.constraints[0].metric"),
        (gated("evaluate:own.py"), "gate.metrics[0].metric"),
    ):
        with pytest.raises(SuiteError, match="option per_example: true") as caught:
            check_suite(suite_file(tmp_path, tasks={"answers": task}, **rules))
        assert f"{key} is evaluate:own.py" in caught.value.problem
    check_suite(suite_file(tmp_path, tasks={"answers": task}))  # nothing is chosen


def test_a_module_is_a_metric_by_its_whole_name(tmp_path: Path) -> None:
    """One of its results is none: it would be missing when the choice is made."""
    with pytest.raises(SuiteError, match=r"'flesch', which answers does not have\. It has: rougeL"):
        checked(tmp_path, select={"metric": "flesch"})


def test_a_module_s_script_and_options_are_looked_at_at_once(tmp_path: Path) -> None:
    """Neither needs torch."""
    for entry, needle in (
        ("evaluate:nosuch.py", "no script"),
        ({"name": "evaluate:own.py", "options": {"keys": "a"}}, "option keys"),
    ):
        (tmp_path / "own.py").touch()
        task = {"type": "generation", "metrics": [entry]}
        with pytest.raises(Exception, match=needle):
            check_suite(suite_file(tmp_path, tasks={"answers": task}))
