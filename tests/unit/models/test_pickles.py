"""Weights are data: a pickle is refused, unless the suite allows it, and then told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from harness.errors import ModelError
from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.load import load_proved
from harness.models.pickles import pickle_of, pickle_proofs, refuse_pickle
from harness.suite.spec import BaseSpec, QuantizationSpec


def base_at(folder: Path, **more: bool) -> BaseSpec:
    return BaseSpec(model=str(folder), dtype="fp32", device="cpu", **more)


def load(base: BaseSpec):
    return load_proved(
        base,
        "fp32",
        decide(base),
        base_dir=Path(),
        purpose="quality",
        quantization=QuantizationSpec(),
    )


@pytest.fixture
def pickled(tiny_dir: Path, tmp_path: Path) -> Path:
    """The tiny base as PyTorch alone would save it."""
    for file in tiny_dir.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(tiny_dir / "model.safetensors"), tmp_path / "pytorch_model.bin")
    return tmp_path


def test_a_pickle_is_refused_before_it_is_opened(pickled: Path) -> None:
    """By its name, with both ways out."""
    for refuse in (
        lambda: resolve_model(base_at(pickled), Path()),
        lambda: load(base_at(pickled)),
    ):
        with pytest.raises(ModelError, match=r"pickle \(pytorch_model.bin\)") as caught:
            refuse()
        assert "base.allow_pickle" in str(caught.value.hint)


def test_a_pickle_that_is_allowed_is_told(pickled: Path, tiny_dir: Path) -> None:
    """Its weights are those of the safetensors, and a proof says where they came from."""
    model, proofs = load(base_at(pickled, allow_pickle=True))
    (proof,) = [proof for proof in proofs if proof.probe == "weights are data"]
    assert proof.outcome == "fallback"
    assert "pytorch_model.bin" in proof.words
    plain, others = load(base_at(tiny_dir))
    assert all(proof.probe != "weights are data" for proof in others)
    ids = torch.arange(3, 11)[None]
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, plain(ids).logits)


def test_safetensors_beside_a_pickle_are_read(tmp_path: Path) -> None:
    """A folder with both is none of a pickle; nor is one with a trainer's own files."""
    (tmp_path / "pytorch_model-00001-of-00002.bin").touch()
    assert pickle_of(tmp_path) is not None
    (tmp_path / "model.safetensors").touch()
    assert pickle_of(tmp_path) is None
    assert pickle_proofs(tmp_path) == pickle_proofs(None) == []
    refuse_pickle(tmp_path, base_at(tmp_path))
