"""Row: the most memory that logits take at once, against lm-eval's HFLM."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from harness.engines.loglikelihood import PrefixSharingLM
from harness.tasks.lm_eval.quiet import quiet
from tests.benchmarks.loglikelihood import BATCH, TOLERANCE, stock
from tests.benchmarks.models import load
from tests.benchmarks.results import Goal, Result, Settings

CONTEXTS, CONTEXT_TOKENS, ANSWERS = 16, 610, 4


class PeakOfWidth(TorchDispatchMode):  # type: ignore[misc]  # torch is not checked
    """Follows the memory of all tensors whose last dimension has a certain size.

    After every operation it adds up the storages that are still alive. What an operation
    allocates and frees within itself is not seen.

    Args:
        width: The size, such as that of the vocabulary.
        besides: A model whose own weights are not counted.

    Attributes:
        peak: The most bytes so far.
    """

    def __init__(self, width: int, besides: Any) -> None:
        super().__init__()
        self.peak = 0
        self._width = width
        self._weights = {weight.untyped_storage()._cdata for weight in besides.parameters()}
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, then look at what it gave and at what is left."""
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if (
                isinstance(tensor, torch.Tensor)
                and tensor.dim()
                and self._width == tensor.shape[-1]
            ):
                storage = tensor.untyped_storage()
                if storage._cdata not in self._weights:
                    self._alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self._alive = {key: kept for key, kept in self._alive.items() if not kept[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._alive.values()))
        return out


def peak_logits_memory(settings: Settings) -> Result:
    """16 distinct contexts of 610 tokens with four one-token answers each."""
    model, tokenizer = load(settings.device)
    vocabulary = model.config.vocab_size
    length = 32 if settings.quick else CONTEXT_TOKENS
    draw = random.Random(0)
    requests = [
        ((None, None), context, [answer])
        for context in (draw.choices(range(100, vocabulary), k=length) for _ in range(CONTEXTS))
        for answer in range(1000, 1000 + ANSWERS)
    ]
    with quiet():
        ours = PrefixSharingLM(model, tokenizer, batch_size=BATCH, device=settings.device)
        found = [
            _peak(lm, model, requests) for lm in (ours, stock(model, tokenizer, settings.device))
        ]
    (mine, answers), (theirs, expected) = found
    difference = max(abs(a[0] - b[0]) for a, b in zip(answers, expected, strict=True))
    goal = Goal(
        f"peak logits memory against HFLM, batch {CONTEXTS} × {length} tokens",
        1 / 20,
        mine / theirs,
        at_most=True,
        fraction=True,
        ours=f"{mine / 1e6:.1f} MB",
        reference=f"{theirs / 1e6:.1f} MB",
        outputs=f"max \\|Δ\\| {difference:.0e}",
        agree=difference <= TOLERANCE,
    )
    note = (
        "Logits memory: the most bytes alive at once, after any operation, in tensors whose last "
        "dimension is the vocabulary; activations and weights are not in it."
    )
    return Result.of_goals([goal], [note], {"ours_bytes": mine, "reference_bytes": theirs})


def _peak(lm: Any, model: Any, requests: list[Any]) -> tuple[int, list[tuple[float, bool]]]:
    with PeakOfWidth(model.config.vocab_size, model) as mode:
        answers = lm._loglikelihood_tokens(requests, disable_tqdm=True)
    return mode.peak, answers
