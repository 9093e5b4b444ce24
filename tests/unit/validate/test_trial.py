"""Trainings that a library would refuse are refused by validate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.validate import trial
from harness.validate.suite import read_suite
from tests.unit.suites import TRAIN, suite_file


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What is tried; the process that would try it says that the last argument is refused."""
    asked: list[dict[str, Any]] = []

    def answer(what: dict[str, Any]) -> dict[str, Any] | None:
        asked.append(what)
        name, value = list(what["train"]["args"].items())[-1]
        if value == "taken":
            return None
        return {"problem": "No such thing.", "where": f"train.args.{name}", "hint": None}

    monkeypatch.setattr(trial, "_tried", answer)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return asked


def suite(folder: Path, **args: Any) -> str:
    return str(suite_file(folder, train={**TRAIN, "args": {**TRAIN["args"], **args}}).path)


def test_a_refusal_is_told_with_its_line(tmp_path: Path, tried: list[Any]) -> None:
    """Each time anew: what is missing may have been installed."""
    path = suite(tmp_path, report_to="wandb")
    for count in (1, 2):
        with pytest.raises(UsageError, match=r"train\.args\.report_to: No such thing") as refused:
            read_suite(path, rows=True)
        assert str(refused.value.where).startswith(f"{path}:")
        assert len(tried) == count


def test_what_else_is_wrong_hides_no_refusal(tmp_path: Path, tried: list[Any]) -> None:
    """Arguments that TRL need not be asked about are told beside it, and are not tried."""
    path = suite(tmp_path, report_to="wandb")
    wrong = ["prompt={text: no marker}", "train.args.fp16=true", "train.args.warmup_ratio=0.1"]
    with pytest.raises(UsageError) as refused:
        read_suite(path, wrong, rows=True)
    for words in (
        "needs response_marker",
        "fp16 is not set here",
        "warmup_ratio no longer",
        "report_to: No such thing",
    ):
        assert words in str(refused.value)
    assert tried[0]["train"]["args"] == {**TRAIN["args"], "report_to": "wandb"}


def test_what_was_taken_is_not_tried_again(tmp_path: Path, tried: list[Any]) -> None:
    """Until an argument changes."""
    for steps, count in ((4, 1), (4, 1), (5, 2)):
        read_suite(suite(tmp_path, max_steps=steps, optim="taken"), rows=True)
        assert len(tried) == count


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"learning_rate": "1e-4"},
        {"report_to": "none", "eval_strategy": "no"},
        {"logging_steps": 2**1023 + 2**1022},
        {"logging_steps": 2**1024 - 1},  # no float is as large
    ],
)
def test_amounts_are_taken_untried(tmp_path: Path, tried: list[Any], args: dict[str, Any]) -> None:
    """No process is started for them, nor for a suite that is only read."""
    read_suite(suite(tmp_path, **args), rows=True)
    read_suite(suite(tmp_path, report_to="wandb"))
    assert tried == []


@pytest.mark.slow
def test_a_process_of_its_own_tries(tmp_path: Path) -> None:
    """With the library's own words, and no repository on the Hub."""
    for args, words in [
        ({"report_to": "wandb"}, "requires wandb"),
        ({"push_to_hub": True}, "hub_model_id: owner/name"),
        ({"deepspeed": "ds.json"}, "deepspeed"),
        ({"fsdp": "full_shard"}, "fsdp"),
    ]:
        with pytest.raises(UsageError, match=words):
            read_suite(suite(tmp_path, **args), rows=True)
    named = {"push_to_hub": True, "hub_model_id": "owner/name"}
    read_suite(suite(tmp_path, optim="adafactor", **named), rows=True)
