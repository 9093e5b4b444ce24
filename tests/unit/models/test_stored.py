"""A base that is stored quantized is known by its files, without torch."""

import json
import struct

import pytest

from harness.errors import ModelError
from harness.models.stored import form_of_folder, stored_form
from harness.suite.spec import BaseSpec

BNB = {"quant_method": "bitsandbytes", "load_in_4bit": True}


def model(folder, config, dtypes=("BF16", "F32"), shape=(8, 4), **files):
    """A folder with a header of weights, as safetensors writes it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), "utf-8")
    entry = {"shape": list(shape), "data_offsets": [0, 0]}
    header = {f"w{i}": {"dtype": dtype, **entry} for i, dtype in enumerate(dtypes)}
    raw = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw)
    return folder


@pytest.mark.parametrize(
    ("options", "precision", "words"),
    [
        ({**BNB, "bnb_4bit_quant_type": "nf4"}, "nf4", "nf4 (bitsandbytes)"),
        (BNB, "fp4", "fp4 (bitsandbytes)"),  # bitsandbytes' default
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", "int8 (bitsandbytes)"),
        ({"quant_method": "gptq", "bits": 4}, None, "gptq, 4 bits"),
        ({"quant_method": "fp8"}, None, "fp8"),
        ({"quant_method": "a-later-one"}, None, "a-later-one"),
    ],
)
def test_what_config_json_says(tmp_path, options, precision, words):
    """Bitsandbytes' forms have a name of ours; all others are named as the quantizer is."""
    form = form_of_folder(model(tmp_path, {"quantization_config": options}, ["U8"]))
    assert (form.precision, form.words) == (precision, words)
    inner = {"text_config": {"quantization_config": options}}
    assert form_of_folder(model(tmp_path, inner)) == form


def test_what_earlier_quantizers_say_elsewhere(tmp_path):
    """AutoGPTQ's and NVIDIA's own files are read."""
    old = model(tmp_path / "old", {}, ["I32"], quantize_config={"bits": 4, "quant_method": "gptq"})
    assert form_of_folder(old).words == "gptq, 4 bits"
    other = {"quantization": {"quant_algo": "FP8"}}
    assert (
        form_of_folder(model(tmp_path / "nv", {}, ["F8_E4M3"], hf_quant_config=other)).method
        == "FP8"
    )


@pytest.mark.parametrize("dtype", ["U8", "I8", "I32", "F8_E4M3"])
def test_packed_weights_of_which_nothing_tells_the_form(tmp_path, dtype):
    """Whole numbers without a word on what they stand for cannot be right as they are."""
    with pytest.raises(ModelError, match=f"stored quantized \\(1 of {dtype}\\)"):
        form_of_folder(model(tmp_path, {}, [dtype, "BF16"]))


def test_plain_weights_are_plain(tmp_path):
    """So are masks and positions of older models, which are no matrices of weights."""
    assert form_of_folder(model(tmp_path / "plain", {"quantization_config": None})) is None
    assert form_of_folder(model(tmp_path / "mask", {}, ["U8"], (1, 1, 8, 8))) is None
    assert form_of_folder(model(tmp_path / "ids", {}, ["I64"], (1, 8))) is None


def test_a_hub_model_is_read_from_the_cache(tmp_path, monkeypatch):
    """Where it is not there yet, nothing is said."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    base = BaseSpec(model="org/name")
    assert stored_form(base, tmp_path) is None
    folder = tmp_path / "models--org--name"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc", "utf-8")
    (folder / "snapshots").mkdir()
    model(folder / "snapshots" / "abc", {"quantization_config": BNB}, ["U8"])
    assert stored_form(base, tmp_path).precision == "fp4"
