"""Log-likelihoods with shared prefixes equal lm-eval's own, request by request."""

from __future__ import annotations

import copy
import random
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

pytest.importorskip("lm_eval")

from harness.engines.loglikelihood import PrefixSharingLM
from harness.errors import HarnessError
from tests.unit.engines.lm_requests import (
    EDGE_CASES,
    ROLLING,
    TOLERANCE,
    TREE,
    WINDOW,
    TokenPair,
    answers,
    assert_same,
    build,
    choices,
    ending_requests,
    expected_answers,
    greedy_requests,
    instances,
    letter_requests,
    mixed_requests,
    ours,
    stock,
    token_answers,
    tree_model,
    without_bos,
)

CHOSEN = {"auto": "tree", "prefix": "prefix"}  # engine asked for -> engine chosen
SHORT = 24  # tokens; most requests are cut to it
MISTAKES = ("another context", "sibling seen", "positions off by one", "no window")

architectures = pytest.mark.parametrize("architecture", TREE)
engines = pytest.mark.parametrize("engine", CHOSEN)


@pytest.fixture(scope="module", params=["BOS", "no BOS"])
def tokenizer(request: pytest.FixtureRequest, tiny_tokenizer: Any) -> Any:
    """The tiny tokenizer, with and without BOS in front."""
    return tiny_tokenizer if request.param == "BOS" else without_bos(tiny_tokenizer)


@pytest.fixture
def llama_lm(tiny_tokenizer: Any) -> PrefixSharingLM:
    """The engine on a llama."""
    return ours(tree_model("llama"), tiny_tokenizer)


@architectures
def test_trees_are_taken_when_asked_for(architecture: str, tiny_tokenizer: Any) -> None:
    """Asked for by name, trees are probed, and give what they give by choice of the probe."""
    model, requests = tree_model(architecture), letter_requests(1, 2, shots=1)
    lm = ours(model, tiny_tokenizer, engine="tree")
    assert lm.choice.engine == "tree", lm.choice.why
    assert answers(lm, requests) == answers(ours(model, tiny_tokenizer), requests)


# --- the same answers ----------------------------------------------------------------------------


@engines
@architectures
def test_answers_equal_lm_eval(architecture: str, engine: Any, tokenizer: Any) -> None:
    """Log-likelihoods, greedy flags and the choices behind acc and acc_norm are lm-eval's."""
    model, requests = tree_model(architecture), mixed_requests()
    lm = ours(model, tokenizer, engine=engine)
    found, expected = answers(lm, requests), expected_answers(architecture, tokenizer)
    assert_same(found, expected, requests)
    assert choices(requests, found) == choices(requests, expected)
    assert lm.truncated == 0
    assert lm.choice.engine == CHOSEN[engine], lm.choice.why


@architectures
def test_answers_equal_lm_evals_defaults(architecture: str, tiny_tokenizer: Any) -> None:
    """Requests as tasks make them get what lm-eval gives with its cache of logits, its default."""
    model = tree_model(architecture)
    requests = [*ending_requests(3), *ending_requests(2, shots=2), *letter_requests(2, 3)]
    expected = answers(stock(model, tiny_tokenizer, logits_cache=True), requests)
    found = answers(ours(model, tiny_tokenizer), requests)
    assert_same(found, expected, requests)
    assert choices(requests, found) == choices(requests, expected)


@engines
@architectures
def test_requests_too_long_are_cut_as_lm_eval_cuts(
    architecture: str, engine: Any, tiny_tokenizer: Any
) -> None:
    """Contexts lose their first tokens, what is left starts at position 0, and cuts are counted."""
    model, requests = tree_model(architecture), mixed_requests()
    lm = ours(model, tiny_tokenizer, engine=engine, max_length=SHORT)
    expected = expected_answers(architecture, tiny_tokenizer, SHORT)
    assert_same(answers(lm, requests), expected, requests)
    lengths = [sum(map(len, lm._encode_pair(*pair))) for pair in requests if pair[0]]
    assert lm.truncated == sum(length > SHORT + 1 for length in lengths)
    assert len(requests) // 2 < lm.truncated < len(requests)
    assert lm.choice.engine == CHOSEN[engine], lm.choice.why


@engines
@pytest.mark.parametrize("architecture", ["gpt2", "opt", "llama"])
def test_the_length_is_the_configurations(
    architecture: str, engine: Any, tiny_tokenizer: Any
) -> None:
    """No token is put at a position that the model has no embedding for."""
    options = TREE[architecture] | {"max_position_embeddings": SHORT}
    model, requests = build(architecture, **options), mixed_requests()
    lm = ours(model, tiny_tokenizer, engine=engine)
    assert lm.max_length == SHORT
    expected = answers(stock(model, tiny_tokenizer), requests)
    assert_same(answers(lm, requests), expected, requests)


@engines
@architectures
def test_greedy_flags_equal_lm_evals(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """A continuation is greedy if every one of its tokens is the likeliest."""
    model = tree_model(architecture)
    requests = greedy_requests(model)
    lm = ours(model, tiny_tokenizer, engine=engine)
    reference = stock(model, tiny_tokenizer)
    expected = token_answers(reference, requests)
    assert sum(greedy for _, greedy in expected) == 12
    assert_same(token_answers(lm, requests), expected, requests)


@engines
@architectures
def test_rolling_requests_equal_lm_evals(
    architecture: str, engine: Any, tiny_tokenizer: Any
) -> None:
    """Whole texts, also longer than the model's context, get lm-eval's log-probability."""
    model = tree_model(architecture)
    lm = ours(model, tiny_tokenizer, engine=engine, max_length=SHORT)
    reference = stock(model, tiny_tokenizer, max_length=SHORT)
    requests = instances(ROLLING, "loglikelihood_rolling")
    expected = reference.loglikelihood_rolling(requests, disable_tqdm=True)
    assert lm.loglikelihood_rolling(requests) == pytest.approx(expected, abs=2 * TOLERANCE)


@engines
@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2"])
def test_generation_is_lm_evals(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """Texts are generated as before, whatever engine scores."""
    model = tree_model(architecture)
    options = [{"until": ["\n"], "max_gen_toks": 6}, {"until": ["."], "max_gen_toks": 9}]
    contexts = [pair[0] for pair in (*ending_requests(), *EDGE_CASES) if pair[0]]
    requests = instances([(text, options[i % 2]) for i, text in enumerate(contexts)], "generate")
    expected = stock(model, tiny_tokenizer).generate_until(requests, disable_tqdm=True)
    assert any(expected)
    assert ours(model, tiny_tokenizer, engine=engine).generate_until(requests) == expected


def test_generation_ends_at_the_end_of_a_turn(tiny_tokenizer: Any) -> None:
    """What lm-eval would have written on after it is not there, in any row of a batch."""
    tokenizer, model = copy.deepcopy(tiny_tokenizer), tree_model("llama")
    contexts = ["Open the", "Return a list of", "Raise"]
    requests = instances([(text, {"until": [], "max_gen_toks": 9}) for text in contexts], "gen")
    whole = ours(model, tokenizer, engine="stock").generate_until(requests)
    turn_end = tokenizer.convert_ids_to_tokens(tokenizer.encode(whole[0])[4])
    tokenizer.add_tokens([AddedToken(turn_end, special=True)])
    shown = tokenizer.decode(tokenizer.convert_tokens_to_ids(turn_end))
    texts = ours(model, tokenizer, engine="stock", turn_end=turn_end).generate_until(requests)
    assert len(texts[0]) < len(whole[0])
    assert texts == [text.partition(shown)[0] for text in whole]


@pytest.mark.parametrize("split", [1, 3])
def test_the_same_text_split_elsewhere(split: int, tiny_tokenizer: Any) -> None:
    """Requests equal as a whole, split at different places, are scored over their own parts."""
    model = tree_model("llama")
    text = list(range(40, 52))
    requests: list[TokenPair] = [(None, text[:at], text[at:]) for at in range(1, 12, split)]
    requests += [(None, [*text[:-2], 7], [8]), (None, text[:-2], [7, 8])]
    expected = token_answers(stock(model, tiny_tokenizer), requests)
    lm = ours(model, tiny_tokenizer)
    assert_same(token_answers(lm, requests), expected, requests)
    assert lm.choice.engine == "tree"


@engines
@pytest.mark.parametrize("batch_tokens", [1, 50, 10_000])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "opt"])
def test_answers_do_not_depend_on_the_size_of_batches(
    architecture: str, batch_tokens: int, engine: Any, tiny_tokenizer: Any
) -> None:
    """Neither one token nor everything in a batch changes an answer."""
    model, requests = tree_model(architecture), mixed_requests()
    lm = ours(model, tiny_tokenizer, engine=engine, batch_tokens=batch_tokens)
    expected = expected_answers(architecture, tiny_tokenizer)
    assert_same(answers(lm, requests), expected, requests)


def test_no_requests(llama_lm: PrefixSharingLM) -> None:
    """Nothing asked, nothing answered."""
    assert llama_lm.loglikelihood([]) == []
    assert llama_lm.loglikelihood_rolling([]) == []


# --- random requests -----------------------------------------------------------------------------

# A few tokens only, so that prefixes collide at every depth and a greedy answer is common.
RANDOM_MODELS = {
    "llama": {},
    "gpt2": {"num_key_value_heads": None},
    "mistral": {"sliding_window": 3},
}


@cache
def small_model(architecture: str) -> Any:
    return build(architecture, vocab_size=6, **RANDOM_MODELS[architecture])


letters = st.integers(min_value=3, max_value=5)
token_requests = st.lists(
    st.tuples(
        st.none(),
        st.lists(letters, min_size=1, max_size=20),
        st.lists(letters, min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def random_lms(tiny_tokenizer: Any) -> Any:
    """The engine, one per model, engine and size of batches, made when first asked for."""

    @cache
    def make(architecture: str, engine: Any, batch_tokens: int | None) -> PrefixSharingLM:
        model = small_model(architecture)
        return ours(model, tiny_tokenizer, engine=engine, batch_tokens=batch_tokens)

    return make


@pytest.mark.parametrize("architecture", RANDOM_MODELS)
@settings(max_examples=40, deadline=None)
@given(
    requests=token_requests,
    max_length=st.integers(min_value=5, max_value=40),
    batch_tokens=st.sampled_from([1, 2, 7, 23, 64, None]),
    engine=st.sampled_from(sorted(CHOSEN)),
)
def test_random_requests_equal_lm_eval(
    architecture: str,
    random_lms: Any,
    tiny_tokenizer: Any,
    requests: list[TokenPair],
    max_length: int,
    batch_tokens: int | None,
    engine: str,
) -> None:
    """Whatever the requests share, and wherever they are cut, each has its own answer."""
    reference = stock(small_model(architecture), tiny_tokenizer, max_length=max_length)
    lm = random_lms(architecture, engine, batch_tokens)
    lm._max_length = max_length
    expected = token_answers(reference, requests)
    assert_same(token_answers(lm, requests), expected, requests)


# --- what surrounds the answers ------------------------------------------------------------------


@engines
def test_shared_encodings_change_nothing(engine: Any, tiny_tokenizer: Any) -> None:
    """Variants that take over each other's encodings, at other lengths too, answer for themselves.

    The first is asked for half of the requests only.
    """
    requests, shared = mixed_requests(), {}
    steps: list[tuple[int, int | None, list[Any]]] = [
        (0, None, requests[::2]),
        (1, None, requests),
        (1, SHORT, requests),
        (0, None, requests),
    ]
    for seed, max_length, asked in steps:
        model = build("llama", seed=seed)
        lm = ours(model, tiny_tokenizer, engine=engine, shared=shared, max_length=max_length)
        expected = answers(stock(model, tiny_tokenizer, max_length=max_length), asked)
        assert_same(answers(lm, asked), expected, asked)


@engines
def test_every_answer_is_handed_to_the_cache_hook_once(
    engine: Any, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lm-eval's hook gets each request's texts with its answer, as soon as it is known."""
    seen: list[tuple[str, Any, Any]] = []
    lm = ours(tree_model("llama"), tiny_tokenizer, engine=engine)
    monkeypatch.setattr(lm, "add_partial", lambda *answer: seen.append(answer))
    requests = mixed_requests()
    given_answers = answers(lm, requests)
    assert sorted(seen) == sorted(
        ("loglikelihood", request, answer)
        for request, answer in zip(requests, given_answers, strict=True)
    )


@engines
def test_progress_counts_requests(engine: Any, tiny_tokenizer: Any) -> None:
    """Progress goes up to the number of requests, of all kinds together."""
    calls: list[tuple[int, int]] = []
    lm = ours(
        tree_model("llama"),
        tiny_tokenizer,
        engine=engine,
        max_length=SHORT,
        progress=lambda done, total: calls.append((done, total)),
    )
    requests = mixed_requests()
    answers(lm, requests)
    assert calls[-1] == (len(requests), len(requests))
    lm.loglikelihood_rolling(instances(ROLLING, "loglikelihood_rolling"))
    total = len(requests) + len(ROLLING)
    assert calls[-1] == (total, total)
    done = [count for count, _ in calls]
    assert done == sorted(done)


@pytest.mark.parametrize("engine", ["auto", "stock"])
def test_a_context_of_white_space_is_refused(engine: Any, tiny_tokenizer: Any) -> None:
    """lm-eval moves it to the answer, and without BOS nothing is left to predict the answer from.

    It stops on an assertion there; here it says what is wrong.
    """
    lm = ours(tree_model("llama"), without_bos(tiny_tokenizer), engine=engine)
    with pytest.raises(HarnessError, match="white space"):
        answers(lm, [("Return", " the value"), ("  ", "the value"), ("Return", " it")])


def test_the_models_mode_and_weights_are_left_alone(tiny_tokenizer: Any) -> None:
    """Scoring leaves no gradient, hook, cache or changed configuration behind."""
    model = build("mistral", **TREE["mistral"])
    config = model.config.to_json_string()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    attention = model.config._attn_implementation
    answers(ours(model, tiny_tokenizer), letter_requests())
    assert model.config.to_json_string() == config
    assert model.config._attn_implementation == attention
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


# --- the tests themselves ------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", MISTAKES)
@architectures
def test_these_models_notice_mistakes(architecture: str, mistake: str) -> None:
    """What an engine can get wrong moves a log-likelihood far more than the tolerance."""
    model = tree_model(architecture)
    rng = random.Random("mistakes")
    context, sibling, answer = ([rng.randrange(3, 2048) for _ in range(n)] for n in (20, 3, 4))
    right = _score(model, [*context, *answer], list(range(24)))
    if mistake == "another context":  # within the window of the answer's first token
        context[-WINDOW + 2] += 1
        wrong = _score(model, [*context, *answer], list(range(24)))
    elif mistake == "sibling seen":
        positions = [*range(23), *range(20, 24)]
        wrong = _score(model, [*context, *sibling, *answer], positions)
    elif mistake == "positions off by one":
        wrong = _score(model, [*context, *answer], [*range(20), *range(21, 25)])
    else:
        if "sliding_window" not in TREE[architecture]:
            pytest.skip("no window")
        unlimited = build(architecture, **{**TREE[architecture], "sliding_window": 1000})
        wrong = _score(unlimited, [*context, *answer], list(range(24)))
    assert abs(wrong - right) > 20 * TOLERANCE


def _score(model: Any, ids: list[int], positions: list[int]) -> float:
    """Log-likelihood of the last four tokens when every token sees all before it."""
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids]),
            position_ids=torch.tensor([positions]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            use_cache=False,
        ).logits
    predicted = logits[0, -5:-1].log_softmax(-1)
    return float(predicted.gather(1, torch.tensor(ids[-4:])[:, None]).sum())


@pytest.mark.parametrize(
    "answer", [(-3.0 - 2e-4, True), (-3.0, False), (float("nan"), True), (float("-inf"), True)]
)
def test_the_comparison_notices(answer: tuple[float, bool]) -> None:
    """A wrong sum, a wrong flag and no number at all are told from the right answer."""
    good = [(-1.0, False), (-3.0, True)]
    assert_same(good, good, ["a", "b"])
    with pytest.raises(AssertionError, match="1 of 2 are wrong"):
        assert_same([good[0], answer], good, ["a", "b"])


def test_the_requests_are_what_they_are_meant_to_be(tiny_tokenizer: Any) -> None:
    """Long stems, answers of one token and of many, windows and lengths exceeded."""
    lm = stock(tree_model("llama"), tiny_tokenizer)
    pairs = [lm._encode_pair(*pair) for pair in letter_requests()]
    assert {len(answer) for _, answer in pairs} == {1}
    assert min(len(context) for context, _ in pairs) > 100
    first, second = pairs[0][0], pairs[4][0]
    shared = next(i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    assert shared > 100
    endings = [lm._encode_pair(*pair) for pair in ending_requests()]
    assert len({len(answer) for _, answer in endings}) > 3
    assert min(len(context) for context, _ in endings) > SHORT > WINDOW
