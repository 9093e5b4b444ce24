"""The benchmarks' model, and adapters over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.tokens import load_tokenizer
from harness.suite.spec import BaseSpec

NAME = "smollm2-135m-instruct"


def model_folder() -> Path:
    """Folder of the model, built first if need be."""
    return Path(resolve_model(BaseSpec(model=NAME), Path()))


def load(device: str) -> tuple[Any, Any]:
    """The model in fp32, and its tokenizer."""
    base = BaseSpec(model=NAME, dtype="fp32", device=device)
    model = load_base(base, "fp32", decide(base), base_dir=Path(), purpose="quality")
    return model, load_tokenizer(base, Path())


def write_adapters(folder: Path, count: int) -> list[Path]:
    """Write LoRA adapters with small random weights, ``checkpoint-1`` and so on."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = model_folder()
    paths = []
    for step in range(1, count + 1):
        torch.manual_seed(step)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, config)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:  # zeros at the start, which would change nothing
                torch.nn.init.normal_(parameter, std=0.005)
        paths.append(folder / f"checkpoint-{step}")
        model.save_pretrained(paths[-1])
    return paths


def write_merged(adapter: Path, folder: Path) -> Path:
    """Write the model with an adapter merged in, tokenizer included."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = model_folder()
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder
