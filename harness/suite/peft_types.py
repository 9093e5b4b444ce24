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


def as_peft_writes_it(name: Any) -> Any:
    """A name of a method in PEFT's capitals, however it is written: ``prefix-tuning``."""
    return name.upper().replace("-", "_") if isinstance(name, str) else name


def prompt_tokens(train: Any) -> bool:
    """Whether a training, as a suite's content says it, puts virtual tokens before the text."""
    name = as_peft_writes_it(train.get("peft_type")) if isinstance(train, Mapping) else None
    return isinstance(name, str) and name in PEFT_TYPES and PEFT_TYPES[name].is_prompt
