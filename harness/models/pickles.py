"""Weights that are no data: a pickle can run code when it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.schema import Proof
from harness.suite.spec import BaseSpec

_WAY_OUT = (
    "Save it as safetensors (save_pretrained of a current transformers does), or set "
    "base.allow_pickle where you trust whoever made the file."
)


def pickle_of(folder: Path) -> Path | None:
    """The pickle that a model's weights would be read from; None where there are safetensors."""
    if any(folder.glob("*.safetensors")):
        return None
    return next(iter(sorted(folder.glob("pytorch_model*.bin"))), None)


def refuse_pickle(folder: Path, base: BaseSpec) -> None:
    """Refuse a base whose weights are a pickle, unless the suite allows that.

    Raises:
        ModelError: They are.
    """
    file = pickle_of(folder)
    if file is not None and not base.allow_pickle:
        raise ModelError(
            f"The base's weights are a pickle ({file.name}), which can run code when it is opened.",
            where=str(folder),
            hint=_WAY_OUT,
        )


def weight_source(base: BaseSpec) -> dict[str, Any]:
    """What transformers is told of the files that weights may come from."""
    return {} if base.allow_pickle else {"use_safetensors": True}


def pickle_proofs(folder: Path | None) -> list[Proof]:
    """What a report says of weights that were read from a pickle; nothing of others."""
    file = None if folder is None else pickle_of(folder)
    if file is None:
        return []
    words = f"The weights were read from a pickle ({file.name}); base.allow_pickle allows that."
    return [Proof(probe="weights are data", outcome="fallback", words=words, hint=_WAY_OUT)]
