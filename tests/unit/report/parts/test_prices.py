"""Prices per million tokens."""

from __future__ import annotations

import pytest

from harness.report.parts.costs import price_rows
from harness.report.view.records import MeasuredValue, MeasurementRow
from harness.suite.spec import MeasureSpec


def row(name: str, *readings: MeasuredValue | None) -> MeasurementRow:
    return MeasurementRow(
        name=name, unit="tok/s", batch_size=1, prompt_tokens=8, new_tokens=4, readings=readings
    )


def test_a_price_is_what_an_hour_costs_over_the_tokens_of_an_hour() -> None:
    """By hand: 100 tok/s are 0.36 million in an hour; at 1.80 an hour that makes 5 a million."""
    fast = MeasuredValue(median=100.0, low=90.0, high=125.0, n=5)
    (priced,) = price_rows(
        (row("decode_tokens_per_s", fast, None), row("ttft_s", fast)),
        MeasureSpec(price_per_hour=1.8, currency="EUR"),
    )
    found, missing = priced.readings
    assert (priced.name, priced.unit) == ("price_per_million_new_tokens", "EUR")
    assert missing is None
    assert found is not None
    assert (found.low, found.median, found.high) == pytest.approx((4.0, 5.0, 1.8 / 0.324))


def test_what_could_not_be_measured_has_no_price() -> None:
    """It keeps its reason; and without a price per hour there are no prices."""
    failed = MeasuredValue(median=None, reason="out of memory")
    (priced,) = price_rows((row("prefill_tokens_per_s", failed),), MeasureSpec(price_per_hour=2))
    assert priced.readings == (failed,)
    assert price_rows((row("prefill_tokens_per_s", failed),), MeasureSpec()) == ()
    assert price_rows((row("prefill_tokens_per_s", failed),), None) == ()
