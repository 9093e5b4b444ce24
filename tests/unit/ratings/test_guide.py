"""The guide on human ratings says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.ratings.design.advice import (
    MINUTES,
    SECONDS,
    WIN_RATES,
    decisive_votes,
    effective_votes,
)
from harness.ratings.stats.alpha import RELIABLE, TENTATIVE
from harness.suite.ratings import HumanSpec
from harness.suite.rules import GateSpec, SelectSpec

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "human-ratings.md"


@pytest.fixture(scope="module")
def guide() -> str:
    return GUIDE.read_text(encoding="utf-8")


def blocks(guide: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)]


def test_its_suites_are_valid(guide: str) -> None:
    """Every YAML block is what the suite takes."""
    specs = {"human": HumanSpec, "select": SelectSpec, "gate": GateSpec}
    found = [(name, part) for block in blocks(guide) for name, part in block.items()]
    assert {name for name, _ in found} == set(specs)
    for name, part in found:
        specs[name].model_validate(part)


def test_the_first_block_has_every_key_with_the_defaults_it_states(guide: str) -> None:
    """No key of the human block is missing; shares and numbers shown are the defaults."""
    shown = blocks(guide)[0]["human"]
    assert set(shown) == set(HumanSpec.model_fields)
    default = HumanSpec()
    for key in ("items", "raters", "preference", "show_reference", "repeats", "attention", "same"):
        assert shown[key] == getattr(default, key), key
    assert tuple(shown["variants"]) == default.variants
    assert tuple(shown["splits"]) == default.splits


def test_its_numbers_are_those_of_the_code(guide: str) -> None:
    """Votes by win rate, what 150 votes of three raters are worth, thresholds of alpha."""
    row = " | ".join(str(decisive_votes(rate)) for rate in WIN_RATES)
    assert f"| {row} |" in guide
    assert f"are worth {effective_votes([3] * 50):.0f} votes, not 150" in guide
    assert f"| {TENTATIVE} to {RELIABLE:.2f} |" in guide
    assert f"three raters see {HumanSpec().items} outputs" in guide
    seconds = f"at {SECONDS['scale']} seconds a rating and {SECONDS['pair']} a comparison"
    assert f"Beyond {MINUTES} minutes per rater, {seconds}, export" in " ".join(guide.split())
