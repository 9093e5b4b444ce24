"""Checks of train.args: against TRL's own dataclass, without importing it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from harness.errors import SuiteError
from harness.spec import TrainSpec
from harness.train.arguments import DECIDED, check_arguments, sft_fields


def problems(**args: object) -> str:
    with pytest.raises(SuiteError) as caught:
        check_arguments(TrainSpec(args=args), "suite.yaml")
    return str(caught.value)


def test_the_fields_read_from_source_are_those_of_the_class() -> None:
    """Reading the source finds every field that SFTConfig has."""
    from trl import SFTConfig

    assert {field.name for field in dataclasses.fields(SFTConfig) if field.init} <= sft_fields()


def test_reading_the_fields_loads_no_torch() -> None:
    """Validate must answer in a second."""
    code = (
        "import sys; from harness.train.arguments import sft_fields; sft_fields();"
        "sys.exit('torch' in sys.modules or 'trl' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("group_by_length", "train_sampling_strategy: group_by_length"),
        ("warmup_ratio", "warmup_steps"),
        ("evaluation_strategy", "eval_strategy"),
        ("max_seq_length", "max_length"),
    ],
)
def test_a_removed_name_is_refused_with_its_successor(name: str, successor: str) -> None:
    """Names of other versions are not silently ignored."""
    assert f"train.args.{name} no longer exists. Use {successor}" in problems(**{name: 1})


@pytest.mark.parametrize("name", sorted(DECIDED))
def test_what_the_suite_says_elsewhere_is_refused(name: str) -> None:
    """One thing is said in one place."""
    assert f"train.args.{name} is not set here" in problems(**{name: 1})


def test_a_misspelt_argument_suggests_the_near_one() -> None:
    """A typo is answered with the argument that was probably meant."""
    assert "Did you mean learning_rate" in problems(learning_rat=1)


def test_known_arguments_pass() -> None:
    """Every other field of SFTConfig passes through."""
    check_arguments(TrainSpec(args={"packing": True, "optim": "paged_adamw_8bit"}), "suite.yaml")
