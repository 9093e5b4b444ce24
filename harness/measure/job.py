"""What to measure, and what can change the outcome. Torch-free."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.errors import ModelError
from harness.files import read_json
from harness.models import hardware
from harness.models.beside import ADAPTER_WEIGHTS
from harness.models.identity import essentials
from harness.models.stored import tensor_shapes
from harness.schema import QUANTIZED, Precision
from harness.suite.spec import DTYPE_VARIABLE, BaseSpec, MeasureSpec, QuantizationSpec

PROTOCOL = 1  # raised whenever the way of measuring changes, so that old figures become stale
# Fields that change which numbers come out, and neither sizes nor operations.
_NUMBERS_ONLY = frozenset({"lora_alpha", "alpha_pattern", "init_lora_weights", "use_rslora"})


class MeasureJob(BaseModel):
    """One variant and the sizes to measure it at.

    Attributes:
        base: The base model.
        base_dir: Folder that relative paths in ``base`` start from.
        precision: Precision the base is loaded at.
        adapter: Folder of a PEFT adapter to activate, or None.
        merged_dir: Folder of a merged model that is loaded in place of the base, or None.
        grid: Prompt lengths x new tokens x batch sizes, repeats and warm-up.
        seed: Seed of the random prompt tokens.
        quantization: bitsandbytes options, used at the 4- and 8-bit precisions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: BaseSpec
    base_dir: str
    precision: Precision
    adapter: str | None = None
    merged_dir: str | None = None
    grid: MeasureSpec
    seed: int
    quantization: QuantizationSpec = QuantizationSpec()

    @property
    def weights(self) -> BaseSpec:
        """The base to load: the suite's own, or the merged model in its place."""
        return self.base if self.merged_dir is None else self.base.at(self.merged_dir)


def adapter_shape(path: str | Path) -> dict[str, Any]:
    """What an adapter adds to the computation, without its weights.

    Args:
        path: Adapter folder as PEFT saves it.

    Returns:
        All of ``adapter_config.json`` but where it came from and how it was scaled, with names in
        sorted order and what is unset left out, and how many tensors of which shape there are.
        Adapters that differ in nothing else are equally fast and equally large.

    Raises:
        ModelError: The folder has no readable ``adapter_config.json``.
    """
    file = Path(path) / "adapter_config.json"
    hint = "Name the folder that PEFT's save_pretrained wrote."
    config = read_json(file, ModelError, "The adapter's settings", hint=hint)
    if not isinstance(config, dict) or "peft_type" not in config:
        problem = "A PEFT adapter folder with adapter_config.json was needed."
        raise ModelError(problem, where=str(file), hint=hint)
    shape = {
        name: value
        for name, value in essentials(config).items()
        if name not in _NUMBERS_ONLY and not _is_unset(value)
    }
    return {**shape, "tensors": tensor_shapes(file.with_name(ADAPTER_WEIGHTS))}


def _is_unset(value: Any) -> bool:
    return value is None or value is False or value in ([], {})  # 0 is the first layer


def measurement_identity(job: MeasureJob, architecture: dict[str, Any]) -> dict[str, Any]:
    """Everything that can change what a measurement finds; the key of its result.

    Weights are left out: checkpoints of equal shape share one measurement, and a merged model
    shares the base's at the same precision. So is the seed: it only picks the prompt's tokens.

    Args:
        job: The job.
        architecture: The model's own configuration (layer sizes, heads, vocabulary), as JSON
            values.

    Raises:
        ModelError: The job's adapter has no readable configuration.
    """
    quantized = job.precision in QUANTIZED
    packages = ["torch", "transformers"]
    packages += ["bitsandbytes"] if quantized else []
    packages += ["peft"] if job.adapter else []
    return {
        "protocol": PROTOCOL,
        "architecture": architecture,
        "precision": job.precision,
        "quantization": job.quantization.model_dump() if quantized else None,
        "adapter": adapter_shape(job.adapter) if job.adapter else None,
        "dtype": os.environ.get(DTYPE_VARIABLE) or job.base.dtype,
        "device": job.base.device,
        "attn_implementation": job.base.attn_implementation,
        "grid": job.grid.model_dump(mode="json", exclude={"price_per_hour", "currency"}),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "versions": hardware.installed_versions(packages),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "hardware": {
            "cpu": hardware.cpu_model(),
            "gpus": list(hardware.gpu_names()),
            "fingerprint": hardware.fingerprint(),
        },
    }
