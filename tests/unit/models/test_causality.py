"""Losses of a model that looks ahead are refused; rounding, int8 and experts raise no alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance

from harness.engines.transformers import TransformersModel
from harness.errors import ModelError
from harness.models.adapters import AdapterSet
from harness.models.causality import Causality
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.quiet import quiet
from harness.suite.spec import BaseSpec
from tests.unit.engines.lm_requests import RECURRENT, TREE, build

SIZES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt_neox": TREE["gpt_neox"],
    "jamba": RECURRENT["jamba"],  # recurrent layers between those of attention
    "mixtral": {"num_local_experts": 4},
}
LAYERS = {
    "llama": ["q_proj", "v_proj"],
    "gpt_neox": ["query_key_value"],
    "jamba": ["q_proj", "v_proj"],
    "mixtral": ["q_proj", "v_proj"],
}
CONFIGS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "lora": lambda layers: {"target_modules": layers},
    "ia3": lambda layers: {"target_modules": layers, "feedforward_modules": []},
    "prefix": lambda _: {"num_virtual_tokens": 4},
    "activated": lambda layers: {
        "target_modules": layers,
        "alora_invocation_tokens": [300, 301, 302],
    },
    "lily": lambda layers: {"target_modules": layers},
}
CLASSES = {"ia3": peft.IA3Config, "prefix": peft.PrefixTuningConfig, "lily": peft.LilyConfig}


def adapted(architecture: str, kind: str, folder: Path, change: Any = None) -> AdapterSet:
    """A base and one adapter with an effect."""
    quiet()
    options = CONFIGS[kind](LAYERS[architecture])
    config = CLASSES.get(kind, peft.LoraConfig)(task_type="CAUSAL_LM", **options)
    base = build(architecture, **SIZES[architecture])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = peft.get_peft_model(base, config)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data += 0.1 * torch.randn(weight.shape)
        model.save_pretrained(folder)
    plain = build(architecture, **SIZES[architecture])
    adapters = AdapterSet(plain if change is None else change(plain))
    adapters.add("a", folder, alone=True)
    return adapters


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "jamba"])
def test_lily_looks_ahead(architecture: str, tmp_path: Path, tiny_tokenizer: Any) -> None:
    """PEFT averages its router over all tokens and rows: neither losses nor log-likelihoods."""
    adapters = adapted(architecture, "lily", tmp_path / "a")
    causality = adapters.causality("a")
    with adapters.active("a") as model:
        ours = TransformersModel(model, tiny_tokenizer, "cpu", causality=causality)
        asked = {"chat": False, "max_length": None, "batch_size": 2}
        with pytest.raises(ModelError, match=r"It looks ahead: .* with other tokens behind it and"):
            ours.completion_losses([("Return the", " value")], **asked)
        lm = ours.lm_eval_model(batch_size=2)
        with pytest.raises(ModelError, match="of the base by 0"):
            lm.loglikelihood([Instance("loglikelihood", {}, ("Return the", " value"), 0)])
        with pytest.raises(ModelError, match="It looks ahead"):
            lm.loglikelihood_rolling([Instance("loglikelihood", {}, ("Return the",), 0)])
        (proof,) = ours.proofs
        assert (proof.outcome, proof.unit) == ("fails", "nats")
        assert proof.difference > proof.limit
    adapters.causality(None).require()
    assert adapters.causality(None).proof.outcome == "holds"


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        *((a, k) for a in ("llama", "gpt_neox") for k in CONFIGS if k != "lily"),
        *(("jamba", k) for k in ("lora", "ia3", "activated")),
        ("mixtral", "lora"),
    ],
)
def test_others_do_not(architecture: str, kind: str, tmp_path: Path) -> None:
    """Tokens behind a text, or another row, change nothing, to the last bit or nearly so."""
    causality = adapted(architecture, kind, tmp_path / "a").causality("a")
    causality.require()
    assert causality.proof.outcome == "holds"
    assert causality.moves.behind < 1e-4


def test_half_precision_hides_nothing(tmp_path: Path) -> None:
    """Passes of one shape are rounded alike: what is sound differs by nothing at all."""
    half = {"change": lambda base: base.to(torch.bfloat16)}
    assert adapted("llama", "lora", tmp_path / "lora", **half).causality("a").moves[:2] == (0, 0)
    with pytest.raises(ModelError, match="looks ahead"):
        adapted("llama", "lily", tmp_path / "lily", **half).causality("a").require()


def test_int8_moves_by_itself(tmp_path: Path, make_adapter: Callable[..., Path]) -> None:
    """What the base does, too, is no fault of its adapter."""
    base = BaseSpec(model="tiny:llama")
    loaded = load_base(base, "int8", decide(base), base_dir=Path(), purpose="quality")
    adapters = AdapterSet(loaded)
    adapters.add("a", make_adapter(tmp_path / "a"))
    assert adapters.causality(None).moves.behind > 1e-3
    adapters.causality(None).require()
    adapters.causality("a").require()


def test_a_base_that_reads_in_both_directions(tiny_tokenizer: Any) -> None:
    """BERT without is_decoder is loaded as a causal model, and is none."""
    adapters = AdapterSet(build("bert", num_key_value_heads=None))
    with pytest.raises(ModelError, match="It looks ahead") as refusal:
        adapters.causality(None).require()
    assert "base" not in refusal.value.problem


def test_what_cannot_be_tried_is_told() -> None:
    """A model that takes one row only is not refused for it."""

    def refuse(*_: Any) -> torch.Tensor:
        raise ValueError("one row at a time")

    causality = Causality(refuse, [[1, 2, 3]], vocabulary=64, dtype=torch.float32)
    causality.require()
    assert causality.proof.outcome == "fallback"
    assert "one row at a time" in causality.proof.words
