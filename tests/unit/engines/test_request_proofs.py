"""Log-likelihoods and texts of lm-eval are those of each sequence by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval")

from harness.engines.request_trial import RequestTrial
from harness.engines.tree_forward import TreeScorer
from harness.engines.trial import Trials
from harness.errors import HarnessError, ModelError
from tests.unit.engines.lm_requests import (
    ROLLING,
    TREE,
    answers,
    assert_same,
    build,
    ending_requests,
    instances,
    letter_requests,
    ours,
    stock,
)
from tests.unit.engines.test_proofs import MORE, NEW, PROMPTS, WAITS_FOR, adapted, uncached

REQUESTS = [*ending_requests(2, words=8), *letter_requests(1, 2, shots=1)]


def proved(lm: Any) -> Any:
    """The one proof that an engine has."""
    [proof] = lm._trials.proofs("", None) or lm._trials.proofs(_kind(lm), None)
    return proof


def _kind(lm: Any) -> str:
    from harness.engines.kinds import kind_of

    return kind_of(lm.model)


@pytest.mark.parametrize("engine", ["auto", "prefix", "stock"])
@pytest.mark.parametrize("kind", ["lora", "dora", "loha"])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "mistral"])
def test_sound_models_keep_their_engine(
    architecture: str, kind: str, engine: Any, tiny_tokenizer: Any
) -> None:
    """Three requests of the task are compared, and nothing falls back."""
    lm = ours(
        adapted(architecture, kind, tiny_tokenizer), tiny_tokenizer, engine=engine, trials=Trials()
    )
    answers(lm, REQUESTS)
    assert lm.choice.engine == {"auto": "tree"}.get(engine, engine)
    assert proved(lm).outcome == "holds"
    assert proved(lm).difference < 1e-4
    assert "requests (of the task)" in proved(lm).words


@pytest.mark.parametrize("engine", ["auto", "tree", "prefix"])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "qwen2"])
def test_an_adapter_that_waits_for_tokens(
    architecture: str, engine: Any, tiny_tokenizer: Any
) -> None:
    """A probe without its tokens would not see that shared prefixes lose the adapter."""
    model = adapted(architecture, "activated", tiny_tokenizer)
    requests = [(context + WAITS_FOR, ending) for context, ending in REQUESTS]
    lm = ours(model, tiny_tokenizer, engine=engine, trials=Trials())
    assert lm.choice.engine == "stock"
    found = answers(lm, requests)
    assert_same(found, answers(stock(model, tiny_tokenizer, batch_size=1), requests), requests)
    with model.disable_adapter():
        base = ours(model, tiny_tokenizer, engine=engine, trials=Trials())
        assert base.choice.engine == {"auto": "tree"}.get(engine, engine)
        assert answers(base, requests) != found


def test_what_the_probe_does_not_see_the_task_does(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is wrong on longer sequences only is left for the next one."""
    masks = TreeScorer._tree_masks

    def short_sighted(self: TreeScorer, rows: Any, width: int, stem: int) -> Any:
        mask = masks(self, rows, width, stem)
        if stem + width > 40:
            mask[..., 0] = torch.finfo(mask.dtype).min
        return mask

    monkeypatch.setattr(TreeScorer, "_tree_masks", short_sighted)
    model, requests = build("llama"), ending_requests(4)
    lm = ours(model, tiny_tokenizer, trials=Trials())
    assert lm.choice.engine == "tree"
    found = answers(lm, requests)
    assert lm.choice.engine in ("prefix", "stock")
    assert "scored by the engine tree (log-likelihoods differ by" in lm.choice.why
    assert_same(found, answers(stock(model, tiny_tokenizer), requests), requests)
    assert proved(lm).outcome == "fallback"


def test_batches_of_lm_eval_that_are_wrong(tiny_tokenizer: Any) -> None:
    """Where lm-eval's own batches differ, each request is run by itself; else it is refused."""
    model = build("llama")

    def crowded(_module: Any, _args: Any, outputs: Any) -> None:
        outputs.logits[1:] *= 0.5

    hook = model.register_forward_hook(crowded)
    lm = ours(model, tiny_tokenizer, engine="stock", trials=Trials())
    found = answers(lm, REQUESTS)
    assert "one by one" in proved(lm).words
    hook.remove()
    assert_same(found, answers(stock(model, tiny_tokenizer), REQUESTS), REQUESTS)


def test_no_engine_is_left(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was tried is told."""
    monkeypatch.setattr(RequestTrial, "expected", lambda *_: (0.0, 1e-3))
    lm = ours(build("llama"), tiny_tokenizer, trials=Trials())
    with pytest.raises(ModelError, match=r"engine tree .* prefix .* stock .* one by one \("):
        answers(lm, REQUESTS)


def test_requests_that_are_wrong_are_wrong_everywhere(tiny_tokenizer: Any) -> None:
    """A mistake of the task's is told at once, and no slower engine is tried."""
    lm = ours(build("llama"), tiny_tokenizer, trials=Trials(), max_length=8)
    with pytest.raises(HarnessError, match="cannot be scored"):
        answers(lm, ending_requests(1))
    assert lm.choice.engine == "tree"


def test_progress_counts_once(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a wrong engine answered is not counted as done."""
    seen = []
    fall = [DiffersOnce()]
    monkeypatch.setattr(RequestTrial, "note", lambda *_: fall and fall.pop()())
    lm = ours(build("llama"), tiny_tokenizer, trials=Trials(), progress=lambda *at: seen.append(at))
    answers(lm, REQUESTS)
    assert seen[-1] == (len(REQUESTS), len(REQUESTS))
    assert lm.choice.engine == "prefix"


class DiffersOnce:
    """Raises when called."""

    def __call__(self) -> None:
        raise ModelError("differs")


def test_texts_as_a_whole(tiny_tokenizer: Any) -> None:
    """Windows of long texts are compared like any request."""
    lm = ours(build("llama"), tiny_tokenizer, trials=Trials())
    lm.loglikelihood_rolling(instances(ROLLING, "loglikelihood_rolling"))
    assert proved(lm).outcome == "holds"


def texts_of(lm: Any) -> list[str]:
    """What lm-eval's own loop writes after the prompts."""
    arguments = [(prompt, {"max_gen_toks": NEW, "until": ["<none>"]}) for prompt in PROMPTS]
    found: list[str] = lm.generate_until(instances(arguments, "generate_until"))
    return found


@pytest.mark.parametrize(
    ("architecture", "outcome"),
    [
        ("llama", "holds"),
        ("gpt_neox", "holds"),
        ("bloom", "holds"),
        ("minimax", "fallback"),
        ("rwkv", "fallback"),
    ],
)
def test_lm_evals_texts(architecture: str, outcome: str, tiny_tokenizer: Any) -> None:
    """Its padded batches are compared with an uncached loop, and left where they differ."""
    model = build(architecture, **(MORE | TREE)[architecture])
    lm = ours(model, tiny_tokenizer, trials=Trials())
    assert texts_of(lm) == uncached(model, tiny_tokenizer)
    falls = architecture in ("minimax", "rwkv")
    assert proved(lm).outcome == ("fallback" if falls else "holds")


def test_lm_evals_texts_by_an_adapter_that_waits(tiny_tokenizer: Any) -> None:
    """PEFT's own generate is behind lm-eval's, and knows of it."""
    model = adapted("llama", "activated", tiny_tokenizer)
    assert texts_of(ours(model, tiny_tokenizer, trials=Trials())) == uncached(model, tiny_tokenizer)
