from __future__ import annotations

import subprocess
import sys

import pytest

from harness.metrics.quantities import MEASURED, QUANTITIES, measured_name


def test_meanings_are_sentences() -> None:
    """Every meaning reads as sentences, every name carries its unit where it has one."""
    endings = {"tok/s": "_tokens_per_s", "s": "_s", "bytes": "_bytes"}
    for name, quantity in QUANTITIES.items():
        assert quantity.name == name
        assert quantity.meaning[0].isupper(), name
        assert quantity.meaning.endswith("."), name
        assert endings.get(quantity.unit, "") in name
        assert quantity.label == measured_name(name)


def test_nobody_changes_the_table_for_others() -> None:
    """It is read everywhere."""
    with pytest.raises(TypeError):
        MEASURED["ttft_s"] = MEASURED["itl_s"]  # type: ignore[index]


def test_prices_are_named_but_not_measured() -> None:
    """A constraint cannot bound what no measurement has."""
    assert set(QUANTITIES) - set(MEASURED) == {
        "price_per_million_prompt_tokens",
        "price_per_million_new_tokens",
    }


def test_package_brings_in_no_torch() -> None:
    """Planning and reporting import the package where torch is not installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'transformers', 'peft']));"
        "from harness.metrics.quantities import MEASURED; import harness.measure.job;"
        "MEASURED; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "fine\n"
