"""Memory and speed, what quality costs, and what a million tokens cost on a paid machine."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.checks.base import findings_about
from harness.checks.measurement import MeasurementFacts
from harness.metrics.quantities import MEASURED
from harness.report.view import records
from harness.report.view.repeats import of_variants
from harness.results.measurements import MEMORY, SPEED, doubts, measured_at, measured_on, sizes
from harness.schema import Environment, Finding, Manifest, Measurement
from harness.stats.pareto import Objective, efficient
from harness.store.runs import Store
from harness.suite.record import suite_of
from harness.suite.spec import MeasureSpec

_ORDER = tuple(MEASURED)
_SAID = ("torch", "transformers")  # versions that speed depends on
_Point = tuple[str, str, int, int, int]

PRICES = {
    "prefill_tokens_per_s": "price_per_million_prompt_tokens",
    "decode_tokens_per_s": "price_per_million_new_tokens",
}
"""Speed -> the price that it makes."""


def build_measurements(store: Store, manifest: Manifest) -> records.Measurements:
    """Read all measurements; variants that share one share a column.

    Raises:
        StoreError: A finished measurement is missing or unreadable.
    """
    shared: dict[str, list[str]] = {}
    missing: dict[str, str] = {}
    for cell in manifest.cells:
        if cell.kind != "measure":
            continue
        if cell.status == "done" and cell.measurements_key is not None:
            shared.setdefault(cell.measurements_key, []).append(cell.variant)
        else:
            missing[cell.variant] = f"{cell.status}: {cell.reason or 'no reason was recorded'}"
    columns: list[dict[_Point, Measurement]] = []
    doubted: dict[tuple[str, ...], list[Finding]] = {}
    taken: list[str] = []
    for key, names in shared.items():
        read = store.read_records("measurements", key, "measurements", Measurement)
        columns.append({_point(item): item for item in read})
        place = measured_on(store, key)
        if reasons := doubts(read, place.cpu_count if place else None):
            doubted[tuple(names)] = findings_about(MeasurementFacts(names, reasons))
        if older := _taken(store, key, manifest, place):
            taken.append(f"{', '.join(names)}: {older}")
    points = sorted({point for column in columns for point in column}, key=_place)
    rows = tuple(_measurement_row(point, columns) for point in points)
    return records.Measurements(
        columns=tuple(tuple(names) for names in shared.values()),
        devices=tuple(sorted({item.device for column in columns for item in column.values()})),
        rows=(*rows, *price_rows(rows, suite_of(manifest).measure)),
        missing=missing,
        doubts=tuple(finding for findings in doubted.values() for finding in findings),
        doubted=tuple(name for names in doubted for name in names),
        taken=tuple(taken),
    )


def _taken(store: Store, key: str, manifest: Manifest, place: Environment | None) -> str:
    """When and where a measurement was made that is older than the run; else nothing."""
    at = measured_at(store, key)
    if at is None or at >= manifest.created:
        return ""
    where = ""
    if place is not None:
        versions = [f"{name} {place.versions[name]}" for name in _SAID if name in place.versions]
        where = f" on {', '.join([place.device_name, *versions])}"
    return f"measured {at[:16].replace('T', ' ')} UTC{where}, before this run; from the store"


def _point(item: Measurement) -> _Point:
    return (item.name, item.unit, item.batch_size, item.prompt_tokens, item.new_tokens)


def _place(point: _Point) -> tuple[int, _Point]:
    return (_ORDER.index(point[0]) if point[0] in _ORDER else len(_ORDER), point)


def _measurement_row(
    point: _Point, columns: Sequence[Mapping[_Point, Measurement]]
) -> records.MeasurementRow:
    name, unit, batch_size, prompt_tokens, new_tokens = point
    return records.MeasurementRow(
        name=name,
        unit=unit,
        batch_size=batch_size,
        prompt_tokens=prompt_tokens,
        new_tokens=new_tokens,
        readings=tuple(_reading(column.get(point)) for column in columns),
    )


def _reading(item: Measurement | None) -> records.MeasuredValue | None:
    if item is None:
        return None
    if not item.values:
        return records.MeasuredValue(
            median=None, reason=item.reason or "not recorded", note=item.note
        )
    low, median, high = np.quantile(item.values, (0.25, 0.5, 0.75)).tolist()
    several = len(item.values) > 1
    return records.MeasuredValue(
        median=median,
        low=low if several else None,
        high=high if several else None,
        n=len(item.values),
        note=item.note,
    )


def build_trade_off(
    manifest: Manifest, measurements: records.Measurements, row: records.MatrixRow | None
) -> records.TradeOff:
    """Quality on the report split against memory and decode speed.

    Args:
        manifest: The run.
        measurements: Its memory and speed; the first (smallest) point of the grid counts.
        row: The primary metric on the report split.
    """
    memory, memory_row = _first(measurements, MEMORY)
    speed, speed_row = _first(measurements, (SPEED,))
    price, price_row = _cheapest(measurements, PRICES[SPEED])
    unscored = records.Figure(value=None, reason="not scored on the report split")
    points = [
        records.TradeOffPoint(
            variant=name,
            quality=(row.figure(name) if row else None) or unscored,
            memory_bytes=memory.get(name),
            decode_tokens_per_s=speed.get(name),
            price_per_million_new_tokens=price.get(name),
            speed_in_doubt=name in measurements.doubted,
        )
        for name in (variant.id for variant in manifest.variants)
    ]
    front = _front(points, row is None or row.higher_is_better)
    return records.TradeOff(
        metric=row.metric if row else "",
        memory_name=memory_row.name if memory_row else "",
        speed_sizes=sizes(speed_row) if speed_row else "",
        currency=price_row.unit if price_row else "",
        price_sizes=sizes(price_row) if price_row else "",
        points=tuple(
            point.model_copy(update={"efficient": point.variant in front}) for point in points
        ),
        cautions=_cautions(manifest, measurements),
    )


def _cautions(manifest: Manifest, measurements: records.Measurements) -> tuple[str, ...]:
    """In one sentence whose speeds to doubt; the reasons stand beside the figures."""
    if not measurements.doubts:
        return ()
    names = of_variants(measurements.doubted, len(manifest.variants))
    return (
        f"The speeds of {names} are in doubt: other programs ran, or the repeats differ much; "
        "see “Memory and speed”.",
    )


def _first(
    measurements: records.Measurements, names: Sequence[str]
) -> tuple[dict[str, float], records.MeasurementRow | None]:
    """Medians by variant of the first of these quantities that was measured, and its row."""
    for name in names:
        for row in measurements.rows:
            if row.name == name and (medians := _medians(measurements, row)):
                return medians, row
    return {}, None


def _cheapest(
    measurements: records.Measurements, name: str
) -> tuple[dict[str, float], records.MeasurementRow | None]:
    """Prices by variant at the one point of the grid where they are lowest, and its row."""
    priced = [(_medians(measurements, row), row) for row in measurements.rows if row.name == name]
    most = max((len(medians) for medians, _ in priced), default=0)
    whole = [entry for entry in priced if most and len(entry[0]) == most]
    return min(whole, key=lambda entry: min(entry[0].values()), default=({}, None))


def _medians(measurements: records.Measurements, row: records.MeasurementRow) -> dict[str, float]:
    return {
        variant: reading.median
        for variants, reading in zip(measurements.columns, row.readings, strict=True)
        for variant in variants
        if reading is not None and reading.median is not None
    }


def _front(points: Sequence[records.TradeOffPoint], higher_is_better: bool) -> set[str]:
    """Variants that no other one beats in quality, memory and decode speed.

    Speeds do not count where any of them is in doubt.
    """
    measured = [point for point in points if point.memory_bytes is not None]
    quality = {point.variant: point.quality.value for point in measured}
    memory = {point.variant: point.memory_bytes for point in measured}
    axes = [
        Objective("quality", quality, higher_is_better),
        Objective("memory", memory, higher_is_better=False),
    ]
    if not any(point.speed_in_doubt for point in measured):
        speed = {point.variant: point.decode_tokens_per_s for point in measured}
        axes.append(Objective("decode speed", speed))
    return efficient(axes)


def price_rows(
    rows: tuple[records.MeasurementRow, ...], measure: MeasureSpec | None
) -> tuple[records.MeasurementRow, ...]:
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


def _priced(
    rows: tuple[records.MeasurementRow, ...], price: float, unit: str
) -> Iterator[records.MeasurementRow]:
    for row in rows:
        if row.name in PRICES:
            readings = tuple(_price(reading, price) for reading in row.readings)
            yield row.model_copy(
                update={"name": PRICES[row.name], "unit": unit, "readings": readings}
            )


def _price(reading: records.MeasuredValue | None, price: float) -> records.MeasuredValue | None:
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
