"""Adapters, 4-bit weights and half precision are scored as lm-eval scores them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("lm_eval")

from harness.engines.loglikelihood import SharedPlans
from harness.models.adapters import AdapterSet
from harness.models.load import load_base
from tests.unit.engines.lm_requests import (
    Answers,
    answers,
    assert_same,
    build,
    mixed_requests,
    ours,
    stock,
)

REQUESTS = mixed_requests()[::2]  # every kind is still there
engines = pytest.mark.parametrize("engine", ["auto", "prefix"])


def _check(
    model: Any,
    tokenizer: Any,
    engine: Any,
    *,
    shared: SharedPlans | None = None,
    exact: Any = None,
) -> Answers:
    """Compare with lm-eval on the same model, and return the answers.

    ``exact`` are the same weights in fp32, where the model's own computation rounds more.
    """
    lm = ours(model, tokenizer, engine=engine, shared=shared)
    requests = REQUESTS
    found = answers(lm, requests)
    assert lm.choice.engine == ("prefix" if engine == "prefix" else "tree"), lm.choice.why
    if exact is None:
        assert_same(found, answers(stock(model, tokenizer), requests), requests, tolerance=1e-3)
    else:
        theirs = [answers(stock(model, tokenizer, batch_size=size), requests) for size in (1, 32)]
        _assert_as_exact(found, theirs, answers(stock(exact, tokenizer), requests))
    return found


def _assert_as_exact(found: Answers, theirs: Sequence[Answers], exact: Answers) -> None:
    """The errors are no larger than lm-eval's own, of which the larger at several sizes counts.

    lm-eval's figures move with its batch size, each by up to its error: no fixed bound would do.
    """
    truth = _values(exact)
    for norm in (np.mean, np.max):
        own = max(norm(np.abs(_values(given) - truth)) for given in theirs)
        assert norm(np.abs(_values(found) - truth)) <= 1.25 * own + 1e-4
        for given in theirs:
            assert norm(np.abs(_values(found) - _values(given))) <= own + 1e-4


@engines
def test_adapters_are_switched(
    engine: Any,
    tiny_model: Any,
    tiny_tokenizer: Any,
    make_adapter: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """Each adapter is scored with its own stems, and the base is the base again afterwards."""
    requests, shared = REQUESTS, {}
    plain = answers(stock(tiny_model, tiny_tokenizer), requests)
    adapters = AdapterSet(tiny_model)
    adapters.add("first", make_adapter(tmp_path / "first", seed=1))
    adapters.add("second", make_adapter(tmp_path / "second", seed=2))
    found = {}
    for name in ("first", None, "second", "first"):
        with adapters.active(name) as model:
            again = _check(model, tiny_tokenizer, engine, shared=shared)
        assert found.setdefault(name, again) == again
    assert_same(found[None], plain, requests, tolerance=1e-3)
    assert found["first"] != found["second"] != found[None]


@engines
@pytest.mark.parametrize("purpose", ["quality", "measure"])
def test_4_bit_weights(
    purpose: Any,
    engine: Any,
    tiny_base: Any,
    fp32_policy: Any,
    tiny_tokenizer: Any,
    make_adapter: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """NF4 itself and NF4 dequantized once, with fp32 computation, alone and under an adapter.

    Some CPUs have kernels for NF4 itself that compute in bf16.
    """
    pytest.importorskip("bitsandbytes")
    folder = make_adapter(tmp_path / "one")

    def load(purpose: Any) -> AdapterSet:
        base = load_base(tiny_base, "nf4", fp32_policy, base_dir=Path(), purpose=purpose)
        adapters = AdapterSet(base)
        adapters.add("one", folder)
        return adapters

    adapters, dequantized = load(purpose), load("quality")
    given = []
    for name in ("one", None):
        with adapters.active(name) as model, dequantized.active(name) as exact:
            reference = exact if purpose == "measure" else None
            given.append(_check(model, tiny_tokenizer, engine, exact=reference))
    assert given[0] != given[1]


@engines
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt2"])
def test_half_precision(architecture: str, engine: Any, tiny_tokenizer: Any) -> None:
    """In bf16, answers are as near to the same weights' in fp32 as lm-eval's are."""
    half = build(architecture).to(torch.bfloat16)
    exact = copy.deepcopy(half).float()
    _check(half, tiny_tokenizer, engine, exact=exact)


def _values(given: Answers) -> Any:
    return np.array([value for value, _ in given])
