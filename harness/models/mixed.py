"""Several adapters and their base answering in one batch, each row by its own variant.

PEFT can mix adapters too (``adapter_names``), in a loop over the adapters in every layer; here the
adapters of a layer are laid side by side, so that a layer costs two more products however many
there are: ``base(x) + ((x Aᵀ) * own) Bᵀ``, where A and B hold the ranks of all adapters, B times
their scaling, and ``own`` is, per row, one for its own adapter's ranks and zero for the others'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from harness.errors import ModelError

_Layout = tuple[tuple[int, int], ...]  # per adapter of a layer: its number and rank


class Mixture:
    """A model whose rows belong to different variants of one base.

    Attributes:
        model: The model to run, after ``assign``.
        variants: Who can answer: names of adapters, and None for the base.
    """

    def __init__(self, model: Any, variants: Iterable[str | None]) -> None:
        self.model = model
        self.variants = tuple(variants)
        self._number = {variant: number for number, variant in enumerate(self.variants)}
        self.rows: tuple[int, ...] = ()
        self.only: int | None = None
        self._own: dict[_Layout, torch.Tensor] = {}
        self.passes: Sequence[tuple[Any, Any]] = ()

    def apart(self) -> AbstractContextManager[None]:
        """The layers as PEFT runs them, for as long as this is open."""
        return _forwards([(layer, None) for layer, _ in self.passes])

    def assign(self, variants: Sequence[str | None]) -> None:
        """Say which variant each row of the next forward passes belongs to."""
        rows = tuple(self._number[variant] for variant in variants)
        if rows != self.rows:
            self.rows = rows
            self.only = rows[0] if len(set(rows)) == 1 else None
            self._own.clear()

    def own(self, layout: _Layout, like: torch.Tensor) -> torch.Tensor:
        """Which ranks are each row's own: ones and zeros, shape (rows, 1, ranks)."""
        if layout not in self._own:
            owner = torch.tensor([number for number, rank in layout for _ in range(rank)])
            own = torch.tensor(self.rows)[:, None] == owner
            self._own[layout] = own.to(like)[:, None]
        return self._own[layout]


def why_not(model: Any, keys: Sequence[str]) -> str | None:
    """Why adapters cannot be mixed over their base, or None where they can.

    Args:
        model: PEFT's model.
        keys: PEFT's names of the adapters.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for key in keys:
        kind = model.peft_config[key].peft_type.value
        if kind != "LORA":
            return f"an adapter is of type {kind}, and only LoRA adapters are mixed"
    for name, module in model.named_modules():
        if isinstance(module, AuxiliaryTrainingWrapper):
            return f"{name} is replaced as a whole (modules_to_save or trainable tokens)"
        if isinstance(module, BaseTunerLayer):
            reason = _why_not_layer(module, keys)
            if reason:
                return f"{name} {reason}"
    return None


def _why_not_layer(layer: Any, keys: Sequence[str]) -> str | None:
    from peft.tuners.lora import Linear

    kinds: tuple[type, ...] = (Linear,)
    try:
        from peft.tuners.lora.bnb import Linear4bit
    except ImportError:  # no bitsandbytes, so no such layers either
        pass
    else:
        kinds += (Linear4bit,)
    if type(layer) not in kinds:  # 8-bit layers choose outliers per batch, so rows would mix
        return f"is a {type(layer).__name__} layer, not a plain or 4-bit linear one"
    if layer.merged:
        return "has an adapter merged into it"
    if any(key in layer.lora_variant for key in keys):
        return "uses a LoRA variant such as DoRA"
    if any(layer.lora_bias.get(key) for key in keys):
        return "has biases of its own (lora_bias)"
    return None


@contextmanager
def mixing(model: Any, keys: Mapping[str | None, str | None]) -> Iterator[Mixture]:
    """Let rows of one batch run with different adapters of a PEFT model; undone on leaving.

    Args:
        model: PEFT's model; ``why_not`` must have found nothing against it.
        keys: Name of each variant -> PEFT's name of its adapter, None for the base.
    """
    from peft.tuners.lora import LoraLayer

    mixture = Mixture(model, keys)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    mixture.passes = [(layer, _MixedLinear(layer, keys, mixture)) for layer in layers]
    with _forwards(mixture.passes):
        yield mixture


@contextmanager
def _forwards(passes: Sequence[tuple[Any, Any]]) -> Iterator[None]:
    """Other forward passes of some layers, None for their class's own; undone on leaving."""
    before = [(layer, vars(layer).get("forward")) for layer, _ in passes]
    try:
        _set_forwards(passes)
        yield
    finally:
        _set_forwards(before)


def _set_forwards(passes: Sequence[tuple[Any, Any]]) -> None:
    for layer, forward in passes:
        if forward is None:
            vars(layer).pop("forward", None)
        else:
            layer.forward = forward


class _MixedLinear:
    """The forward pass of one linear layer with all adapters laid side by side."""

    def __init__(self, layer: Any, keys: Mapping[str | None, str | None], mixture: Mixture) -> None:
        own = [(n, k) for n, k in enumerate(keys.values()) if k is not None and k in layer.lora_A]
        self._base = layer.base_layer
        self._mixture = mixture
        self._layout: _Layout = tuple((n, layer.r[k]) for n, k in own)
        self._ranks: dict[int, slice] = {}
        start = 0
        for number, rank in self._layout:
            self._ranks[number] = slice(start, start + rank)
            start += rank
        if own:
            self._down = torch.cat([layer.lora_A[k].weight.detach() for _, k in own])
            # scaled in fp32: 16/12 rounded to bf16 would strengthen the adapter by 0.2 %
            ups = [layer.lora_B[k].weight.detach().float() * layer.scaling[k] for _, k in own]
            up = torch.cat(ups, dim=1).t().contiguous()
            self._up = up.to(self._down.dtype)  # (ranks, out)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self._base(x)
        mixture = self._mixture
        if x.dim() != 3 or x.shape[0] != len(mixture.rows):
            raise ModelError(
                f"A layer got rows of shape {tuple(x.shape)} for {len(mixture.rows)} prompts, so "
                "adapters cannot be mixed in it."
            )
        if not self._layout:
            return result
        if mixture.only is None:
            low = torch.nn.functional.linear(x.to(self._down.dtype), self._down)
            low = low * mixture.own(self._layout, low)
            return self._add(result, low, self._up)
        if mixture.only not in self._ranks:
            return result
        ranks = self._ranks[mixture.only]
        low = torch.nn.functional.linear(x.to(self._down.dtype), self._down[ranks])
        return self._add(result, low, self._up[ranks])

    @staticmethod
    def _add(result: torch.Tensor, low: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        rows = result.reshape(-1, result.shape[-1]).to(low.dtype)
        added = torch.addmm(rows, low.reshape(-1, low.shape[-1]), up)
        return added.view(result.shape).to(result.dtype)
