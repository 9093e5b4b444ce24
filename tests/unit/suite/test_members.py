"""The members of a suite of several trainings, and what such a suite may not say."""

from __future__ import annotations

from typing import Any

import pytest

from harness.suite.members import members_of
from harness.suite.spec import Suite

CONTENT: dict[str, Any] = {
    "name": "mine",
    "base": {"model": "tiny:llama"},
    "data": {"source": "stdlib-docstrings"},
    "prompt": {"prompt": "{{ body }}", "completion": "{{ summary }}"},
    "train": {"method": "qlora"},
    "tasks": {"held_out": {"type": "perplexity", "splits": ["select", "report"]}},
}
FOLDS = {"data": {"source": "stdlib-docstrings", "folds": 3}}


def test_a_member_per_fold() -> None:
    """Each holds out another fold, and is a suite of one training."""
    members = members_of(Suite.model_validate(CONTENT | FOLDS))
    assert list(members) == ["fold 1 of 3", "fold 2 of 3", "fold 3 of 3"]
    second = members["fold 2 of 3"]
    assert second.name == "mine.fold-2-of-3"
    assert second.data is not None
    assert (second.data.folds, second.data.fold) == (3, 2)
    assert members_of(second) == {}


def test_a_member_per_seed() -> None:
    """Only the training's seed differs, so that all are scored on the same rows."""
    members = members_of(Suite.model_validate(CONTENT | {"seeds": [7, 1]}))
    assert [member.name for member in members.values()] == ["mine.seed-7", "mine.seed-1"]
    trainings = [member.train for member in members.values()]
    assert [train.seed for train in trainings if train is not None] == [7, 1]
    assert {member.seed for member in members.values()} == {42}
    assert members_of(members["seed 7"]) == {}


def test_one_training_has_no_members() -> None:
    """Nor does it say anything of folds and seeds, which would change its key."""
    suite = Suite.model_validate(CONTENT)
    assert members_of(suite) == {}
    dumped = suite.model_dump(mode="json")
    assert "seeds" not in dumped
    assert not {"fold", "folds"} & set(dumped["data"])
    assert "seed" not in dumped["train"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": [3]}, "two or more different"),
        ({"seeds": [3, 3]}, "two or more different"),
        ({"seeds": [3, -1]}, "none negative"),
        ({"seeds": [1, 2], "train": {"method": "qlora", "seed": 4}}, "only one of seeds and train"),
        ({"seeds": [1, 2], **FOLDS}, "only one of data.folds and seeds"),
        ({"train": None, **FOLDS}, "nothing is trained"),
        ({"train": None, "seeds": [1, 2]}, "nothing is trained"),
        (
            {"tasks": {"held_out": {**CONTENT["tasks"]["held_out"], **FOLDS}}},
            "only the suite's own data has folds",
        ),
    ],
)
def test_what_contradicts_itself(change: dict[str, Any], words: str) -> None:
    """It is refused, and says why."""
    with pytest.raises(ValueError, match=words):
        Suite.model_validate(CONTENT | change)
