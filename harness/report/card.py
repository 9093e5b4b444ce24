"""The model card of a checkpoint that is shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.models.source import BUILTIN_GGUF, TINY_PREFIX
from harness.report.markdown import code, plain
from harness.report.selection import claims, how_chosen
from harness.report.view import View
from harness.schema import Manifest, Precision, Variant
from harness.spec import QuantizationSpec

_DTYPES = {"bf16": "torch.bfloat16", "fp16": "torch.float16", "fp32": "torch.float32"}


def model_card(
    manifest: Manifest,
    view: View,
    variant: Variant,
    record: str,
    files: Sequence[str] = (),
    saved_as: Precision | None = None,
) -> str:
    """A short model card: what it is, why it was chosen, what is claimed for it, how to load it.

    Args:
        manifest: The run, with its choice.
        view: Its report.
        variant: The choice, or a merged form of it.
        record: Name of the file beside the card that holds the whole record.
        files: Names of the files beside it.
        saved_as: Precision that merged weights are stored at.
    """
    found = manifest.selection
    library = "peft" if variant.kind == "adapter" else "transformers"
    base = f"{variant.base_model}{f' @ {variant.base_revision}' if variant.base_revision else ''}"
    kind = {
        "adapter": f"A PEFT adapter for {plain(base)}, evaluated at {variant.precision}.",
        "merged": f"{plain(base)} with an adapter merged into it, "
        f"{f'stored as {saved_as}, ' if saved_as else ''}evaluated at {variant.precision}.",
    }.get(variant.kind, f"A full fine-tuning of {plain(base)}, evaluated at {variant.precision}.")
    origin = f"\nbase_model: {variant.base_model}" if _on_hub(variant) else ""
    lines = [
        f"---\nlibrary_name: {library}{origin}\n---",
        f"# {plain(variant.id)} of {plain(manifest.suite)}",
        kind,
        "## Why this checkpoint",
    ]
    if found is not None:
        lines += [plain(how_chosen(found)), plain(found.reason)]
    lines += [
        "## Figures",
        "\n".join(f"- {plain(line)}" for line in claims(view)),
        "## Use",
        f"```python\n{_use(manifest, variant, files)}```",
        *_prompt(manifest),
        "## Provenance",
        f"Run {plain(manifest.suite)}/{plain(manifest.run_id)}, made by "
        f"{code(manifest.command)}. Suite, digests, selection and versions: `{record}`.",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _on_hub(variant: Variant) -> bool:
    return re.fullmatch(r"\w[\w.-]*/[\w.-]+", variant.base_model) is not None


def _use(manifest: Manifest, variant: Variant, files: Sequence[str]) -> str:
    """Python that loads the copied weights as they were evaluated."""
    loading, config = _loading(manifest, variant)
    names = ["AutoModelForCausalLM", "AutoTokenizer"] + ["BitsAndBytesConfig"] * bool(config)
    imports = ["import torch"] if "torch." in loading + config else []
    own = f"from transformers import {', '.join(names)}"
    tokenizer = '"."'
    if variant.kind != "adapter":
        lines = [f'model = AutoModelForCausalLM.from_pretrained("."{loading})']
    else:
        place, more = _base(variant)
        if _on_hub(variant) and variant.base_revision:
            loading = f", revision={variant.base_revision!r}{loading}"
        imports += [*more, "from peft import PeftModel"]
        lines = [
            f"location = {place}",
            f"base = AutoModelForCausalLM.from_pretrained(location{loading})",
            'model = PeftModel.from_pretrained(base, ".")',
        ]
        if not any(name.startswith("tokenizer") for name in files):
            tokenizer = "location"
    lines.append(f"tokenizer = AutoTokenizer.from_pretrained({tokenizer})")
    return "\n".join([*imports, own, "", *([config] if config else []), *lines]) + "\n"


def _base(variant: Variant) -> tuple[str, list[str]]:
    """Where the base under an adapter is loaded from, in Python, and what that imports."""
    name = variant.base_model
    if name.startswith(TINY_PREFIX) or name in BUILTIN_GGUF or name.endswith(".gguf"):
        return f"resolve_model(BaseSpec(model={name!r}), Path())", [  # by the harness's own name
            "from pathlib import Path",
            "from harness.models.builtin import resolve_model",
            "from harness.spec import BaseSpec",
        ]
    return repr(name), []


def _loading(manifest: Manifest, variant: Variant) -> tuple[str, str]:
    """Arguments of ``from_pretrained`` as in the evaluation, and the lines that define them."""
    spec, environment = manifest.spec, manifest.environment
    compute = _DTYPES.get(environment.compute_dtype) if environment else None
    remote = ", trust_remote_code=True" if spec.get("base", {}).get("trust_remote_code") else ""
    if variant.precision in _DTYPES:
        return f"{remote}, dtype={_DTYPES[variant.precision]}", ""
    if variant.precision == "auto":
        return f"{remote}, dtype={compute or repr('auto')}", ""
    found = QuantizationSpec.model_validate((spec.get("train") or {}).get("quantization") or {})
    options: dict[str, str] = {
        "load_in_8bit": "True",
        "llm_int8_threshold": repr(found.llm_int8_threshold),
    }
    if variant.precision != "int8":
        options = {
            "load_in_4bit": "True",
            "bnb_4bit_quant_type": repr(variant.precision),
            "bnb_4bit_use_double_quant": repr(found.bnb_4bit_use_double_quant),
        }
        if dtype := _DTYPES.get(found.bnb_4bit_compute_dtype, compute):
            options["bnb_4bit_compute_dtype"] = dtype
    inner = "".join(f"    {name}={value},\n" for name, value in options.items())
    dtype = f", dtype={compute}" if compute else ""
    return f"{remote}, quantization_config=config{dtype}", f"config = BitsAndBytesConfig(\n{inner})"


def _prompt(manifest: Manifest) -> list[str]:
    """The template that the prompts of the deciding task were made with, and its stop strings."""
    task = manifest.selection.task if manifest.selection else ""
    own = (manifest.spec.get("tasks", {}).get(task) or {}).get("prompt")
    prompt: Mapping[str, Any] = own or manifest.spec.get("prompt") or {}
    used = {name: value for name, value in prompt.items() if value not in (None, "", [], ())}
    if not used:
        return []
    stops = ", ".join(f"`{json.dumps(text)}`" for text in used.get("stop", ()))
    ends = f"a generation ends at {stops}" if stops else "no string ends a generation early"
    return [
        f"Prompts were made with this template (Jinja), and {ends}:",
        f"```json\n{json.dumps(used, indent=2, ensure_ascii=False)}\n```",
    ]
