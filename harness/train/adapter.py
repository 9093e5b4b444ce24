"""PEFT's configuration of the adapter that a suite trains."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import peft
from peft import PeftConfig

from harness.errors import SuiteError
from harness.suite.adapter_options import as_peft_takes_them
from harness.suite.spec import TrainSpec

# Ways of starting an adapter that leave the base's weights alone, by PEFT's source. The others
# (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) subtract from them, so each checkpoint would need its own.
_BASE_KEEPING_INITS = (True, False, None, "gaussian", "orthogonal", "mica", "eva")
_SHARED = "Adapters are evaluated over one base that they share, so none may change it."
UNTIL_KNOWN = sys.maxsize  # AdaLoRA's number of steps before the rows are counted


def peft_config(spec: TrainSpec, tokenizer: str | None = None) -> PeftConfig:
    """PEFT's configuration.

    Args:
        spec: What the suite says of the training.
        tokenizer: The folder of the tokenizer, for methods that start from a text.

    Raises:
        SuiteError: PEFT refuses an option, or it would change the base's own weights.
    """
    is_lora = spec.peft_type == "LORA"
    key = "train.lora" if is_lora else "train.peft"
    options: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    options |= spec.lora.model_dump() if is_lora else as_peft_takes_them(spec)
    if spec.peft_type == "ADALORA":
        options["total_step"] = UNTIL_KNOWN
    if spec.peft_type == "PROMPT_TUNING" and options.get("prompt_tuning_init") == "TEXT":
        options["tokenizer_name_or_path"] = tokenizer or "the base's"
    _check_base_stays(key, options)
    adapter = spec.adapter
    if adapter is None:
        raise TypeError("a training of all weights has no adapter")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config: PeftConfig = getattr(peft, adapter.config)(**options)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"PEFT refuses it: {error}.", where=key) from error
    return config


def _check_base_stays(key: str, options: Mapping[str, Any]) -> None:
    """Refuse what would change the base's own weights, or look at data before training."""
    init = options.get("init_lora_weights")
    if init == "eva":
        raise SuiteError(
            "EVA looks at data before training, which is not done here.",
            where=f"{key}.init_lora_weights",
            hint="Use true, or train elsewhere and evaluate with checkpoints.",
        )
    if init not in _BASE_KEEPING_INITS:
        raise SuiteError(
            f"{init!r} changes the base's own weights. {_SHARED}",
            where=f"{key}.init_lora_weights",
            hint="Use true, gaussian, orthogonal or mica.",
        )
    if options.get("bias", "none") != "none":
        raise SuiteError(
            f"{options['bias']!r} trains the base's own biases. {_SHARED}",
            where=f"{key}.bias",
            hint="Use none.",
        )


def name_tokenizer(model: Any, name: str) -> None:
    """Have an adapter that started from a text name the tokenizer as the suite does.

    Args:
        model: PEFT's model.
        name: In place of a folder of this machine; nothing that is learned depends on it.
    """
    for config in getattr(model, "peft_config", {}).values():
        if getattr(config, "tokenizer_name_or_path", None) is not None:
            config.tokenizer_name_or_path = name
