"""Options of the adapter that is trained: where a suite says them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.suite.fields import ConfigClass, installed_fields, mended, near, wrong_type
from harness.suite.peft_types import PEFT_TYPES
from harness.suite.spec import LoraSpec, TrainSpec

# fields that are decided -> the one value that may stand there nevertheless, and where to say it
_DECIDED: dict[str, tuple[Any, str]] = {
    "peft_type": (None, "train.peft_type"),
    "task_type": ("CAUSAL_LM", "nothing: it is always CAUSAL_LM"),
    "inference_mode": (False, "nothing: what is trained is not frozen"),
    "base_model_name_or_path": (None, "base.model"),
    "revision": (None, "base.revision"),
    "auto_mapping": (None, "nothing: PEFT writes it"),
    "peft_version": (None, "nothing: PEFT writes it"),
    "total_step": (None, "train.args.max_steps or num_train_epochs: it follows from them"),
    "tokenizer_name_or_path": (None, "base.model, whose tokenizer is used"),
}
_ADALORA_RANKS = {"target_r": 8, "init_r": 12}  # PEFT's defaults


def options_of(train: TrainSpec) -> tuple[str, ConfigClass, Mapping[str, Any]]:
    """The key of an adapter's options, PEFT's class of them, and those that are not ours."""
    config = f"peft:{PEFT_TYPES[train.peft_type].config}"
    if train.peft_type == "LORA":
        return "train.lora", config, train.lora.model_extra or {}
    return "train.peft", config, as_peft_takes_them(train)


def as_peft_takes_them(train: TrainSpec) -> dict[str, Any]:
    """``train.peft`` with YAML's readings put right."""
    config = f"peft:{PEFT_TYPES[train.peft_type].config}"
    return {name: mended(config, name, value) for name, value in train.peft.items()}


def adapter_problems(train: TrainSpec, args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is wrong with an adapter's options, a dotted key and the words for each.

    Args:
        train: What the suite says of the training.
        args: Its ``args`` as TRL takes them.
    """
    yield from _misplaced(train)
    if train.adapter is None:
        return
    key, config, options = options_of(train)
    if train.peft_type == "ADALORA" and "r" in options:
        yield f"{key}.r", "is not used by AdaLoRA. Use init_r and target_r."
    for name, value in options.items():
        problem = _problem(config, name, value)
        if problem:
            yield f"{key}.{name}", problem
    if train.adapter.plain_base and train.method == "qlora":
        why = f"is qlora, but PEFT has no 4-bit layers of {train.peft_type}. Write lora."
        yield "train.method", why
    if train.has_virtual_tokens:
        yield from _prompt_problems(train, args)
    if train.peft_type == "ADALORA":
        yield from _adalora_problems(options, args)


def _misplaced(train: TrainSpec) -> Iterator[tuple[str, str]]:
    """Options of another method than the one that trains."""
    if train.method == "full":
        if train.peft_type != "LORA":
            yield "train.peft_type", "needs an adapter, but train.method is full. Write lora there."
    elif train.peft_type == "LORA":
        if train.peft:
            yield "train.peft", "holds options of other methods. Write LoRA's in train.lora."
    elif train.lora != LoraSpec():
        told = f"holds LoRA's options, but train.peft_type is {train.peft_type}."
        yield "train.lora", f"{told} Write its options in train.peft."


def _problem(config: ConfigClass, name: str, value: Any) -> str | None:
    """What is wrong with one option."""
    known = installed_fields(config).kinds
    if known and name not in known:
        return f"is not a field of PEFT's {config.partition(':')[2]}.{near(name, known)}"
    if name in _DECIDED:
        permitted, instead = _DECIDED[name]
        return None if value == permitted else f"is not set here. Use {instead}."
    return None if value is None else wrong_type(config, name, value)


def _prompt_problems(train: TrainSpec, args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    number = train.peft.get("num_virtual_tokens")
    if number is None or (type(number) is int and number < 1):  # other types are told as such
        found = "" if number is None else f", found {number}"
        yield "train.peft.num_virtual_tokens", f"must be a number of tokens, such as 20{found}."
    for name in ("packing", "eval_packing", "padding_free"):
        if args.get(name):
            why = "puts rows into one sequence, but virtual tokens stand before each row."
            yield (
                f"train.args.{name}",
                f"{why} Leave it out under train.peft_type {train.peft_type}.",
            )
    if PEFT_TYPES[train.peft_type].in_cache and args.get("gradient_checkpointing"):
        why = "computes layers again without the prefix, which stands in their cache. Leave it out."
        yield "train.args.gradient_checkpointing", why


def _adalora_problems(
    options: Mapping[str, Any], args: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """What PEFT would find out in the middle of the training."""
    target, first = ({**_ADALORA_RANKS, **options}[name] for name in _ADALORA_RANKS)
    if type(target) is int and type(first) is int and not 0 < target < first:
        why = f"must lie between 0 and init_r, which is {first}: ranks only shrink; found {target}."
        yield "train.peft.target_r", why
    steps, start, end = args.get("max_steps"), options.get("tinit", 0), options.get("tfinal", 0)
    if not (isinstance(steps, int) and isinstance(start, int) and isinstance(end, int)):
        return
    if 0 < steps <= start + end:  # without max_steps they are known once the rows are
        why = f"of {start} and tfinal of {end} leave none of {steps} steps to shrink ranks in."
        yield "train.peft.tinit", why
