"""Tiny models for tests and CI: seeded random weights and a real byte-level BPE tokenizer.

A tiny model proves that the machinery works, and nothing about quality: its weights are random.
It can still learn. With the usual initialisation (standard deviation 0.02) it could not: the
frozen output layer would be so small that no hidden state yields a confident token. With
``INITIALIZER_RANGE`` LoRA alone (r 16, learning rate 5e-3, 120 steps of 16 docstring summaries,
38 s on one core) takes ROUGE-L from 0.01 to 0.13; with 0.02 it reaches 0.05, with 0.2 also 0.05.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as tokenizer_models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCAB_SIZE = 2048
CONTEXT_TOKENS = 2048
_MOST_TOKENS = 32_768  # of a context whose tokenizer says that it is longer
INITIALIZER_RANGE = 0.1
SEED = 20240229
BOS, EOS, PAD = "<s>", "</s>", "<pad>"

# Every width is a multiple of 64, so that bitsandbytes' 4-bit blocks and its CPU packing fit.
_SHAPE: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_TOKENS,
    "initializer_range": INITIALIZER_RANGE,
    "tie_word_embeddings": True,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
_GPT2_NAMES = {
    "hidden_size": "n_embd",
    "intermediate_size": "n_inner",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '[' + message['role'] + ']\n' + message['content'] + eos_token + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '[assistant]\n' }}{% endif %}"
)


def build(architecture: str, folder: Path, tokenizer: Any = None) -> None:
    """Write a tiny model and its tokenizer into a folder, as ``save_pretrained`` does.

    Args:
        architecture: One of ``source.TINY_ARCHITECTURES``.
        folder: Where to write; it must exist.
        tokenizer: Another tokenizer than the tiny models' own, whose size the model then has.
    """
    config = tiny_config(architecture)
    if tokenizer is not None:
        _fit(config, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)


def _fit(config: Any, tokenizer: Any) -> None:
    """Give a configuration the vocabulary, special tokens and length of a tokenizer."""
    config.vocab_size = -(-len(tokenizer) // 64) * 64
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, getattr(tokenizer, name))
    length = min(tokenizer.model_max_length, _MOST_TOKENS)  # which may be 1e30 for none
    config.max_position_embeddings = max(CONTEXT_TOKENS, length)


def tiny_config(architecture: str) -> Any:
    """Configuration of an architecture at about a million parameters."""
    shape = dict(_SHAPE)
    match architecture:
        case "gemma3":
            return AutoConfig.for_model(
                "gemma3_text",
                **shape,
                head_dim=32,
                query_pre_attn_scalar=32,
                sliding_window=64,
                layer_types=["sliding_attention", "full_attention"] * 2,
            )
        case "gemma" | "gemma2":
            shape |= {"head_dim": 32}
            if architecture == "gemma2":
                shape |= {"query_pre_attn_scalar": 32, "sliding_window": 64}
        case "gpt2":
            del shape["num_key_value_heads"]
            shape = {_GPT2_NAMES.get(name, name): value for name, value in shape.items()}
        case "gpt_neox" | "opt":
            del shape["num_key_value_heads"]
            if architecture == "opt":
                shape |= {"ffn_dim": shape.pop("intermediate_size"), "word_embed_proj_dim": 128}
                shape["init_std"] = shape.pop("initializer_range")
        case "phi":
            shape |= {"tie_word_embeddings": False}  # its head has a bias
        case "mistral" | "phi3":
            shape |= {"sliding_window": None}
    return AutoConfig.for_model(architecture, **shape)


def docstrings(root: Path) -> Iterator[str]:
    """Docstrings of the modules at the top of a library folder, in a fixed order."""
    for file in sorted(root.glob("*.py")):
        try:
            tree = ast.parse(file.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # a file that is no Python source adds no docstring
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node)
                if text:
                    yield text


@cache
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The one tokenizer of all tiny models, trained on the running Python's own docstrings.

    It is a byte-level BPE tokenizer that puts BOS in front, like Llama's, and can chat.
    """
    tokenizer = Tokenizer(tokenizer_models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(docstrings(Path(sysconfig.get_paths()["stdlib"])), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
