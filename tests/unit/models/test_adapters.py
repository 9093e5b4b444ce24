"""Adapters are switched over one base, and the base stays the base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from harness.errors import ModelError
from harness.models.adapters import AdapterSet
from harness.models.device import decide
from harness.models.load import load_base
from harness.suite.spec import BaseSpec

IDS = torch.arange(3, 67).reshape(4, 16)
PROMPTS = ["Return the value of", "Open a file"]


@pytest.fixture(scope="module")
def first(make_adapter, tmp_path_factory):
    return make_adapter(tmp_path_factory.mktemp("first") / "checkpoint-1", seed=1)


@pytest.fixture(scope="module")
def second(make_adapter, tmp_path_factory):
    return make_adapter(
        tmp_path_factory.mktemp("second") / "checkpoint-2", seed=2, r=8, target_modules=["q_proj"]
    )


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS, use_cache=False).logits.clone()


def active_logits(adapters, name):
    with adapters.active(name) as model:
        return logits(model)


def theirs(tiny_dir, path):
    """PEFT's own loading of one adapter over a fresh base."""
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    return logits(PeftModel.from_pretrained(base, path).eval())


def test_each_adapter_acts_and_the_base_stays(tiny_model, tiny_dir, first, second):
    """Switching gives PEFT's own logits for every adapter, and the plain base's in between."""
    plain = logits(tiny_model)
    adapters = AdapterSet(tiny_model)
    assert torch.equal(active_logits(adapters, None), plain)
    assert adapters.add("checkpoint-1", first).step == 1
    adapters.add("checkpoint-2", second)
    assert adapters.names == ("checkpoint-1", "checkpoint-2")
    expected = {
        "checkpoint-1": theirs(tiny_dir, first),
        "checkpoint-2": theirs(tiny_dir, second),
        None: plain,
    }
    for name in ("checkpoint-1", None, "checkpoint-2", "checkpoint-1", None):
        assert torch.equal(active_logits(adapters, name), expected[name]), name


def test_removed_adapter_leaves_no_trace(tiny_model, first, second):
    """After removal the others act as before, and the name is free again."""
    plain = logits(tiny_model)
    adapters = AdapterSet(tiny_model)
    adapters.add("a", first)
    adapters.add("b", second)
    with_b = active_logits(adapters, "b")
    adapters.remove("a")
    assert torch.equal(active_logits(adapters, "b"), with_b)
    adapters.remove("b")
    assert torch.equal(active_logits(adapters, None), plain)
    adapters.add("a", second)
    assert torch.equal(active_logits(adapters, "a"), with_b)


def test_nothing_is_trainable_and_dtype_is_the_bases(tiny_base, first):
    """Adapters run in the base's dtype and take no gradients."""
    model = load_base(tiny_base, "bf16", decide(tiny_base), base_dir=Path(), purpose="quality")
    adapters = AdapterSet(model)
    adapters.add("a", first)
    with adapters.active("a") as active:
        assert {p.dtype for p in active.parameters()} == {torch.bfloat16}
        assert not any(p.requires_grad for n, p in active.named_parameters() if "lora" in n)
        assert not active.training


def test_adapter_over_real_4bit(tiny_base, first):
    """An adapter over 4-bit layers equals the one over the same weights dequantized once."""
    outputs = []
    for purpose in ("train", "quality"):
        model = load_base(tiny_base, "nf4", decide(tiny_base), base_dir=Path(), purpose=purpose)
        adapters = AdapterSet(model)
        adapters.add("a", first)
        outputs.append(active_logits(adapters, "a"))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)


def test_effect(tiny_model, tiny_tokenizer, first, make_adapter, tmp_path):
    """The probe is positive for a trained adapter and exactly zero for one that does nothing."""
    idle = make_adapter(tmp_path / "idle")
    weights = load_file(idle / "adapter_model.safetensors")
    zeroed = {k: torch.zeros_like(v) if "lora_B" in k else v for k, v in weights.items()}
    save_file(zeroed, idle / "adapter_model.safetensors", metadata={"format": "pt"})
    adapters = AdapterSet(tiny_model)
    adapters.add("a", first)
    adapters.add("idle", idle)
    assert adapters.effect("a", tiny_tokenizer, PROMPTS, chat=False) > 0.01
    assert adapters.effect("idle", tiny_tokenizer, PROMPTS, chat=False) == 0.0


def test_adapter_for_other_modules(tiny_model, make_adapter, tmp_path):
    """An adapter whose modules the base lacks names the base it was trained on."""
    from harness.models.builtin import resolve_model

    other = Path(resolve_model(BaseSpec(model="tiny:gpt2"), Path()))
    path = make_adapter(
        tmp_path / "gpt2", model_dir=other, target_modules=["c_attn"], fan_in_fan_out=True
    )
    plain = logits(tiny_model)
    adapters = AdapterSet(tiny_model)
    with pytest.raises(ModelError, match=r"does not fit this base.*trained on '.*tiny-gpt2"):
        adapters.add("other", path)
    assert torch.equal(active_logits(adapters, None), plain)


@pytest.mark.parametrize("others", [False, True])
def test_adapter_for_other_shapes(tiny_model, first, second, tmp_path, others):
    """Weights of other shapes are refused, and adapters loaded before go on working."""
    path = edited(first, tmp_path, lambda k, v: {k: v[:, :64].contiguous()} if "A" in k else {k: v})
    adapters = AdapterSet(tiny_model)
    if others:
        adapters.add("good", second)
        before = active_logits(adapters, "good")
    with pytest.raises(ModelError, match=r"does not fit this base"):
        adapters.add("bad", path)
    assert "bad" not in adapters.names
    adapters.add("bad", first)  # the name is free again
    assert active_logits(adapters, "bad").isfinite().all()
    if others:
        assert torch.equal(active_logits(adapters, "good"), before)


def test_adapter_with_layers_the_base_lacks(tiny_model, first, tmp_path):
    """Stored weights that have no place are an error, where PEFT only warns."""
    path = edited(first, tmp_path, lambda k, v: {k: v, k.replace("layers.0", "layers.9"): v})
    with pytest.raises(ModelError, match=r"stored weights have no layer, such as .*layers\.9"):
        AdapterSet(tiny_model).add("bad", path)


def test_adapter_stored_in_part(tiny_model, first, tmp_path):
    """Layers without stored weights would silently run at their random start."""
    path = edited(first, tmp_path, lambda k, v: {} if "layers.2" in k else {k: v})
    with pytest.raises(ModelError, match=r"layers have no stored weights"):
        AdapterSet(tiny_model).add("bad", path)


def test_unreadable_weights(tiny_model, first, tmp_path):
    """A cut-off safetensors file is one clear error."""
    path = edited(first, tmp_path, lambda k, v: {k: v})
    (path / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="cannot be read"):
        AdapterSet(tiny_model).add("bad", path)


def test_unknown_configuration(tiny_model, first, tmp_path):
    """An adapter type this PEFT does not know says so."""
    path = edited(first, tmp_path, lambda k, v: {k: v})
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "NEW"}))
    with pytest.raises(ModelError, match="PEFT cannot read"):
        AdapterSet(tiny_model).add("bad", path)


def test_prompt_tuning_is_refused(tiny_model, tiny_dir, tmp_path):
    """Adapters that add virtual tokens are refused by name."""
    from peft import PromptTuningConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    get_peft_model(base, config).save_pretrained(tmp_path / "p")
    with pytest.raises(ModelError, match="virtual tokens"):
        AdapterSet(tiny_model).add("p", tmp_path / "p")


def test_names(tiny_model, first):
    """A name is used once, and an unknown one lists those there are."""
    adapters = AdapterSet(tiny_model)
    adapters.add("a", first)
    with pytest.raises(ModelError, match="already loaded"):
        adapters.add("a", first)
    unknown = adapters.active("b")
    with pytest.raises(ModelError, match=r"No adapter 'b' is loaded; there are: \['a'\]"), unknown:
        pass


def edited(source, tmp_path, change):
    """Copy an adapter, changing its weights key by key."""
    folder = tmp_path / "edited"
    folder.mkdir()
    (folder / "adapter_config.json").write_text((source / "adapter_config.json").read_text())
    weights = {}
    for key, value in load_file(source / "adapter_model.safetensors").items():
        weights |= {k: v.clone() for k, v in change(key, value).items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_lora_weights": "pissa"}, "init_lora_weights: 'pissa', which changes the base"),
        ({"init_lora_weights": "olora"}, "init_lora_weights: 'olora', which changes the base"),
        ({"bias": "all"}, "biases of the base"),
    ],
)
def test_adapters_that_change_the_base_are_refused(tiny_model, first, tmp_path, change, message):
    """PEFT would write into the base's own weights, and every other variant would see it."""
    path = tmp_path / "moving"
    shutil.copytree(first, path)
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    before = logits(tiny_model)
    with pytest.raises(ModelError, match=message):
        AdapterSet(tiny_model).add("moving", path)
    assert torch.equal(logits(tiny_model), before)
