"""Checks of train.args: against TRL's own dataclass, without importing it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.suite import arguments
from harness.suite.arguments import (
    DECIDED,
    SUCCESSORS,
    argument_problems,
    as_sft_takes_them,
    unchecked_arguments,
)
from harness.suite.fields import Fields, installed_fields
from harness.suite.spec import LoraSpec, TrainSpec


def problems(**args: object) -> str:
    return told(TrainSpec(args=args))


def told(train: TrainSpec) -> str:
    return "\n".join(f"{key} {problem}" for key, problem in argument_problems(train))


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("group_by_length", "train_sampling_strategy: group_by_length"),
        ("warmup_ratio", "warmup_steps"),
        ("evaluation_strategy", "eval_strategy"),
        ("max_seq_length", "max_length"),
        ("logging_dir", "the environment variable TENSORBOARD_LOGGING_DIR"),
    ],
)
def test_a_removed_name_is_refused_with_its_successor(name: str, successor: str) -> None:
    """Names of other versions are not silently ignored."""
    assert f"train.args.{name} no longer exists. Use {successor}" in problems(**{name: 1})


@pytest.mark.parametrize("name", sorted(DECIDED))
def test_what_the_suite_says_elsewhere_is_refused(name: str) -> None:
    """One thing is said in one place."""
    assert f"train.args.{name} is not set here" in problems(**{name: 1})


def test_no_field_that_exists_is_called_removed() -> None:
    """The list of successors must not outlive a field's return."""
    assert not set(SUCCESSORS) & installed_fields("trl:SFTConfig").kinds.keys()
    assert set(DECIDED) <= installed_fields("trl:SFTConfig").kinds.keys()


def test_the_guide_lists_every_refused_name() -> None:
    """An error that points to the training guide finds its name there."""
    guide = Path(__file__).parents[3] / "docs" / "guides" / "training.md"
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", guide.read_text("utf-8"), re.MULTILINE))
    for name, instead in {**SUCCESSORS, **DECIDED}.items():
        assert rows[name].replace("`", "") == instead


def test_a_misspelt_argument_suggests_the_near_one() -> None:
    """A typo is answered with the argument that was probably meant."""
    assert "Did you mean learning_rate" in problems(learning_rat=1)


def test_known_arguments_pass() -> None:
    """Every other field of SFTConfig passes through."""
    assert told(TrainSpec(args={"packing": True, "optim": "paged_adamw_8bit"})) == ""


def test_yamls_readings_are_put_right() -> None:
    """YAML reads `no` as false and 1e-4 as a text; both mean what they say."""
    read = yaml.safe_load(
        "{eval_strategy: no, save_strategy: off, report_to: no, learning_rate: 1e-4, "
        "packing: no, max_steps: 5, optim: adamw_torch}"
    )
    assert read["learning_rate"] == "1e-4"
    assert as_sft_takes_them(read) == {
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": "none",
        "learning_rate": 1e-4,
        "packing": False,
        "max_steps": 5,
        "optim": "adamw_torch",
    }


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"max_steps": "ten"}, "max_steps must be int, found 'ten'"),
        ({"max_steps": 2.5}, "max_steps must be int, found 2.5"),
        ({"max_steps": True}, "max_steps must be int, found True"),
        ({"learning_rate": "fast"}, "learning_rate must be float, found 'fast'"),
        ({"packing": 1}, "packing must be bool, found 1"),
        ({"max_length": "long"}, "max_length must be int or None, found 'long'"),
        ({"logging_steps": None}, "logging_steps must be float, found None"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(args: dict[str, object], message: str) -> None:
    """Before training, where TRL would fail in the middle of something else."""
    assert f"train.args.{message}" in problems(**args)


def test_values_of_the_right_type_pass() -> None:
    """Whole numbers are numbers, and None is allowed where the field says so."""
    args = {"learning_rate": 1, "save_steps": 0.5, "max_length": None, "report_to": ["none"]}
    assert told(TrainSpec(args=args | {"logging_steps": "1e1"})) == ""


@pytest.mark.parametrize("no", ["no", False])
def test_a_training_without_checkpoints_is_refused(no: object) -> None:
    """There would be nothing to choose from."""
    assert "save_strategy must not be no" in problems(save_strategy=no)


def test_every_problem_is_told_at_once() -> None:
    """One run of validate shows them all."""
    text = problems(warmup_ratio=0.1, max_steps="x", nonsense=1)
    assert [line.split("train.args.")[1].split()[0] for line in text.splitlines()] == [
        "warmup_ratio",
        "nonsense",
        "max_steps",
    ]


@pytest.mark.parametrize(
    "why", ["trl is not installed", "its fields cannot be read: ImportError: no"]
)
def test_what_cannot_be_checked_is_said(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """With the reason, and only of what the suite has; what is known without TRL is checked."""
    monkeypatch.setattr(arguments, "installed_fields", lambda config: Fields(unknown=why))
    train = TrainSpec(args={"nonsense": 1, "warmup_ratio": 0.1})
    assert "warmup_ratio no longer exists" in told(train)
    assert "nonsense" not in told(train)
    assert unchecked_arguments(train) == [
        f"train.args could not be checked against trl.SFTConfig: {why}."
    ]
    more = TrainSpec(lora=LoraSpec.model_validate({"use_dora": True}))
    assert [line.split()[0] for line in unchecked_arguments(more)] == ["train.lora"]
    assert unchecked_arguments(TrainSpec()) == []


def test_where_all_is_known_nothing_is_left_unchecked() -> None:
    """On a machine that trains."""
    train = TrainSpec(args={"max_steps": 1}, lora=LoraSpec.model_validate({"use_dora": True}))
    assert unchecked_arguments(train) == []
