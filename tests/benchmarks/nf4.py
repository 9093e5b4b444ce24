"""Row: decoding on weights dequantized once against running bitsandbytes' Linear4bit.

To be run in a process that was started with ``ENVIRONMENT``, so that torch's own kernels are those
of a CPU with AVX2 only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.models.device import decide
from harness.models.load import keep_gradients, load_base
from harness.models.tokens import load_tokenizer
from harness.suite.spec import BaseSpec
from tests.benchmarks.models import NAME
from tests.benchmarks.results import Goal, Result, Settings
from tests.benchmarks.timing import in_turn, shown_seconds

ENVIRONMENT = {"ATEN_CPU_CAPABILITY": "avx2"}
PROMPT = "Fine-tuning a language model with low-rank adapters over a quantized base"
NOTE = (
    "NF4: 32 greedy tokens after one prompt, batch 1, fp32, timed after the prompt was read; "
    "bitsandbytes' AVX512-BF16 kernel is off on every layer, and torch is held to AVX2. "
    "bitsandbytes' own dequantization cannot be held to it: on a CPU with AVX-512 it runs several "
    "times faster than the goal assumes."
)


def decode_on_nf4(settings: Settings) -> Result:
    """32 greedy tokens of both; they must be the same."""
    base = BaseSpec(model=NAME, dtype="fp32", device="cpu")
    policy, tokenizer = decide(base), load_tokenizer(base, Path())
    once = load_base(base, "nf4", policy, base_dir=Path(), purpose="quality")
    layers = load_base(base, "nf4", policy, base_dir=Path(), purpose="measure")
    keep_gradients(layers)  # that is, without the AVX512-BF16 kernel
    ids = tokenizer(PROMPT, return_tensors="pt").input_ids
    tokens = 4 if settings.quick else 32

    def decode(model: Any) -> Callable[[], Callable[[], Any]]:
        return lambda: decoding(model, ids, tokens)

    decode(once)()()
    decoding(layers, ids, 1)()
    ways = {"dequantized once": decode(once), "Linear4bit": decode(layers)}
    timed = in_turn(ways, settings.repeats, "cpu")
    ours, reference = timed["dequantized once"], timed["Linear4bit"]
    same = sum(a == b for a, b in zip(ours.result, reference.result, strict=True))
    goal = Goal(
        "decode on NF4 weights against Linear4bit, AVX2",
        4.0,
        reference.seconds / ours.seconds,
        ours=f"{shown_seconds(ours.seconds)} ({tokens / ours.seconds:.1f} tok/s)",
        reference=f"{shown_seconds(reference.seconds)} ({tokens / reference.seconds:.1f} tok/s)",
        outputs=f"{same} of {tokens} tokens equal",
        agree=same == tokens,
    )
    figures = {"ours": ours.figures(), "reference": reference.figures(), "tokens": tokens}
    return Result.of_goals([goal], [NOTE], figures)


def decoding(model: Any, ids: Any, tokens: int) -> Callable[[], list[int]]:
    """Read a prompt; return what decodes ``tokens`` greedy tokens after it, one forward each."""
    import torch

    with torch.inference_mode():
        read = model(ids, use_cache=True, logits_to_keep=1)

    def run() -> list[int]:
        step, found = read, []
        with torch.inference_mode():
            for _ in range(tokens):
                next_ids = step.logits[:, -1:].argmax(-1)
                found.append(int(next_ids))
                step = model(next_ids, past_key_values=step.past_key_values, use_cache=True)
        return found

    return run
