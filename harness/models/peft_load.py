"""How PEFT loads one adapter: its configuration, its layers, and its weights, each with a place."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.errors import ModelError, in_a_line
from harness.models.identity import AdapterInfo
from harness.models.quiet import quiet

_MOST_NAMES = 3  # weights that a message names


class PlacesError(Exception):
    """Layers without stored weights, or stored weights without a layer.

    PEFT leaves out layers beside another adapter that it makes for one alone, such as those of an
    output layer that is tied to adapted embeddings.
    """


def read_config(path: Path) -> tuple[Any, tuple[str, ...]]:
    """An adapter's configuration, and the options in it that the installed PEFT does not know.

    Raises:
        ModelError: PEFT cannot read it.
    """
    from peft import PeftConfig

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # options that it drops are returned here
            config = PeftConfig.from_pretrained(str(path))
    except Exception as error:  # whatever PEFT raises for what stands in the file
        raise ModelError(
            f"PEFT cannot read the adapter's configuration: {in_a_line(error)}",
            where=str(path),
            hint="It may come from a newer PEFT; upgrade peft.",
        ) from error
    written = json.loads((path / "adapter_config.json").read_text("utf-8"))
    config.inference_mode = True
    config.base_model_name_or_path = None  # compared in check_adapter; PEFT would only warn
    return config, tuple(sorted(written.keys() - {field.name for field in fields(config)}))


def token_lists(config: Any, vocabulary: int) -> list[list[int]]:
    """Lists of token ids in an adapter's configuration: what it waits for, or is trained on.

    An adapter that acts after certain tokens only shows nothing where they do not occur.
    """
    lists = []
    for value in vars(config).values():
        parts = value.values() if isinstance(value, Mapping) else [value]
        for part in parts:
            if isinstance(part, list | tuple) and part and all(type(i) is int for i in part):
                lists.append([i for i in part if 0 <= i < vocabulary])
    return [ids for ids in lists if ids]


def inject(base: Any, model: Any, key: str, config: Any) -> Any:
    """Put an adapter's layers, still untrained, into a base.

    Args:
        base: The plain base.
        model: PEFT's model around it; None before the first adapter.
        key: What PEFT is to call the adapter.
        config: Its configuration.

    Returns:
        PEFT's model.
    """
    from peft import get_peft_model

    quiet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what PEFT adapts by itself is measured, not told
        if model is None:
            model = get_peft_model(base, config, adapter_name=key, autocast_adapter_dtype=False)
        else:
            model.add_adapter(key, config, autocast_adapter_dtype=False)
    return model.eval()


def fill(model: Any, key: str, info: AdapterInfo) -> None:
    """Put the stored weights into the layers, in the base's dtype; each must have a place.

    What is missing is judged as PEFT judges it, less what loading did write: some kinds share one
    weight among all layers and store it once.

    Raises:
        PlacesError: Weights are missing or left over.
    """
    own = _weights_of(model, key)
    before = {name: weight._version for name, weight in own.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = model.load_adapter(
            str(info.path), key, torch_device=str(model.device), autocast_adapter_dtype=False
        )
    own = _weights_of(model, key)
    unwritten = {n for n, w in own.items() if w._version == before.get(n, w._version)}
    missing = sorted(unwritten & set(outcome.missing_keys))
    prompt = model.peft_config[key].is_prompt_learning  # PEFT puts its one weight in by itself
    left = [] if prompt else _without_place(info, key, outcome.unexpected_keys)
    if missing or left:
        parts = [(missing, "of its layers have no stored weights")]
        parts += [(left, "of its stored weights have no layer")]
        told = "; ".join(f"{len(names)} ({few(names)}) {what}" for names, what in parts if names)
        raise PlacesError(told)
    dtype = model.get_base_model().dtype
    for weight in own.values():
        weight.requires_grad_(False)
        if weight.is_floating_point():
            weight.data = weight.data.to(dtype)


def _without_place(info: AdapterInfo, key: str, unexpected: Sequence[str]) -> list[str]:
    """Stored weights that were not loaded, less those that repeat one that was.

    PEFT stores some twice, such as the copy of a module that is trained in full.
    """
    import torch
    from safetensors.torch import load_file

    if not unexpected:
        return []
    stored = load_file(info.path / "adapter_model.safetensors")
    left = {name: stored.pop(name.replace(f".{key}", ""), None) for name in sorted(unexpected)}
    return [
        name
        for name, weight in left.items()
        if weight is None
        or not any(w.shape == weight.shape and torch.equal(w, weight) for w in stored.values())
    ]


def weights_in_file(info: AdapterInfo, own: Mapping[str, Any]) -> dict[int, Any]:
    """Copies, by id, of the base's weights for which an adapter's file holds such a tensor.

    PEFT saves embeddings along when they are adapted. Most repeat the base's, and change nothing.

    Args:
        info: The adapter.
        own: The plain base's weights by name, tied ones under each of theirs.
    """
    from safetensors import safe_open

    modules = {name: name.rpartition(".")[0] for name in own}
    there = set()
    with safe_open(info.path / "adapter_model.safetensors", framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  # it is no mapping
            shape = file.get_slice(key).get_shape()
            there |= {
                name
                for name, module in modules.items()
                if f".{module}." in key and shape == list(own[name].shape)
            }
    return {id(own[name]): own[name].detach().clone() for name in there}


def _weights_of(model: Any, key: str) -> dict[str, Any]:
    """An adapter's own weights by name, those that several layers share under each of theirs."""
    named = model.named_parameters(remove_duplicate=False)
    return {name: weight for name, weight in named if f".{key}." in f"{name}."}


def misfit(info: AdapterInfo, reason: str) -> ModelError:
    """That an adapter was made for another model."""
    trained_on = info.base_model_name or "an unnamed base"
    return ModelError(
        f"The adapter does not fit this base: {reason}.",
        where=str(info.path),
        hint=f"It was trained on {trained_on!r}; evaluate it on that base.",
    )


def is_misfit(error: Exception) -> bool:
    """Whether what PEFT raised is that the base has other modules, shapes, or fewer tokens."""
    return (
        isinstance(error, IndexError)
        or "size mismatch" in str(error)
        or "not found in the base model" in str(error)
    )


def refusal(info: AdapterInfo, error: Exception) -> ModelError:
    """What PEFT raised for an adapter, in words of ours."""
    from safetensors import SafetensorError

    if isinstance(error, SafetensorError):
        return ModelError(
            f"The adapter's weights cannot be read: {error}.",
            where=str(info.path / "adapter_model.safetensors"),
            hint="The file may be cut off; copy it again.",
        )
    told = in_a_line(error)
    if is_misfit(error) or isinstance(error, PlacesError):
        return misfit(info, told)
    hint = (
        f"Install what is missing: {error.name or told}."
        if isinstance(error, ImportError)
        else "Another version of peft may load it; if PEFT's own PeftModel.from_pretrained does, "
        "please report it."
    )
    return ModelError(f"PEFT cannot load this adapter: {told}", where=str(info.path), hint=hint)


def few(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:_MOST_NAMES]) + (", …" if len(names) > _MOST_NAMES else "")
