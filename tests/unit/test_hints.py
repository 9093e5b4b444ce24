"""One answer to an unknown name."""

import pytest

from harness.hints import choices, did_you_mean, near_names


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("limt", ["limit"]),
        ("ROUGEL", ["rougeL"]),
        ("max_new_token", ["max_new_tokens"]),
        ("split", ["splits"]),
        ("zzz", []),
        ("", []),
    ],
)
def test_the_nearest_names_are_told_whatever_their_case(name: str, near: list[str]) -> None:
    """And none that is much further from what was written."""
    known = ["limit", "splits", "max_new_tokens", "max_prompt_tokens", "rougeL"]
    assert near_names(name, known) == near


def test_names_that_are_equally_near_are_all_told() -> None:
    """Nobody can tell which of them was meant."""
    assert did_you_mean("checkpoint-3", ["checkpoint-2", "checkpoint-4", "base"]) in (
        "Did you mean checkpoint-2 or checkpoint-4?",
        "Did you mean checkpoint-4 or checkpoint-2?",
    )


def test_where_no_name_is_near_all_there_are_help() -> None:
    """Also where there is none at all."""
    assert choices("zzz", ["a", "b"]) == "There are: a, b."
    assert choices("aba", ["ab"], "Tasks are") == "Did you mean ab? Tasks are: ab."
    assert choices("a", []) == "There are: none."
    assert did_you_mean("zzz", ["a"], instead="Nothing.") == "Nothing."
