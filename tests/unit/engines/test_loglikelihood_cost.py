"""What scoring computes: every shared prefix once, logits of scored tokens only, within memory."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from harness.errors import MemoryShortError
from tests.unit.engines.lm_requests import (
    Pair,
    Work,
    answers,
    assert_same,
    counted,
    ending_requests,
    inputs_of,
    instances,
    letter_requests,
    mixed_requests,
    ours,
    stock,
    tree_model,
)

OVERHEAD = 1.25  # padding, and prefixes too short to be worth a pass of their own
SHAPES: dict[str, list[Pair]] = {
    "HellaSwag": ending_requests(24),
    "HellaSwag with shots": ending_requests(8, shots=5),
    "MMLU": letter_requests(2, 12, shots=5),
}
sharing = pytest.mark.parametrize("engine", ["tree", "prefix"])


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting the garbage of a whole test session takes longer than all passes of a test."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def _prefixes(inputs: Sequence[tuple[tuple[int, ...], int]]) -> set[tuple[int, ...]]:
    """Every distinct prefix; each ends in a token that has to be computed."""
    return {ids[:end] for ids, _ in inputs for end in range(1, len(ids) + 1)}


def _scored(inputs: Sequence[tuple[tuple[int, ...], int]]) -> set[tuple[int, ...]]:
    """Distinct prefixes after which something is predicted."""
    return {ids[:end] for ids, count in inputs for end in range(len(ids) - count + 1, len(ids) + 1)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "mistral"])
def test_a_shared_prefix_is_computed_once(
    architecture: str, shape: str, tiny_tokenizer: Any
) -> None:
    """Trees compute hardly more tokens than there are distinct prefixes, padding included."""
    model, requests = tree_model(architecture), SHAPES[shape]
    lm = ours(model, tiny_tokenizer)
    assert lm.choice.engine == "tree"  # the probe is over now
    distinct = len(_prefixes(inputs_of(lm, requests)))
    with counted(model) as work:
        answers(lm, requests)
    assert distinct <= work.tokens <= OVERHEAD * distinct
    with counted(model) as reference:
        answers(stock(model, tiny_tokenizer, logits_cache=True), requests)
    assert work.tokens < 0.6 * reference.tokens


def test_stems_alone_serve_answers_of_one_token(tiny_tokenizer: Any) -> None:
    """Without branching rows, MMLU's stems and questions are computed once all the same."""
    model, requests = tree_model("llama"), SHAPES["MMLU"]
    lm = ours(model, tiny_tokenizer, engine="prefix")
    assert lm.choice.engine == "prefix"
    with counted(model) as work:
        answers(lm, requests)
    assert work.tokens <= OVERHEAD * len(_prefixes(inputs_of(lm, requests)))


@sharing
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "phi", "gemma3_text"])
def test_logits_of_scored_tokens_only(
    architecture: str, shape: str, engine: Any, tiny_tokenizer: Any
) -> None:
    """The output layer runs once for every token that predicts something, and for no other.

    A stem of which nothing is asked still costs one row of logits.
    """
    model, requests = tree_model(architecture), SHAPES[shape]
    lm = ours(model, tiny_tokenizer, engine=engine)
    assert lm.choice.engine == engine
    scored = len(_scored(inputs_of(lm, requests)))
    with counted(model) as work:
        answers(lm, requests)
    assert scored <= work.head_rows <= scored + len(work.passes)
    assert work.largest_logits <= scored


def test_rolling_windows_are_computed_once(tiny_tokenizer: Any) -> None:
    """Texts asked for twice cost no more than once."""
    model = tree_model("llama")
    texts = [(context,) for context, _ in ending_requests(8)[::4]]
    once, twice = (
        instances(requests, "loglikelihood_rolling") for requests in (texts, [*texts, *texts])
    )
    lm = ours(model, tiny_tokenizer)
    assert lm.choice.engine == "tree"
    with counted(model) as single:
        lm.loglikelihood_rolling(once)
    with counted(model) as double:
        lm.loglikelihood_rolling(twice)
    assert double.tokens == single.tokens


@sharing
@pytest.mark.parametrize("batch_tokens", [64, 200, 1000])
def test_passes_keep_to_the_number_of_tokens(
    batch_tokens: int, engine: Any, tiny_tokenizer: Any
) -> None:
    """No forward pass has more tokens than asked for, unless a single request has more."""
    model, requests = tree_model("llama"), mixed_requests()
    lm = ours(model, tiny_tokenizer, engine=engine, batch_tokens=batch_tokens)
    assert lm.choice.engine == engine
    longest = max(len(ids) for ids, _ in inputs_of(lm, [pair for pair in requests if pair[0]]))
    with counted(model) as work:
        answers(lm, requests)
    assert max(work.passes) <= max(batch_tokens, longest)


@sharing
@pytest.mark.parametrize("shape", ["HellaSwag", "MMLU"])
def test_out_of_memory_halves_batches(shape: str, engine: Any, tiny_tokenizer: Any) -> None:
    """With less memory than batches need, answers are the same and no finished pass is repeated."""
    model, requests = tree_model("llama"), SHAPES[shape]
    options = {"engine": engine, "batch_tokens": 2000}
    plain, tight = (ours(model, tiny_tokenizer, **options) for _ in range(2))
    assert tight.choice.engine == plain.choice.engine == engine
    with counted(model) as unlimited:
        expected = answers(plain, requests)
    limit = unlimited.widest  # every row fits alone
    assert max(unlimited.passes) > 2 * limit
    with counted(model, memory=lambda _: limit) as work:
        found = answers(tight, requests)
    assert_same(found, expected, requests)
    failed = [tokens for tokens in work.passes if tokens > limit]
    assert failed
    assert work.tokens <= sum(work.passes) - sum(failed)
    # less padding than before, and never a second time
    assert work.tokens <= unlimited.tokens
    done = len(work.passes) - len(failed)
    assert work.head_rows <= len(_scored(inputs_of(tight, requests))) + done


@sharing
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_memory_short_for_one_moment(nth: int, engine: Any, tiny_tokenizer: Any) -> None:
    """One failed pass costs that pass only: what went before is kept, each answer comes once."""
    model, requests = tree_model("llama"), SHAPES["HellaSwag"]
    lm = ours(model, tiny_tokenizer, engine=engine, batch_tokens=400)
    assert lm.choice.engine == engine

    def memory(work: Work) -> int:
        return 0 if len(work.passes) == nth else 10**9

    with counted(model, memory=memory) as work:
        found = answers(lm, requests)
    assert_same(found, answers(stock(model, tiny_tokenizer), requests), requests)
    assert len(work.passes) > nth
    assert work.head_rows == len(_scored(inputs_of(lm, requests)))


@sharing
def test_too_little_memory_for_one_row(engine: Any, tiny_tokenizer: Any) -> None:
    """What cannot be split is an error that says so, instead of an endless loop."""
    model = tree_model("llama")
    lm = ours(model, tiny_tokenizer, engine=engine)
    assert lm.choice.engine == engine
    with (
        counted(model, memory=lambda _: 4) as work,
        pytest.raises(MemoryShortError, match="Memory does not suffice"),
    ):
        answers(lm, ending_requests(8))
    assert len(work.passes) < 20
