"""A base's stand-in for a smoke run: a random model of its architecture, with its own tokenizer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.digests import short_digest
from harness.errors import ModelError
from harness.files import json_or_nothing
from harness.models.builtin import build_tiny
from harness.models.identity import hub_snapshot
from harness.models.kept import keep_built
from harness.models.source import BUILTIN_GGUF, TINY_ARCHITECTURES, TINY_PREFIX, locate
from harness.models.tokens import load_tokenizer
from harness.resources import cache_dir
from harness.suite.spec import BaseSpec

# what names of models hold -> their architecture; the first that fits
_FAMILIES = {
    r"phi-?[34]": "phi3", r"phi": "phi",
    r"pythia|neox|dolly|redpajama": "gpt_neox",
    r"qwen-?3": "qwen3", r"qwen": "qwen2",
    r"gemma-?3": "gemma3", r"gemma-?2": "gemma2", r"gemma": "gemma",
    r"mistral|zephyr": "mistral", r"olmo-?2": "olmo2", r"\bopt\b": "opt", r"gpt-?2": "gpt2",
    r"llama|vicuna|alpaca|smollm|guanaco": "llama",
}  # fmt: skip
_TYPES = {"gemma3_text": "gemma3"}  # model types whose tiny model has another name


def stand_in(base: BaseSpec, base_dir: Path) -> tuple[BaseSpec, str]:
    """A base that is loaded, trained and asked in milliseconds.

    Args:
        base: The suite's base.
        base_dir: Folder that its relative paths start from.

    Returns:
        It, and a line on what it is.

    Raises:
        ModelError: Nothing tells the base's architecture, or it has no tiny model.
    """
    if locate(base, base_dir).kind == "tiny":
        return base, f"base.model: {base.model}, which is small and random already"
    architecture = _architecture(base, base_dir)
    plain = {
        "revision": None, "trust_remote_code": False, "allow_pickle": False, "dequantize": False,
        "dtype": "auto", "device": "auto", "attn_implementation": "auto",
    }  # fmt: skip
    try:
        tokenizer = load_tokenizer(base, base_dir)
    except ModelError as error:
        small = base.model_copy(update={**plain, "model": TINY_PREFIX + architecture})
        why = f"a tokenizer of 2,048 tokens, for its own is not here ({error.problem})"
        return small, f"base.model: {base.model} is a random {architecture} with {why}"
    name = short_digest({"architecture": architecture, "tokenizer": _content(tokenizer, base)})
    folder = keep_built(
        cache_dir() / "models" / f"smoke-{architecture}-{name[:12]}",
        lambda target: build_tiny(architecture, target, tokenizer),
    )
    small = base.model_copy(update={**plain, "model": str(folder)})
    return small, f"base.model: {base.model} is a random {architecture} with its own tokenizer"


def _content(tokenizer: Any, base: BaseSpec) -> Any:
    """What tells tokenizers apart."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    text = base.model if backend is None else backend.to_str()
    return [text, tokenizer.chat_template, str(tokenizer.special_tokens_map)]


def _architecture(base: BaseSpec, base_dir: Path) -> str:
    """The base's architecture: by its configuration, else by its family's name."""
    source = locate(base, base_dir)
    folder = hub_snapshot(source.name, base.revision) if source.kind == "hub" else source.path
    config = json_or_nothing(folder / "config.json") if folder is not None else None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind is None:
        name = "llama" if source.name in BUILTIN_GGUF else source.name.lower()
        kind = next((known for part, known in _FAMILIES.items() if re.search(part, name)), None)
    kind = _TYPES.get(str(kind), kind)
    if kind not in TINY_ARCHITECTURES:
        problem = "is not known" if kind is None else f"{kind} has no tiny model"
        raise ModelError(
            f"A smoke run needs a tiny model of the base's architecture, which {problem}.",
            where="base.model",
            hint="Name one, such as --set base.model=tiny:llama; there are "
            f"{', '.join(TINY_ARCHITECTURES)}.",
        )
    return str(kind)
