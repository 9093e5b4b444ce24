"""Adapters of other trainers, converted once to what PEFT reads; tensors only, no code is run.

- MLX-LM: ``adapters.safetensors``. Its ``lora_a`` is (in, r) and ``lora_b`` (r, out), PEFT's are
  the other way round; its ``scale`` is PEFT's alpha / r. DoRA's ``m`` is PEFT's magnitude.
- litgpt: ``lit_model.pth.lora``. Query, key and value share one layer: its ``lora_A`` has a block
  of r rows for each of them that is adapted, its ``lora_B`` a block of rows of each one's size.
- PEFT before safetensors: ``adapter_model.bin``, a pickle of which torch reads tensors only.

A converted adapter lies in the cache, in a folder called as the original one.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from harness.digests import file_digest, short_digest
from harness.errors import ModelError, in_a_line
from harness.files import json_or_nothing
from harness.models.beside import ADAPTER_WEIGHTS, TRAINER_STATE, natural_key
from harness.models.builtin import keep_built
from harness.resources import cache_dir

CONVERTED = "converted.json"  # in a converted folder: from what
_VERSION = 1  # changes whenever the same files would give another adapter
_CONFIG = "adapter_config.json"
_MLX, _MLX_SAVED = "adapters.safetensors", re.compile(r"0*(\d+)_adapters\.safetensors")
_LITGPT, _OLD = "lit_model.pth.lora", "adapter_model.bin"
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Converted:
    """What PEFT needs of an adapter: its configuration, and its weights under PEFT's names."""

    config: dict[str, Any]
    weights: dict[str, Any]


def as_peft(folder: Path) -> list[Path]:
    """Folders of PEFT for what a trainer left in a folder: it alone, or what it converts to.

    Args:
        folder: Any folder; what is none of the above is handed back as it is.

    Returns:
        One folder, or one for each checkpoint that MLX-LM saved, in order.

    Raises:
        ModelError: The adapter is of a kind that PEFT has no like of, or cannot be read.
    """
    if (folder / ADAPTER_WEIGHTS).is_file():
        return [folder]
    if (folder / _LITGPT).is_file():
        return [_kept(folder, folder.name, (_LITGPT, "hyperparameters.yaml"), _from_litgpt)]
    if (folder / _OLD).is_file() and (folder / _CONFIG).is_file():
        return [_kept(folder, folder.name, (_OLD, _CONFIG), _from_pickle)]
    return _all_of_mlx(folder)


def _all_of_mlx(folder: Path) -> list[Path]:
    """MLX-LM numbers what it saves on the way; the last is there a second time, without a number.

    That one is left out where it is the same, so that a step is known.
    """
    saved = sorted((p for p in folder.glob("*_" + _MLX)), key=lambda p: natural_key(p.name))
    steps = {path: match[1] for path in saved if (match := _MLX_SAVED.fullmatch(path.name))}
    last = folder / _MLX
    if not steps and not last.is_file():
        return [folder]
    digests = {file_digest(path) for path in steps}
    names = {path: f"checkpoint-{step}" for path, step in steps.items()}
    if last.is_file() and file_digest(last) not in digests:
        names[last] = folder.name
    return [
        _kept(folder, name, (file.name, _CONFIG), partial(_from_mlx, file=file))
        for file, name in names.items()
    ]


def _kept(
    folder: Path, name: str, files: tuple[str, ...], convert: Callable[[Path], Converted]
) -> Path:
    """The converted adapter in the cache, made now if it is not there."""
    for file in files:
        if not (folder / file).is_file():
            raise ModelError(
                f"The adapter cannot be converted: {file} is not here.",
                where=str(folder),
                hint="Copy the whole folder that its trainer wrote.",
            )
    source = {file: file_digest(folder / file) for file in files}
    key = short_digest({"version": _VERSION, "files": source})

    def build(target: Path) -> None:
        from safetensors.torch import save_file

        try:
            made = convert(folder)
        except ModelError:
            raise
        except Exception as error:  # whatever its parts hold
            raise _unreadable(folder, in_a_line(error)) from error
        inner = target / name
        inner.mkdir()
        save_file(made.weights, inner / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        (inner / _CONFIG).write_text(json.dumps(made.config, indent=1) + "\n", "utf-8")
        (inner / CONVERTED).write_text(json.dumps({"from": files[0], "sha256": source}), "utf-8")
        if (folder / TRAINER_STATE).is_file():
            shutil.copy(folder / TRAINER_STATE, inner)

    return keep_built(cache_dir() / "adapters" / f"{name}-{key[:12]}", build) / name


def _unreadable(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"The adapter cannot be converted to PEFT's form: {why}",
        where=str(folder),
        hint="Convert it with its trainer's own tool, or merge it there and name that as base.",
    )


def _from_pickle(folder: Path) -> Converted:
    import torch

    weights = torch.load(folder / _OLD, map_location="cpu", weights_only=True)
    config = json.loads((folder / _CONFIG).read_text("utf-8"))
    return Converted(config, {name: value.contiguous() for name, value in weights.items()})


def _from_mlx(folder: Path, file: Path) -> Converted:
    from safetensors.torch import load_file

    config = json_or_nothing(folder / _CONFIG)
    config = config if isinstance(config, dict) else {}
    kind, lora = config.get("fine_tune_type", "lora"), config.get("lora_parameters", {})
    if kind not in ("lora", "dora"):
        raise _unreadable(folder, f"MLX-LM trained it by {kind}, and only lora and dora are read.")
    weights: dict[str, Any] = {}
    ranks, layers = set(), set()
    for name, value in load_file(file).items():
        layer, _, part = name.rpartition(".")
        if part not in ("lora_a", "lora_b", "m") or value.ndim > 2 or "embed_tokens" in layer:
            raise _unreadable(folder, f"{name} of shape {tuple(value.shape)} has no like in PEFT.")
        layers.add(layer)
        if part == "m":
            weights[f"{_PREFIX}{layer}.lora_magnitude_vector"] = value.contiguous()
            continue
        ranks.add(value.shape[1] if part == "lora_a" else value.shape[0])
        weights[f"{_PREFIX}{layer}.lora_{part[-1].upper()}.weight"] = value.T.contiguous()
    rank = _only(folder, ranks)
    alpha = float(lora["scale"]) * rank
    return Converted(_lora_config(None, rank, alpha, layers, kind == "dora"), weights)


def _from_litgpt(folder: Path) -> Converted:
    import torch

    state = torch.load(folder / _LITGPT, map_location="cpu", weights_only=True)
    state = state.get("model", state)
    asked = yaml.safe_load((folder / "hyperparameters.yaml").read_text("utf-8"))
    model = yaml.safe_load((folder / "model_config.yaml").read_text("utf-8"))
    if model.get("mlp_class_name") not in ("LLaMAMLP", "GemmaMLP"):
        raise _unreadable(
            folder, f"layers of {model.get('name')} are not those of Llama, which alone are read."
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
    config = _lora_config(base, _only(folder, ranks), asked["lora_alpha"], layers, False)
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


def _only(folder: Path, ranks: set[int]) -> int:
    if len(ranks) != 1:
        raise _unreadable(folder, f"its layers have the ranks {sorted(ranks)}, and one is needed.")
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
