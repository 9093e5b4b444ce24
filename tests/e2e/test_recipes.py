"""Each recipe runs as it is written, at the size of a smoke test and without the Hub."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.data.templates import environment
from harness.suite.file import builtin_suites, load_suite
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


@pytest.mark.parametrize(
    ("question", "cleaned"),
    [
        ("Q.  What is\nthis?", "What is this?"),
        ("I read the FAQ. Is it safe?", "I read the FAQ. Is it safe?"),
    ],
)
def test_only_the_mark_in_front_is_taken_off_a_question(question: str, cleaned: str) -> None:
    """The letters may stand inside of a question, too."""
    template = load_suite("recipes/pythia-medical-chatbot").suite.prompt.text
    row = {"Description": question, "Doctor": "Rest."}
    assert cleaned in environment().from_string(template).render(row).splitlines()
