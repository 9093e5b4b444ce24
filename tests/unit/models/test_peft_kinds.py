"""Every kind of adapter that the installed PEFT has: loaded right, or refused with the reason."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from transformers import AutoModelForCausalLM

from harness.errors import ApartError, ModelError
from harness.models.adapters import AdapterSet

pytestmark = pytest.mark.slow

IDS = torch.arange(3, 67).reshape(4, 16)
LAYERS = {"target_modules": ["q_proj", "v_proj"]}
VIRTUAL = {"num_virtual_tokens": 4}

# What each kind needs to be made on tiny:llama. A release of PEFT with a kind that is not here
# fails the first test: try it, and write down what it needs.
KINDS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CARTRIDGE"), VIRTUAL),
    **dict.fromkeys(
        (
            *("LORA", "ADAMSS", "BOFT", "BEFT", "LILY", "LOHA", "LOKR", "OFT", "LN_TUNING", "VERA"),
            *("FROD", "PVERA", "GLORA", "HRA", "UNILORA", "MISS", "RANDLORA", "ROAD", "HIRA"),
            *("SHIRA", "WAVEFT", "OSF", "DELORA", "GRALORA", "TINYLORA", "PSOFT", "PEANUT"),
            *("SUPERTUNING", "DEFT", "POLY"),
        ),
        LAYERS,
    ),
    "SHADOW": {},
    "ADALORA": {**LAYERS, "total_step": 10},
    "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 2},
    "IA3": {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "VBLORA": {**LAYERS, "r": 4, "num_vectors": 16, "vector_length": 32},
    "CPT": {"cpt_token_ids": [3, 4, 5], "cpt_mask": [1, 1, 1], "cpt_tokens_type_mask": [1, 2, 3]},
    "TRAINABLE_TOKENS": {"token_indices": [3, 5, 9], "target_modules": ["embed_tokens"]},
    "C3A": {**LAYERS, "block_size": 64},
    "FOURIERFT": {**LAYERS, "n_frequency": 50},
    "MULTITASK_PROMPT_TUNING": {**VIRTUAL, "num_tasks": 2},
    "XLORA": {},
}
NEED_MORE = {"POLY": "task_ids", "MULTITASK_PROMPT_TUNING": "task_ids"}  # than tokens
OF_OTHERS = {"XLORA"}  # holds no weights of its own, but names other adapters


def base(tiny_dir: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32).eval()


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model.eval()(input_ids=IDS, use_cache=False).logits
    return result


def saved(kind: str, tiny_dir: Path, folder: Path, *, seed: int) -> Path:
    """An adapter of a kind whose weights are away from where they start."""
    torch.manual_seed(0)
    config = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[kind]](task_type="CAUSAL_LM", **KINDS[kind])
    model = get_peft_model(base(tiny_dir), config)
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad and weight.is_floating_point():
            weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


def test_every_kind_of_this_peft_is_known() -> None:
    """A new PEFT brings kinds that nothing here has tried."""
    assert {kind.name for kind in PeftType} == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - OF_OTHERS))
def test_it_is_as_peft_has_it_and_base_and_neighbours_stay(
    kind: str, tiny_dir: Path, make_adapter: Any, tmp_path: Path
) -> None:
    """Beside a LoRA adapter and a second one of its kind where that can be, else alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = {n: saved(kind, tiny_dir, tmp_path / n, seed=s) for n, s in (("a", 5), ("b", 6))}
        if kind in NEED_MORE:
            with pytest.raises(ModelError, match=NEED_MORE[kind]):
                AdapterSet(base(tiny_dir)).add("a", paths["a"], alone=True)
            return
        truth = {
            name: logits(PeftModel.from_pretrained(base(tiny_dir), path))
            for name, path in paths.items()
        }
    plain = logits(base(tiny_dir))
    for neighbour in (make_adapter(tmp_path / "lora", seed=1), paths["b"]):
        adapters = AdapterSet(base(tiny_dir))
        for name, path in (("neighbour", neighbour), ("a", paths["a"])):
            try:
                adapters.add(name, path)
            except ApartError:
                alone = AdapterSet(base(tiny_dir))
                alone.add(name, path, alone=True)
                if name == "a":
                    with alone.active("a") as model:
                        assert torch.equal(logits(model), truth["a"])
        if adapters.change(None):  # what is loaded again without the one that spoiled it
            continue
        assert not any(adapters.change(name) for name in adapters.names)
        with adapters.active(None) as model:
            assert torch.equal(logits(model), plain)
        for name in set(adapters.names) & {"a"}:
            with adapters.active(name) as model:
                assert torch.equal(logits(model), truth[name])
        if neighbour == paths["b"] and "neighbour" in adapters.names:
            with adapters.active("neighbour") as model:
                assert torch.equal(logits(model), truth["b"])
