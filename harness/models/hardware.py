"""What the machine is and has, without torch: processors, a fingerprint, library versions."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from harness.digests import short_digest

# The flags that decide which kernels torch and bitsandbytes run.
SPEED_FLAGS = (
    "avx2", "fma", "f16c", "avx512f", "avx512_bf16", "avx512_vnni", "avx512_fp16", "amx_tile",
    "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm", "sve",
)  # fmt: skip


@cache
def cpu_model() -> str:
    """The processor's name as the system gives it."""
    match = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


@cache
def cpu_flags() -> tuple[str, ...]:
    """Those of the processor's flags that decide speed, in the order of ``SPEED_FLAGS``."""
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    flags = match.group(1).split() if match else []
    return tuple(flag for flag in SPEED_FLAGS if flag in flags)


def cpu_count() -> int:
    """Number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def gpu_names() -> tuple[str, ...]:
    """Names of the NVIDIA processors, as the driver lists them; empty without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())


def fingerprint() -> str:
    """Digest of what decides speed; measurements compare only where it is equal.

    Memory is rounded to GiB, because the total a kernel reports varies by a few pages per boot.
    """
    return short_digest(
        {
            "cpu": cpu_model(),
            "flags": cpu_flags(),
            "cores": cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "gpus": gpu_names(),
        }
    )


def installed_versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of those of the named distributions that are installed."""
    return {name: number for name in names if (number := _installed_version(name))}


@cache
def _installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def _cpuinfo() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""
