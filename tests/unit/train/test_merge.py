"""A merged model is base plus adapter in one, and opens like any model."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.digests import file_digest
from harness.errors import ModelError
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.policy import DevicePolicy
from harness.suite.spec import BaseSpec
from harness.train.merge import merge_adapter, merge_precision

IDS = torch.arange(3, 67).reshape(4, 16)


def logits(model):
    with torch.inference_mode():
        return model(IDS, use_cache=False).logits


@pytest.mark.parametrize("use_rslora", [False, True])
def test_merged_equals_adapter_on_the_plain_base(
    tiny_base, fp32_policy, tiny_dir, make_adapter, tmp_path, use_rslora
):
    """Transformers alone opens the folder and gives the logits of adapter and base."""
    adapter = make_adapter(tmp_path / "checkpoint-1", use_rslora=use_rslora)
    out = tmp_path / "merged"
    made = merge_adapter(tiny_base, adapter, out, fp32_policy, base_dir=Path())
    merged = AutoModelForCausalLM.from_pretrained(out).eval()
    assert merged.dtype == torch.float32
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    plain = logits(base)
    expected = logits(PeftModel.from_pretrained(base, adapter).eval())
    torch.testing.assert_close(logits(merged), expected, rtol=0, atol=1e-4)
    assert (logits(merged) - plain).abs().max() > 0.01
    assert {"model.safetensors", "config.json", "tokenizer.json", "generation_config.json"} <= set(
        made.files
    )
    assert made.files == {name: file_digest(out / name) for name in made.files}
    assert (made.merged_into, made.saved_as) == ("fp32", "fp32")


def test_merged_is_saved_at_the_precision_asked_for(tiny_base, fp32_policy, make_adapter, tmp_path):
    """The sum is taken in fp32 on a CPU, and rounded once."""
    adapter, wide, narrow = make_adapter(tmp_path / "a"), tmp_path / "wide", tmp_path / "narrow"
    merge_adapter(tiny_base, adapter, wide, fp32_policy, base_dir=Path())
    made = merge_adapter(tiny_base, adapter, narrow, fp32_policy, base_dir=Path(), save_as="bf16")
    assert (made.merged_into, made.saved_as) == ("fp32", "bf16")
    exact, rounded = (load_file(out / "model.safetensors") for out in (wide, narrow))
    assert {weight.dtype for weight in rounded.values()} == {torch.bfloat16}
    assert all(torch.equal(exact[name].bfloat16(), rounded[name]) for name in exact)


def test_merged_brings_its_tokenizer(
    tiny_base, fp32_policy, tiny_tokenizer, make_adapter, tmp_path
):
    """The tokenizer is saved with it, chat template included, and it is itself a base."""
    out = tmp_path / "merged"
    merge_adapter(tiny_base, make_adapter(tmp_path / "a"), out, fp32_policy, base_dir=Path())
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer("Return it").input_ids == tiny_tokenizer("Return it").input_ids
    assert tokenizer.chat_template == tiny_tokenizer.chat_template
    again = BaseSpec(model="merged", dtype="fp32", device="cpu")
    model = load_base(again, "nf4", decide(again), base_dir=tmp_path, purpose="quality")
    assert logits(model).isfinite().all()


def test_diverged_adapter_is_refused(tiny_base, fp32_policy, make_adapter, tmp_path):
    """An adapter whose weights are not finite is never written into a model."""
    adapter = make_adapter(tmp_path / "a")
    weights = load_file(adapter / "adapter_model.safetensors")
    weights[next(iter(weights))][0, 0] = float("nan")
    save_file(weights, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"cannot be merged.*diverged"):
        merge_adapter(tiny_base, adapter, tmp_path / "merged", fp32_policy, base_dir=Path())
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("device", "dtype", "expected"), [("cpu", "bf16", "fp32"), ("cuda:0", "bf16", "bf16")]
)
def test_merge_precision(device, dtype, expected):
    """Merged weights are fp32 on a CPU, and in the compute dtype on an accelerator."""
    assert merge_precision(DevicePolicy(device, "", dtype, False, ())) == expected
