"""The methods of PEFT that ``train.peft_type`` takes, and what is known of each without PEFT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.hints import choices

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
    "ADAMSS",
    "BEFT",
    "BOFT",
    "C3A",
    "CARTRIDGE",
    "DEFT",
    "DELORA",
    "FOURIERFT",
    "FROD",
    "GLORA",
    "GRALORA",
    "HIRA",
    "HRA",
    "LILY",
    "MISS",
    "OSF",
    "PEANUT",
    "PSOFT",
    "PVERA",
    "RANDLORA",
    "ROAD",
    "SHADOW",
    "SHIRA",
    "SUPERTUNING",
    "TINYLORA",
    "UNILORA",
    "VBLORA",
    "WAVEFT",
]


_OPTIONS = {  # what is taken for a method -> where it is said
    "DORA": "Write peft_type: LORA with lora: {use_dora: true}",
    "RSLORA": "Write peft_type: LORA with lora: {use_rslora: true}",
    "QLORA": "Write method: qlora with peft_type: LORA",
    "PISSA": "It changes the base's own weights, which adapters share here",
}


@dataclass(frozen=True)
class PeftMethod:
    """What is known of a method.

    Attributes:
        config: PEFT's class of its options.
        words: How it is called in prose.
        is_prompt: Whether it puts virtual tokens before the text. It then leaves all layers as they
            are, so nothing is to be merged, and no two rows can share a sequence.
        in_cache: Whether those tokens stand in the cache of keys and values.
        merges: Whether PEFT adds what was learned to the base's weights, where it is no prompt.
        plain_base: Whether it needs a base that is not quantized: PEFT has no layers of it for
            others.
    """

    config: str
    words: str
    is_prompt: bool = False
    in_cache: bool = False
    merges: bool = True
    plain_base: bool = False


PEFT_TYPES: dict[PeftType, PeftMethod] = {
    "LORA": PeftMethod("LoraConfig", "LoRA"),
    "ADALORA": PeftMethod("AdaLoraConfig", "AdaLoRA"),
    "IA3": PeftMethod("IA3Config", "IA3"),
    "PREFIX_TUNING": PeftMethod(
        "PrefixTuningConfig", "prefix tuning", is_prompt=True, in_cache=True
    ),
    "PROMPT_TUNING": PeftMethod("PromptTuningConfig", "prompt tuning", is_prompt=True),
    "P_TUNING": PeftMethod("PromptEncoderConfig", "P-tuning", is_prompt=True),
    "LN_TUNING": PeftMethod("LNTuningConfig", "LN tuning"),
    "LOHA": PeftMethod("LoHaConfig", "LoHa", plain_base=True),
    "LOKR": PeftMethod("LoKrConfig", "LoKr", plain_base=True),
    "VERA": PeftMethod("VeraConfig", "VeRA"),
    "OFT": PeftMethod("OFTConfig", "OFT"),
    # the methods that fewer people use
    "ADAMSS": PeftMethod("AdamssConfig", "AdaMSS", plain_base=True),
    "BEFT": PeftMethod("BeftConfig", "BEFT", merges=False),
    "BOFT": PeftMethod("BOFTConfig", "BOFT"),
    "C3A": PeftMethod("C3AConfig", "C3A"),
    "CARTRIDGE": PeftMethod("CartridgeConfig", "Cartridges", is_prompt=True, in_cache=True),
    "DEFT": PeftMethod("DeftConfig", "DEFT", plain_base=True),
    "DELORA": PeftMethod("DeloraConfig", "DeLoRA", plain_base=True),
    "FOURIERFT": PeftMethod("FourierFTConfig", "FourierFT"),
    "FROD": PeftMethod("FrodConfig", "FRoD", plain_base=True),
    "GLORA": PeftMethod("GloraConfig", "GLoRA", plain_base=True),
    "GRALORA": PeftMethod("GraloraConfig", "GraLoRA"),
    "HIRA": PeftMethod("HiraConfig", "HiRA"),
    "HRA": PeftMethod("HRAConfig", "HRA", plain_base=True),
    "LILY": PeftMethod("LilyConfig", "Lily", merges=False),
    "MISS": PeftMethod("MissConfig", "MiSS"),
    "OSF": PeftMethod("OSFConfig", "OSF", plain_base=True),
    "PEANUT": PeftMethod("PeanutConfig", "PEANuT", plain_base=True),
    "PSOFT": PeftMethod("PsoftConfig", "PSOFT", plain_base=True),
    "PVERA": PeftMethod("PveraConfig", "PVeRA"),
    "RANDLORA": PeftMethod("RandLoraConfig", "RandLoRA"),
    "ROAD": PeftMethod("RoadConfig", "RoAd"),
    "SHADOW": PeftMethod("ShadowConfig", "Shadow", merges=False),
    "SHIRA": PeftMethod("ShiraConfig", "SHiRA"),
    "SUPERTUNING": PeftMethod("SupertuningConfig", "super tuning", plain_base=True),
    "TINYLORA": PeftMethod("TinyLoraConfig", "TinyLoRA", plain_base=True),
    "UNILORA": PeftMethod("UniLoraConfig", "Uni-LoRA"),
    "VBLORA": PeftMethod("VBLoRAConfig", "VB-LoRA"),
    "WAVEFT": PeftMethod("WaveFTConfig", "WaveFT"),
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
    """A name of a method in PEFT's capitals, however it is written: ``prefix-tuning``.

    Raises:
        ValueError: There is no such method, or it is an option of another.
    """
    if not isinstance(name, str):
        return name
    known = _capitals(name)
    if known not in PEFT_TYPES:
        way = _OPTIONS.get(known) or choices(known, PEFT_TYPES)
        raise ValueError(f"{name} is no method that PEFT trains here. {way.rstrip('.')}")
    return known


def _capitals(name: str) -> str:
    return name.upper().replace("-", "_")


def is_never_merged(train: Any) -> bool:
    """Whether PEFT merges no adapter of a training, as a suite's content says it."""
    name = train.get("peft_type") if isinstance(train, Mapping) else None
    known = PEFT_TYPES.get(_capitals(name)) if isinstance(name, str) else None  # type: ignore[call-overload]
    return known is not None and (known.is_prompt or not known.merges)
