"""Rows of one batch run with different adapters, and the model is as before afterwards."""

from pathlib import Path

import pytest
import torch
from peft import IA3Config, get_peft_model
from transformers import AutoModelForCausalLM

from harness.errors import ModelError
from harness.models.adapters import AdapterSet
from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.load import load_base
from harness.suite.spec import BaseSpec

IDS = torch.arange(3, 63).reshape(4, 15)
NAMES = [None, "wide", "narrow", "scaled"]


def base_of(architecture, precision="fp32"):
    base = BaseSpec(model=f"tiny:{architecture}", dtype="fp32", device="cpu")
    purpose = "train" if precision == "nf4" else "quality"  # else it would be dequantized
    return load_base(base, precision, decide(base), base_dir=Path(), purpose=purpose)


def adapters_of(architecture, model, make_adapter, folder):
    """Three adapters of different ranks, scalings and modules."""
    base = BaseSpec(model=f"tiny:{architecture}", dtype="fp32", device="cpu")
    where = Path(resolve_model(base, Path()))
    some = {"llama": ["q_proj"], "phi": ["fc1"], "gpt2": ["c_attn"]}[architecture]
    transposed = {"fan_in_fan_out": True} if architecture == "gpt2" else {}
    options = [
        {"r": 8},
        {"r": 3, "target_modules": some},
        {"r": 4, "use_rslora": True, "lora_alpha": 3},
    ]
    adapters = AdapterSet(model)
    for seed, (name, own) in enumerate(zip(NAMES[1:], options, strict=True)):
        path = make_adapter(folder / name, seed=seed, model_dir=where, **transposed, **own)
        adapters.add(name, path)
    return adapters


def logits(model, ids=IDS):
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits.clone()


def alone(adapters, name, ids=IDS):
    with adapters.active(name) as model:
        return logits(model, ids)


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [("llama", "fp32"), ("gpt2", "fp32"), ("phi", "fp32"), ("llama", "nf4")],
)
def test_each_row_is_its_own_variants(architecture, precision, make_adapter, tmp_path):
    """In any order of rows the logits are those of each variant alone, by PEFT's own layers."""
    model = base_of(architecture, precision)
    adapters = adapters_of(architecture, model, make_adapter, tmp_path)
    expected = {name: alone(adapters, name) for name in NAMES}
    assert len({float(value.sum()) for value in expected.values()}) == len(NAMES)
    orders = [NAMES, NAMES[::-1], ["wide", None, "wide", None], ["narrow"] * 4, [None] * 4]
    with adapters.mixed(NAMES) as mixture:
        for order in orders:
            mixture.assign(order)
            mixed = logits(mixture.model)
            for row, name in enumerate(order):
                torch.testing.assert_close(mixed[row], expected[name][row], rtol=0, atol=1e-5)
    for name in NAMES:
        assert torch.equal(alone(adapters, name), expected[name])


def test_some_of_the_adapters(tiny_model, make_adapter, tmp_path):
    """An adapter that is loaded but not asked for acts on no row."""
    adapters = adapters_of("llama", tiny_model, make_adapter, tmp_path)
    expected = alone(adapters, "narrow"), alone(adapters, "scaled")
    with adapters.mixed(["narrow", "scaled"]) as mixture:
        mixture.assign(["narrow", "scaled", "narrow", "scaled"])
        mixed = logits(mixture.model)
    for row in range(4):
        torch.testing.assert_close(mixed[row], expected[row % 2][row], rtol=0, atol=1e-5)


def test_undone_after_an_error(tiny_model, make_adapter, tmp_path):
    """Whatever happens inside, no layer keeps the mixed forward pass."""
    adapters = adapters_of("llama", tiny_model, make_adapter, tmp_path)
    before = alone(adapters, "wide")

    def interrupted():
        with adapters.mixed(NAMES) as mixture:
            assert any("forward" in module.__dict__ for module in mixture.model.modules())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not any("forward" in module.__dict__ for module in tiny_model.modules())
    assert torch.equal(alone(adapters, "wide"), before)


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"use_dora": True}, "uses a LoRA variant such as DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [1, 2]}, "trainable tokens"),
        ({"target_modules": ["embed_tokens"]}, "is a Embedding layer"),
    ],
)
def test_what_cannot_be_mixed_is_said(make_adapter, tmp_path, options, reason):
    """Adapters that are more than a low-rank product on linear layers are refused by name."""
    base = BaseSpec(model="tiny:phi", dtype="fp32", device="cpu")  # whose embeddings are not tied
    where = Path(resolve_model(base, Path()))
    adapters = AdapterSet(base_of("phi"))
    adapters.add("plain", make_adapter(tmp_path / "plain", model_dir=where))
    adapters.add("other", make_adapter(tmp_path / "other", model_dir=where, **options))
    assert reason in str(adapters.why_not_mixed([None, "plain", "other"]))
    with pytest.raises(ModelError, match=reason), adapters.mixed([None, "other"]):
        pass


@pytest.mark.filterwarnings("ignore:Adapter 'default'")  # PEFT takes a bias for a broken matrix
def test_biases_of_adapters_cannot_be_mixed(make_adapter, tmp_path):
    """A bias beside the low-rank product would be lost."""
    base = BaseSpec(model="tiny:phi", dtype="fp32", device="cpu")
    where = Path(resolve_model(base, Path()))
    path = make_adapter(tmp_path / "a", model_dir=where, target_modules=["fc1"], lora_bias=True)
    adapters = AdapterSet(base_of("phi"))
    adapters.add("a", path)
    assert "lora_bias" in str(adapters.why_not_mixed(["a"]))


def test_other_kinds_cannot_be_mixed(tiny_model, tiny_dir, tmp_path):
    """(IA)3 multiplies where LoRA adds."""
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    get_peft_model(base, IA3Config(task_type="CAUSAL_LM")).save_pretrained(tmp_path / "ia3")
    adapters = AdapterSet(tiny_model)
    assert adapters.why_not_mixed([None]) == "no adapter is loaded"
    adapters.add("ia3", tmp_path / "ia3")
    assert "type IA3" in str(adapters.why_not_mixed([None, "ia3"]))


def test_rows_that_were_not_assigned(tiny_model, make_adapter, tmp_path):
    """A layer that gets other rows than the batch has (as in a mixture of experts) is refused."""
    adapters = adapters_of("llama", tiny_model, make_adapter, tmp_path)
    with adapters.mixed(NAMES) as mixture:
        mixture.assign(NAMES[:3])
        with pytest.raises(ModelError, match=r"rows of shape \(4, 15, 128\) for 3 prompts"):
            logits(mixture.model)


def test_half_precision(tiny_base, make_adapter, tmp_path):
    """In bf16 the rows differ from each variant's own by rounding only."""
    model = load_base(tiny_base, "bf16", decide(tiny_base), base_dir=Path(), purpose="quality")
    adapters = adapters_of("llama", model, make_adapter, tmp_path)
    expected = {name: alone(adapters, name) for name in NAMES}
    with adapters.mixed(NAMES) as mixture:
        mixture.assign(NAMES)
        mixed = logits(mixture.model)
    spread = max(float(value.abs().max()) for value in expected.values())
    for row, name in enumerate(NAMES):
        torch.testing.assert_close(mixed[row], expected[name][row], rtol=0, atol=0.03 * spread)
