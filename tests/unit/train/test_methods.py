"""Every method of PEFT by name: it trains, its checkpoints are plain PEFT's, and it goes on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.errors import ApartError, SuiteError
from harness.models.adapters import AdapterSet
from harness.models.device import decide
from harness.suite.peft_types import PEFT_TYPES
from harness.suite.spec import BaseSpec, TrainSpec
from harness.train.adapter import peft_config
from harness.train.merge import merge_adapter
from harness.train.methods import orthogonality
from harness.train.rows import Encoding, encode_rows
from tests.unit.train.conftest import Training, make_examples

IDS = torch.arange(3, 67).reshape(4, 16)
VIRTUAL = {"num_virtual_tokens": 4}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "ADALORA": {"init_r": 6, "target_r": 2, "tfinal": 1},
    **dict.fromkeys(("PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"), VIRTUAL),
    "LOHA": {"r": 4},
    "LOKR": {"r": 4},
    "VERA": {"r": 16},
    "OFT": {"oft_block_size": 8},
}
LAYERS = {"target_modules": ["q_proj", "v_proj"]}
OTHERS: Mapping[str, Mapping[str, Any]] = {
    "C3A": {**LAYERS, "block_size": 64},
    "CARTRIDGE": VIRTUAL,
    "FOURIERFT": {**LAYERS, "n_frequency": 50},
    "SHADOW": {},
    "VBLORA": {**LAYERS, "r": 4, "num_vectors": 16, "vector_length": 32},
}
MAIN = ("LORA", "IA3", "LN_TUNING", *OPTIONS)


def spec_of(kind: str, **options: Any) -> dict[str, Any]:
    if kind == "LORA":
        return {"method": "lora", "lora": {"r": 4, **options}}
    known = OPTIONS.get(kind, {}) if kind in MAIN else OTHERS.get(kind, LAYERS)
    own = {**known, **options}
    return {"method": "lora", "peft_type": kind, "peft": own, "lora": {}}


def base(tiny_dir: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model.eval()(input_ids=IDS, use_cache=False).logits
    return result


def plain_peft(tiny_dir: Path, folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT uses what transformers has renamed
        return PeftModel.from_pretrained(base(tiny_dir), folder)


EVERYDAY = ("ADALORA", "IA3")


@pytest.mark.parametrize(
    "kind", [k if k in EVERYDAY else pytest.param(k, marks=pytest.mark.slow) for k in MAIN]
)
def test_a_method_trains_and_its_checkpoints_are_plain_pefts(
    kind: str, training: Callable[..., Training], tiny_dir: Path, tmp_path: Path
) -> None:
    """Its loss falls; ours and PEFT's own loading give equal logits over a base that stayed."""
    rate = 5e-2 if kind in ("IA3", "LN_TUNING", "VERA", "PROMPT_TUNING", "P_TUNING") else 1e-2
    run = training(
        spec=spec_of(kind), args={"learning_rate": rate, "max_steps": 8, "save_steps": 4}
    )
    record = run()
    assert record.peft_type == kind
    assert 0 < record.trainable_parameters < 0.2 * record.total_parameters
    losses = [entry.eval_loss for entry in record.log if entry.eval_loss is not None]
    assert losses[-1] < losses[0]
    folder = run.folder / "checkpoint-8"
    truth = logits(plain_peft(tiny_dir, folder))
    plain = base(tiny_dir)
    before = {name: weight.clone() for name, weight in plain.named_parameters()}
    adapters = AdapterSet(plain)
    if PEFT_TYPES[kind].is_prompt:  # type: ignore[index]
        with pytest.raises(ApartError):
            adapters.add("a", folder)
    adapters.add("a", folder, alone=PEFT_TYPES[kind].is_prompt)  # type: ignore[index]
    with adapters.active("a") as model:
        assert torch.equal(logits(model), truth)
    with adapters.active(None) as model:
        assert not torch.equal(logits(model)[:, -1], truth[:, -1])
    assert all(torch.equal(before[n], w) for n, w in base(tiny_dir).named_parameters())
    if not PEFT_TYPES[kind].is_prompt:  # type: ignore[index]
        spec = BaseSpec(model="tiny:llama", dtype="fp32", device="cpu")
        merged = merge_adapter(spec, folder, tmp_path / "merged", decide(spec), base_dir=tmp_path)
        assert merged.proof is not None
        assert torch.allclose(logits(base(tmp_path / "merged")), truth, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(PEFT_TYPES.keys() - set(MAIN)))
def test_any_other_method_trains_and_is_plain_pefts(
    kind: str, training: Callable[..., Training], tiny_dir: Path
) -> None:
    """Its loss falls, and PEFT's own loading gives what ours does."""
    args = {"learning_rate": 2e-2, "max_steps": 3, "save_steps": 3, "eval_steps": 1}
    run = training(spec=spec_of(kind), args=args, eval_rows=2)
    record = run()
    losses = [entry.eval_loss for entry in record.log if entry.eval_loss is not None]
    assert losses[-1] < losses[0]
    folder = run.folder / "checkpoint-3"
    truth = logits(plain_peft(tiny_dir, folder))
    adapters = AdapterSet(base(tiny_dir))
    adapters.add("a", folder, alone=PEFT_TYPES[kind].is_prompt)  # type: ignore[index]
    with adapters.active("a") as model:
        assert torch.equal(logits(model), truth)


def row_losses(model: Any, rows: list[dict[str, list[int]]], virtual: int) -> list[float]:
    """Losses of the labelled tokens, from plain logits that stand ``virtual`` places further on."""
    losses = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        with torch.inference_mode():
            scores = (
                model.eval()(input_ids=ids, use_cache=False).logits[0, virtual:].log_softmax(-1)
            )
        losses += [
            -float(scores[place, label])
            for place, label in enumerate(row["labels"][1:])
            if label != -100
        ]
    return losses


@pytest.mark.parametrize(
    ("kind", "virtual"),
    [
        ("PROMPT_TUNING", 4),
        pytest.param("P_TUNING", 4, marks=pytest.mark.slow),
        pytest.param("PREFIX_TUNING", 0, marks=pytest.mark.slow),  # its tokens are in the cache
    ],
)
def test_labels_stand_behind_virtual_tokens(
    kind: str, virtual: int, training: Callable[..., Training], tiny_dir: Path
) -> None:
    """The trainer's eval loss, of padded batches, is that of the completions and nothing else."""
    args = {"max_steps": 2, "learning_rate": 5e-2, "per_device_eval_batch_size": 4}
    run = training(spec=spec_of(kind), args=args)
    record = run()
    tokenizer = AutoTokenizer.from_pretrained(tiny_dir)
    how = Encoding(chat=False, completion_only_loss=True, max_length=None)
    rows = encode_rows(make_examples(4, "eval"), tokenizer, how).rows
    losses = row_losses(plain_peft(tiny_dir, run.folder / "checkpoint-2"), rows, virtual)
    expected = sum(losses) / len(losses)
    assert record.log[-1].eval_loss == pytest.approx(expected, abs=2e-5)


def test_adalora_is_as_pefts_own(training: Callable[..., Training], tiny_dir: Path) -> None:
    """Ranks shrink to the budget, and factors stay orthogonal by the term of PEFT's own loss."""
    options = {"init_r": 6, "target_r": 2, "tfinal": 2}
    run = training(spec=spec_of("ADALORA", **options), args={"max_steps": 10, "save_steps": 10})
    run()
    folder = run.folder / "checkpoint-10"
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    ranks = [sum(kept) for kept in config["rank_pattern"].values()]
    assert config["total_step"] == 10
    assert sum(ranks) == 2 * len(ranks)
    stored = load_file(folder / "adapter_model.safetensors")
    assert sum(len(weight) for name, weight in stored.items() if "lora_E" in name) == sum(ranks)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        model = get_peft_model(base(tiny_dir), peft_config(TrainSpec(**spec_of("ADALORA"))))
    labelled = {"input_ids": IDS, "labels": IDS}
    with torch.no_grad():
        whole = model(**labelled).loss
        plain = model.base_model.model(**labelled).loss
        assert float(orthogonality(model)) == pytest.approx(float(whole - plain) / 0.5, rel=1e-4)


@pytest.mark.slow
def test_layers_that_peft_does_not_name_are_asked_for(training: Callable[..., Training]) -> None:
    """Where the suite can name them."""
    with pytest.raises(SuiteError, match=r"train\.peft: PEFT names no layers for ADALORA") as error:
        training(model="tiny:phi", spec=spec_of("ADALORA"))()
    assert "target_modules" in str(error.value.hint)


@pytest.mark.slow
def test_the_loss_of_adalora_holds_its_term(training: Callable[..., Training]) -> None:
    """It moves the factors towards orthogonal ones, however gradients are accumulated."""
    gaps = {}
    for weight, parts in ((0.0, 1), (0.5, 1), (0.5, 2)):
        spec = spec_of("ADALORA", orth_reg_weight=weight)
        args = {"learning_rate": 1e-2, "gradient_accumulation_steps": parts}
        run = training(name=f"{weight}-{parts}", spec=spec, args=args)
        run()
        gaps[weight, parts] = float(orthogonality_of(run.folder / "checkpoint-4"))
    assert gaps[0.5, 1] < 0.95 * gaps[0.0, 1]
    assert gaps[0.5, 2] == pytest.approx(gaps[0.5, 1], rel=0.05)


def orthogonality_of(folder: Path) -> torch.Tensor:
    stored = load_file(folder / "adapter_model.safetensors")
    grams = [
        weight @ weight.T if "lora_A" in name else weight.T @ weight
        for name, weight in stored.items()
        if "lora_A" in name or "lora_B" in name
    ]
    return torch.stack([torch.linalg.norm(gram - torch.eye(len(gram))) for gram in grams]).mean()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ADALORA", "LN_TUNING", "LOHA", "OFT", "P_TUNING", "VERA"])
def test_a_method_trains_over_a_base_of_4_bits(
    kind: str, training: Callable[..., Training]
) -> None:
    """PEFT has layers for it, or leaves the base's layers alone; what it lacks is known."""
    args = {"max_steps": 6, "save_steps": 6, "eval_steps": 1, "learning_rate": 1e-2}
    run = training(spec=spec_of(kind) | {"method": "qlora"}, args=args)
    if PEFT_TYPES[kind].plain_base:  # type: ignore[index]
        with pytest.raises(RuntimeError, match="shape"):
            run()
        return
    record = run()
    losses = [entry.eval_loss for entry in record.log if entry.eval_loss is not None]
    assert losses[-1] < losses[0]
    assert "float32" in record.arguments["adapter_dtype"]
