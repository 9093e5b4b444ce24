"""A base that is stored quantized is refused in every precision that it is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from tests.unit.suites import TRAIN, adapter, suite_file

NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
ADAPTERS = {"checkpoints": "checkpoint-1"}


def check(folder: Path, options: Any, dequantize: bool = False, **changes: Any) -> None:
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"quantization_config": options}), "utf-8")
    (model / "model.safetensors").touch()
    adapter(folder / "checkpoint-1")
    suite_file(folder, base={"model": "model", "dequantize": dequantize}, **changes)


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"matrix": {"base": ["fp32", "nf4", "int8"]}}, ["matrix.base asks for fp32", "int8"]),
        (ADAPTERS, ["matrix.merged asks for plain weights"]),
        ({**ADAPTERS, "matrix": {"adapters": "int8", "merged": "none"}}, ["matrix.adapters"]),
        ({"train": {"method": "lora"}, "matrix": {"merged": "none"}}, ["train.method"]),
        (
            {"train": {**TRAIN, "quantization": {"bnb_4bit_quant_type": "fp4"}}},
            ["train.quantization asks for fp4", "matrix.merged"],
        ),
    ],
)
def test_what_a_base_in_nf4_cannot_give(
    tmp_path: Path, changes: dict[str, Any], keys: list[str]
) -> None:
    """Each key is named, with what the base is, and the way out."""
    with pytest.raises(UsageError) as caught:
        check(tmp_path, NF4, **changes)
    message = str(caught.value)
    assert all(key in message for key in keys)
    assert message.count("stored in nf4 (bitsandbytes)") == 2 or len(keys) == 1
    assert "base.dequantize: true" in message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**ADAPTERS, "matrix": {"merged": "none"}},
        {"train": TRAIN, "matrix": {"merged": "none"}},
        {**ADAPTERS, "dequantize": True, "matrix": {"base": ["fp32"], "adapters": "bf16"}},
    ],
)
def test_what_it_can_give(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Itself; and dequantized, everything."""
    check(tmp_path, NF4, **changes)


def test_forms_that_the_harness_has_no_name_for(tmp_path: Path) -> None:
    """They are refused as they are, and can be dequantized."""
    with pytest.raises(UsageError, match="stored in gptq, 4 bits, which is none"):
        check(tmp_path, {"quant_method": "gptq", "bits": 4})


def test_a_plain_base_has_nothing_to_dequantize(tmp_path: Path) -> None:
    """The option is refused where it would do nothing."""
    with pytest.raises(UsageError, match="not stored quantized"):
        check(tmp_path, None, dequantize=True)
