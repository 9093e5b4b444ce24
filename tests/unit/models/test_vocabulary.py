"""A tokenizer with more tokens than the model has embeddings: refused where a text holds one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance

from harness.console import Reporter
from harness.engines.base import Decoding
from harness.engines.transformers import TransformersModel
from harness.engines.trial import Trials
from harness.errors import UnknownTokenError
from harness.models.adapters import AdapterSet
from harness.models.vocabulary import embedding_rows, pad_with_known
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.store.runs import Store
from tests.unit.engines.lm_requests import tree_model
from tests.unit.suites import TRAIN, suite_file

MARK = "<|mark|>"
PLAIN, STRANGE = "Return the value", f"Return {MARK} the value"
TOLD = r"tokens 0 to 2,047, and .* holds '<\|mark\|>' \(2048\) of its tokenizer's 2,049"


@pytest.fixture(scope="module")
def larger(tiny_tokenizer: Any) -> Any:
    """A tokenizer with one token more than a tiny model has embeddings."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_tokens([MARK])
    assert tokenizer.convert_tokens_to_ids(MARK) == embedding_rows(tree_model("llama"))
    return tokenizer


def texts(model: TransformersModel, text: str) -> Any:
    return model.generate([PLAIN, text], Decoding(max_new_tokens=2), chat=False)


def losses(model: TransformersModel, text: str) -> Any:
    asked = {"chat": False, "max_length": None, "batch_size": 2}
    return model.completion_losses([(PLAIN, text)], **asked)


def log_likelihoods(model: TransformersModel, text: str) -> Any:
    request = Instance("loglikelihood", {}, (PLAIN, text), 0)
    return model.lm_eval_model(batch_size=2).loglikelihood([request])


def stock_log_likelihoods(model: TransformersModel, text: str) -> Any:
    request = Instance("loglikelihood", {}, (PLAIN, text), 0)
    return model.lm_eval_model(batch_size=2, engine="stock").loglikelihood([request])


def lm_eval_texts(model: TransformersModel, text: str) -> Any:
    options = {"until": ["\n"], "max_gen_toks": 2}
    request = Instance("generate_until", {}, (text, options), 0)
    return model.lm_eval_model(batch_size=2).generate_until([request])


@pytest.mark.parametrize(
    "ask", [texts, losses, log_likelihoods, stock_log_likelihoods, lm_eval_texts]
)
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gpt2"])
def test_what_holds_it_is_refused(
    architecture: str, ask: Callable[[TransformersModel, str], Any], larger: Any
) -> None:
    """Nothing else is: most such tokens are never used."""
    model = TransformersModel(tree_model(architecture), larger, "cpu", Trials())
    assert ask(model, PLAIN)
    with pytest.raises(UnknownTokenError, match=TOLD):
        ask(model, STRANGE)


def test_an_adapter_is_tried_on_such_prompts(
    tiny_model: Any, make_adapter: Callable[..., Path], tmp_path: Path, larger: Any
) -> None:
    """The prompts come of the suite's tasks."""
    adapters = AdapterSet(tiny_model)
    adapters.add("a", make_adapter(tmp_path / "a"))
    assert adapters.effect("a", larger, [PLAIN], chat=False) > 0
    with pytest.raises(UnknownTokenError, match=TOLD):
        adapters.effect("a", larger, [STRANGE], chat=False)


def test_padding_needs_no_token_of_its_own(larger: Any) -> None:
    """What is padded is read, though masked, so EOS pads instead; without that there is no way."""
    tokenizer, model = copy.deepcopy(larger), tree_model("llama")
    tokenizer.pad_token = MARK
    pad_with_known(model, tokenizer)
    assert tokenizer.pad_token == larger.eos_token
    tokenizer.pad_token = tokenizer.eos_token = MARK
    with pytest.raises(UnknownTokenError, match=TOLD):
        pad_with_known(model, tokenizer)


def test_training_on_it_is_refused(larger: Any, tmp_path: Path) -> None:
    """Before the first step."""
    larger.save_pretrained(tmp_path / "tokenizer")
    changes: dict[str, Any] = {
        "base": {"model": "tiny:llama", "tokenizer": "tokenizer", "device": "cpu"},
        "data": {"source": "rows.jsonl", "splits": {"train": 0.5, "select": 0.25, "report": 0.25}},
        "prompt": {"prompt": "{{ text }}" + MARK, "completion": "{{ label }}"},
        "tasks": {"held_out": {"type": "perplexity", "splits": ["select", "report"]}},
        "train": {**TRAIN, "method": "lora"},
        "matrix": {"base": ["fp32"], "adapters": "fp32", "merged": "none"},
        "select": {"task": "held_out", "metric": "eval_loss"},
    }
    suite, store = suite_file(tmp_path, **changes), Store(tmp_path / "runs")
    with pytest.raises(UnknownTokenError, match=TOLD):
        run_suite(suite, store, Options(), Reporter(-1))
    evaluated = suite_file(tmp_path, **{**changes, "train": None, "checkpoints": None})
    (cell,) = run_suite(evaluated, store, Options(), Reporter(-1)).cells
    assert MARK in json.dumps(cell.reason)
    assert "tokenizer" in cell.reason
