"""Memory and speed against a baseline: ratios of medians, bounded by a bootstrap of the repeats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.metrics.base import FloatArray
from harness.metrics.quantities import better_higher, has_direction
from harness.results.measurements import point, smallest
from harness.schema import GateCheck, GateVerdict, Measurement
from harness.stats.resampling import N_RESAMPLES

_LEAST_READINGS = 5  # the least and the greatest of fewer are no bounds at usual levels
_ROUNDING = 1e-9  # a loss of exactly the margin must not depend on rounding


@dataclass(frozen=True)
class Repeats:
    """Readings of one quantity of one gated variant, in the baseline and in the run."""

    subject: str  # as ``gate.variants`` has it
    variant: str | None  # what that is in this run
    name: str  # the quantity, such as ``"decode_tokens_per_s"``
    unit: str  # ``"tok/s"``, ``"s"`` or ``"bytes"``; others have no better direction
    sizes: str  # the point of the grid in words; empty for figures of the whole process
    before: tuple[float, ...]  # readings of the baseline, shape (repeats,)
    after: tuple[float, ...]  # readings of the run
    # share that the median may get worse by, such as 0.2; None where it is only listed
    margin: float | None = None
    missing: str | None = None  # why the run has no readings, though the baseline has
    not_comparable: str | None = None  # why the two cannot be compared, such as other hardware

    @property
    def decides(self) -> bool:
        """Whether the gate has a margin for it."""
        return self.margin is not None

    @property
    def higher_is_better(self) -> bool:
        """True for speeds, False for times and bytes."""
        return better_higher(self.unit)

    @property
    def comparable(self) -> bool:
        """Whether there is a ratio to look at."""
        return self.missing is None and self.not_comparable is None

    @property
    def uncertain(self) -> bool:
        """Whether the readings vary, so that their ratio needs bounds."""
        return len(set(self.before)) > 1 or len(set(self.after)) > 1


@dataclass(frozen=True, slots=True)
class Ratio:
    """Relative gain of the median, oriented so that more is better: 0.1 is 10 % better."""

    gain: float
    low: float
    high: float
    method: str


def ratio(
    repeats: Repeats, level: float, *, seed: int = 0, n_resamples: int = N_RESAMPLES
) -> Ratio | None:
    """Compare medians: (after / before - 1), or its negative where lower is better.

    The bounds are those of a percentile bootstrap that draws the repeats of both sides
    independently. They know what varies between repeats in one process, and not what varies
    between processes or days; a margin has to leave room for that. Equal readings on either side
    (bytes, mostly) are taken as exact.

    Args:
        repeats: Both sides, each with at least one reading.
        level: Probability that either bound is wrong.
        seed: Seed of the resampling.
        n_resamples: Number of resamples.

    Returns:
        Gain and bounds; None where the baseline's median is not more than zero.

    Source:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 8 (two samples).
    """
    before, after = np.array(repeats.before), np.array(repeats.after)
    if np.median(before) <= 0:
        return None
    if repeats.before == repeats.after:
        return Ratio(0.0, 0.0, 0.0, "equal readings")
    sign = 1.0 if repeats.higher_is_better else -1.0
    gain = sign * float(np.median(after) / np.median(before) - 1)
    if not repeats.uncertain:
        return Ratio(gain, gain, gain, "ratio of readings that do not vary, taken as exact")
    rng = np.random.default_rng(seed)
    then, now = _medians(before, rng, n_resamples), _medians(after, rng, n_resamples)
    with np.errstate(divide="ignore"):  # a median of zero among the draws: a bound at infinity
        drawn = sign * (now / then - 1)
    low, high = np.quantile(drawn, [level, 1 - level])
    if not np.isfinite([low, high]).all():
        return None
    words = f"ratio of medians, bootstrap of {len(before)} and {len(after)} repeats"
    return Ratio(gain, min(float(low), gain), max(float(high), gain), words)


def _medians(values: FloatArray, rng: np.random.Generator, count: int) -> FloatArray:
    drawn: FloatArray = np.median(values[rng.integers(len(values), size=(count, len(values)))], 1)
    return drawn


def main_readings(items: Iterable[Measurement]) -> dict[str, Measurement]:
    """Quantities that can get worse, each at the smallest point of the grid that gave readings."""
    return {
        name: item
        for name, item in smallest(items).items()
        if item.values and has_direction(item.unit)
    }


def at_point(items: Sequence[Measurement], wanted: Measurement) -> Measurement | None:
    """The reading of the same quantity at the same sizes; None where it was not measured."""
    key = (wanted.name, wanted.unit, point(wanted))
    return next((item for item in items if (item.name, item.unit, point(item)) == key), None)


def check_repeats(item: Repeats, level: float, *, seed: int, n_resamples: int) -> GateCheck:
    """The check of one measured quantity.

    Args:
        item: Both sides.
        level: Probability that either bound is wrong.
        seed: Seed of the resampling.
        n_resamples: Number of resamples.
    """
    gain = ratio(item, level, seed=seed, n_resamples=n_resamples) if item.comparable else None
    verdict, reason = _verdict(item, gain)
    return GateCheck(
        subject=item.subject,
        variant=item.variant,
        kind="measurement",
        task="measure",
        metric=item.name,
        split=item.sizes,
        verdict=verdict,
        decides=item.decides,
        unit=item.unit,
        higher_is_better=item.higher_is_better,
        n=min(len(item.before), len(item.after)) if item.after else 0,
        baseline_value=float(np.median(item.before)),
        value=float(np.median(item.after)) if item.after else None,
        gain=plain_zero(gain.gain) if gain else None,
        low=plain_zero(gain.low) if gain else None,
        high=plain_zero(gain.high) if gain else None,
        margin=item.margin,
        method=gain.method if gain else "",
        reason=reason,
    )


def _verdict(item: Repeats, gain: Ratio | None) -> tuple[GateVerdict, str | None]:
    few = item.uncertain and min(len(item.before), len(item.after)) < _LEAST_READINGS
    reason = item.missing or item.not_comparable
    verdict: GateVerdict = "inconclusive"
    if reason is not None:
        verdict = "missing" if item.missing is not None else "not_compared"
    elif gain is None:
        verdict, reason = "invalid", "the readings give no ratio of medians"
    elif item.before == item.after:
        verdict = "identical"
    elif item.margin is None:
        verdict, reason = "not_compared", "no margin in gate.measurements"
    elif few:
        reason = f"fewer than {_LEAST_READINGS} readings that vary; raise measure.repeats"
    elif gain.low >= -item.margin - _ROUNDING:
        verdict = "pass"
    elif gain.high < -item.margin - _ROUNDING:
        verdict = "regression"
    return verdict, reason


def plain_zero(value: Any) -> Any:
    """0.0 for -0.0, which a record should not tell apart."""
    return 0.0 if isinstance(value, float) and value == 0 else value
