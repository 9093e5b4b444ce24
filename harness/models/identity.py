"""What a model or adapter is, for result keys: digests of its files. No torch, and fast."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from platform import python_version
from typing import Any

from harness.digests import file_digest, short_digest
from harness.errors import ModelError
from harness.files import local_path, read_json
from harness.models.beside import step_of
from harness.models.hardware import installed_versions
from harness.models.source import BUILTIN_GGUF, TINY_PREFIX, locate, packaged_file
from harness.suite.spec import BaseSpec

CONVERTER_VERSION = 2  # raise it when models/builtin.py converts GGUF files differently
TINY_BUILDER_VERSION = 1  # raise it when models/tiny.py builds different weights or tokens

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".gguf")
TOKENIZER_PATTERNS = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "*.jinja",
)  # fmt: skip
MODEL_PATTERNS = (
    *(f"*{suffix}" for suffix in WEIGHT_SUFFIXES),
    "config.json",
    "generation_config.json",
    "*.index.json",
    *TOKENIZER_PATTERNS,
    "*.py",
)
ADAPTER_PATTERNS = ("adapter_config.json", "adapter_model.safetensors", *TOKENIZER_PATTERNS)

# Left beside the weights by trainers; they hold paths and times, and change no output.
_TRAINER_FILES = frozenset({"training_args.bin", "optimizer.bin", "scheduler.bin", "scaler.bin"})

# What an adapter's configuration says about where it came from, not about what it computes.
_PROVENANCE = frozenset(
    {"auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout"}
    | {"peft_version", "revision", "task_type"}
)

_DEQUANTIZER_VERSION = 1  # raised when dequantized bases come out otherwise

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class AdapterInfo:
    """A PEFT adapter folder that passed the checks.

    Attributes:
        path: The folder.
        step: Training step, from the trainer's state or the folder's name; None if unknown.
        base_model_name: The base the adapter was trained on, as its configuration says.
        digest: See ``adapter_digest``.
    """

    path: Path
    step: int | None
    base_model_name: str | None
    digest: str


def base_identity(base: BaseSpec, base_dir: Path) -> dict[str, Any]:
    """What determines the base's weights and tokenizer, without any path of this machine.

    A Hub model is pinned by the commit its revision points to in the local cache; ``commit`` is
    None until the model was first resolved (``models.builtin.resolve_model``).

    Raises:
        ModelError: The base names nothing that exists, or a folder without weights.
    """
    if base.tokenizer is not None:
        weights = base.model_copy(update={"tokenizer": None})
        folder = local_path(base.tokenizer, base_dir, ModelError)
        return {**base_identity(weights, base_dir), "tokenizer": tokenizer_digest(folder)}
    if base.dequantize:
        versions = installed_versions(("torch", "transformers", "bitsandbytes"))
        own = {"builder": _DEQUANTIZER_VERSION, "versions": versions}
        return {"kind": "dequantized", "of": base_identity(base.as_stored, base_dir), **own}
    source = locate(base, base_dir)
    if source.kind == "tiny":
        # The tokenizer is trained on the running Python's own docstrings.
        libraries = installed_versions(("torch", "transformers", "tokenizers"))
        versions = {**libraries, "python": python_version()}
        own = {"builder": TINY_BUILDER_VERSION, "versions": versions}
        return {"kind": "tiny", "model": source.name, **own}
    if source.kind == "hub":
        commit = cached_commit(source.name, base.revision)
        own = {"revision": base.revision, "commit": commit}
        return {"kind": "hub", "model": source.name, **own}
    if source.kind == "local" and source.path is not None:
        return {"kind": "local", "digest": _folder_digest(source.path)}
    package = BUILTIN_GGUF.get(source.name)
    file = source.path or (package and packaged_file(package))
    # of a built-in whose package is missing, the digest of its known release
    digest = file_digest(file) if file else package and package.digest
    return {"kind": "gguf", "digest": digest, "converter": CONVERTER_VERSION}


def tokenizer_digest(folder: Path) -> str:
    """Digest of the tokenizer and chat template in a folder.

    Raises:
        ModelError: There is none.
    """
    files = model_files(folder, TOKENIZER_PATTERNS)
    if not any(file.name == "tokenizer_config.json" for file in files):
        raise ModelError(
            "base.tokenizer needs a folder with tokenizer_config.json.",
            where=str(folder),
            hint="Give the folder that tokenizer.save_pretrained wrote; relative paths start from "
            "the suite file's folder.",
        )
    return short_digest({file.name: file_digest(file) for file in files})


def cache_name(base: BaseSpec, base_dir: Path) -> str | None:
    """Name of the cache folder a base is built into; None for bases that are loaded in place."""
    base = base.model_copy(update={"tokenizer": None})  # it is no part of what is built
    source = locate(base, base_dir)
    if source.kind not in ("tiny", "builtin", "gguf") and not base.dequantize:
        return None
    prefix = TINY_PREFIX.replace(":", "-") if source.kind == "tiny" else ""
    name = source.name.rpartition("/")[2]
    return f"{prefix}{name}-{short_digest(base_identity(base, base_dir))[:12]}"


def cached_commit(model: str, revision: str | None) -> str | None:
    """Commit that a Hub model's revision points to in the local cache, or None if not there."""
    if revision and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    reference = _hub_folder(model) / "refs" / (revision or "main")
    return reference.read_text("utf-8").strip() if reference.is_file() else None


def hub_snapshot(model: str, revision: str | None) -> Path | None:
    """Folder of a Hub model's files in the local cache, or None where it has none of them."""
    commit = cached_commit(model, revision)
    folder = _hub_folder(model) / "snapshots" / str(commit)
    return folder if folder.is_dir() else None


def _hub_folder(model: str) -> Path:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    return hub / f"models--{model.replace('/', '--')}"


def adapter_identity(path: Path) -> dict[str, Any]:
    """What determines what an adapter computes: its weights, and its configuration's essentials.

    Raises:
        ModelError: The folder is not a readable safetensors adapter.
    """
    config = essentials(_adapter_config(path))
    return {"weights": file_digest(path / "adapter_model.safetensors"), "config": config}


def essentials(config: Mapping[str, Any]) -> dict[str, Any]:
    """What an adapter's configuration says about what it computes, names in a fixed order."""
    return {k: _sorted(v) for k, v in config.items() if k not in _PROVENANCE}


def adapter_digest(path: Path) -> str:
    """Digest of ``adapter_identity``: equal for adapters that compute the same."""
    return short_digest(adapter_identity(path))


def checkpoint_digest(path: Path) -> str:
    """Digest of what a training saved: of an adapter, or of a whole model and its tokenizer."""
    if (path / "adapter_config.json").is_file():
        return adapter_digest(path)
    return _folder_digest(path)


def check_adapter(path: Path, base: BaseSpec | None = None) -> AdapterInfo:
    """Check that a folder holds a PEFT adapter in safetensors, without loading it.

    Args:
        path: The adapter's folder.
        base: The suite's base; a Hub model is compared with the adapter's own base by name.

    Raises:
        ModelError: Not a folder, no configuration, pickled weights, or another base.
    """
    config = _adapter_config(path)
    base_name = config.get("base_model_name_or_path")
    if base is not None and base_name:
        _check_base_name(path, str(base_name), base)
    name = str(base_name) if base_name else None
    return AdapterInfo(path, step_of(path), name, adapter_digest(path))


def _adapter_config(path: Path) -> dict[str, Any]:
    """Read ``adapter_config.json`` after checking the folder."""
    if not path.is_dir():
        raise ModelError(
            "An adapter must be a folder, as PEFT's save_pretrained writes it.",
            where=str(path),
            hint="Give the folder that holds adapter_config.json.",
        )
    file, weights = path / "adapter_config.json", path / "adapter_model.safetensors"
    if not file.is_file():
        inside = sorted(p.parent.name for p in path.glob("*/adapter_config.json"))
        raise ModelError(
            "No adapter_config.json here, so this is not a PEFT adapter.",
            where=str(path),
            hint=f"There are adapters one level down; give {path / '*'!s} instead."
            if inside
            else "Save the adapter with PEFT's save_pretrained.",
        )
    if (path / "adapter_model.bin").is_file() and not weights.is_file():
        raise ModelError(
            "The adapter's weights are a pickle (adapter_model.bin), which can run code when "
            "opened; only adapter_model.safetensors is read.",
            where=str(path),
            hint="Convert it where you trust its origin: load it with PEFT's "
            "PeftModel.from_pretrained and save it with save_pretrained(safe_serialization=True).",
        )
    if not weights.is_file():
        raise ModelError(
            "The adapter's weights are missing: adapter_model.safetensors is not here.",
            where=str(path),
            hint="Copy the whole folder that PEFT's save_pretrained wrote.",
        )
    config = read_json(file, ModelError, "The adapter's settings", finite=True)
    if not isinstance(config, dict):
        raise ModelError("The adapter's configuration is not a JSON object.", where=str(file))
    return config


def _check_base_name(path: Path, trained_on: str, base: BaseSpec) -> None:
    """Refuse an adapter whose configuration names another base.

    Only names that are meant to be stable are compared: of Hub ids the last part (mirrors keep
    it), of built-ins the folder in the cache or the harness's own name. Shapes are checked when
    the adapter is loaded.
    """
    ours = base.model
    built_in = ours.startswith(TINY_PREFIX) or ours in BUILTIN_GGUF
    if built_in:
        expected, named = cache_name(base, Path()) or "", Path(trained_on).name
        comparable = re.fullmatch(r".+-[0-9a-f]{12}", named) is not None
        if trained_on.startswith(TINY_PREFIX) or trained_on in BUILTIN_GGUF:  # as it was shipped
            expected, named, comparable = ours, trained_on, True
    else:
        expected, named = _model_name(ours), _model_name(trained_on)
        comparable = (
            all(_HUB_ID.fullmatch(n) for n in (ours, trained_on)) and not Path(ours).exists()
        )
    if comparable and expected != named:
        raise ModelError(
            f"The adapter was trained on {trained_on!r}, but the suite's base is {ours!r}.",
            where=str(path),
            hint="Evaluate it on its own base. If both are the same weights under two names, "
            "correct base_model_name_or_path in its adapter_config.json.",
        )


def public_base_name(named: str, base: str, *, hub: bool) -> str:
    """What a copy of an adapter that leaves this machine calls its base.

    A folder of this machine is found nowhere else, so the name in the suite takes its place: a Hub
    id, a built-in's name, or the last part of a path. What looks like a Hub id stays as it is.

    Args:
        named: ``base_model_name_or_path`` as the training wrote it.
        base: The suite's ``base.model``.
        hub: Whether that is a Hub id.
    """
    if _HUB_ID.fullmatch(named) and not Path(named).exists():
        return named
    if hub or base.startswith(TINY_PREFIX) or base in BUILTIN_GGUF:
        return base
    return Path(base).name


def _model_name(hub_id: str) -> str:
    """Last part of a Hub id, without the marks of 4-bit mirrors."""
    return re.sub(r"-(unsloth-)?bnb-4bit$", "", hub_id.rsplit("/", 1)[-1].lower())


def _folder_digest(folder: Path) -> str:
    """Digest of a model folder's weight, configuration and tokenizer files, by name."""
    files = model_files(folder)
    if not any(file.suffix in WEIGHT_SUFFIXES for file in files):
        raise ModelError(
            "This folder holds no model weights (*.safetensors).",
            where=str(folder),
            hint="Give the folder that save_pretrained wrote; a GGUF file is named directly.",
        )
    return short_digest({file.name: file_digest(file) for file in files})


def model_files(folder: Path, patterns: Sequence[str] = MODEL_PATTERNS) -> list[Path]:
    """Files of a folder that belong to a model, not to its trainer, sorted."""
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return sorted(file for file in files if file.name not in _TRAINER_FILES)


def _sorted(value: Any) -> Any:
    """Lists of names in a fixed order: PEFT writes sets in an arbitrary one."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value
