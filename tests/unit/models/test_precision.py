"""The precision of every weight is read back from the layers, and is what it says."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    LlamaConfig,
    MixtralConfig,
    Qwen3MoeConfig,
)

from harness.errors import ModelError
from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.load import load_proved
from harness.models.precision import PROBE, check_precision, read_back
from harness.models.tiny import tiny_tokenizer
from harness.suite.spec import BaseSpec, QuantizationSpec

ARCHITECTURES = ("llama", "gpt2", "phi")
IDS = torch.arange(3, 67).reshape(4, 16)


def load(model, precision, purpose="quality", *, dequantize=False, **quantization):
    base = BaseSpec(model=str(model), dtype="fp32", device="cpu", dequantize=dequantize)
    return load_proved(
        base,
        precision,
        decide(base),
        base_dir=Path(),
        purpose=purpose,
        quantization=QuantizationSpec(**quantization),
    )


def logits(model):
    with torch.inference_mode():
        return model(IDS, use_cache=False).logits


@pytest.fixture(scope="session")
def in_4_bits(tmp_path_factory):
    """Tiny bases saved in nf4 with a bf16 compute dtype, as mirrors for QLoRA are."""
    folders = {}
    options = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    for name in ARCHITECTURES:
        folders[name] = tmp_path_factory.mktemp(f"{name}-4bit")
        source = resolve_model(BaseSpec(model=f"tiny:{name}"), Path())
        model = AutoModelForCausalLM.from_pretrained(
            source, quantization_config=options, dtype=torch.bfloat16, device_map={"": "cpu"}
        )
        model.save_pretrained(folders[name])
        tiny_tokenizer().save_pretrained(folders[name])
    return folders


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_base_stored_in_4_bits_is_what_it_is(in_4_bits, name):
    """As nf4 it holds, computes in the dtype of the policy, and equals itself dequantized once."""
    real, proofs = load(in_4_bits[name], "nf4", "train")
    once, _ = load(in_4_bits[name], "nf4")
    assert [proof.outcome for proof in proofs] == ["holds", "holds"]
    assert "% nf4" in proofs[1].words
    assert {p.dtype for p in real.parameters() if p.is_floating_point()} == {torch.float32}
    torch.testing.assert_close(logits(once), logits(real))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "fp4"])
def test_a_base_stored_in_4_bits_is_nothing_else(in_4_bits, precision):
    """Transformers would give the same 4-bit model under each of these names."""
    with pytest.raises(ModelError, match=r"stored in nf4 \(bitsandbytes\)") as caught:
        load(in_4_bits["llama"], precision)
    assert "base.dequantize: true" in str(caught.value)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_dequantized_base_is_the_stored_one_in_full(in_4_bits, name):
    """base.dequantize gives the logits of the 4-bit model, and can be had in any precision."""
    plain, proofs = load(in_4_bits[name], "fp32", dequantize=True)
    stored, _ = load(in_4_bits[name], "nf4")
    assert proofs[1].words == "Read back from the layers: 100 % fp32."
    torch.testing.assert_close(logits(plain), logits(stored))


def test_a_base_stored_in_8_bits_is_that_quantized_while_loading(tiny_dir, tmp_path):
    """The same logits to the last bit, from the file as from the plain weights."""
    options = BitsAndBytesConfig(load_in_8bit=True)
    model = AutoModelForCausalLM.from_pretrained(
        tiny_dir, quantization_config=options, dtype=torch.float32, device_map={"": "cpu"}
    )
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    stored, _ = load(tmp_path, "int8", "measure")
    fresh, _ = load("tiny:llama", "int8", "measure")
    assert torch.equal(logits(stored), logits(fresh))
    with pytest.raises(ModelError, match=r"stored in int8 \(bitsandbytes\)"):
        load(tmp_path, "nf4")


def test_what_is_not_stored_quantized_is_not_dequantized(tiny_dir, tmp_path):
    """The option is refused where it would do nothing."""
    with pytest.raises(ModelError, match="not stored quantized"):
        resolve_model(BaseSpec(model=str(tiny_dir), dequantize=True), tmp_path)


@pytest.mark.parametrize("precision", ["nf4", "int8", "bf16", "fp32"])
def test_plain_bases_are_in_the_precision_that_was_asked_for(precision):
    """No warning of a base whose matrices all are."""
    _, proofs = load("tiny:qwen2", precision, "measure", llm_int8_threshold=0.0)
    assert {proof.outcome for proof in proofs} == {"holds"}


@pytest.mark.parametrize("config", [MixtralConfig, Qwen3MoeConfig])
def test_fused_experts_that_stay_out_of_4_bits_are_told(config, tmp_path):
    """Transformers 5 keeps the experts of a layer in one tensor, which bitsandbytes leaves."""
    sizes = {"hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    layers = {"num_hidden_layers": 1, "num_local_experts": 4, "num_experts": 4}
    model = AutoModelForCausalLM.from_config(config(vocab_size=64, **sizes, **heads, **layers))
    model.save_pretrained(tmp_path)
    _, proofs = load(tmp_path, "nf4", "measure")
    own = next(proof for proof in proofs if proof.probe == PROBE)
    assert own.outcome == "fallback"
    experts = sum(p.numel() for n, p in model.named_parameters() if "experts" in n)
    router = sum(p.numel() for n, p in model.named_parameters() if n.endswith(".gate.weight"))
    attention = sum(p.numel() for n, p in model.named_parameters() if "_proj.weight" in n)
    expected = 100 * (experts + router) / (experts + router + attention)
    assert own.difference == pytest.approx(expected, abs=1e-3)
    assert "mlp.experts.gate_up_proj" in own.words


def test_other_forms_than_asked_for_are_refused(tiny_model):
    """Whatever the reason, a model under a wrong name is no model of the suite."""
    forms = read_back(tiny_model)
    assert check_precision(forms, "fp32", where="here").outcome == "holds"
    for precision in ("nf4", "int8", "bf16"):
        with pytest.raises(ModelError, match=f"{precision} was asked for, but"):
            check_precision(forms, precision, where="here")


def test_weights_that_the_files_lack_are_not_made_up(tiny_dir, tmp_path):
    """Transformers fills them at random, with a line on stderr."""
    model = AutoModelForCausalLM.from_pretrained(tiny_dir)
    weights = model.state_dict()
    weights.pop("model.layers.0.mlp.up_proj.weight")
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(
        ModelError, match=r"lack weights .*random: model.layers.0.mlp.up_proj.weight\."
    ):
        load(tmp_path, "fp32")


def test_weights_of_another_shape_are_named_with_both(tiny_dir, tmp_path):
    """The case of 4-bit mixtures of experts of before transformers 5, packed expert by expert."""
    model = AutoModelForCausalLM.from_pretrained(tiny_dir)
    packed = {"model.norm.weight": torch.ones(64, 1)}
    model.save_pretrained(tmp_path, state_dict={**model.state_dict(), **packed})
    with pytest.raises(ModelError, match=r"norm.weight \(stored as \(64, 1\), needed as \(128,\)"):
        load(tmp_path, "fp32")


def test_weights_in_fp8_can_be_dequantized(tmp_path):
    """Blocks of 128 x 128 with a scale each, as several large models are published."""
    config = LlamaConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    model = AutoModelForCausalLM.from_config(config)
    weights, expected = dict(model.state_dict()), dict(model.state_dict())
    for name in [name for name in weights if name.endswith("proj.weight")]:
        scale = weights[name].abs().max() / 448  # the largest number of float8_e4m3fn
        weights[name] = (weights[name] / scale).to(torch.float8_e4m3fn)
        weights[f"{name}_scale_inv"] = scale.reshape(1, 1)
        expected[name] = weights[name].float() * scale
    config.quantization_config = {"quant_method": "fp8", "weight_block_size": [128, 128]}
    config.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="stored in fp8"):
        load(tmp_path, "bf16")
    made, proofs = load(tmp_path, "fp32", dequantize=True)
    assert {proof.outcome for proof in proofs} == {"holds"}
    for name, weight in made.state_dict().items():
        torch.testing.assert_close(weight, expected[name])


def test_stored_weights_without_a_place_are_told(tiny_dir, tmp_path):
    """A bias that the architecture does not have is left out by transformers."""
    model = AutoModelForCausalLM.from_pretrained(tiny_dir)
    extra = {"model.layers.0.mlp.up_proj.bias": torch.ones(4)}
    model.save_pretrained(tmp_path, state_dict={**model.state_dict(), **extra})
    _, (first, *_) = load(tmp_path, "fp32")
    assert first.outcome == "fallback"
    assert "model.layers.0.mlp.up_proj.bias" in first.words


@pytest.mark.parametrize("precision", ["fp32", "nf4"])
def test_a_model_that_holds_other_numbers_than_its_files_is_refused(monkeypatch, precision):
    """As where the model's code draws weights anew after loading, and the report is clean."""

    def redraw(*args, **options):
        model, loading = load_plain(*args, **options)
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                torch.nn.init.normal_(module.weight.data)
        return model, loading

    load_plain = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", redraw)
    with pytest.raises(ModelError, match=r"1 of \d matrices .* such as model.embed_tokens.weight"):
        load("tiny:llama", precision)


def test_int8_answers_that_depend_on_the_batch_are_told():
    """Columns that are outliers in one row leave the quantization in all rows beside it."""
    _, proofs = load("tiny:llama", "int8", llm_int8_threshold=1.0)
    assert proofs[-1].outcome == "fallback"
    assert proofs[-1].difference > proofs[-1].limit
    _, proofs = load("tiny:llama", "int8", llm_int8_threshold=0.0)  # 0: no outliers
    assert proofs[-1].outcome == "holds"
