"""How a model card says to load the weights and to write a prompt, as in the evaluation."""

import json

from harness.models.source import BUILTIN_GGUF, TINY_PREFIX
from harness.release.card.data import Card
from harness.render.markdown import code
from harness.schema import Manifest, Variant
from harness.suite.record import suite_of
from harness.suite.spec import LmEvalTask

_DTYPES = {"bf16": "torch.bfloat16", "fp16": "torch.float16", "fp32": "torch.float32"}


def use(card: Card) -> str:
    """Python that loads the weights as they were evaluated, from the folder of the card."""
    variant, base = card.variant, card.base
    loading, config = _loading(card.manifest, variant)
    names = ["AutoModelForCausalLM", "AutoTokenizer"] + ["BitsAndBytesConfig"] * bool(config)
    imports = ["import torch"] if "torch." in loading + config else []
    own = f"from transformers import {', '.join(names)}"
    here = repr(card.repo_id) if card.repo_id else '"."'
    tokenizer = here
    if variant.kind != "adapter":
        lines = [f"model = AutoModelForCausalLM.from_pretrained({here}{loading})"]
    else:
        place, more = _base(variant)
        if base.hub and base.revision:
            loading = f", revision={base.revision!r}{loading}"
        imports += [*more, "from peft import PeftModel"]
        lines = [
            f"location = {place}",
            f"base = AutoModelForCausalLM.from_pretrained(location{loading})",
            f"model = PeftModel.from_pretrained(base, {here})",
        ]
        if not any(name.startswith("tokenizer") for name in card.files):
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
            "from harness.suite.spec import BaseSpec",
        ]
    return repr(name), []


def _loading(manifest: Manifest, variant: Variant) -> tuple[str, str]:
    """Arguments of ``from_pretrained`` as in the evaluation, and the lines that define them."""
    suite, environment = suite_of(manifest), manifest.environment
    compute = _DTYPES.get(environment.compute_dtype) if environment else None
    remote = ", trust_remote_code=True" if suite.base.trust_remote_code else ""
    if variant.precision in _DTYPES:
        return f"{remote}, dtype={_DTYPES[variant.precision]}", ""
    if variant.precision == "auto":
        return f"{remote}, dtype={compute or repr('auto')}", ""
    quantization = suite.quantization
    options: dict[str, str] = {
        "load_in_8bit": "True",
        "llm_int8_threshold": repr(quantization.llm_int8_threshold),
    }
    if variant.precision != "int8":
        options = {
            "load_in_4bit": "True",
            "bnb_4bit_quant_type": repr(variant.precision),
            "bnb_4bit_use_double_quant": repr(quantization.bnb_4bit_use_double_quant),
        }
        if dtype := _DTYPES.get(quantization.bnb_4bit_compute_dtype, compute):
            options["bnb_4bit_compute_dtype"] = dtype
    inner = "".join(f"    {name}={value},\n" for name, value in options.items())
    dtype = f", dtype={compute}" if compute else ""
    return f"{remote}, quantization_config=config{dtype}", f"config = BitsAndBytesConfig(\n{inner})"


def prompt(card: Card) -> list[str]:
    """The template that the prompts of the deciding task were made with, and its stop strings."""
    suite = suite_of(card.manifest)
    task = suite.tasks.get((card.view.primary or ("", ""))[0])
    own = None if task is None or isinstance(task, LmEvalTask) else task.prompt
    template = own or suite.prompt
    recorded = template.model_dump(mode="json") if template else {}
    used = {name: value for name, value in recorded.items() if value not in (None, "", [], ())}
    if not used:
        return []
    stops = ", ".join(code(json.dumps(text)) for text in used.get("stop", ()))
    ends = f"a generation ends at {stops}" if stops else "no string ends a generation early"
    return [
        f"Prompts were made with this template (Jinja), and {ends}:",
        f"```json\n{_seen(json.dumps(used, indent=2, ensure_ascii=False))}\n```",
    ]


def _seen(text: str) -> str:
    """JSON whose strings show what they hold: unseen characters as JSON's own escapes."""
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
