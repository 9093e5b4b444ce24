"""A training is tried on a tiny model before anything is loaded for it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import SuiteError
from harness.suite.spec import BaseSpec, TrainSpec
from harness.train.trial import try_training

BASE = BaseSpec(model="owner/not-there", device="cpu")


def tried(**args: Any) -> None:
    try_training(BASE, TrainSpec(args={"max_steps": 2, **args}))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"report_to": "nosuch"}, "nosuch"),
        ({"optim": "adamw_foo"}, "adamw_foo is not a valid"),
        ({"optim": "galore_adamw", "optim_target_modules": "all-linear"}, "galore_torch"),
        ({"lr_scheduler_type": "foo"}, "foo"),
        ({"push_to_hub": True, "hub_model_id": ".work/x"}, "Repo id must use"),
        ({"load_best_model_at_end": True, "save_steps": 3, "eval_steps": 2}, "multiple"),
    ],
)
def test_what_a_library_refuses_is_refused(args: dict[str, Any], words: str) -> None:
    """In its words, and without the base."""
    with pytest.raises(SuiteError, match=words):
        tried(**args)


def test_what_they_take_is_taken() -> None:
    """A tracker that is there; a repository is only named."""
    tried(
        optim="adafactor",
        lr_scheduler_type="cosine",
        push_to_hub=True,
        hub_model_id="owner/name",
        load_best_model_at_end=True,
        save_total_limit=1,
    )
