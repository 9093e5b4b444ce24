"""Converts an adapter of another trainer to PEFT's form; run as a process of its own, with torch.

- MLX-LM: ``adapters.safetensors``. Its ``lora_a`` is (in, r) and ``lora_b`` (r, out), PEFT's are
  the other way round; its ``scale`` is PEFT's alpha / r. DoRA's ``m`` is PEFT's magnitude.
- litgpt: ``lit_model.pth.lora``. Query, key and value share one layer: its ``lora_A`` has a block
  of r rows for each of them that is adapted, its ``lora_B`` a block of rows of each one's size.
- PEFT before safetensors: ``adapter_model.bin``, a pickle of which torch reads tensors only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from harness.errors import in_a_line
from harness.files import json_or_nothing
from harness.models.beside import ADAPTER_WEIGHTS
from harness.models.foreign import ADAPTER_CONFIG, LITGPT, OLD

_PREFIX = "base_model.model."


class NoLikeError(Exception):
    """PEFT has no like of what the adapter holds."""


@dataclass(frozen=True)
class Converted:
    """What PEFT needs of an adapter: its configuration, and its weights under PEFT's names."""

    config: dict[str, Any]
    weights: dict[str, Any]


def convert(file: Path, target: Path) -> None:
    """Write an adapter as PEFT reads it.

    Args:
        file: The file with its weights.
        target: The folder to write to.

    Raises:
        NoLikeError: It holds what PEFT has no like of.
    """
    by_name: dict[str, Callable[[Path], Converted]] = {LITGPT: _from_litgpt, OLD: _from_pickle}
    made = by_name.get(file.name, _from_mlx)(file)
    save_file(made.weights, target / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    (target / ADAPTER_CONFIG).write_text(json.dumps(made.config, indent=1) + "\n", "utf-8")


def main() -> None:
    """Convert the file that is named first into the folder that is named second."""
    refusal = None
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except Exception as error:  # whatever its parts hold
        refusal = in_a_line(error)
    sys.stdout.write(f"\n{json.dumps(refusal)}\n")


def _from_pickle(file: Path) -> Converted:
    weights = torch.load(file, map_location="cpu", weights_only=True)
    config = json.loads((file.parent / ADAPTER_CONFIG).read_text("utf-8"))
    return Converted(config, {name: value.contiguous() for name, value in weights.items()})


def _from_mlx(file: Path) -> Converted:
    config = json_or_nothing(file.parent / ADAPTER_CONFIG)
    config = config if isinstance(config, dict) else {}
    kind, lora = config.get("fine_tune_type", "lora"), config.get("lora_parameters", {})
    if kind not in ("lora", "dora"):
        raise NoLikeError(f"MLX-LM trained it by {kind}, and only lora and dora are read.")
    weights: dict[str, Any] = {}
    ranks, layers = set(), set()
    for name, value in load_file(file).items():
        layer, _, part = name.rpartition(".")
        if part not in ("lora_a", "lora_b", "m") or value.ndim > 2 or "embed_tokens" in layer:
            raise NoLikeError(f"{name} of shape {tuple(value.shape)} has no like in PEFT.")
        layers.add(layer)
        if part == "m":
            weights[f"{_PREFIX}{layer}.lora_magnitude_vector"] = value.contiguous()
            continue
        ranks.add(value.shape[1] if part == "lora_a" else value.shape[0])
        weights[f"{_PREFIX}{layer}.lora_{part[-1].upper()}.weight"] = value.T.contiguous()
    rank = _only(ranks)
    alpha = float(lora["scale"]) * rank
    return Converted(_lora_config(None, rank, alpha, layers, kind == "dora"), weights)


def _from_litgpt(file: Path) -> Converted:
    state = torch.load(file, map_location="cpu", weights_only=True)
    state = state.get("model", state)
    asked = yaml.safe_load((file.parent / "hyperparameters.yaml").read_text("utf-8"))
    model = yaml.safe_load((file.parent / "model_config.yaml").read_text("utf-8"))
    if model.get("mlp_class_name") not in ("LLaMAMLP", "GemmaMLP"):
        raise NoLikeError(
            f"layers of {model.get('name')} are not those of Llama, which alone are read."
        )
    adapted = [p for p in ("query", "key", "value") if asked.get(f"lora_{p}", p != "key")]
    weights: dict[str, Any] = {}
    for name, value in state.items():
        for place, part in _litgpt_parts(name, value, model, adapted, int(asked["lora_r"])):
            weights[f"{_PREFIX}{place}.weight"] = part.contiguous().clone()
    ranks = {value.shape[0] for name, value in weights.items() if ".lora_A." in name}
    layers = {name.removeprefix(_PREFIX).partition(".lora_")[0] for name in weights}
    hub = model.get("hf_config") or {}
    base = f"{hub['org']}/{hub['name']}" if {"org", "name"} <= hub.keys() else None
    config = _lora_config(base, _only(ranks), asked["lora_alpha"], layers, False)
    return Converted(config, weights)


_LITGPT_LAYERS = {
    "attn.proj": "self_attn.o_proj", "mlp.fc_1": "mlp.gate_proj", "mlp.fc_2": "mlp.up_proj",
    "mlp.proj": "mlp.down_proj",
}  # fmt: skip


def _litgpt_parts(
    name: str, value: Any, model: Mapping[str, Any], adapted: list[str], rank: int
) -> Iterator[tuple[str, Any]]:
    """Where PEFT has what one tensor of litgpt holds, and which part of it."""
    if name in ("lm_head.lora_A", "lm_head.lora_B"):
        yield name, value
        return
    match = re.fullmatch(r"transformer\.h\.(\d+)\.(.+)\.(lora_[AB])", name)
    if match is None:
        raise ValueError(f"{name} is no weight of an adapter")
    layer, place, side = match.groups()
    if place in _LITGPT_LAYERS:
        yield f"model.layers.{layer}.{_LITGPT_LAYERS[place]}.{side}", value
        return
    if place != "attn.qkv":
        raise ValueError(f"{name} has no like in PEFT")
    kv = model["n_query_groups"] * model["head_size"]
    rows = {"query": model["n_head"] * model["head_size"], "key": kv, "value": kv}
    sizes = [rank if side == "lora_A" else rows[part] for part in adapted]
    for part, block in zip(adapted, value.split(sizes), strict=True):
        yield f"model.layers.{layer}.self_attn.{part[0]}_proj.{side}", block


def _only(ranks: set[int]) -> int:
    if len(ranks) != 1:
        raise NoLikeError(f"its layers have the ranks {sorted(ranks)}, and one is needed.")
    return ranks.pop()


def _lora_config(
    base: str | None, rank: int, alpha: float, layers: set[str], dora: bool
) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_dora": dora,
        "target_modules": sorted(layers),
    }


if __name__ == "__main__":
    main()
