"""Runs planned forward passes: trees as rows of a batch, stems as keys and values, one head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.cache_utils import Cache, DynamicLayer

from harness.engines.batching import TokenBudget, does_not_fit, in_memory, token_batches
from harness.engines.prefix_tree import Ints, Stem, TreePlan, TreeRow
from harness.models.adapters import base_of, forward_arguments

# Logits of one forward pass, in bytes. Rows with many scored tokens are spread over more passes.
_LOGITS_BYTES = {"cpu": 128 * 2**20, "cuda": 2**30}
_CHUNK_BYTES = 8 * 2**20  # logits that are turned into log-probabilities at a time
# Measured on one core with SmolLM2-135M: 256 to 512 are as fast, 1024 and more about 10 % slower.
_CPU_TOKENS = 512


@dataclass(frozen=True)
class Answer:
    """What one forward pass adds.

    Attributes:
        terms: Indices into the plan's terms, shape (t,).
        log_probabilities: Of each term's target, in nats, fp32, shape (t,).
        greedy: Whether the target has the largest logit, shape (t,).
    """

    terms: Ints
    log_probabilities: NDArray[np.float32]
    greedy: NDArray[np.bool_]


class TreeScorer:
    """Computes a plan's log-probabilities with one model.

    Args:
        model: A causal language model of transformers, with or without PEFT's adapters, in
            evaluation mode.
        masks: ``tree`` gives the model masks of shape (rows, 1, n, keys), so that rows may branch;
            ``native`` only what any decoder takes (a mask of shape (rows, keys)), for plans
            without branches.
        batch_tokens: Most tokens per forward pass, padding included; default: by device and free
            memory. Halved when memory runs out.
    """

    def __init__(
        self, model: Any, *, masks: Literal["tree", "native"], batch_tokens: int | None = None
    ) -> None:
        self._model = model
        self._base = base_of(model)
        self._device = model.device
        self._masks = masks
        self._dtype = self._base.get_input_embeddings().weight.dtype
        config = self._base.config.get_text_config()
        self._windows = attention_windows(config)
        logits_bytes = _LOGITS_BYTES.get(self._device.type, _LOGITS_BYTES["cpu"])
        self._budget = TokenBudget(
            batch_tokens or default_batch_tokens(config, self._device, self._dtype),
            max(1, logits_bytes // int(config.vocab_size * self._dtype.itemsize)),
        )
        self._takes_positions = "position_ids" in forward_arguments(model)

    def run(self, plan: TreePlan) -> Iterator[Answer]:
        """Compute a plan, yielding what each forward pass adds; every term comes once.

        Raises:
            MemoryShortError: Memory does not suffice for a single row.
        """
        yield from self._below(plan, plan.root, None)

    def _below(self, plan: TreePlan, stem: Stem, prefix: StemCache | None) -> Iterator[Answer]:
        """What continues a stem. Stems within it go first, while nothing else holds memory."""
        for longer in stem.stems:
            if longer.row is None:
                continue
            cache = StemCache(prefix, keep=True)
            answer = in_memory(partial(self._forward, plan, [longer.row], cache))
            if answer is None:
                raise does_not_fit()
            yield answer
            yield from self._below(plan, longer, cache)
            del cache
        above = prefix.get_seq_length() if prefix is not None else 0

        def size(row: TreeRow) -> int:
            # a row has a copy of the stem's keys and values, an eighth or less of activations
            return max(len(row), (above + len(row)) // 8)

        for chain in (False, True):  # without branches the model's own causal attention serves
            rows = sorted((row for row in stem.rows if row.chain is chain), key=len, reverse=True)
            batches = token_batches(
                rows,
                self._budget,
                lambda batch: self._forward(
                    plan, batch, StemCache(prefix) if prefix is not None else None
                ),
                size=size,
                weight=lambda row: row.scored,
            )
            for _, answer in batches:
                yield answer

    def _forward(self, plan: TreePlan, rows: Sequence[TreeRow], cache: StemCache | None) -> Answer:
        width = max(map(len, rows))
        slots = _padded([row.slots for row in rows], width, -1).ravel()
        scored = np.flatnonzero(slots >= 0)
        counts = plan.terms.first[slots[scored] + 1] - plan.terms.first[slots[scored]]
        scored = scored[counts > 0]
        terms, owner = plan.terms.of(slots[scored])
        inputs = self._inputs(rows, width, cache)
        # a stem that nothing is asked of needs no logits, but the model computes one at least
        places = scored if len(scored) else np.zeros(1, dtype=np.int64)
        with torch.inference_mode(), self._logits_of(places):
            logits = self._model(**inputs, use_cache=cache is not None).logits
            if logits.shape[:2] != (1, len(places)):
                raise ValueError("its output layer cannot be restricted to some tokens")
            if not len(terms):
                return Answer(terms, np.empty(0, np.float32), np.empty(0, np.bool_))
            targets = torch.from_numpy(plan.terms.target[terms]).to(self._device)
            owners = torch.from_numpy(owner).to(self._device)
            values = _log_probabilities(logits[0], owners, targets).cpu().numpy()
        return Answer(terms, values[0], values[1] > 0)

    def _inputs(
        self, rows: Sequence[TreeRow], width: int, cache: StemCache | None
    ) -> dict[str, Any]:
        ids = torch.from_numpy(_padded([row.ids for row in rows], width, 0)).to(self._device)
        inputs: dict[str, Any] = {"input_ids": ids, "past_key_values": cache}
        stem = cache.get_seq_length() if cache is not None else 0
        chains = all(row.chain for row in rows)
        if chains and not stem:  # padding on the right is never seen by what stands before it
            return inputs
        if chains and (len(rows) == 1 or self._masks == "native"):
            lengths = torch.tensor([len(row) for row in rows])
            real = torch.arange(stem + width) < stem + lengths[:, None]
            inputs["attention_mask"] = real.to(self._device, torch.long)
        else:
            inputs["attention_mask"] = self._tree_masks(rows, width, stem)
        if self._takes_positions:
            depth = torch.from_numpy(_padded([row.depth for row in rows], width, 0))
            inputs["position_ids"] = depth.to(self._device)
        return inputs

    def _tree_masks(self, rows: Sequence[TreeRow], width: int, stem: int) -> Any:
        """Additive masks, shape (rows, 1, width, stem + width): one, or one per type of layer."""
        place = torch.arange(width, device=self._device)
        # padding is seen by none but itself, since a row of nothing but -inf would be NaN
        end = torch.from_numpy(_padded([row.end for row in rows], width, 0)).to(self._device)
        end = torch.maximum(end, place + 1)
        sees = (place[:, None] >= place) & (place[:, None] < end[:, None, :])
        sees = torch.nn.functional.pad(sees, (stem, 0), value=True)
        depth = torch.from_numpy(_padded([row.depth for row in rows], width, 0)).to(self._device)
        of_keys = torch.cat(
            [torch.arange(stem, device=self._device).expand(len(rows), -1), depth], dim=1
        )
        masks = {}
        for name, window in self._windows.items():
            seen = sees
            if window is not None:
                seen = sees & (depth[:, :, None] - of_keys[:, None, :] < window)
            mask = torch.zeros(seen.shape, dtype=self._dtype, device=self._device)
            masks[name] = mask.masked_fill_(~seen, torch.finfo(self._dtype).min)[:, None]
        return masks if len(masks) > 1 else next(iter(masks.values()))

    @contextmanager
    def _logits_of(self, places: Ints) -> Iterator[None]:
        """Let the output layer see only some tokens, as one row of them in this order."""
        index = torch.from_numpy(places).to(self._device)

        def select(_head: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden = args[0]
            return (hidden.reshape(-1, hidden.shape[-1])[index][None], *args[1:])

        hook = self._base.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield
        finally:
            hook.remove()


class StemCache(Cache):  # type: ignore[misc]  # transformers is not followed by mypy
    """Keys and values of a stem, which batches of any size continue and leave as it is.

    Args:
        prefix: The stem that is continued; None for an empty one.
        keep: Whether what is computed becomes part of the stem. Otherwise it is used once.
    """

    layers: list[_StemLayer]

    def __init__(self, prefix: StemCache | None = None, *, keep: bool = False) -> None:
        layers = [_StemLayer(layer) for layer in prefix.layers] if prefix else []
        super().__init__(layers=layers)
        self._keep = keep

    def update(self, key_states: Any, value_states: Any, layer_idx: int, *_: Any, **__: Any) -> Any:
        """Keys and values of the stem and the new ones after them."""
        while len(self.layers) <= layer_idx:
            self.layers.append(_StemLayer())
        return self.layers[layer_idx].join(key_states, value_states, keep=self._keep)


class _StemLayer(DynamicLayer):  # type: ignore[misc]  # transformers is not followed by mypy
    """One layer's keys and values, shape (1, heads, tokens, size); shared, never changed."""

    keys: torch.Tensor
    values: torch.Tensor
    is_initialized: bool

    def __init__(self, prefix: _StemLayer | None = None) -> None:
        super().__init__()
        if prefix is not None and prefix.is_initialized:
            self.keys, self.values = prefix.keys, prefix.values
            self.is_initialized = True

    def join(self, keys: Any, values: Any, *, keep: bool) -> tuple[Any, Any]:
        """The stem's keys and values, repeated for each row, and the new ones."""
        if self.is_initialized:
            rows = keys.shape[0]
            keys = torch.cat([self.keys.expand(rows, -1, -1, -1), keys], dim=-2)
            values = torch.cat([self.values.expand(rows, -1, -1, -1), values], dim=-2)
        if keep:
            self.keys, self.values, self.is_initialized = keys, values, True
        return keys, values


def attention_windows(config: Any) -> dict[str, int | None]:
    """Type of layer -> how many of the last tokens it sees, itself included; None for all.

    Raises:
        ValueError: A type of layer whose attention is not known here.
    """
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types is None:
        used = getattr(config, "use_sliding_window", True)
        return {"full_attention": window if used else None}
    known: dict[str, int | None] = {"full_attention": None, "sliding_attention": window}
    unknown = set(types) - set(known)
    if unknown:
        raise ValueError(f"layers of type {', '.join(sorted(unknown))}")
    return {name: known[name] for name in known if name in types}


def default_batch_tokens(config: Any, device: torch.device, dtype: torch.dtype) -> int:
    """Most tokens per forward pass that are fast and safe on a device."""
    if device.type != "cuda":
        return _CPU_TOKENS
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    # live at once in a layer: hidden states and their norms, queries, keys, values, and the MLP's
    # gate, up and product; twice, for what the allocator cannot reuse
    per_token = 2 * dtype.itemsize * (8 * config.hidden_size + 3 * inner)
    free, _ = torch.cuda.mem_get_info(device)
    # what torch keeps of its own for later is free too
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(min(max(free // 2 // per_token, 512), 32768))


def _log_probabilities(
    logits: torch.Tensor, owners: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Log-probability of each target, and 1 where it is the likeliest token.

    Args:
        logits: Shape (slots, vocabulary).
        owners: Row of ``logits`` that predicts each target, shape (terms,).
        targets: Token ids, shape (terms,).

    Returns:
        fp32, shape (2, terms).
    """
    step = max(1, _CHUNK_BYTES // (4 * logits.shape[1]))
    normalizer, likeliest = [], []
    for part in logits.split(step):  # a chunk at a time: fp32 copies of all would be large
        normalizer.append(torch.logsumexp(part.float(), dim=-1))
        likeliest.append(part.argmax(dim=-1))
    values = logits[owners, targets].float() - torch.cat(normalizer)[owners]
    return torch.stack([values, (torch.cat(likeliest)[owners] == targets).float()])


def _padded(arrays: Sequence[Ints], width: int, fill: int) -> Ints:
    """Arrays of different lengths as rows of one, shape (arrays, width)."""
    out = np.full((len(arrays), width), fill, dtype=np.int64)
    for row, array in zip(out, arrays, strict=True):
        row[: len(array)] = array
    return out
