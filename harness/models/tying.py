"""Parameters that are one tensor in several places, such as an embedding and its output layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

Tied = tuple[tuple[str, ...], ...]


def tied_names(model: nn.Module) -> Tied:
    """Names of the parameters that share memory, group by group.

    Whether they do is read from the tensors themselves: a configuration may say one thing and a
    model do another.
    """
    groups: dict[int, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if parameter.numel():
            groups[parameter.data_ptr()].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def separate(model: nn.Module) -> None:
    """Give every place memory of its own, so that a change in one does not reach the others."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.numel() and parameter.data_ptr() in seen:
                own = nn.Parameter(parameter.detach().clone(), requires_grad=False)
                setattr(module, name, own)
            seen.add(parameter.data_ptr())


def tie_equal(model: Any, groups: Tied, *, declared: bool) -> tuple[str, ...]:
    """Tie again what is still equal; what is not stays apart, and the configuration says so.

    Args:
        model: A transformers model.
        groups: What was tied before, as :func:`tied_names` has it.
        declared: What ``tie_word_embeddings`` was before.

    Returns:
        Names of the parameters that are not what they were tied to any more.
    """
    apart = [name for group in groups for name in _tie(model, group)]
    for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
        config.tie_word_embeddings = declared and not apart
    return tuple(apart)


def _tie(model: nn.Module, group: Sequence[str]) -> list[str]:
    """Tie members of a group to the first where they are equal; names of the others."""
    first, *others = group
    source = model.get_parameter(first)
    apart = []
    for name in others:
        if torch.equal(source, model.get_parameter(name)):
            place, _, attribute = name.rpartition(".")
            setattr(model.get_submodule(place), attribute, source)
        else:
            apart.append(name)
    return apart
