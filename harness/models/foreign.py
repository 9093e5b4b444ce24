"""Adapters of other trainers, converted once to what PEFT reads; tensors only, no code is run.

A converted adapter lies in the cache, in a folder called as the original one. Torch-free: what is
not there yet is converted by a process of its own (``conversion``).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from harness.digests import file_digest, short_digest
from harness.errors import ModelError
from harness.files import json_or_nothing
from harness.models.beside import ADAPTER_WEIGHTS, TRAINER_STATE, natural_key
from harness.models.kept import keep_built
from harness.resources import cache_dir
from harness.schema import Proof
from harness.suite.elsewhere import answer_of

CONVERTED = "converted.json"  # in a converted folder: from what
ADAPTER_CONFIG = "adapter_config.json"
LITGPT, OLD, MLX = "lit_model.pth.lora", "adapter_model.bin", "adapters.safetensors"
_MLX_SAVED = re.compile(r"0*(\d+)_adapters\.safetensors")
_VERSION = 1  # changes whenever the same files would give another adapter


def as_peft(folder: Path) -> list[Path]:
    """Folders of PEFT for what a trainer left in a folder: it alone, or what it converts to.

    Args:
        folder: Any folder; what is none of another trainer is handed back as it is.

    Returns:
        One folder, or one for each checkpoint that MLX-LM saved, in order.

    Raises:
        ModelError: The adapter is of a kind that PEFT has no like of, or cannot be read.
    """
    if (folder / ADAPTER_WEIGHTS).is_file():
        return [folder]
    if (folder / LITGPT).is_file():
        beside = "hyperparameters.yaml", "model_config.yaml"
        return [_kept(folder / LITGPT, folder.name, *beside)]
    if (folder / OLD).is_file() and (folder / ADAPTER_CONFIG).is_file():
        return [_kept(folder / OLD, folder.name, ADAPTER_CONFIG)]
    return [_kept(file, name, ADAPTER_CONFIG) for file, name in _all_of_mlx(folder).items()] or [
        folder
    ]


def _all_of_mlx(folder: Path) -> dict[Path, str]:
    """What MLX-LM saved on the way, by step, and the last, which has no number.

    The last is left out where it is one of the others, so that a step is known.
    """
    steps = {
        path: m[1] for path in folder.glob(f"*_{MLX}") if (m := _MLX_SAVED.fullmatch(path.name))
    }
    names = {
        path: f"checkpoint-{steps[path]}"
        for path in sorted(steps, key=lambda path: natural_key(path.name))
    }
    last = folder / MLX
    if last.is_file() and file_digest(last) not in {file_digest(path) for path in names}:
        names[last] = folder.name
    return names


def conversion_proof(folder: Path) -> list[Proof]:
    """That an adapter was converted, and from what; nothing of others."""
    source = json_or_nothing(folder / CONVERTED)
    if not isinstance(source, dict):
        return []
    words = f"It was converted from {source.get('from')}, and every tensor has its place."
    return [Proof(probe="converted from another trainer's form", outcome="holds", words=words)]


def _kept(file: Path, name: str, *beside: str) -> Path:
    """The converted adapter in the cache, made now if it is not there."""
    folder = file.parent
    for other in beside:
        if not (folder / other).is_file():
            raise ModelError(
                f"The adapter cannot be converted: {other} is not here.",
                where=str(folder),
                hint="Copy the whole folder that its trainer wrote.",
            )
    source = {part: file_digest(folder / part) for part in (file.name, *beside)}
    key = short_digest({"version": _VERSION, "files": source})

    def build(target: Path) -> None:
        inner = target / name
        inner.mkdir()
        _convert(file, inner)
        (inner / CONVERTED).write_text(json.dumps({"from": file.name, "sha256": source}), "utf-8")
        if (folder / TRAINER_STATE).is_file():
            shutil.copy(folder / TRAINER_STATE, inner)

    return keep_built(cache_dir() / "adapters" / f"{name}-{key[:12]}", build) / name


def _convert(file: Path, target: Path) -> None:
    about = f"Converting {file.parent.name}/{file.name}"
    try:
        why = answer_of("harness.models.conversion", str(file.absolute()), str(target), about=about)
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip().rpartition("\n")[2]
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        why = str(error)
    if why is not None:
        raise ModelError(
            f"The adapter cannot be converted to PEFT's form: {why}",
            where=str(file),
            hint="Convert it with its trainer's own tool, or merge it there and name that as base.",
        )
