"""Checks ``train.args`` against the installed TRL, without importing it (and torch with it)."""

from __future__ import annotations

import ast
import difflib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import SuiteError
from harness.spec import TrainSpec

# names that earlier versions of transformers and TRL had -> what to write instead
SUCCESSORS = {
    "group_by_length": "train_sampling_strategy: group_by_length",
    "warmup_ratio": "warmup_steps (a value below 1 is a share of all steps)",
    "evaluation_strategy": "eval_strategy",
    "max_seq_length": "max_length",
    "no_cuda": "base.device: cpu",
    "num_of_sequences": "max_length",
    "dataset_batch_size": "per_device_train_batch_size",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "half_precision_backend": "base.dtype",
    "tokenizer": "base.model, whose tokenizer is used",
    "peft_config": "train.lora",
    "save_safetensors": "nothing: adapters are always saved as safetensors",
    "overwrite_output_dir": "nothing: the store never overwrites a training",
}
# fields the harness decides -> where to say it in a suite
DECIDED = {
    "output_dir": "--runs-dir",
    "seed": "the suite's seed",
    "data_seed": "the suite's seed",
    "bf16": "base.dtype",
    "fp16": "base.dtype",
    "use_cpu": "base.device",
    "model_init_kwargs": "base and train.quantization",
    "trust_remote_code": "base.trust_remote_code",
    "completion_only_loss": "train.completion_only_loss",
    "assistant_only_loss": "train.completion_only_loss with prompt.messages",
    "dataset_text_field": "prompt",
    "chat_template_path": "prompt",
    "dataset_kwargs": "data and prompt",
    "resume_from_checkpoint": "nothing: run the same command again, it resumes",
    "disable_tqdm": "-q",
    "restore_callback_states_from_checkpoint": "nothing: they are always restored",
    "load_best_model_at_end": "matrix.merged: best, which decides on the select split",
}
_SOURCES = (  # where the fields of SFTConfig and its parents are written down
    ("transformers", "training_args.py", "TrainingArguments"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("trl", "trainer/sft_config.py", "SFTConfig"),
)


@cache
def sft_fields() -> frozenset[str]:
    """Field names of the installed TRL's SFTConfig, read from its source; empty without TRL."""
    names: set[str] = set()
    for package, file, class_name in _SOURCES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            return frozenset()
        path = Path(spec.origin).parent / file
        if not path.is_file():  # laid out otherwise: SFTConfig itself will judge at training time
            return frozenset()
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == class_name:
                names.update(
                    field.target.id
                    for field in node.body
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                )
    return frozenset(names)


def check_arguments(train: TrainSpec, where: str) -> None:
    """Refuse names that SFTConfig does not have, had once, or that are said elsewhere.

    Args:
        train: The suite's training.
        where: The suite file, for the message.

    Raises:
        SuiteError: Names every wrong argument with its successor or near names.
    """
    problems = [problem for name in train.args if (problem := _problem(name))]
    problems += _contradictions(train.args)
    if problems:
        raise SuiteError("\n".join(f"{where}: train.args.{problem}" for problem in problems))


def _problem(name: str) -> str | None:
    if name in SUCCESSORS:
        return f"{name} no longer exists. Use {SUCCESSORS[name]}."
    if name in DECIDED:
        return f"{name} is not set here. Use {DECIDED[name]}."
    known = sft_fields()
    if known and name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return f"{name} is not a field of TRL's SFTConfig.{hint}"
    return None


def _contradictions(args: dict[str, Any]) -> list[str]:
    problems = []
    if args.get("save_strategy") == "no":
        problems.append("save_strategy must not be no: without checkpoints nothing can be chosen.")
    if args.get("save_only_model"):
        problems.append("save_only_model must not be set: training could not be resumed.")
    return problems
