"""Checks ``train`` against the installed TRL and PEFT, without importing them (and torch)."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.hints import did_you_mean
from harness.suite.spec import TrainSpec

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
_Sources = tuple[tuple[str, str, str], ...]  # package, file, class
_SFT: _Sources = (  # where the fields of SFTConfig and its parents are written down
    ("transformers", "training_args.py", "TrainingArguments"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("trl", "trainer/sft_config.py", "SFTConfig"),
)
_LORA: _Sources = (
    ("peft", "config.py", "PeftConfigMixin"),
    ("peft", "config.py", "PeftConfig"),
    ("peft", "tuners/lora/config.py", "LoraConfig"),
)


@cache
def _annotations(sources: _Sources = _SFT) -> dict[str, str]:
    """Field name -> annotation of an installed dataclass and its parents, from their source."""
    found: dict[str, str] = {}
    for package, file, class_name in sources:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            return {}
        path = Path(spec.origin).parent / file
        if not path.is_file():  # laid out otherwise: the class itself will judge at training time
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


def lora_fields() -> frozenset[str]:
    """Field names of the installed PEFT's LoraConfig, read from its source; empty without PEFT."""
    return frozenset(_annotations(_LORA))


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


def argument_problems(train: TrainSpec) -> list[tuple[str, str]]:
    """Names that SFTConfig or LoraConfig does not have, had once, or that are said elsewhere.

    Returns:
        For each the dotted key, and what is wrong with it, with its successor or near names.
    """
    args = as_sft_takes_them(train.args)
    problems = [(name, problem) for name in train.args if (problem := _problem(name))]
    problems += [
        (name, found) for name, value in args.items() if (found := _wrong_type(name, value))
    ]
    problems += _contradictions(args)
    return [(f"train.args.{name}", problem) for name, problem in problems] + [
        (f"train.lora.{name}", f"is not a field of PEFT's LoraConfig.{_near(name, known)}")
        for name in train.lora.model_extra or ()
        if (known := lora_fields()) and name not in known
    ]


def _near(name: str, known: Collection[str]) -> str:
    return f" {did_you_mean(name, known)}".rstrip()


def _problem(name: str) -> str | None:
    if name in SUCCESSORS:
        return f"no longer exists. Use {SUCCESSORS[name]}."
    if name in DECIDED:
        return f"is not set here. Use {DECIDED[name]}."
    known = sft_fields()
    if known and name not in known:
        return f"is not a field of TRL's SFTConfig.{_near(name, known)}"
    return None


def _wrong_type(name: str, value: Any) -> str | None:
    kinds = _plain_types(name)
    if not kinds or name in DECIDED or (type(value) is int and float in kinds):
        return None
    if type(value) in kinds:  # not isinstance: true is an int to Python
        return None
    return f"must be {_annotations()[name].replace(' | ', ' or ')}, found {value!r}."


def _contradictions(args: dict[str, Any]) -> list[tuple[str, str]]:
    problems = []
    if args.get("save_strategy") == "no":
        why = "must not be no: without checkpoints nothing can be chosen."
        problems.append(("save_strategy", why))
    if args.get("save_only_model"):
        problems.append(("save_only_model", "must not be set: training could not be resumed."))
    return problems
