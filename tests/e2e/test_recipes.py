"""Each recipe runs as it is written, at the size of a smoke test and without the Hub."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.suite.file import builtin_suites
from tests.e2e.conftest import harness

RECIPES = [name for name in builtin_suites() if name.startswith("recipes/")]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "recipes.md"


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_runs(name: str, tmp_path: Path) -> None:
    """Every cell is done, by the real libraries."""
    done = harness("eval", name, "--smoke", "-q", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "SMOKE TEST: every step ran." in done.out


def test_the_guide_has_every_recipe() -> None:
    """By its name, and no other."""
    assert set(re.findall(r"recipes/[a-z0-9-]+", GUIDE.read_text("utf-8"))) == set(RECIPES)
