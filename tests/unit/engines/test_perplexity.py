"""Completion losses equal transformers' own loss on the same tokens."""

import math
from pathlib import Path

import pytest
import torch

from harness.engines.base import CompletionLoss
from harness.engines.perplexity import completion_losses
from harness.errors import ModelError
from harness.models.adapters import AdapterSet
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.tokens import encode_pair, load_tokenizer, render_chat
from harness.suite.spec import BaseSpec

PAIRS = [
    ("Return the value of", " the given key."),
    ("Open", " a file and return it as a stream of bytes, or raise an error."),
    ("A much longer prompt, so that rows differ in length. " * 4, " Yes."),
    ("", "Without a prompt."),
    ("Without a completion", ""),
]


@pytest.fixture(scope="module")
def llama(tiny_base, tiny_dir):
    return load_base(tiny_base, "fp32", decide(tiny_base), base_dir=Path(), purpose="quality")


def theirs(model, prompt, completion):
    """Transformers' mean loss over the labels of one unpadded row, times their number."""
    ids = torch.tensor([prompt + completion])
    labels = torch.tensor([[-100] * len(prompt) + completion])
    with torch.inference_mode():
        return float(model(input_ids=ids, labels=labels).loss) * len(completion)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "opt", "phi", "gemma3"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_losses_equal_transformers(architecture, batch_size):
    """Left-padded batches give each row the loss that transformers computes with labels."""
    base = BaseSpec(model=f"tiny:{architecture}", dtype="fp32", device="cpu")
    model = load_base(base, "fp32", decide(base), base_dir=Path(), purpose="quality")
    tokenizer = load_tokenizer(base, Path())
    ours = completion_losses(model, tokenizer, PAIRS, chat=False, batch_size=batch_size)
    for (prompt, completion), result in zip(PAIRS, ours, strict=True):
        prompt_ids, completion_ids = encode_pair(tokenizer, prompt, completion, chat=False)
        assert result.tokens == len(completion_ids)
        assert result.truncated_tokens == 0
        expected = theirs(model, prompt_ids, completion_ids)
        assert math.isclose(result.nll_sum, expected, rel_tol=1e-5, abs_tol=1e-4)


def test_chat_pairs(llama, tiny_tokenizer):
    """A chat's completion ends as the template ends it, and an empty one costs nothing."""
    render = render_chat(tiny_tokenizer)
    user = [{"role": "user", "content": "Hello"}]
    prompt = render(user, True)
    whole = render([*user, {"role": "assistant", "content": "Hi there"}], False)
    pairs = [(prompt, whole[len(prompt) :]), (prompt, "")]
    first, empty = completion_losses(llama, tiny_tokenizer, pairs, chat=True)
    ids = encode_pair(tiny_tokenizer, *pairs[0], chat=True)
    assert math.isclose(first.nll_sum, theirs(llama, *ids), rel_tol=1e-5)
    assert empty == CompletionLoss(0.0, 0, 0)


def test_long_prompts_are_cut_on_the_left(llama, tiny_tokenizer):
    """The completion is scored whole, after the end of a prompt that was cut and counted."""
    pair = ("word " * 200 + "Return the value of", " the given key.")
    prompt, completion = encode_pair(tiny_tokenizer, *pair, chat=False)
    [result] = completion_losses(llama, tiny_tokenizer, [pair], chat=False, max_length=40)
    room = 40 - len(completion)
    assert result.tokens == len(completion)
    assert result.truncated_tokens == len(prompt) - room
    kept = [prompt[0], *prompt[-(room - 1) :]]
    assert math.isclose(result.nll_sum, theirs(llama, kept, completion), rel_tol=1e-5)


def test_completion_longer_than_the_limit(llama, tiny_tokenizer):
    """A completion that does not fit loses its end, and the count says so."""
    pair = ("Open", "word " * 50)
    prompt, completion = encode_pair(tiny_tokenizer, *pair, chat=False)
    [result] = completion_losses(llama, tiny_tokenizer, [pair], chat=False, max_length=10)
    assert result.tokens == 9
    assert result.truncated_tokens == len(prompt) + len(completion) - 10
    assert math.isclose(result.nll_sum, theirs(llama, prompt[-1:], completion[:9]), rel_tol=1e-5)
    with pytest.raises(ModelError, match="max_length is 1"):
        completion_losses(llama, tiny_tokenizer, [pair], chat=False, max_length=1)


def test_half_precision_is_summed_in_fp32(tiny_base, llama, tiny_tokenizer):
    """bf16 weights change the loss by their rounding only: log-probabilities are not rounded."""
    half = load_base(tiny_base, "bf16", decide(tiny_base), base_dir=Path(), purpose="quality")
    ours = completion_losses(half, tiny_tokenizer, PAIRS, chat=False)
    full = completion_losses(llama, tiny_tokenizer, PAIRS, chat=False)
    for a, b in zip(ours, full, strict=True):
        assert math.isclose(a.nll_sum, b.nll_sum, rel_tol=0.02)
        assert a.nll_sum != float(torch.tensor(a.nll_sum).bfloat16())


def test_adapter_changes_the_loss(tiny_model, tiny_tokenizer, make_adapter, tmp_path):
    """The engine runs a model with an adapter, and progress counts pairs."""
    adapters = AdapterSet(tiny_model)
    adapters.add("a", make_adapter(tmp_path / "a", seed=4))
    seen = []
    with adapters.active("a") as model:
        acting = completion_losses(
            model,
            tiny_tokenizer,
            PAIRS,
            chat=False,
            batch_size=2,
            progress=lambda *counts: seen.append(counts),
        )
    with adapters.active(None) as model:
        plain = completion_losses(model, tiny_tokenizer, PAIRS, chat=False)
    assert all(abs(a.nll_sum - p.nll_sum) > 1e-3 for a, p in zip(acting, plain, strict=True))
    assert seen == [(2, 5), (4, 5), (5, 5)]
