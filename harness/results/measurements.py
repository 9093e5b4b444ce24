"""Memory and speed as decisions read them: one reading per quantity, at the smallest sizes.

What a quantity and a point of the grid are called is said here as well, once for all outputs; and
whether the machine was busy with other work. Times on a CPU say as much about the other programs
that ran as about the model: such figures are kept and shown, but they break no constraint. A GPU's
times are little touched by the load of the CPU, so they are left alone; so is memory.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from harness.metrics.quantities import MEASURED, measured_name
from harness.schema import CellResult, Environment, Measurement, Taken
from harness.store.runs import Store

MEMORY = ("peak_allocated_bytes", "peak_rss_bytes")  # on a GPU the first one exists
SPEED = "decode_tokens_per_s"

BUSY = 1.25
"""Load average per core from which on a machine is overloaded.

The harness's own threads, those of the evaluation before included, make at most one per core; the
quarter above it is for what always runs.
"""
WIDE = 0.25
"""Quartiles of the repeats this far apart, as a share of the median, are no steady state."""
_REPEATED = ("prefill_tokens_per_s", "decode_tokens_per_s")
_FEWEST = 4  # repeats below which quartiles say nothing


class GridPoint(Protocol):
    """What has sizes: a measurement, or a row of a table of them."""

    @property
    def batch_size(self) -> int:
        """Sequences at once."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of each prompt; 0 for figures of the whole process."""

    @property
    def new_tokens(self) -> int:
        """Tokens that were generated for each."""


def point(item: GridPoint) -> tuple[int, int, int]:
    """The point of the grid; smaller ones sort first."""
    return (item.batch_size, item.prompt_tokens, item.new_tokens)


def sizes(item: GridPoint) -> str:
    """The point of the grid in words; empty for figures of the whole process."""
    if not item.prompt_tokens:
        return ""
    batch = f" × {item.batch_size}" if item.batch_size > 1 else ""
    return f"{item.prompt_tokens} + {item.new_tokens} tokens{batch}"


def smallest(measurements: Iterable[Measurement]) -> dict[str, Measurement]:
    """Each quantity at the smallest point of the grid, the points that gave readings first.

    Args:
        measurements: All of one variant: any order, any number of grid points.
    """
    readings: dict[str, Measurement] = {}
    for item in sorted(measurements, key=lambda item: (not item.values, point(item))):
        readings.setdefault(item.name, item)
    return readings


@dataclass(frozen=True)
class Median:
    """Median of the repeats of one quantity, or the reason why there is none."""

    value: float | None  # the median
    unit: str = ""  # of the value
    reason: str | None = None  # why there is no value
    doubt: str = ""  # why a time or speed may be slower than the model: the machine was busy


Medians = Mapping[str, Median]
"""Quantity -> its median."""


def medians(measurements: Sequence[Measurement], cores: int | None = None) -> dict[str, Median]:
    """The median of each quantity at the smallest point of the grid that it was measured at.

    Args:
        measurements: All of one variant: any order, any number of grid points.
        cores: Of the machine they were taken on; None where that is not known.
    """
    doubt = "; ".join(doubts(measurements, cores))
    return {
        name: Median(
            statistics.median(item.values) if item.values else None,
            item.unit,
            item.reason,
            doubt if is_timed(name) else "",
        )
        for name, item in smallest(measurements).items()
    }


def measured_on(store: Store, key: str) -> Environment | None:
    """The machine that a measurement was taken on; None where that was not kept."""
    if not store.holds("measurements", key, "environment.json"):
        return None
    return store.read_record("measurements", key, "environment", Environment)


def measured_at(store: Store, key: str) -> str | None:
    """When a measurement was made (ISO 8601, UTC); None where that was not kept."""
    if not store.holds("measurements", key, "taken.json"):
        return None
    return store.read_record("measurements", key, "taken", Taken).at


def read_medians(
    store: Store, cells: Iterable[CellResult]
) -> tuple[dict[str, Medians], dict[str, str]]:
    """Medians of every measured variant, and why the others have none.

    Raises:
        StoreError: A finished measurement is missing or unreadable.
    """
    measured: dict[str, Medians] = {}
    missing: dict[str, str] = {}
    for cell in cells:
        if cell.kind != "measure":
            continue
        if cell.status == "done" and cell.measurements_key is not None:
            key = cell.measurements_key
            read = store.read_records("measurements", key, "measurements", Measurement)
            place = measured_on(store, key)
            measured[cell.variant] = medians(read, place.cpu_count if place else None)
        else:
            missing[cell.variant] = f"{cell.status}: {cell.reason or 'no reason was recorded'}"
    return measured, missing


def is_timed(name: str) -> bool:
    """Whether a quantity is a time or a speed, which other programs change."""
    return name in MEASURED and MEASURED[name].is_timed


def doubts(measurements: Sequence[Measurement], cores: int | None) -> tuple[str, ...]:
    """Why the times of one measurement say little about the model; empty where nothing does.

    Args:
        measurements: All of one variant.
        cores: Of the machine they were taken on; None where that is not known.
    """
    on_cpu = [item for item in measurements if item.device.startswith("cpu")]
    return tuple(line for line in (_overloaded(on_cpu, cores), _unsteady(on_cpu)) if line)


def _overloaded(items: Iterable[Measurement], cores: int | None) -> str:
    load = next((item.values for item in items if item.name == "load_average"), ())
    if not load or not cores or max(load) <= BUSY * cores:
        return ""
    seen = f"{load[0]:.1f} before measuring"
    if len(load) > 1:
        seen += f" and {load[-1]:.1f} at the end"
    return (
        f"the machine was overloaded, with a load average of {seen} "
        f"on {cores} core{'' if cores == 1 else 's'}"
    )


def _unsteady(items: Iterable[Measurement]) -> str:
    wide = []
    for item in items:
        if item.name not in _REPEATED or len(item.values) < _FEWEST:
            continue
        low, median, high = np.quantile(item.values, (0.25, 0.5, 0.75)).tolist()
        if high - low > WIDE * median:
            wide.append(((high - low) / median, f"{measured_name(item.name)} ({sizes(item)})"))
    if not wide:
        return ""
    share, what = max(wide)
    return (
        f"the repeats differ much: the quartiles of the {what} lie {100 * share:.0f} % of the "
        "median apart"
    )
