"""The suite's human block: defaults, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.errors import SuiteError
from harness.suite.ratings import CRITERIA, HumanSpec
from harness.validate.suite import check_suite
from tests.unit.suites import suite_file

TONE = {"name": "tone", "question": "Is it kind?", "scale": {1: "no", 2: "partly", 3: "yes"}}


def test_the_defaults_are_three_anchored_criteria_for_three_raters() -> None:
    """Every point of every scale says in words what it means."""
    spec = HumanSpec()
    assert [criterion.name for criterion in spec.all_criteria] == list(CRITERIA)
    assert all(criterion.points == (1, 2, 3, 4, 5) for criterion in spec.all_criteria)
    assert spec.rater_names == ("rater-1", "rater-2", "rater-3")
    assert spec.raters_per_item == 3


def test_own_criteria_stand_beside_known_ones() -> None:
    """By name, or described in full; raters may be named, and share the items."""
    spec = HumanSpec.model_validate(
        {"criteria": ["fluency", TONE], "raters": ["ada", "grace"], "overlap": 1}
    )
    assert [criterion.name for criterion in spec.all_criteria] == ["fluency", "tone"]
    assert spec.all_criteria[1].points == (1, 2, 3)
    assert (spec.rater_names, spec.raters_per_item) == (("ada", "grace"), 1)


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"criteria": ["style"]}, "only fluency, relevance, correctness are known by name"),
        ({"criteria": ["fluency", "fluency"]}, "twice"),
        ({"criteria": [], "preference": "none"}, "nothing would be asked"),
        ({"criteria": [{**TONE, "scale": {1: "no", 3: "yes"}}]}, "rising by one"),
        ({"criteria": [{**TONE, "scale": {1: "no", 2: " "}}]}, "needs words"),
        ({"criteria": [{**TONE, "name": "comment"}]}, "must not be called comment"),
        ({"criteria": [{**TONE, "name": "preference"}]}, "must not be called preference"),
        ({"raters": 0}, "at least 1"),
        ({"raters": []}, "at least 1"),
        ({"raters": 10**12}, "raters must be at most 10,000"),
        ({"raters": ["ada", "ada"]}, "raters names one of them twice"),
        ({"raters": ["../ada"]}, "pattern"),
        ({"raters": 2, "overlap": 3}, "overlap asks for 3 raters per item, but there are 2"),
        ({"variants": ["base", "base"]}, "must not name anything twice"),
        ({"splits": ["report", "report"]}, "must not name anything twice"),
        ({"repeats": 0.9}, "less than or equal to 0.5"),
    ],
)
def test_a_contradiction_is_refused(changes: dict[str, Any], needle: str) -> None:
    """Before a sheet goes to anyone."""
    with pytest.raises(ValidationError, match=needle):
        HumanSpec.model_validate(changes)


RATED = {"task": "human", "metric": "fluency", "max_drop": 0}


@pytest.mark.parametrize(
    ("changes", "needle"),
    [
        ({"human": {"task": "nosuch"}}, "human.task names 'nosuch', which is not a task"),
        ({"human": {"task": "held_out"}}, "generates no text"),
        ({"human": {"task": "answers", "splits": ["eval"]}}, "on which answers is not generated"),
        ({"human": {"splits": ["eval"]}}, "on which answers is not generated"),
        ({"select": {"constraints": [RATED]}}, r"reads ratings of the select split"),
        (
            {"select": {"constraints": [{**RATED, "metric": "style"}]}},
            r"select.constraints\[0\].metric is 'style', but raters are asked for: fluency",
        ),
        (
            {"gate": {"metrics": [{"task": "human", "metric": "preference"}]},
             "human": {"preference": "none"}},
            r"gate.metrics\[0\].metric is 'preference', but raters are asked for",
        ),
        (
            {"gate": {"metrics": [{"task": "human", "metric": "fluency", "split": "eval"}]}},
            "Add eval to human.splits",
        ),
        ({"tasks": {"human": {"type": "perplexity"}}}, "must not be called"),
    ],
)  # fmt: skip
def test_rules_about_ratings_must_fit_what_is_asked(
    tmp_path: Path, changes: dict[str, Any], needle: str
) -> None:
    """A constraint reads the select split, a gate what it names."""
    with pytest.raises(SuiteError, match=needle):
        check_suite(suite_file(tmp_path, **changes))


def test_ratings_may_be_constrained_where_they_are_asked_for(tmp_path: Path) -> None:
    """On both splits: one decides, the other is claimed."""
    human = {"splits": ["select", "report"]}
    gate = {"metrics": [{"task": "human", "metric": "preference", "margin": 5}]}
    check_suite(suite_file(tmp_path, human=human, select={"constraints": [RATED]}, gate=gate))
