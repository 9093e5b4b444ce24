"""A merged model is base plus adapter in one, and opens like any model."""

import warnings
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.digests import file_digest
from harness.errors import ModelError
from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.policy import DevicePolicy
from harness.suite.spec import BaseSpec
from harness.train import merge as merging
from harness.train.merge import merge_adapter, merge_precision
from harness.train.merge_proof import gaps, read
from tests.unit.models.test_peft_kinds import KINDS, OF_OTHERS, saved

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
    with pytest.raises(ModelError, match=r"cannot be merged.*not finite.*diverged"):
        merge_adapter(tiny_base, adapter, tmp_path / "merged", fp32_policy, base_dir=Path())
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("device", "dtype", "expected"), [("cpu", "bf16", "fp32"), ("cuda:0", "bf16", "bf16")]
)
def test_merge_precision(device, dtype, expected):
    """Merged weights are fp32 on a CPU, and in the compute dtype on an accelerator."""
    assert merge_precision(DevicePolicy(device, "", dtype, False, ())) == expected


def lora(**options):
    return LoraConfig(**{"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM", **options})


def plain(model):
    """A base of ours as transformers loads it."""
    folder = resolve_model(BaseSpec(model=model), Path())
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def adapted(config, model, folder):
    """Save an adapter whose weights are away from where they start; PEFT's own logits of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of tied weights that are adapted
        made = get_peft_model(plain(model), config)
        generator = torch.Generator().manual_seed(0)
        for weight in made.parameters():
            if weight.requires_grad:
                weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
        made.save_pretrained(folder)
        return logits(PeftModel.from_pretrained(plain(model), folder).eval())


NAMES = {  # of a layer, the embedding and the output layer
    "tiny:llama": ("q_proj", "embed_tokens", "lm_head"),
    "tiny:gemma3": ("q_proj", "embed_tokens", "lm_head"),
    "tiny:gpt2": ("c_attn", "wte", "lm_head"),
}
TIED = {  # adapters of weights that are tied in the base, and whether they are not in the sum
    "lora of the head": (lambda layer, embed, head: lora(target_modules=[layer, head]), True),
    "lora of the embedding": (lambda layer, embed, head: lora(target_modules=[layer, embed]), True),
    "head in full": (
        lambda layer, embed, head: lora(target_modules=[layer], modules_to_save=[head]),
        True,
    ),
    "scaled head": (
        lambda layer, embed, head: IA3Config(
            target_modules=[head], feedforward_modules=[head], task_type="CAUSAL_LM"
        ),
        True,
    ),
    "layers only": (lambda layer, embed, head: lora(target_modules=[layer], use_dora=True), False),
}


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("kind", TIED)
def test_what_is_tied_and_adapted_is_untied_first(model, kind, tmp_path):
    """A sum in one place must not reach the other; where none is adapted they stay one tensor."""
    config, expected = TIED[kind]
    truth = adapted(config(*NAMES[model]), model, tmp_path / "a")
    base = BaseSpec(model=model, dtype="fp32", device="cpu")
    made = merge_adapter(base, tmp_path / "a", tmp_path / "m", decide(base), base_dir=Path())
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    assert (truth - logits(plain(model))).abs().max() > 0.1
    assert (logits(merged) - truth).abs().max() < 3e-5
    assert merged.config.tie_word_embeddings is not expected
    assert bool(made.untied) is expected
    assert made.proof.outcome == "holds"
    assert made.proof.difference < 5e-5
    assert made.proof.limit == 1e-3
    assert ("weights of its own" in made.proof.words) is expected


@pytest.mark.parametrize("ensured", [True, False])
def test_layers_that_share_weights_are_summed_apart(fp32_policy, tmp_path, tiny_base, ensured):
    """Replicated layers have one tensor and an adapter each; tied adapters stay tied."""
    options = {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True}
    if not ensured:
        options = {"target_modules": ["q_proj"], "layer_replication": [[0, 3], [1, 4]]}
    truth = adapted(lora(**options), "tiny:llama", tmp_path / "a")
    merge_adapter(tiny_base, tmp_path / "a", tmp_path / "m", fp32_policy, base_dir=Path())
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    assert len(merged.model.layers) == (4 if ensured else 6)
    assert (logits(merged) - truth).abs().max() < 3e-5


def load_tied(*args, **options):
    """As a library loads that ties embeddings whatever a configuration says."""
    model = load_base(*args, **options)
    model.lm_head.weight = model.get_input_embeddings().weight
    return model


FAULTS = {
    "tied weights summed as one": ("separate", lambda model: None, "Once merged, the model"),
    "untied weights loaded as tied": ("load_base", load_tied, "saved and loaded again, the model"),
}


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_merge_that_is_not_the_adapter_is_refused(
    tiny_base, fp32_policy, tmp_path, monkeypatch, fault, dtype
):
    """Before saving and after, at either precision; nothing says that it can be shipped."""
    name, wrong, words = FAULTS[fault]
    monkeypatch.setattr(merging, name, wrong)
    adapted(lora(target_modules=["q_proj", "lm_head"]), "tiny:llama", tmp_path / "a")
    monkeypatch.setattr(merging, "merge_precision", lambda policy: dtype)
    with pytest.raises(ModelError, match=rf"{words} is not base plus adapter any more.*logit") as e:
        merge_adapter(tiny_base, tmp_path / "a", tmp_path / "m", fp32_policy, base_dir=Path())
    assert "matrix.merged: none" in str(e.value.hint)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("model", NAMES)
def test_rounding_is_measured_in_half_precision(model, dtype, tmp_path, monkeypatch):
    """A right merge passes, though its logits differ by far more than 1e-3."""
    adapted(lora(target_modules="all-linear"), model, tmp_path / "a")
    monkeypatch.setattr(merging, "merge_precision", lambda policy: dtype)
    base = BaseSpec(model=model, dtype=dtype, device="cpu")
    made = merge_adapter(base, tmp_path / "a", tmp_path / "m", decide(base), base_dir=Path())
    assert made.proof.limit > made.proof.difference > 1e-3


def test_one_embedding_of_the_vocabulary_is_enough(tiny_model):
    """Each token's is looked at, and not only those of the rows that are computed."""
    truth = read(tiny_model)
    assert all(gap.is_rounding for gap in gaps(truth, tiny_model))
    tiny_model.lm_head.weight = torch.nn.Parameter(tiny_model.lm_head.weight.detach().clone())
    tiny_model.get_input_embeddings().weight.data[1234] *= 1.01
    assert torch.equal(read(tiny_model).logits, truth.logits)  # it is in none of the rows
    assert [gap.is_rounding for gap in gaps(truth, tiny_model)] == [True, True, False]


def test_a_kind_that_is_no_sum_is_refused(tiny_base, fp32_policy, tmp_path):
    """With what PEFT says of it; it is evaluated as an adapter."""
    adapted(lora(target_modules=["q_proj"], alora_invocation_tokens=[5, 6]), "tiny:llama", tmp_path)
    with pytest.raises(ModelError, match=r"PEFT merges no such adapter.*matrix.merged: none"):
        merge_adapter(tiny_base, tmp_path, tmp_path / "m", fp32_policy, base_dir=Path())


UNMERGED = {  # by PEFT: what works on activations or tokens, or needs a bias that is not there
    *("ADAPTION_PROMPT", "CARTRIDGE", "CPT", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"),
    *("BEFT", "LILY", "MULTITASK_PROMPT_TUNING", "POLY", "SHADOW"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - OF_OTHERS))
def test_every_kind_of_this_peft_is_merged_right_or_refused(
    kind, tiny_base, fp32_policy, tiny_dir, tmp_path
):
    """By PEFT's own logits of the adapter, after saving and loading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = saved(kind, tiny_dir, tmp_path / "a", seed=5)
        try:
            merge_adapter(tiny_base, path, tmp_path / "m", fp32_policy, base_dir=Path())
        except ModelError:
            assert kind in UNMERGED
            return
        truth = logits(PeftModel.from_pretrained(plain("tiny:llama"), path).eval())
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "m").eval()
    assert (logits(merged) - truth).abs().max() < 1e-4
    assert kind not in UNMERGED
