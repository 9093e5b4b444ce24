"""Memory and speed as decisions read them: one median per quantity, at the smallest sizes."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.schema import CellResult, Measurement
from harness.store import Store

MEMORY = ("peak_allocated_bytes", "peak_rss_bytes")  # on a GPU the first one exists
SPEED = "decode_tokens_per_s"


@dataclass(frozen=True)
class Median:
    """Median of the repeats of one quantity, or the reason why there is none."""

    value: float | None
    unit: str = ""
    reason: str | None = None


Medians = Mapping[str, Median]
"""Quantity -> its median."""


def medians(measurements: Iterable[Measurement]) -> dict[str, Median]:
    """The median of each quantity at the smallest point of the grid that it was measured at.

    Args:
        measurements: All of one variant: any order, any number of grid points.
    """
    smallest: dict[str, Measurement] = {}
    for item in measurements:
        held = smallest.get(item.name)
        if held is None or _place(item) < _place(held):
            smallest[item.name] = item
    return {
        name: Median(
            statistics.median(item.values) if item.values else None, item.unit, item.reason
        )
        for name, item in smallest.items()
    }


def _place(item: Measurement) -> tuple[bool, int, int, int]:
    """Points with readings first, then by sequences, prompt tokens and new tokens."""
    return (not item.values, item.batch_size, item.prompt_tokens, item.new_tokens)


def read_medians(
    store: Store, cells: Iterable[CellResult]
) -> tuple[dict[str, Medians], dict[str, str]]:
    """Medians of every measured variant, and why the others have none.

    Raises:
        StoreError: A finished measurement is missing or unreadable.
    """
    found: dict[str, Medians] = {}
    missing: dict[str, str] = {}
    for cell in cells:
        if cell.kind != "measure":
            continue
        if cell.status == "done" and cell.measurements_key is not None:
            key = cell.measurements_key
            read = store.read_records("measurements", key, "measurements", Measurement)
            found[cell.variant] = medians(read)
        else:
            missing[cell.variant] = f"{cell.status}: {cell.reason or 'no reason was recorded'}"
    return found, missing
