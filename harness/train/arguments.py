"""Checks ``train.args`` against the installed TRL, without importing it (and torch with it)."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
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
    "num_of_sequences": "packing and max_length",
    "dataset_batch_size": "nothing: rows are tokenized before TRL sees them",
    "use_liger": "use_liger_kernel",
    "adafactor": "optim: adafactor",
    "use_mps_device": "base.device: mps",
    "logging_dir": "the environment variable TENSORBOARD_LOGGING_DIR",
    "push_to_hub_token": "the environment variable HF_TOKEN",
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
    "logging_nan_inf_filter": "nothing: a loss that is not finite ends the training",
    "include_num_input_tokens_seen": "nothing: tokens are always counted",
    "eos_token": "base.model, whose tokenizer is used",
    "pad_token": "base.model, whose tokenizer is used",
    "hub_token": "the environment variable HF_TOKEN: a suite is copied into every record",
    "load_best_model_at_end": "matrix.merged: best, which decides on the select split",
}
_MAY_BE_NO = {  # what YAML's `no` (false) means for them
    "eval_strategy": "no",
    "save_strategy": "no",
    "logging_strategy": "no",
    "report_to": "none",
}
_PLAIN: dict[str, type] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "None": type(None),
}
_SOURCES = (  # where the fields of SFTConfig and its parents are written down
    ("transformers", "training_args.py", "TrainingArguments"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("trl", "trainer/sft_config.py", "SFTConfig"),
)


@cache
def _annotations() -> dict[str, str]:
    """Field name -> annotation of the installed TRL's SFTConfig, from its source."""
    found: dict[str, str] = {}
    for package, file, class_name in _SOURCES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            return {}
        path = Path(spec.origin).parent / file
        if not path.is_file():  # laid out otherwise: SFTConfig itself will judge at training time
            return {}
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == class_name:
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        found[field.target.id] = ast.unparse(field.annotation)
    return found


def sft_fields() -> frozenset[str]:
    """Field names of the installed TRL's SFTConfig, read from its source; empty without TRL."""
    return frozenset(_annotations())


def as_sft_takes_them(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with YAML's readings put right.

    YAML reads ``eval_strategy: no`` as false and ``learning_rate: 1e-4`` as a text.
    """
    return {name: _mended(name, value) for name, value in args.items()}


def _mended(name: str, value: Any) -> Any:
    if value is False and name in _MAY_BE_NO:
        return _MAY_BE_NO[name]
    if isinstance(value, str):
        kinds = _plain_types(name)
        if float in kinds and str not in kinds:
            try:
                return float(value)
            except ValueError:
                return value
    return value


def _plain_types(name: str) -> tuple[type, ...]:
    """Types a field takes, where its annotation is made of plain ones only; else none."""
    parts = [part.strip() for part in _annotations().get(name, "").split("|")]
    if any(part not in _PLAIN for part in parts):
        return ()
    return tuple(_PLAIN[part] for part in parts)


def check_arguments(train: TrainSpec, where: str) -> None:
    """Refuse names that SFTConfig does not have, had once, or that are said elsewhere.

    Args:
        train: The suite's training.
        where: The suite file, for the message.

    Raises:
        SuiteError: Names every wrong argument with its successor or near names.
    """
    problems = [problem for name in train.args if (problem := _problem(name))]
    args = as_sft_takes_them(train.args)
    problems += [problem for name, value in args.items() if (problem := _wrong_type(name, value))]
    problems += _contradictions(args)
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


def _wrong_type(name: str, value: Any) -> str | None:
    kinds = _plain_types(name)
    if not kinds or name in DECIDED or (type(value) is int and float in kinds):
        return None
    if type(value) in kinds:  # not isinstance: true is an int to Python
        return None
    return f"{name} must be {_annotations()[name].replace(' | ', ' or ')}, found {value!r}."


def _contradictions(args: dict[str, Any]) -> list[str]:
    problems = []
    if args.get("save_strategy") == "no":
        problems.append("save_strategy must not be no: without checkpoints nothing can be chosen.")
    if args.get("save_only_model"):
        problems.append("save_only_model must not be set: training could not be resumed.")
    return problems
