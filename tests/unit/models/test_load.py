"""Bases load at every precision, and the model that is judged is the one that was trained."""

import os
from pathlib import Path

import bitsandbytes
import pytest
import torch
from peft import LoraConfig, get_peft_model

from harness.errors import ModelError
from harness.models.device import decide
from harness.models.load import load_base
from harness.suite.spec import BaseSpec, QuantizationSpec

IDS = torch.arange(3, 67).reshape(4, 16)


def load(precision, *, purpose="quality", model="tiny:llama", dtype="fp32", **quantization):
    base = BaseSpec(model=model, dtype=dtype, device="cpu")
    return load_base(
        base,
        precision,
        decide(base),
        base_dir=Path(),
        purpose=purpose,
        quantization=QuantizationSpec(**quantization),
    )


def linear4bit(model):
    return [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]


def logits(model):
    with torch.inference_mode():
        return model(IDS, use_cache=False).logits


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_plain_precisions(precision, expected):
    """A plain precision is the dtype of every weight, whatever the compute dtype."""
    model = load(precision)
    assert {p.dtype for p in model.parameters()} == {expected}
    assert not model.training


@pytest.mark.parametrize("precision", ["nf4", "fp4"])
@pytest.mark.parametrize("double_quant", [True, False])
@pytest.mark.parametrize("model", ["tiny:llama", "tiny:phi", "tiny:gpt2"])
def test_dequantized_once_equals_the_4bit_model(precision, double_quant, model):
    """Weights dequantized once give exactly the logits of the 4-bit layers (with biases too)."""
    options = {"model": model, "bnb_4bit_use_double_quant": double_quant}
    # "train" keeps bitsandbytes on its exact path; see test_fused_kernel_is_not_exact
    real = load(precision, purpose="train", **options)
    once = load(precision, **options)
    assert linear4bit(real)
    assert not linear4bit(once)
    torch.testing.assert_close(logits(once), logits(real), rtol=0, atol=1e-6)
    plain = load("fp32", model=model)
    assert (logits(plain) - logits(real)).abs().max() > 1e-2  # 4 bits do change the model


def test_dequantized_once_equals_the_4bit_model_in_bf16():
    """Likewise in bf16, where both round the same way."""
    real = load("nf4", purpose="train", dtype="bf16")
    once = load("nf4", dtype="bf16")
    assert {p.dtype for p in once.parameters()} == {torch.bfloat16}
    torch.testing.assert_close(logits(once), logits(real), rtol=0, atol=0)


def test_precision_overrides_quant_type():
    """The cell's precision decides between nf4 and fp4."""
    real = load("fp4", purpose="train", bnb_4bit_quant_type="nf4")
    assert {m.weight.quant_state.quant_type for m in linear4bit(real)} == {"fp4"}


def test_head_stays_unquantized():
    """The output layer is not quantized, and double quantization is as asked."""
    model = load("nf4", purpose="measure")
    assert not isinstance(model.get_output_embeddings(), bitsandbytes.nn.Linear4bit)
    assert all(m.weight.quant_state.nested for m in linear4bit(model))


def test_peft_attaches_to_plain_layers():
    """After dequantization PEFT sees ordinary layers, and nothing claims to be 4-bit."""
    model = load("nf4")
    assert not getattr(model, "is_quantized", False)
    assert getattr(model.config, "quantization_config", None) is None
    peft_model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
    kinds = {type(m).__module__ for m in peft_model.modules() if hasattr(m, "lora_A")}
    assert kinds == {"peft.tuners.lora.layer"}


def test_int8_runs():
    """8-bit weights stay what they are: their forward rounds activations as well."""
    model = load("int8")
    assert any(isinstance(m, bitsandbytes.nn.Linear8bitLt) for m in model.modules())
    plain, ours = logits(load("fp32")), logits(model)
    assert torch.isfinite(ours).all()
    # about one unit of 127 per layer, over four layers
    assert float((ours - plain).norm() / plain.norm()) < 0.15


@pytest.mark.skipif(
    not bitsandbytes.functional.has_avx512bf16(), reason="this CPU has no AVX512-BF16"
)
def test_fused_kernel_is_not_exact():
    """Why quality is not judged on the fused CPU kernel: it rounds activations to bf16."""
    measured, exact = logits(load("nf4", purpose="measure")), logits(load("nf4"))
    assert 1e-3 < (measured - exact).abs().max() < 1


def test_evaluation_during_training_keeps_gradients():
    """An evaluation before a step must not cut layers out of the gradient."""
    gradients = []
    for evaluates in (False, True):
        torch.manual_seed(0)
        model = get_peft_model(
            load("nf4", purpose="train"),
            LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False),
        )
        if evaluates:
            model.eval()
            logits(model)
        model.train()
        model(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.requires_grad])
    assert all(float(g.abs().max()) > 0 for g in gradients[0])
    for before, after in zip(*gradients, strict=True):
        torch.testing.assert_close(before, after, rtol=0, atol=0)


def test_attention_implementation():
    """The suite's attention implementation is used; otherwise transformers chooses."""
    base = BaseSpec(model="tiny:llama", dtype="fp32", device="cpu", attn_implementation="eager")
    model = load_base(base, "fp32", decide(base), base_dir=Path(), purpose="quality")
    assert model.config._attn_implementation == "eager"


def test_weights_that_do_not_open(tiny_dir, tmp_path):
    """A cut-off weight file is one clear error."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_dir.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    os.truncate(folder / "model.safetensors", 1000)
    with pytest.raises(ModelError, match="cannot be loaded at fp32"):
        load("fp32", model=str(folder))


def test_no_weights_at_all(tiny_dir, tmp_path):
    """A folder with a configuration only says what is missing."""
    (tmp_path / "config.json").write_text((tiny_dir / "config.json").read_text())
    with pytest.raises(ModelError, match="cannot be loaded at fp32"):
        load("fp32", model=str(tmp_path))
