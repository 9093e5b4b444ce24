"""Times one generation: prefill, first token, and the gap before every further token.

The loop is the harness' own, over ``model.forward`` with its attention cache: greedy, a fixed
number of new tokens, no stop at end-of-sequence, so that every repeat does the same work. The
device is synchronised before each reading of the clock.
"""

import time
from dataclasses import dataclass
from itertools import pairwise

import torch

from harness.errors import ModelError
from harness.measure.memory import kv_cache_bytes
from harness.models.adapters import forward_arguments


@dataclass(frozen=True)
class Timing:
    """One timed call of a batch; all times in seconds."""

    prefill_s: float  # the forward pass over the prompt
    ttft_s: float  # start of the call until the first new token is known
    gaps_s: tuple[float, ...]  # times between consecutive new tokens, shape (new_tokens - 1,)
    e2e_s: float  # start of the call until the last new token is known
    # size of the attention cache at the end of the call, which then holds prompt_tokens +
    # new_tokens - 1 tokens per sequence
    kv_cache_bytes: int


def random_prompts(
    vocab_size: int, *, batch_size: int, prompt_tokens: int, seed: int, device: torch.device
) -> torch.Tensor:
    """Seeded random token ids, shape (batch_size, prompt_tokens), without padding."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch_size, prompt_tokens)
    return torch.randint(0, vocab_size, shape, generator=generator).to(device)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed_generation(model: torch.nn.Module, input_ids: torch.Tensor, *, new_tokens: int) -> Timing:
    """Generate greedily and time every token.

    Args:
        model: A causal language model of transformers, with or without PEFT around it.
        input_ids: Prompt tokens without padding, shape (batch_size, prompt_tokens).
        new_tokens: Number of new tokens per sequence, at least 1.

    Raises:
        ModelError: The model returns no attention cache.
    """
    options: dict[str, int] = {"use_cache": True}
    if "logits_to_keep" in forward_arguments(model):
        options["logits_to_keep"] = 1  # of the last position only, as ``generate`` does

    def clock() -> float:
        synchronize(input_ids.device)
        return time.perf_counter()

    with torch.inference_mode():
        start = clock()
        output = model(input_ids=input_ids, **options)
        prefilled = clock()
        token = output.logits[:, -1:].argmax(dim=-1)
        known = [clock()]
        cache = getattr(output, "past_key_values", None)
        if cache is None:
            raise ModelError(
                f"Timing the decoding needs a model that returns past_key_values; "
                f"{type(model).__name__} does not.",
                hint="Leave measure out of the suite for this model.",
            )
        for _ in range(new_tokens - 1):
            output = model(input_ids=token, past_key_values=cache, **options)
            cache = output.past_key_values
            token = output.logits[:, -1:].argmax(dim=-1)
            known.append(clock())
    gaps = tuple(after - before for before, after in pairwise(known))
    return Timing(
        prefilled - start, known[0] - start, gaps, known[-1] - start, kv_cache_bytes(cache)
    )
