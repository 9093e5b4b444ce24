"""What the harness sets for TRL, whatever the suite says or leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import SuiteError
from harness.models.policy import DevicePolicy
from harness.suite.spec import TrainSpec
from harness.train.adapter import peft_config
from harness.train.config import sft_config


def policy(device: str = "cpu", dtype: str = "fp32") -> DevicePolicy:
    return DevicePolicy(device, "", dtype, False, ())  # type: ignore[arg-type]


def config(args: dict[str, Any], *, dtype: str = "fp32", **spec: Any) -> Any:
    return sft_config(
        TrainSpec(args=args, **spec),
        seed=3,
        work_dir=Path("work"),
        policy=policy(dtype=dtype),
        has_eval_rows=True,
    )


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated")
@pytest.mark.parametrize(("dtype", "bf16"), [("fp32", False), ("bf16", True)])
def test_mixed_precision_is_always_said(dtype, bf16):
    """Left to itself TRL switches bf16 on, also where a CPU emulates it."""
    from trl import SFTConfig

    assert SFTConfig(output_dir="x", use_cpu=True).bf16 is True
    made = config({}, dtype=dtype)
    assert (made.bf16, made.fp16) == (bf16, False)


def test_what_the_suite_decides():
    """Seed, folder and device are not TRL's defaults."""
    made = config({})
    assert (made.seed, made.output_dir, made.use_cpu) == (3, "work", True)
    assert made.report_to == []
    assert not made.logging_nan_inf_filter
    assert not made.gradient_checkpointing


def test_what_the_suite_says_wins_over_defaults():
    """Every other argument is TRL's own."""
    made = config({"logging_steps": 5, "gradient_checkpointing": True, "learning_rate": "3e-4"})
    assert (made.logging_steps, made.gradient_checkpointing) == (5, True)
    assert made.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("args", "strategy", "steps"),
    [
        ({}, "steps", 500),
        ({"save_steps": 20}, "steps", 20),
        ({"save_steps": 20, "eval_steps": 5}, "steps", 5),
        ({"save_strategy": "epoch"}, "epoch", None),
        ({"save_strategy": "best", "save_steps": 7}, "steps", 7),
        ({"eval_strategy": "no"}, "no", None),
    ],
)
def test_it_evaluates_where_it_saves(args, strategy, steps):
    """Without this TRL would evaluate at every logged step."""
    made = config(args)
    assert made.eval_strategy == strategy
    if steps:
        assert made.eval_steps == steps


def test_tokens_are_counted_without_a_mask_where_nothing_is_padded():
    """A pad token that is also EOS would otherwise not be counted in packed rows."""
    assert config({}).include_num_input_tokens_seen == "non_padding"
    assert config({"packing": True}).include_num_input_tokens_seen == "all"
    wrapped = config({"packing": True, "packing_strategy": "wrapped"})
    assert wrapped.include_num_input_tokens_seen == "non_padding"


def test_the_harness_trains_on_one_device(monkeypatch):
    """With several GPUs in sight TRL would refuse: the policy has chosen one of them."""
    import transformers

    monkeypatch.setattr(transformers.TrainingArguments, "n_gpu", 2)
    assert config({})._n_gpu == 1


def test_early_stopping_goes_by_eval_loss():
    """Unless the suite names another metric."""
    made = config({}, early_stopping={})
    assert (made.metric_for_best_model, made.greater_is_better) == ("eval_loss", False)
    args = {"metric_for_best_model": "eval_mean_token_accuracy"}
    assert config(args, early_stopping={}).greater_is_better


def test_a_value_trl_refuses_is_the_suites_error():
    """TRL's own message, with its place."""
    with pytest.raises(SuiteError, match=r"train\.args: .*nonsense"):
        config({"lr_scheduler_type": "nonsense"})


def test_lora_options_pass_through():
    """PEFT's own names, listed in the suite's schema or not."""
    made = peft_config(TrainSpec(lora={"r": 8, "use_dora": True, "modules_to_save": ["norm"]}))
    assert (made.r, made.use_dora, made.modules_to_save) == (8, True, ["norm"])
    assert made.task_type == "CAUSAL_LM"


@pytest.mark.parametrize("value", [True, False, "gaussian", "orthogonal", "mica"])
def test_inits_that_leave_the_base_alone_pass(value):
    """An adapter must be all that changed."""
    assert peft_config(TrainSpec(lora={"init_lora_weights": value})).init_lora_weights == value


@pytest.mark.parametrize("value", ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "eva"])
def test_inits_that_change_the_base_are_refused(value):
    """Over the base that all variants share, such an adapter would be another one."""
    with pytest.raises(SuiteError, match="init_lora_weights"):
        peft_config(TrainSpec(lora={"init_lora_weights": value}))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")
@pytest.mark.parametrize(("value", "moves"), [("olora", True), ("gaussian", False)])
def test_such_inits_do_change_the_base(tiny_model, value, moves):
    """PEFT writes into the base's own weights, as its source says."""
    from peft import LoraConfig, get_peft_model

    before = tiny_model.model.layers[0].self_attn.q_proj.weight.clone()
    options = {"init_lora_weights": value, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    get_peft_model(tiny_model, LoraConfig(r=4, **options))
    after = tiny_model.model.layers[0].self_attn.q_proj.base_layer.weight
    assert torch.equal(before, after) is not moves
