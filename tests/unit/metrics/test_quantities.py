from __future__ import annotations

import subprocess
import sys

from harness.metrics.quantities import definitions


def test_definitions_are_sentences() -> None:
    """Every definition reads as sentences and every name carries its unit where it has one."""
    for name, text in definitions().items():
        assert text[0].isupper(), name
        assert text.endswith("."), name
    definitions()["ttft_s"] = "changed"
    assert definitions()["ttft_s"] != "changed"


def test_package_brings_in_no_torch() -> None:
    """Planning and reporting import the package where torch is not installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'peft']));"
        "from harness.metrics.quantities import definitions; import harness.measure.job;"
        "definitions(); print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "fine\n"
