"""In which form a base's weights are stored: plain, or quantized already. Torch-free.

A model that was saved in 4 bits stays so whatever is asked of transformers, so what is asked must
be what is there, or the weights must be dequantized first (``base.dequantize``).
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.files import json_or_nothing
from harness.models.identity import hub_snapshot
from harness.models.source import locate
from harness.schema import Precision
from harness.suite.spec import BaseSpec

_PLAIN = frozenset({"F64", "F32", "F16", "BF16", "I64", "BOOL"})  # the last two: positions, masks
# Files in which earlier releases of quantizers say what config.json says today.
_ELSEWHERE = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
_HEADER_LIMIT = 100_000_000  # bytes; that of the safetensors library


@dataclass(frozen=True)
class StoredForm:
    """Weights that are stored quantized.

    Attributes:
        method: The quantizer, as config.json names it, such as ``bitsandbytes`` or ``gptq``.
        precision: Under which name they can be evaluated as they are; None: under none.
        options: What the quantizer wrote down.
    """

    method: str
    precision: Precision | None
    options: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What they are."""
        if self.precision is not None:
            return f"{self.precision} ({self.method})"
        bits = self.options.get("bits") or self.options.get("w_bit")
        return f"{self.method}, {bits} bits" if isinstance(bits, int) else self.method

    def way_out(self, own: str = "") -> str:
        """What to write instead; ``own`` is what suits the key at hand."""
        own = own or (f"Write {self.precision}, which it is" if self.precision else "")
        return (f"{own}; or name" if own else "Name") + (
            " the model that it was quantized from; or set base.dequantize: true, which "
            "evaluates its weights dequantized once (they are not those of the original)."
        )


def stored_form(base: BaseSpec, base_dir: Path) -> StoredForm | None:
    """In which quantized form a base's weights are stored; None where they are plain.

    Also None where that cannot be known yet: of a Hub model that is not in the local cache.

    Raises:
        ModelError: They are quantized, and nothing says how.
    """
    source = locate(base, base_dir)
    if source.kind == "local":
        return form_of_folder(source.path) if source.path else None
    folder = hub_snapshot(source.name, base.revision) if source.kind == "hub" else None
    return form_of_folder(folder) if folder else None


def form_of_folder(folder: Path) -> StoredForm | None:
    """``stored_form`` of a model's folder.

    Raises:
        ModelError: Its weights are quantized, and nothing says how.
    """
    options = _declared(folder)
    if options is None:
        _check_plain(folder)
        return None
    method = str(options.get("quant_method") or options.get("quant_algo") or "an unnamed method")
    if options.get("load_in_4bit"):
        return StoredForm("bitsandbytes", _four_bit(options), options)
    if options.get("load_in_8bit"):
        return StoredForm("bitsandbytes", "int8", options)
    return StoredForm(method, None, options)


def _four_bit(options: Mapping[str, Any]) -> Precision:
    return "fp4" if options.get("bnb_4bit_quant_type", "fp4") == "fp4" else "nf4"


def _declared(folder: Path) -> Mapping[str, Any] | None:
    """What the files beside the weights say of their quantization."""
    config = _json(folder / "config.json")
    inner = config.get("text_config")
    for holder in (config, inner if isinstance(inner, dict) else {}):
        for name in ("quantization_config", "compression_config"):
            if holder.get(name):
                return holder[name] if isinstance(holder[name], dict) else {}
    for name in _ELSEWHERE:
        options = _json(folder / name)
        if options:
            inner = options.get("quantization")
            return inner if isinstance(inner, dict) else options
    return None


def _check_plain(folder: Path) -> None:
    """Refuse weights whose numbers are no plain floats, although nothing says how to read them."""
    names = stored_dtypes(folder)
    packed = {dtype: n for dtype, n in names.items() if dtype not in _PLAIN}
    if packed:
        what = ", ".join(f"{n:,} of {dtype}" for dtype, n in sorted(packed.items()))
        raise ModelError(
            f"The weights are stored quantized ({what}), but config.json does not say how.",
            where=str(folder),
            hint="Its quantization_config is missing. Name the model that it was quantized from.",
        )


def stored_dtypes(folder: Path) -> Counter[str]:
    """How many matrices are stored in which dtype, by the headers of the safetensors files.

    Vectors and what has four axes are left out: in older models they are counters and masks.
    """
    entries = (entry for file in folder.glob("*.safetensors") for entry in _header(file).values())
    return Counter(str(e.get("dtype")) for e in entries if len(e.get("shape", ())) in (2, 3))


def tensor_shapes(file: Path) -> dict[str, int]:
    """How many tensors of which kind and shape a safetensors file holds.

    A kind is a tensor's name without the numbers of layers and experts, so that files of equal
    shape are equal here whatever they hold: ``model.layers.*.mlp.up_proj.lora_A.weight 8 x 64``.
    """
    kinds: Counter[str] = Counter()
    for name, entry in _header(file).items():
        kind = ".".join("*" if part.isdecimal() else part for part in name.split("."))
        kinds[f"{kind} {' x '.join(map(str, entry.get('shape', ())))}"] += 1
    return dict(sorted(kinds.items()))


def _header(file: Path) -> dict[str, Mapping[str, Any]]:
    """A safetensors file's header: dtype and shape by name; empty where it cannot be read."""
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            header = json.loads(stream.read(size)) if 0 < size < _HEADER_LIMIT else {}
    except (OSError, ValueError, RecursionError):
        return {}  # loading it will say what is wrong with it
    entries = header if isinstance(header, dict) else {}
    return {name: value for name, value in entries.items() if name != "__metadata__"}


def _json(file: Path) -> dict[str, Any]:
    value = json_or_nothing(file)
    return value if isinstance(value, dict) else {}
