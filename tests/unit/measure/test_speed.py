from __future__ import annotations

from itertools import count
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from harness.errors import ModelError
from harness.measure import speed

CPU = torch.device("cpu")


def prompts(batch_size: int = 2, prompt_tokens: int = 5) -> torch.Tensor:
    return speed.random_prompts(
        100, batch_size=batch_size, prompt_tokens=prompt_tokens, seed=1, device=CPU
    )


def test_first_token_and_gaps_add_up_to_the_whole(tiny_model: LlamaForCausalLM) -> None:
    """TTFT + sum of ITL = E2E: nothing of a call lies outside the two."""
    timing = speed.timed_generation(tiny_model, prompts(), new_tokens=16)
    assert len(timing.gaps_s) == 15
    assert timing.ttft_s + sum(timing.gaps_s) == pytest.approx(timing.e2e_s, rel=1e-9)
    assert 0 < timing.prefill_s <= timing.ttft_s


def test_times_are_those_of_the_clock(
    tiny_model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is read at the start, after prefill, and at every token."""
    readings = (float(2**n) for n in count())  # every difference names its two readings
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(readings))
    timing = speed.timed_generation(tiny_model, prompts(), new_tokens=4)
    assert timing.prefill_s == 2 - 1
    assert timing.ttft_s == 4 - 1
    assert timing.gaps_s == (8 - 4, 16 - 8, 32 - 16)
    assert timing.e2e_s == 32 - 1


def test_loop_writes_what_generate_writes(tiny_model: LlamaForCausalLM) -> None:
    """The timed loop does the work of transformers' greedy generate: same tokens, same cache."""
    seen: list[torch.Tensor] = []
    hook = tiny_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["input_ids"]), with_kwargs=True
    )
    timing = speed.timed_generation(tiny_model, prompts(), new_tokens=8)
    hook.remove()
    tiny_model.generation_config.eos_token_id = None
    expected = tiny_model.generate(
        prompts(), attention_mask=torch.ones(2, 5, dtype=torch.long), max_new_tokens=8
    )
    # the last token is never fed back
    assert torch.equal(torch.cat(seen, dim=1), expected[:, :-1])
    assert timing.kv_cache_bytes == 256 * 2 * (5 + 7) * 2


def test_one_new_token_has_no_gaps(tiny_model: LlamaForCausalLM) -> None:
    """With one new token the call ends with the prefill."""
    assert speed.timed_generation(tiny_model, prompts(), new_tokens=1).gaps_s == ()


def test_prompts_are_seeded() -> None:
    """Equal seeds give equal prompts within the vocabulary."""
    assert torch.equal(prompts(), prompts())
    assert prompts(64, 64).max() == 99


def test_model_without_cache_is_refused(tiny_model: LlamaForCausalLM) -> None:
    """A model that keeps no attention cache cannot be timed token by token."""

    class Forgetful(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            output = tiny_model(input_ids=input_ids)
            output.past_key_values = None
            return output

    with pytest.raises(ModelError, match="past_key_values; Forgetful does not"):
        speed.timed_generation(Forgetful(), prompts(), new_tokens=2)
