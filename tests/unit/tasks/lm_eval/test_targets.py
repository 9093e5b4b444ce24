"""Documents that no answer can be right for are refused, where lm-eval would give them 0."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import DataError
from harness.tasks.lm_eval.targets import check_targets


def leaf(*docs: dict[str, Any], **changes: Any) -> Any:
    """What of lm-eval's ConfigurableTask takes part."""
    parts: dict[str, Any] = {
        "task_name": "own",
        "OUTPUT_TYPE": "multiple_choice",
        "config": SimpleNamespace(process_results=None),
        "multiple_input": 0,
        "multiple_target": 0,
        "eval_docs": docs,
        "doc_to_choice": lambda doc: doc["c"],
        "doc_to_target": lambda doc: doc["a"],
        "doc_to_text": lambda doc: doc["q"],
    }
    return SimpleNamespace(**(parts | changes))


GOOD = {"c": ["yes", "no"], "a": 1}


@pytest.mark.parametrize("target", [0, 1, 1.0, "yes"])
def test_an_index_or_a_choice_is_a_target(target: Any) -> None:
    """As lm-eval takes them."""
    check_targets(leaf(GOOD, {"c": ["yes", "no"], "a": target}), None)


@pytest.mark.parametrize(
    ("doc", "problem"),
    [
        ({"c": ["yes", "no"], "a": 2}, "target 2, which is none of its choices: .'yes', 'no'"),
        ({"c": ["yes", "no"], "a": -1}, "target -1"),
        ({"c": ["yes", "no"], "a": None}, "target None"),
        ({"c": ["yes", "no"], "a": "maybe"}, "target 'maybe'"),
        ({"c": ["yes", "no"], "a": " yes\n"}, "but for white space at its ends"),
        ({"c": ["3", "4"], "a": 4}, "takes a number, .* for a place among them"),
        ({"c": ["yes", ""], "a": 0}, "nothing but white space as choice 1"),
        ({"c": ["yes", "\n \n"], "a": 0}, "nothing but white space as choice 1"),
        ({"c": [], "a": 0}, r"no list of choices, but \[\]"),
        ({"c": "yes, no", "a": 0}, "no list of choices"),
        ({"c": ["yes", 0], "a": 0}, "a choice that is no text: 0"),
        ({"c": ["yes", "no"], "a": [0]}, "where others have one target"),
    ],
)
def test_the_first_bad_document_is_shown_and_the_others_are_counted(
    doc: dict[str, Any], problem: str
) -> None:
    """With what it has and what would be right."""
    with pytest.raises(DataError, match=f"Document 1 of .*'own'.*{problem}.*2 more documents"):
        check_targets(leaf(GOOD, doc, GOOD, doc, doc), None)


def test_what_fails_loudly_is_left_to_fail() -> None:
    """It is the cell's result once lm-eval builds its requests, and the other cells go on."""
    check_targets(leaf(GOOD, {"a": 0}), None)


def test_only_what_is_scored_is_looked_at() -> None:
    """A limit leaves later documents out."""
    check_targets(leaf(GOOD, {"c": ["yes"], "a": 9}), 1)


def test_several_targets_are_indices() -> None:
    """All of them among the choices."""
    check_targets(leaf({"c": ["a", "b", "c"], "a": [0, 2]}, multiple_target=2), None)
    for wrong in ([0, 3], ["a"], [], 1):
        with pytest.raises(DataError):
            check_targets(leaf({"c": ["a", "b"], "a": wrong}, multiple_target=2), None)


def test_of_several_contexts_the_text_is_the_target() -> None:
    """As in Winogrande, where choices stand in the prompt."""
    check_targets(leaf({"c": ["a", "b"], "a": "rest", "q": 1}, multiple_input=2), None)
    with pytest.raises(DataError, match="target 2"):
        check_targets(leaf({"c": ["a", "b"], "a": "rest", "q": 2}, multiple_input=2), None)


def test_tasks_that_score_in_their_own_way_are_left_alone() -> None:
    """What a target is, is theirs to say."""
    bad = {"c": ["yes"], "a": 9}
    check_targets(leaf(bad, config=SimpleNamespace(process_results=print)), None)
    check_targets(leaf(bad, OUTPUT_TYPE="generate_until"), None)
    python = leaf(bad)
    del python.multiple_target
    check_targets(python, None)
