"""An adapter's stand-in for a smoke run: random weights of its kind, on a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from harness.digests import short_digest
from harness.models import peft_load
from harness.models.beside import TRAINER_STATE
from harness.models.builtin import resolve_model
from harness.models.identity import adapter_digest, base_identity, check_adapter
from harness.models.kept import keep_built
from harness.resources import cache_dir
from harness.suite.spec import BaseSpec

# What PEFT works out from the model where an adapter's configuration does not say it
_OF_THE_MODEL = (
    "num_layers", "token_dim", "num_attention_heads", "num_transformer_submodules",
    "encoder_hidden_size",
)  # fmt: skip
_SPREAD = 0.02  # of the noise that gives every weight an effect
_VERSION = 1  # changes whenever the same adapter would get another stand-in


def stand_in_adapter(adapter: Path, name: str, base: BaseSpec, base_dir: Path) -> Path:
    """A random adapter of another's kind, options and target modules, for a small base.

    Args:
        adapter: The adapter's folder.
        name: What to call the folder.
        base: The base's stand-in.
        base_dir: Folder that its relative paths start from.

    Returns:
        Its folder, with what the trainer wrote about its steps.

    Raises:
        ModelError: PEFT cannot put the adapter into an architecture as the base's, such as for
            target modules that match nothing.
    """
    model = str(resolve_model(base, base_dir))
    parts = {"adapter": adapter_digest(adapter), "base": base_identity(base, base_dir)}
    key = short_digest({**parts, "version": _VERSION})
    folder = cache_dir() / "adapters" / f"smoke-{name}-{key[:12]}"
    return keep_built(folder, lambda target: _build(adapter, model, target / name)) / name


def _build(adapter: Path, model: str, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config, _ = peft_load.read_config(adapter)
    shape = AutoConfig.from_pretrained(model)
    _fit(config, shape.num_hidden_layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
        try:
            whole = peft_load.inject(base, None, "default", config)
        except Exception as error:  # whatever PEFT raises for what stands in the file
            raise peft_load.refusal(check_adapter(adapter), error) from error
        with torch.no_grad():
            for weight in whole.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight), alpha=_SPREAD)
    whole.save_pretrained(folder)
    if (adapter / TRAINER_STATE).is_file():
        shutil.copy(adapter / TRAINER_STATE, folder)


def _fit(config: Any, layers: int) -> None:
    """Leave out of an adapter's configuration what holds for a larger model only."""
    config.inference_mode = False  # so that its weights can be told from the base's
    for name in _OF_THE_MODEL:
        if hasattr(config, name):
            setattr(config, name, None)
    if isinstance(getattr(config, "init_lora_weights", None), str):
        config.init_lora_weights = True  # by the base's own weights, which are random here
    chosen = getattr(config, "layers_to_transform", None)
    if isinstance(chosen, list):
        config.layers_to_transform = [layer for layer in chosen if layer < layers] or None
