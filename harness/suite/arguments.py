"""Checks ``train`` against the installed TRL and PEFT."""

from collections.abc import Collection, Mapping
from typing import Any

from harness.hints import did_you_mean
from harness.suite.fields import ConfigClass, installed_fields
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
}
_MAY_BE_NO = {  # what YAML's `no` (false) means for them
    "eval_strategy": "no",
    "save_strategy": "no",
    "logging_strategy": "no",
    "report_to": "none",
}
_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}
_SFT: ConfigClass = "trl:SFTConfig"
_LORA: ConfigClass = "peft:LoraConfig"


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
    """Types a field takes, where they are all plain ones; else none."""
    return tuple(_PLAIN[kind] for kind in installed_fields(_SFT).kinds.get(name, ()))


def unchecked_arguments(train: TrainSpec) -> list[str]:
    """Which arguments cannot be checked before training, and why, a sentence each."""
    given: list[tuple[str, ConfigClass, bool]] = [
        ("train.args", _SFT, bool(train.args)),
        ("train.lora", _LORA, bool(train.lora.model_extra)),
    ]
    return [
        f"{key} could not be checked against {config.replace(':', '.')}: {why}."
        for key, config, asked in given
        if asked and (why := installed_fields(config).unknown)
    ]


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
        if (known := installed_fields(_LORA).kinds) and name not in known
    ]


def _near(name: str, known: Collection[str]) -> str:
    return f" {did_you_mean(name, known)}".rstrip()


def _problem(name: str) -> str | None:
    if name in SUCCESSORS:
        return f"no longer exists. Use {SUCCESSORS[name]}."
    if name in DECIDED:
        return f"is not set here. Use {DECIDED[name]}."
    known = installed_fields(_SFT).kinds
    if known and name not in known:
        return f"is not a field of TRL's SFTConfig.{_near(name, known)}"
    return None


def _wrong_type(name: str, value: Any) -> str | None:
    kinds = _plain_types(name)
    if not kinds or name in DECIDED or (type(value) is int and float in kinds):
        return None
    if type(value) in kinds:  # not isinstance: true is an int to Python
        return None
    return f"must be {' or '.join(installed_fields(_SFT).kinds[name])}, found {value!r}."


def _contradictions(args: dict[str, Any]) -> list[tuple[str, str]]:
    problems = []
    if args.get("save_strategy") == "no":
        why = "must not be no: without checkpoints nothing can be chosen."
        problems.append(("save_strategy", why))
    if args.get("save_only_model"):
        problems.append(("save_only_model", "must not be set: training could not be resumed."))
    return problems
