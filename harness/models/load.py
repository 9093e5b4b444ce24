"""Loads a base at a precision: the model that quality is judged on, trained, or measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import ModelError
from harness.files import read_json
from harness.models.builtin import resolve_model
from harness.models.device import torch_dtype
from harness.models.identity import hub_snapshot
from harness.models.loaded import all_used, check_values
from harness.models.pickles import pickle_proofs, weight_source
from harness.models.policy import DTYPE_NAMES, DevicePolicy
from harness.models.precision import batch_proof, check_precision, compute_in, read_back
from harness.models.quiet import quiet
from harness.models.stored import stored_form
from harness.schema import QUANTIZED, Precision, Proof
from harness.suite.spec import BaseSpec, QuantizationSpec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

Purpose = Literal["train", "quality", "measure"]
FOUR_BIT: tuple[Precision, ...] = ("nf4", "fp4")


def load_base(
    base: BaseSpec,
    precision: Precision,
    policy: DevicePolicy,
    *,
    base_dir: Path,
    purpose: Purpose,
    quantization: QuantizationSpec | None = None,
) -> PreTrainedModel:
    """Load a base model for one purpose.

    Args:
        base: The suite's base.
        precision: Of the weights. ``bf16``, ``fp16`` and ``fp32`` load plain weights in that
            dtype; quantized ones keep what is not quantized in the policy's compute dtype.
        policy: Device and compute dtype.
        base_dir: Folder that relative model paths start from.
        purpose: ``quality`` runs 4-bit weights dequantized once where the policy says so;
            ``measure`` is the real quantized model; ``train`` is that too, without kernels that
            give no gradients.
        quantization: bitsandbytes options; the precision overrides ``bnb_4bit_quant_type``.

    Returns:
        The model on its device, in evaluation mode.

    Raises:
        ModelError: It cannot be found, fetched or loaded, or is stored in another precision.
    """
    model, _ = load_proved(
        base,
        precision,
        policy,
        base_dir=base_dir,
        purpose=purpose,
        quantization=quantization or QuantizationSpec(),
    )
    return model


def load_proved(
    base: BaseSpec,
    precision: Precision,
    policy: DevicePolicy,
    *,
    base_dir: Path,
    purpose: Purpose,
    quantization: QuantizationSpec,
) -> tuple[PreTrainedModel, list[Proof]]:
    """``load_base``, with what was proved of the weights while they were loaded."""
    quiet()
    location = resolve_model(base, base_dir)
    stored = stored_form(base, base_dir) if not base.dequantize else None
    if stored is not None and stored.precision != precision:
        raise ModelError(
            f"{precision} was asked for, but the model is stored in {stored.words}.",
            where=str(location),
            hint=stored.way_out(),
        )
    options: dict[str, Any] = {}
    if base.attn_implementation != "auto":
        options["attn_implementation"] = base.attn_implementation
    if precision in QUANTIZED and stored is None:
        options["quantization_config"] = quantization_config(precision, policy, quantization)
    model, loading = _from_pretrained(base, location, precision, policy, options)
    folder = location if isinstance(location, Path) else hub_snapshot(location, base.revision)
    if folder is not None:
        check_values(model, folder)
    if stored is not None:
        compute_in(model, weight_dtype(precision, policy))
    proofs = [
        all_used(loading, where=str(location)),
        check_precision(read_back(model), precision, where=str(location)),
        *pickle_proofs(folder),
        *([batch_proof(model)] if (precision, purpose) == ("int8", "quality") else []),
    ]
    if precision in FOUR_BIT:
        if purpose == "quality" and policy.dequantize_for_quality:
            model = model.dequantize(dtype=torch_dtype(policy.compute_dtype))
        elif purpose == "train":
            keep_gradients(model)
    return model.eval(), proofs


def _from_pretrained(
    base: BaseSpec,
    location: Path | str,
    precision: Precision,
    policy: DevicePolicy,
    options: dict[str, Any],
) -> tuple[Any, dict[str, Any]]:
    """The model, and which keys of its files have no place or no weights."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    failures = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            location,
            revision=base.revision,
            dtype=weight_dtype(precision, policy),
            device_map={"": policy.device},
            trust_remote_code=base.trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **weight_source(base),
            **options,
        )
    except torch.OutOfMemoryError:
        raise
    except failures as error:
        raise ModelError(
            f"The base cannot be loaded at {precision}: {_first_lines(error)}",
            where=str(location),
            hint=_hint(error),
        ) from error
    return model, loading


_NOT_SHAPE = ("_name_or_path", "transformers_version", "dtype", "torch_dtype")


def architecture_of(base: BaseSpec, base_dir: Path) -> dict[str, Any]:
    """The base's configuration (layer sizes, heads, vocabulary, ...), as JSON values.

    What does not change the computation is left out: the name, the version that wrote the file,
    and the dtype of the stored weights.

    Raises:
        ModelError: There is no such model, or its configuration cannot be fetched.
    """
    location = resolve_model(base, base_dir)
    file = Path(location) / "config.json"
    if file.is_file():
        config = read_json(file, ModelError, "The model's configuration")
    else:
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(
                location, revision=base.revision, trust_remote_code=base.trust_remote_code
            ).to_dict()
        except (OSError, ValueError) as error:
            raise ModelError(
                f"The model's configuration cannot be read: {_first_lines(error)}",
                where=str(location),
                hint=_hint(error),
            ) from error
    return {name: value for name, value in config.items() if name not in _NOT_SHAPE}


def weight_dtype(precision: Precision, policy: DevicePolicy) -> torch.dtype:
    """Dtype of the weights that are not quantized."""
    return torch_dtype(precision if precision in DTYPE_NAMES else policy.compute_dtype)


def quantization_config(
    precision: Precision, policy: DevicePolicy, quantization: QuantizationSpec
) -> Any:
    """Transformers' BitsAndBytesConfig for a quantized precision."""
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        return BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_threshold=quantization.llm_int8_threshold
        )
    chosen = quantization.bnb_4bit_compute_dtype
    dtype = torch_dtype(policy.compute_dtype if chosen == "auto" else chosen)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=precision,
        bnb_4bit_use_double_quant=quantization.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=dtype,
    )


def keep_gradients(model: Any) -> None:
    """Keep bitsandbytes from switching 4-bit layers to its inference-only CPU kernel.

    On CPUs with AVX512-BF16 the first forward in evaluation mode (such as an evaluation during
    training) repacks a layer for a fused kernel without a backward pass. Training would go on
    afterwards, without an error and without the gradients that pass through that layer.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _first_lines(error: BaseException) -> str:
    return " ".join(str(error).strip().splitlines()[:3]) or type(error).__name__


def _hint(error: BaseException) -> str:
    if "trust_remote_code" in str(error):
        return "Set base.trust_remote_code only if you have read and trust the repository's code."
    if "safetensors" in str(error) and "file named" in str(error):
        return (
            "If it has its weights as a pickle (pytorch_model.bin) only, save it as safetensors, "
            "or set base.allow_pickle where you trust whoever made it."
        )
    if isinstance(error, ImportError):
        return "Install what is missing, or choose another attn_implementation or precision."
    return (
        "Check base.model and base.revision; without a network, the model must already be in the "
        "Hugging Face cache, or be a local folder or a built-in."
    )
