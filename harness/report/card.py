"""The model card of a checkpoint that is shipped."""

from __future__ import annotations

import re

from harness.models.source import BUILTIN_GGUF, TINY_PREFIX
from harness.report.markdown import code, plain
from harness.report.selection import claims, how_chosen
from harness.report.view import View
from harness.schema import Manifest, Variant


def model_card(manifest: Manifest, view: View, variant: Variant, record: str) -> str:
    """A short model card: what it is, why it was chosen, what is claimed for it, how to load it.

    Args:
        manifest: The run, with its choice.
        view: Its report.
        variant: The choice, or a merged form of it.
        record: Name of the file beside the card that holds the whole record.
    """
    found = manifest.selection
    library = "peft" if variant.kind == "adapter" else "transformers"
    base = f"{variant.base_model}{f' @ {variant.base_revision}' if variant.base_revision else ''}"
    kind = {
        "adapter": f"A PEFT adapter for {plain(base)}, evaluated at {variant.precision}.",
        "merged": f"{plain(base)} with an adapter merged into it, saved as {variant.precision}.",
    }.get(variant.kind, f"A full fine-tuning of {plain(base)}, evaluated at {variant.precision}.")
    on_hub = re.fullmatch(r"\w[\w.-]*/[\w.-]+", variant.base_model) is not None
    origin = f"\nbase_model: {variant.base_model}" if on_hub else ""
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
        f"```python\n{_use(variant)}```",
        "## Provenance",
        f"Run {plain(manifest.suite)}/{plain(manifest.run_id)}, made by "
        f"{code(manifest.command)}. Suite, digests, selection and versions: `{record}`.",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _use(variant: Variant) -> str:
    """Python that loads the copied weights."""
    if variant.kind != "adapter":
        return (
            "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
            'model = AutoModelForCausalLM.from_pretrained(".")\n'
            'tokenizer = AutoTokenizer.from_pretrained(".")\n'
        )
    name, own = variant.base_model, ""
    place = repr(name)
    if name.startswith(TINY_PREFIX) or name in BUILTIN_GGUF or name.endswith(".gguf"):
        own = (  # transformers does not know it by this name
            "from pathlib import Path\n\nfrom harness.models.builtin import resolve_model\n"
            "from harness.spec import BaseSpec\n"
        )
        place = f"resolve_model(BaseSpec(model={name!r}), Path())"
    return (
        f"{own}from peft import PeftModel\nfrom transformers import AutoModelForCausalLM\n\n"
        f"base = AutoModelForCausalLM.from_pretrained({place})\n"
        'model = PeftModel.from_pretrained(base, ".")\n'
    )
