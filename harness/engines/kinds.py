"""What kind of model acts: the plain base, or an adapter of some configuration."""

from __future__ import annotations

from typing import Any

from harness.digests import value_digest
from harness.models.peft_load import token_lists
from harness.models.vocabulary import embedding_rows

_LONGEST = 16  # tokens of a list that are tried

# what a configuration says of a file or a run, and not of what is computed
_ELSEWHERE = {"base_model_name_or_path", "inference_mode", "revision", "auto_mapping", "task_type"}


def acting_config(model: Any) -> Any:
    """Configuration of the PEFT adapter that acts, or None where none does."""
    config = getattr(model, "active_peft_config", None)
    return None if config is None or _is_off(model, config) else config


def kind_of(model: Any) -> str:
    """Equal for models over one base whose adapters differ in weights only."""
    config = acting_config(model)
    if config is None:
        return ""
    said = {name: value for name, value in config.to_dict().items() if name not in _ELSEWHERE}
    return value_digest({name: _plain(value) for name, value in said.items()})


def _is_off(model: Any, config: Any) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    if config.is_prompt_learning:  # PEFT calls the base's own forward pass then
        return "forward" in vars(model)
    layers = (BaseTunerLayer, AuxiliaryTrainingWrapper)
    switches = (m.disable_adapters for m in model.modules() if isinstance(m, layers))
    return next(switches, False)


def _plain(value: Any) -> Any:
    """A configuration's value as JSON holds it; sets have no order of their own."""
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def planted_rows(model: Any) -> list[list[int]]:
    """Sequences of unequal length that hold what the acting adapter waits for, if for anything."""
    vocabulary = embedding_rows(model)
    config = acting_config(model)
    lists = [] if config is None else token_lists(config, vocabulary)
    spread = [vocabulary * part // 18 for part in range(1, 17)]
    return [
        row
        for ids in lists
        for row in (
            [*spread, *ids[:_LONGEST], *spread[:3]],
            [*spread[8:12], *ids[:_LONGEST], spread[5]],
        )
    ]
