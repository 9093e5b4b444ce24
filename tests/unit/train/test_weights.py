"""Weights under training are counted as what they are, and kept in the right dtype."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from harness.models.device import decide
from harness.models.load import load_base
from harness.models.policy import DevicePolicy
from harness.suite.spec import BaseSpec, QuantizationSpec, TrainSpec
from harness.train.weights import (
    all_finite,
    count_parameters,
    estimated_flops,
    keep_full_precision,
    trainable_dtypes,
    trained_precision,
)

LORA = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")


def policy(device: str, dtype: str) -> DevicePolicy:
    return DevicePolicy(device, "", dtype, False, ())  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["nf4", "fp4", "fp32"])
def test_parameters_are_those_of_peft_and_of_the_plain_model(
    tiny_base, fp32_policy, tiny_model, precision
):
    """Packed 4-bit weights count as the parameters they stand for."""
    plain = sum(p.numel() for p in tiny_model.parameters())
    model = load_base(tiny_base, precision, fp32_policy, base_dir=Path(), purpose="train")
    assert count_parameters(model)[1] == plain
    adapted = get_peft_model(model, LORA)
    trainable, total = count_parameters(adapted)
    assert (trainable, total) == adapted.get_nb_trainable_parameters()
    assert total == plain + trainable


def test_all_parameters_of_a_plain_model_train(tiny_model):
    """Tied weights are counted once."""
    trainable, total = count_parameters(tiny_model)
    assert trainable == total == tiny_model.num_parameters()


def test_flops_by_hand():
    """1,000 tokens through 10 parameters, 2 of them trained: 20 + 20 + 4 operations a token."""
    assert estimated_flops(2, 10, 1000) == 44_000


def test_flops_of_full_training_are_six_per_parameter_and_token():
    """Kaplan et al. (2020), section 2.1: C = 6 N D."""
    assert estimated_flops(7, 7, 100) == 6 * 7 * 100


@pytest.mark.parametrize(
    ("method", "dtype", "expected"),
    [
        ("qlora", "bf16", "fp4"),
        ("lora", "bf16", "bf16"),
        ("lora", "fp16", "fp16"),
        ("full", "bf16", "fp32"),
        ("full", "fp16", "fp32"),
    ],
)
def test_the_precision_of_the_weights_to_train(method, dtype, expected):
    """All weights train in fp32 whatever they compute in; a frozen base may be smaller."""
    spec = TrainSpec(method=method, quantization=QuantizationSpec(bnb_4bit_quant_type="fp4"))
    assert trained_precision(spec, policy("cuda:0", dtype)) == expected


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cpu", "fp32", "float32"),
        ("cpu", "bf16", "float32"),
        ("cuda:0", "fp16", "float32"),
        ("mps", "fp32", "float32"),
        ("cuda:0", "bf16", "bfloat16"),
    ],
)
def test_trainable_weights_stay_in_fp32_but_where_bf16_is_native(device, dtype, expected):
    """TRL's cast to bf16 is undone on CPUs, and where fp16's gradient scaler needs fp32."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)).bfloat16()
    model[0].requires_grad_(False)
    keep_full_precision(model, policy(device, dtype), TrainSpec())
    assert trainable_dtypes(model) == expected
    assert model[0].weight.dtype == torch.bfloat16  # frozen weights are left alone


def test_factors_near_1_stay_in_fp32_everywhere():
    """In bf16 they would lose every small update."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2)).bfloat16()
    keep_full_precision(model, policy("cuda:0", "bf16"), TrainSpec(peft_type="IA3"))
    assert trainable_dtypes(model) == "float32"


def test_a_base_in_bf16_on_cpu_trains_its_adapter_in_fp32(training):
    """TRL casts the adapter of a 4-bit model; after the trainer is built it is fp32 again."""
    whole = training(dtype="bf16")
    run = whole()
    assert decide(BaseSpec(model="tiny:llama", dtype="bf16", device="cpu")).compute_dtype == "bf16"
    assert run.arguments["adapter_dtype"] == "float32"
    from safetensors.torch import load_file

    saved = load_file(whole.folder / "checkpoint-4" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_found(value):
    """Only trainable ones are looked at: a frozen base cannot change."""
    model = torch.nn.Linear(2, 2)
    assert all_finite(model)
    model.weight.data[0, 0] = value
    assert not all_finite(model)
    model.weight.requires_grad_(False)
    assert all_finite(model)
