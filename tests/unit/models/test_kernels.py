"""Packed fp32 products give the same results, and leave no trace."""

import pytest
import torch

from harness.models import hardware, kernels
from harness.models.adapters import AdapterSet
from harness.models.kernels import packed_linears, packing_helps

IDS = torch.arange(3, 67).reshape(4, 16)

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="this torch build holds no oneDNN"
)


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS, use_cache=False).logits.clone()


def test_same_logits(tiny_model, make_adapter, tmp_path):
    """Logits differ by rounding only, with an adapter and without, and not at all afterwards."""
    adapters = AdapterSet(tiny_model)
    adapters.add("a", make_adapter(tmp_path / "a"))
    for name in (None, "a"):
        with adapters.active(name) as model:
            plain = logits(model)
            with packed_linears(model):
                packed = logits(model)
                changed = [n for n, m in model.named_modules() if "forward" in m.__dict__]
            assert torch.equal(logits(model), plain)
        torch.testing.assert_close(packed, plain, rtol=0, atol=1e-4)
        assert changed
        assert not any("lora_" in layer for layer in changed)


def test_layers_with_a_bias():
    """A bias is added as before, in any number of rows."""
    layer = torch.nn.Sequential(torch.nn.Linear(64, 96))
    for rows in (1, 7, 300):
        x = torch.randn(rows, 2, 64)
        with torch.inference_mode():
            plain = layer(x)
            with packed_linears(layer):
                torch.testing.assert_close(layer(x), plain, rtol=1e-5, atol=1e-5)


def test_nested_packing_and_errors(tiny_model):
    """Inside another packing nothing is packed twice, and an error undoes it as well."""

    def interrupted():
        with packed_linears(tiny_model):
            assert list(kernels._linears(tiny_model)) == []
            with packed_linears(tiny_model):
                pass
            assert list(kernels._linears(tiny_model)) == []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(kernels._linears(tiny_model))


@pytest.mark.parametrize(
    ("model", "flags", "helps"),
    [
        ("AMD EPYC 9355", ("avx2", "avx512f"), True),
        ("AMD EPYC 7302", ("avx2",), False),
        ("Intel(R) Xeon(R) 6972P", ("avx2", "avx512f"), False),
    ],
)
def test_where_it_helps(tiny_model, monkeypatch, model, flags, helps):
    """Only where MKL leaves the processor's wide registers unused."""
    monkeypatch.setattr(hardware, "cpu_model", lambda: model)
    monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
    assert packing_helps(tiny_model) is helps


def test_not_without_memory(tiny_model, monkeypatch):
    """Packing takes the weights' memory once more."""
    monkeypatch.setattr(hardware, "cpu_model", lambda: "AMD EPYC 9355")
    monkeypatch.setattr(hardware, "cpu_flags", lambda: ("avx512f",))
    monkeypatch.setattr(kernels, "_packed_bytes", lambda _: 2**60)
    assert not packing_helps(tiny_model)
