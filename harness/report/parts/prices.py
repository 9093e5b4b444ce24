"""What a million tokens cost on a machine that is paid by the hour."""

from collections.abc import Iterator

from harness.report.view.records import MeasuredValue, MeasurementRow
from harness.suite.spec import MeasureSpec

PRICES = {
    "prefill_tokens_per_s": "price_per_million_prompt_tokens",
    "decode_tokens_per_s": "price_per_million_new_tokens",
}
"""Speed -> the price that it makes."""


def price_rows(
    rows: tuple[MeasurementRow, ...], measure: MeasureSpec | None
) -> tuple[MeasurementRow, ...]:
    """Prices of a million tokens at every measured point of the grid.

    The machine is taken to do nothing else, and to be busy all the time: price per hour / (tokens
    per second × 3600) × 1,000,000. A machine that idles half of the time costs twice as much.

    Args:
        rows: Measured quantities.
        measure: The suite's ``measure``; without ``price_per_hour`` there are no prices.
    """
    if measure is None or measure.price_per_hour is None:
        return ()
    return tuple(_priced(rows, measure.price_per_hour, measure.currency))


def _priced(rows: tuple[MeasurementRow, ...], price: float, unit: str) -> Iterator[MeasurementRow]:
    for row in rows:
        if row.name in PRICES:
            readings = tuple(_price(reading, price) for reading in row.readings)
            yield row.model_copy(
                update={"name": PRICES[row.name], "unit": unit, "readings": readings}
            )


def _price(reading: MeasuredValue | None, price: float) -> MeasuredValue | None:
    """A speed as a price; the fastest quartile is the cheapest."""
    if reading is None or not reading.median:
        return reading

    def per_million(speed: float | None) -> float | None:
        return price / (speed * 3600) * 1e6 if speed else None

    return reading.model_copy(
        update={
            "median": per_million(reading.median),
            "low": per_million(reading.high),
            "high": per_million(reading.low),
        }
    )
