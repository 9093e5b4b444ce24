"""Device and dtype are decided in one place, and every decision is recorded in words."""

import pytest

from harness.errors import ModelError
from harness.models import device, hardware
from harness.models.device import torch_dtype
from harness.suite.spec import BaseSpec


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("avx2", "fma"), "fp32"),
        (("avx2", "avx512f"), "fp32"),
        (("avx512f", "avx512_bf16"), "bf16"),
        (("amx_tile", "amx_bf16"), "bf16"),
    ],
)
def test_cpu_dtype_follows_hardware_bf16(monkeypatch, flags, expected):
    """A CPU computes in bf16 only where it multiplies bf16 in hardware."""
    monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
    policy = device.decide(BaseSpec(model="tiny:llama", device="cpu"))
    assert policy.compute_dtype == expected
    assert any(expected in decision for decision in policy.decisions)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "fp16"), ((7, 0), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
)
def test_gpu_dtype_follows_capability(monkeypatch, capability, expected):
    """GPUs before capability 8 compute in fp16, later ones in bf16, and run real 4-bit weights."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "a GPU")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: capability)
    policy = device.decide(BaseSpec(model="tiny:llama"))
    assert (policy.device, policy.compute_dtype) == ("cuda:0", expected)
    assert not policy.dequantize_for_quality


def test_variable_overrides_suite_overrides_policy(monkeypatch):
    """The environment variable wins over base.dtype, and the record says so."""
    base = BaseSpec(model="tiny:llama", dtype="fp16", device="cpu")
    assert device.decide(base).compute_dtype == "fp16"
    monkeypatch.setenv("HARNESS_COMPUTE_DTYPE", "fp32")
    policy = device.decide(base)
    assert policy.compute_dtype == "fp32"
    assert any("HARNESS_COMPUTE_DTYPE" in decision for decision in policy.decisions)


def test_wrong_variable_is_refused(monkeypatch):
    """A misspelt override is an error, not ignored."""
    monkeypatch.setenv("HARNESS_COMPUTE_DTYPE", "float32")
    with pytest.raises(ModelError, match=r"bf16, fp16, fp32, found 'float32'"):
        device.decide(BaseSpec(model="tiny:llama", device="cpu"))


def test_missing_device_is_refused(monkeypatch):
    """Asking for a device that is not there names those that are."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ModelError, match=r"asks for cuda, but torch finds only: .*cpu"):
        device.decide(BaseSpec(model="tiny:llama", device="cuda"))


def test_torch_dtype(fp32_policy):
    """The policy names torch's own dtype, and the CPU dequantizes for quality, with a reason."""
    import torch

    assert torch_dtype(fp32_policy.compute_dtype) is torch.float32
    assert fp32_policy.dequantize_for_quality
    assert any("dequantized once" in decision for decision in fp32_policy.decisions)


def test_environment_is_complete_and_stable(fp32_policy):
    """The environment records versions and the same fingerprint with and without a policy."""
    with_policy = device.environment(fp32_policy)
    without = device.environment(None)
    assert {"torch", "transformers", "peft", "bitsandbytes"} <= set(with_policy.versions)
    assert with_policy.fingerprint == without.fingerprint
    assert with_policy.compute_dtype == "fp32"
    assert with_policy.memory_bytes > 2**30
    assert without.device == "undecided"


def test_fingerprint_changes_with_hardware(monkeypatch):
    """Another processor, core count or GPU gives another fingerprint."""
    seen = {hardware.fingerprint()}
    for name, value in {
        "cpu_model": "another",
        "cpu_flags": ("none",),
        "cpu_count": 999,
        "gpu_names": ("x",),
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(hardware, name, lambda value=value: value)
            seen.add(hardware.fingerprint())
    assert len(seen) == 5
