"""What methods of PEFT need of a trainer that TRL's does not do by itself.

AdaLoRA allocates its ranks after each step and keeps its factors orthogonal by a term of the loss;
TRL's trainer does neither. What PEFT saves of AdaLoRA and of virtual tokens is what was learned,
not what learns: rows of shrunken matrices, and the output of an encoder in place of the encoder.
So that such a training can go on where it was cut off, its weights are kept beside the checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback
from trl import SFTTrainer

from harness.errors import SuiteError
from harness.suite.spec import TrainSpec
from harness.train.checkpoints import LEARNER

_AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")  # by which AdaLoRA's allocator ranks


class MethodTrainer(SFTTrainer):  # type: ignore[misc]  # trl is untyped
    """TRL's trainer of an adapter that is more than layers beside layers."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        """TRL's loss, with AdaLoRA's term while training; eval losses stay comparable."""
        result = super().compute_loss(model, inputs, *args, **options)
        allocator = _allocator(self.model)
        if allocator is None or not self.model.training:
            return result
        counted = options.get("num_items_in_batch") is not None
        parts = self.current_gradient_accumulation_steps if counted else 1
        weight = allocator.peft_config.orth_reg_weight / parts
        return result + weight * orthogonality(self.model)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Put what learns back in place; PEFT would load what it had become."""
        file = Path(resume_from_checkpoint) / LEARNER
        if not file.is_file():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        stored = load_file(file)
        with torch.no_grad():
            for name, weight in _trained(self.model).items():
                weight.copy_(stored[name])
        allocator = _allocator(self.model)
        if allocator is None:
            return
        for average in _AVERAGES:
            values = getattr(allocator, average)
            values |= {
                name.removeprefix(f"{average}/"): value.to(self.model.device)
                for name, value in stored.items()
                if name.startswith(f"{average}/")
            }
        written = json.loads((file.parent / "adapter_config.json").read_text("utf-8"))
        allocator.peft_config.rank_pattern = written["rank_pattern"]


def orthogonality(model: Any) -> torch.Tensor:
    """How far AdaLoRA's factors are from orthogonal: the mean Frobenius norm of P Pᵀ - I.

    Source:
        Zhang et al. (2023), AdaLoRA, equation 4.
    """
    grams = [
        weight @ weight.T if ".lora_A." in name else weight.T @ weight
        for name, weight in model.named_parameters()
        if weight.requires_grad and (".lora_A." in name or ".lora_B." in name)
    ]
    gaps = [torch.linalg.norm(gram - torch.eye(len(gram)).to(gram)) for gram in grams]
    return torch.stack(gaps).mean()


class MethodCallback(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
    """Lets AdaLoRA allocate its ranks, and keeps what learns beside each checkpoint."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        """Tell AdaLoRA the number of steps, which only now is known."""
        allocator = _allocator(model)
        if allocator is None:
            return
        config = allocator.peft_config
        if config.tinit + config.tfinal >= state.max_steps:
            raise SuiteError(
                f"tinit of {config.tinit} and tfinal of {config.tfinal} leave none of "
                f"{state.max_steps} steps to shrink ranks in.",
                where="train.peft.tinit",
                hint="Lower them, or train for longer.",
            )
        allocator.set_total_step(state.max_steps)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        """Allocate ranks by the gradients of the step, which are still there."""
        if _allocator(model) is not None:
            model.base_model.update_and_allocate(state.global_step + 1)

    def on_save(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        """Keep what learns."""
        kept = {name: weight.detach().contiguous() for name, weight in _trained(model).items()}
        allocator = _allocator(model)
        for average in _AVERAGES if allocator is not None else ():
            values = getattr(allocator, average).items()
            kept |= {f"{average}/{name}": value.contiguous() for name, value in values}
        save_file(kept, Path(args.output_dir) / f"checkpoint-{state.global_step}" / LEARNER)


def needs_more(spec: TrainSpec) -> bool:
    """Whether TRL's trainer alone would train a method wrong, or could not go on with it."""
    return spec.peft_type == "ADALORA" or spec.has_virtual_tokens


def _trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def _allocator(model: Any) -> Any:
    """AdaLoRA's allocator of ranks; None for other methods."""
    return getattr(model.base_model, "rankallocator", None)
