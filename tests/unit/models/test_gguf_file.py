"""All of a GGUF file is in the model that is made of it, or the file is refused by name."""

import json

import numpy as np
import pytest
import torch
from gguf import MODEL_ARCH_NAMES, GGUFWriter, get_tensor_name_map
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, Qwen2Config
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from harness.errors import ModelError
from harness.models.builtin import convert_gguf
from harness.models.tiny import tiny_tokenizer

IDS = torch.arange(3, 67).reshape(2, 32)
SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
SAME = {"rope.dimension_count": 16, "rope.scaling.type": "none", "attention.key_length": 16}


def make(kind, **options):
    torch.manual_seed(0)
    config = kind(vocab_size=len(tiny_tokenizer()), **SIZES, **options)
    model = AutoModelForCausalLM.from_config(config).eval()
    for weight in model.parameters():  # norms of one and biases of zero would hide much
        weight.data += 0.05 * torch.randn_like(weight)
    return model


def write(file, arch, model, keys, tensors):
    """A GGUF file by llama.cpp's own writer and names, as its converter writes one."""
    config, writer = model.config, GGUFWriter(file, arch)
    known = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.freq_base": float(config.rope_parameters["rope_theta"]),
        **keys,
    }
    add = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}
    for key, value in known.items():
        add[type(value)](f"{arch}.{key}", value)
    tokenizer = tiny_tokenizer()
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    number = next(number for number, name in MODEL_ARCH_NAMES.items() if name == arch)
    names = get_tensor_name_map(number, config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        own, _, suffix = name.rpartition(".")
        if own != "lm_head" or not config.tie_word_embeddings:
            values = stored(name, weight, arch, config).numpy()
            writer.add_tensor(f"{names.get_name(own)}.{suffix}", np.ascontiguousarray(values))
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def stored(name, weight, arch, config):
    """Rows of Llama's queries and keys change places; Gemma's norms hold the one that is added."""
    if arch == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
        return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
    return weight + 1 if arch == "gemma2" and "norm" in name else weight


def difference(tmp_path, arch, model, keys=None, tensors=None):
    """Largest difference of a logit between a model and what is made of its GGUF file."""
    write(tmp_path / "model.gguf", arch, model, keys or {}, tensors or {})
    (tmp_path / "made").mkdir()
    convert_gguf(tmp_path / "model.gguf", tmp_path / "made")
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "made").eval()
    with torch.inference_mode():
        return float((made(IDS).logits - model(IDS).logits).abs().max())


GEMMA = {"head_dim": 256, "query_pre_attn_scalar": 256}
GEMMA_KEYS = {
    "attention.key_length": 256,
    "attention.value_length": 256,
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
}


@pytest.mark.parametrize(
    ("arch", "kind", "options", "keys"),
    [
        ("llama", LlamaConfig, {"tie_word_embeddings": False}, SAME),
        ("llama", LlamaConfig, {"tie_word_embeddings": True}, {}),
        ("qwen2", Qwen2Config, {}, {}),  # with biases
        ("gemma2", Gemma2Config, GEMMA, GEMMA_KEYS),
    ],
)
def test_a_file_that_is_read_to_its_end_is_its_source(tmp_path, arch, kind, options, keys):
    """Also where it holds keys that are not read, but say what is so anyway."""
    assert difference(tmp_path, arch, make(kind, **options), keys) < 1e-5


def test_stored_rotary_factors_are_kept(tmp_path):
    """Llama 3's files hold divisors of the rotary frequencies, which transformers leaves out."""
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    model = make(LlamaConfig, rope_parameters=rope)
    frequencies = 1 / 10000.0 ** (np.arange(0, 16, 2) / 16)
    factors = frequencies / ROPE_INIT_FUNCTIONS["llama3"](model.config, "cpu")[0].numpy()
    assert factors.max() > 2
    tensors = {"rope_freqs.weight": factors.astype(np.float32)}
    assert difference(tmp_path, "llama", model, SAME, tensors) < 1e-5


@pytest.mark.parametrize(
    ("keys", "tensors", "named"),
    [
        ({"rope.scaling.type": "linear", "rope.scaling.factor": 2.0}, {}, "qwen2.rope.scaling.f"),
        ({"rope.dimension_count": 8}, {}, "qwen2.rope.dimension_count"),
        ({"attention.of_a_later_release": 3}, {}, "qwen2.attention.of_a_later_release"),
        ({}, {"blk.0.attn_new.weight": np.ones(5, np.float32)}, "blk.0.attn_new.weight"),
    ],
)
def test_what_is_left_over_is_named(tmp_path, keys, tensors, named):
    """Keys and tensors that transformers passes over in silence."""
    with pytest.raises(ModelError, match=named.replace(".", r"\.")) as caught:
        difference(tmp_path, "qwen2", make(Qwen2Config), keys, tensors)
    assert "would make another model of this file" in str(caught.value)


def test_a_scale_that_is_in_no_file_is_not_guessed(tmp_path):
    """Gemma's larger models scale attention by another number than the smaller ones."""
    model = make(Gemma2Config, head_dim=16, query_pre_attn_scalar=16)
    with pytest.raises(ModelError, match="query_pre_attn_scalar = 256"):
        difference(tmp_path, "gemma2", model, {"attention.key_length": 16})
