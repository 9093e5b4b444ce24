"""The machine is described without torch, and missing information is missing, not guessed."""

import subprocess

import pytest

from harness.models import hardware


@pytest.fixture(autouse=True)
def fresh():
    """Forget what was read of this machine, before and after."""
    for function in (hardware.cpu_model, hardware.cpu_flags, hardware.gpu_names):
        function.cache_clear()
    yield
    for function in (hardware.cpu_model, hardware.cpu_flags, hardware.gpu_names):
        function.cache_clear()


@pytest.mark.parametrize(
    ("text", "model", "flags"),
    [
        (
            "processor : 0\nmodel name\t: A CPU @ 2GHz\nflags\t\t: fpu avx2 sse fma avx512_bf16\n",
            "A CPU @ 2GHz",
            ("avx2", "fma", "avx512_bf16"),
        ),
        ("Features\t: fp asimd bf16 i8mm\n", None, ("asimd", "bf16", "i8mm")),
        ("", None, ()),
    ],
)
def test_cpu_as_linux_describes_it(monkeypatch, text, model, flags):
    """Name and flags come from /proc/cpuinfo, on x86 and ARM; elsewhere there are no flags."""
    monkeypatch.setattr(hardware, "_cpuinfo", lambda: text)
    assert hardware.cpu_flags() == flags
    assert hardware.cpu_model()
    if model:
        assert hardware.cpu_model() == model


def test_gpus_as_the_driver_lists_them(monkeypatch):
    """One name per processor, in the driver's order."""
    listed = subprocess.CompletedProcess([], 0, stdout="GPU A\nGPU B\n\n")
    monkeypatch.setattr(hardware.shutil, "which", lambda _: "/bin/nvidia-smi")
    monkeypatch.setattr(hardware.subprocess, "run", lambda *_, **__: listed)
    assert hardware.gpu_names() == ("GPU A", "GPU B")


@pytest.mark.parametrize(
    "error", [OSError(), subprocess.CalledProcessError(9, "x"), subprocess.TimeoutExpired("x", 1)]
)
def test_broken_driver_means_no_gpu(monkeypatch, error):
    """A driver tool that fails does not end the run."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(hardware.shutil, "which", lambda _: "/bin/nvidia-smi")
    monkeypatch.setattr(hardware.subprocess, "run", fail)
    assert hardware.gpu_names() == ()


def test_versions_of_what_is_installed():
    """Distributions that are not installed are left out."""
    versions = hardware.installed_versions(["numpy", "no-such-distribution"])
    assert list(versions) == ["numpy"]
