"""Numbers are finite: what overflows fails its cell, in every way of answering, and says where."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval")

from harness.engines.base import Decoding
from harness.engines.generation import generate
from harness.engines.perplexity import completion_losses
from harness.engines.transformers import TransformersModel
from harness.engines.trial import Trials
from harness.errors import NotFiniteError
from tests.unit.engines.lm_requests import TREE, answers, build, ending_requests, instances, ours

PROMPTS = ["Return the value of", "Open"]
PAIRS = [(prompt, " the given key.") for prompt in PROMPTS]
ARCHITECTURES = ("llama", "gpt2", "gpt_neox")
ENGINES = ("auto", "prefix", "stock")


def overflowing(architecture: str, scale: float = 1e5) -> Any:
    """A model whose logits are fine in fp32, and exceed what fp16 can hold."""
    model = build(architecture, **TREE[architecture])
    with torch.no_grad():
        model.get_output_embeddings().weight *= scale
    return model


@pytest.fixture(scope="module", params=ARCHITECTURES)
def half(request: pytest.FixtureRequest) -> Any:
    """Such a model in fp16."""
    return overflowing(request.param).half()


@pytest.fixture(scope="module", params=ARCHITECTURES)
def whole(request: pytest.FixtureRequest) -> Any:
    """The same in fp32."""
    return overflowing(request.param)


def test_texts_fail_where_logits_overflow(half: Any, tiny_tokenizer: Any) -> None:
    """The likeliest of infinite logits would be a token like any other."""
    with pytest.raises(NotFiniteError, match=r"prompt \d, new token 1\. In fp16"):
        generate(half, tiny_tokenizer, PROMPTS, Decoding(max_new_tokens=3), chat=False)


def test_losses_fail_where_logits_overflow(half: Any, tiny_tokenizer: Any) -> None:
    """A loss that is no number is no value."""
    with pytest.raises(NotFiniteError, match="completion 1 of 2"):
        completion_losses(half, tiny_tokenizer, PAIRS, chat=False)


@pytest.mark.parametrize("engine", ENGINES)
def test_log_likelihoods_fail_where_logits_overflow(
    half: Any, engine: Any, tiny_tokenizer: Any
) -> None:
    """In each engine, lm-eval's own included."""
    lm = ours(half, tiny_tokenizer, engine=engine)
    with pytest.raises(NotFiniteError, match=r"request \d of 4"):
        answers(lm, ending_requests(1))


def test_lm_eval_s_texts_fail_where_logits_overflow(half: Any, tiny_tokenizer: Any) -> None:
    """Its loop is watched from outside."""
    lm = ours(half, tiny_tokenizer)
    requests = instances([(prompt, {"max_gen_toks": 3}) for prompt in PROMPTS], "generate_until")
    with pytest.raises(
        NotFiniteError, match=r"new token 1 after a prompt that ends in '.*(key|Op|of)"
    ):
        lm.generate_until(requests)


def test_a_later_step_is_looked_at_too(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the first token of a text, nor only the first prompt."""
    model, passes = build("llama"), []

    def spoil(_module: Any, _args: Any, outputs: Any) -> None:
        passes.append(outputs.logits.shape[0])
        if len(passes) == 3:
            outputs.logits[-1, -1, 7] = torch.nan

    model.register_forward_hook(spoil)
    with pytest.raises(NotFiniteError, match="prompt 2, new token 3"):
        generate(model, tiny_tokenizer, PROMPTS, Decoding(max_new_tokens=5), chat=False)


def test_large_logits_are_no_fault(whole: Any, tiny_tokenizer: Any) -> None:
    """What is finite is answered, however large."""
    decoding = Decoding(max_new_tokens=3)
    assert len(generate(whole, tiny_tokenizer, PROMPTS, decoding, chat=False)) == 2
    assert len(completion_losses(whole, tiny_tokenizer, PAIRS, chat=False)) == 2
    requests = ending_requests(1)
    assert len(answers(ours(whole, tiny_tokenizer, engine="stock"), requests)) == len(requests)


def test_no_slower_way_is_taken_for_what_is_no_number(half: Any, tiny_tokenizer: Any) -> None:
    """A model that is tried on its first answers fails at once, and says where."""
    ours = TransformersModel(half, tiny_tokenizer, "cpu", Trials())
    decoding = Decoding(max_new_tokens=3)
    with pytest.raises(NotFiniteError, match=r"prompt \d, .*token"):
        ours.generate(PROMPTS, decoding, chat=False)
    with pytest.raises(NotFiniteError, match="completion 2, read by itself, token"):
        ours.completion_losses(PAIRS, chat=False, max_length=None, batch_size=8)
    lm = ours.lm_eval_model(batch_size=4)
    with pytest.raises(NotFiniteError, match=r"request \d of 4, read by itself"):
        answers(lm, ending_requests(1))
    assert ours.proofs == []
