"""The methods of PEFT that ``train.peft_type`` takes, and what is known of each without PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PeftType = Literal[
    "LORA",
    "ADALORA",
    "IA3",
    "PREFIX_TUNING",
    "PROMPT_TUNING",
    "P_TUNING",
    "LN_TUNING",
    "LOHA",
    "LOKR",
    "VERA",
    "OFT",
]


@dataclass(frozen=True)
class PeftMethod:
    """What is known of a method.

    Attributes:
        config: PEFT's class of its options.
        words: How it is called in prose.
        is_prompt: Whether it puts virtual tokens before the text. It then leaves all layers as they
            are, so nothing is to be merged, and no two rows can share a sequence.
        plain_base: Whether it needs a base that is not quantized: PEFT has no layers of it for
            others.
    """

    config: str
    words: str
    is_prompt: bool = False
    plain_base: bool = False


PEFT_TYPES: dict[PeftType, PeftMethod] = {
    "LORA": PeftMethod("LoraConfig", "LoRA"),
    "ADALORA": PeftMethod("AdaLoraConfig", "AdaLoRA"),
    "IA3": PeftMethod("IA3Config", "IA3"),
    "PREFIX_TUNING": PeftMethod("PrefixTuningConfig", "prefix tuning", is_prompt=True),
    "PROMPT_TUNING": PeftMethod("PromptTuningConfig", "prompt tuning", is_prompt=True),
    "P_TUNING": PeftMethod("PromptEncoderConfig", "P-tuning", is_prompt=True),
    "LN_TUNING": PeftMethod("LNTuningConfig", "LN tuning"),
    "LOHA": PeftMethod("LoHaConfig", "LoHa", plain_base=True),
    "LOKR": PeftMethod("LoKrConfig", "LoKr", plain_base=True),
    "VERA": PeftMethod("VeraConfig", "VeRA"),
    "OFT": PeftMethod("OFTConfig", "OFT"),
}


def method_words(method: str, peft_type: str | None) -> str:
    """How a training is called: ``QLoRA``, ``IA3``, ``LoHa``, ``full fine-tuning``.

    Args:
        method: ``train.method``.
        peft_type: PEFT's name of the adapter; None is LoRA's where there is an adapter.
    """
    if method == "full":
        return "full fine-tuning"
    if peft_type in (None, "LORA"):
        return "QLoRA" if method == "qlora" else "LoRA"
    names = {name: known.words for name, known in PEFT_TYPES.items()}
    name = names.get(peft_type, str(peft_type))  # type: ignore[call-overload]
    return f"{name} on 4 bits" if method == "qlora" else name


def as_peft_writes_it(name: Any) -> Any:
    """A name of a method in PEFT's capitals, however it is written: ``prefix-tuning``."""
    return name.upper().replace("-", "_") if isinstance(name, str) else name


def prompt_tokens(train: Any) -> bool:
    """Whether a training, as a suite's content says it, puts virtual tokens before the text."""
    name = as_peft_writes_it(train.get("peft_type")) if isinstance(train, Mapping) else None
    return isinstance(name, str) and name in PEFT_TYPES and PEFT_TYPES[name].is_prompt
