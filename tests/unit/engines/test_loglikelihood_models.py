"""Which engine a model gets: where trees or stems would be wrong, the numbers stay right."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("lm_eval")

from harness.models.quiet import quiet
from tests.unit.engines.lm_requests import (
    ALIBI,
    OTHERS,
    RECURRENT,
    TREE,
    answers,
    assert_same,
    build,
    choices,
    ending_requests,
    letter_requests,
    mixed_requests,
    ours,
    stock,
)

# Types of attention that look back by themselves, over so few tokens that a probe of a dozen
# tokens cannot know it. Requests are longer.
HIDDEN_WINDOW = 40
HIDDEN: dict[str, dict[str, Any]] = {
    "gemma2": OTHERS["gemma2"] | {"sliding_window": HIDDEN_WINDOW},
    "gpt_neo": OTHERS["gpt_neo"] | {"window_size": HIDDEN_WINDOW},
    "llama4_text": OTHERS["llama4_text"] | {"attention_chunk_size": HIDDEN_WINDOW},
    "mistral": {"sliding_window": HIDDEN_WINDOW},
    "modernbert-decoder": OTHERS["modernbert-decoder"] | {"local_attention": HIDDEN_WINDOW},
    "phi3": {"sliding_window": HIDDEN_WINDOW},
    "qwen2": {"use_sliding_window": True, "sliding_window": HIDDEN_WINDOW, "max_window_layers": 1},
}


def _check(model: Any, tokenizer: Any, **options: Any) -> Any:
    """Compare with lm-eval, and return the choice."""
    requests = mixed_requests()
    lm = ours(model, tokenizer, **options)
    is_stock = lm.choice.engine == "stock"  # as it comes, with its cache of logits
    expected = answers(stock(model, tokenizer, logits_cache=is_stock), requests)
    found = answers(lm, requests)
    assert_same(found, expected, requests)
    assert choices(requests, found) == choices(requests, expected)
    assert lm.choice.why
    return lm.choice


@pytest.mark.parametrize("architecture", OTHERS)
def test_other_decoders(architecture: str, tiny_tokenizer: Any) -> None:
    """Whatever the probe chooses for a decoder, its answers are lm-eval's."""
    _check(build(architecture, **OTHERS[architecture]), tiny_tokenizer)


@pytest.mark.parametrize("engine", ["auto", "prefix"])
@pytest.mark.parametrize("architecture", HIDDEN)
def test_windows_longer_than_a_probe(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """A window that only long requests exceed is kept to, whether or not the engine knows it."""
    _check(build(architecture, **HIDDEN[architecture]), tiny_tokenizer, engine=engine)


@pytest.mark.parametrize("engine", ["auto", "tree", "prefix"])
@pytest.mark.parametrize("architecture", ALIBI)
def test_alibi(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """Biases by distance cannot be told a tree's positions, so no tree is used."""
    choice = _check(build(architecture, **ALIBI[architecture]), tiny_tokenizer, engine=engine)
    assert choice.engine != "tree"
    assert "tree cannot be used" in choice.why or engine == "prefix"


@pytest.mark.parametrize("engine", ["auto", "prefix"])
@pytest.mark.parametrize("architecture", RECURRENT)
def test_recurrent_and_hybrid(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """A state that runs through all tokens cannot branch: lm-eval's own way is taken."""
    model = build(architecture, **RECURRENT[architecture])
    requests = [*ending_requests(2), *letter_requests(1, 2, shots=1)]  # these models are slow
    lm = ours(model, tiny_tokenizer, engine=engine)
    assert_same(answers(lm, requests), answers(stock(model, tiny_tokenizer), requests), requests)
    assert lm.choice.engine == "stock"
    assert "cannot be used" in lm.choice.why


@pytest.mark.parametrize("engine", ["auto", "tree", "prefix"])
def test_encoder_decoder(engine: Any, tiny_tokenizer: Any) -> None:
    """Models with an encoder are lm-eval's own affair."""
    model = build(
        "t5", d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, decoder_start_token_id=2
    )
    choice = _check(model, tiny_tokenizer, engine=engine)
    assert choice.engine == "stock"
    assert "encoder" in choice.why


@pytest.mark.parametrize("engine", ["auto", "prefix"])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma3_text", "gpt2", "opt"])
def test_eager_attention(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """Attention written out in PyTorch takes the same masks."""
    model = build(architecture, **TREE[architecture], attn_implementation="eager")
    choice = _check(model, tiny_tokenizer, engine=engine)
    assert choice.engine == ("prefix" if engine == "prefix" else "tree"), choice.why


def test_attention_without_masks_for_trees(tiny_tokenizer: Any) -> None:
    """An attention that is not known to take 4-D masks is not given any."""
    model = build("llama", attn_implementation="flex_attention")
    lm = ours(model, tiny_tokenizer)
    assert lm.choice.engine != "tree"
    assert "flex_attention" in lm.choice.why


def test_stock_is_lm_eval_itself(tiny_tokenizer: Any) -> None:
    """Asked for, lm-eval's own way gives lm-eval's very numbers."""
    model, requests = build("llama"), mixed_requests()
    lm = ours(model, tiny_tokenizer, engine="stock")
    expected = answers(stock(model, tiny_tokenizer, logits_cache=True), requests)
    assert answers(lm, requests) == expected
    assert lm.choice.engine == "stock"


def test_prompt_tuning(tiny_tokenizer: Any) -> None:
    """Virtual tokens in front shift every position, so lm-eval's own way is taken."""
    from peft import PromptTuningConfig, get_peft_model

    quiet()
    model = get_peft_model(
        build("llama"), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    ).eval()
    requests = [*ending_requests(2), *letter_requests(1, 2)]
    lm = ours(model, tiny_tokenizer)
    assert_same(answers(lm, requests), answers(stock(model, tiny_tokenizer), requests), requests)
    assert lm.choice.engine == "stock", lm.choice.why
