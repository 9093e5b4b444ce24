"""Checks ``train.args`` against the installed TRL, and adapters' options against PEFT."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.suite.adapter_options import adapter_problems, options_of
from harness.suite.fields import ConfigClass, installed_fields, mended, near, wrong_type
from harness.suite.spec import MethodSpec, Suite, TrainSpec

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
    "peft_config": "train.lora, or train.peft_type and train.peft",
    "save_safetensors": "nothing: adapters are always saved as safetensors",
    "overwrite_output_dir": "nothing: the store never overwrites a training",
}
# fields the harness decides -> where to say it in a suite
DECIDED = {
    "output_dir": "--runs-dir",
    "seed": "the suite's seed, or train.seed",
    "data_seed": "the suite's seed, or train.seed",
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
_SFT: ConfigClass = "trl:SFTConfig"


def as_sft_takes_them(args: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with YAML's readings put right.

    YAML reads ``eval_strategy: no`` as false and ``learning_rate: 1e-4`` as a text.
    """
    return {
        name: _MAY_BE_NO[name]
        if value is False and name in _MAY_BE_NO
        else mended(_SFT, name, value)
        for name, value in args.items()
    }


def unchecked_arguments(train: TrainSpec) -> list[str]:
    """Which arguments cannot be checked before training, and why, a sentence each."""
    key, config, options = options_of(train)
    given = [("train.args", _SFT, bool(train.args)), (key, config, bool(options))]
    return [
        f"{key} could not be checked against {config.replace(':', '.')}: {why}."
        for key, config, asked in given
        if asked and (why := installed_fields(config).unknown)
    ]


def training_problems(suite: Suite) -> Iterator[tuple[str, str]]:
    """What is wrong with the trainings of a suite; see ``argument_problems``."""
    methods = suite.train.methods if suite.train is not None else {}
    for name, spec in suite.trainings.items():
        own = methods.get(name, MethodSpec()).model_dump(exclude_unset=True)
        for key, problem in argument_problems(spec):
            _, part, *rest = key.split(".")
            given = own.get(part)
            is_own = given is not None and (not rest or rest[0] in given)
            yield f"train.methods.{name}{key.removeprefix('train')}" if is_own else key, problem


def argument_problems(train: TrainSpec) -> list[tuple[str, str]]:
    """What SFTConfig or PEFT's configuration does not take, or what is said elsewhere.

    Returns:
        For each the dotted key, and what is wrong with it, with its successor or near names.
    """
    args = as_sft_takes_them(train.args)
    problems = [(name, problem) for name in train.args if (problem := _problem(name))]
    problems += [
        (name, found) for name, value in args.items() if (found := _wrong_type(name, value))
    ]
    problems += _contradictions(args)
    return [
        *((f"train.args.{name}", problem) for name, problem in problems),
        *adapter_problems(train, args),
    ]


def _problem(name: str) -> str | None:
    if name in SUCCESSORS:
        return f"no longer exists. Use {SUCCESSORS[name]}."
    if name in DECIDED:
        return f"is not set here. Use {DECIDED[name]}."
    known = installed_fields(_SFT).kinds
    if known and name not in known:
        return f"is not a field of TRL's SFTConfig.{near(name, known)}"
    return None


def _wrong_type(name: str, value: Any) -> str | None:
    return None if name in DECIDED else wrong_type(_SFT, name, value)


def _contradictions(args: dict[str, Any]) -> list[tuple[str, str]]:
    problems = []
    if args.get("save_strategy") == "no":
        why = "must not be no: without checkpoints nothing can be chosen."
        problems.append(("save_strategy", why))
    if args.get("save_only_model"):
        problems.append(("save_only_model", "must not be set: training could not be resumed."))
    return problems
