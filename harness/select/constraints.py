"""What a checkpoint must keep to: scores that may not fall far, and measurements within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.metrics.quantities import better_higher, measured_name, unit_of
from harness.results.measurements import Median, Medians
from harness.results.scores import Reading
from harness.schema import ConstraintCheck
from harness.select.scores import Part, Watched, no_such, watch
from harness.suite.deciding import first_metric
from harness.suite.rules import (
    ConstraintSpec,
    amount,
    in_points,
    margin_in_own_unit,
    share,
)
from harness.suite.spec import Suite

TAIL = 0.05
"""Each bound alone holds with 95 %: a constraint is broken or kept only if the data shows it."""


# -- scores ---------------------------------------------------------------------------------------


def check_score(spec: ConstraintSpec, watched: Watched, variant: str) -> ConstraintCheck:
    """Whether a variant's score is not too far below the baseline's.

    With the paired difference oriented so that more is better, and its one-sided 95 % bounds L and
    U: kept if L >= -margin, broken if U < -margin, else unsure.
    """
    margin = spec.max_drop
    if margin is None:
        raise TypeError("a constraint on a task has max_drop")  # excluded by ConstraintSpec
    quantity = watched.quantity
    scale = quantity.scale if quantity else None
    common: dict[str, Any] = {
        "variant": variant,
        "what": _score_words(spec, watched, scale),
        "data": watched.data,
        "scale": scale,
        "higher_is_better": quantity.higher_is_better if quantity else True,
    }
    panel, baseline = watched.panel(variant), watched.baseline
    if isinstance(panel, str):
        return ConstraintCheck(status="unknown", reason=panel, **common)
    common["n"] = len(panel.ids)
    if variant == baseline:
        return ConstraintCheck(status="kept", value=0.0, low=0.0, high=0.0, **common)
    found, before = panel.bounded_difference(baseline, variant, tail=TAIL), panel.value(baseline)
    common["value"] = found.delta
    if found.low is None or found.high is None or before is None:
        return ConstraintCheck(status="unknown", reason=found.reason, **common)
    bound = margin_in_own_unit(margin, before, scale)
    common["reference"] = before if isinstance(margin, str) else None
    worst, best = found.low, found.high
    if not panel.quantity.higher_is_better:
        worst, best = -found.high, -found.low
    status: Literal["kept", "broken", "unsure"] = "unsure"
    if worst >= -bound:
        status = "kept"
    elif best < -bound:
        status = "broken"
    return ConstraintCheck(status=status, low=found.low, high=found.high, bound=bound, **common)


def _score_words(spec: ConstraintSpec, watched: Watched, scale: float | None) -> str:
    name = f"{watched.task} {watched.metric or spec.metric or ''}".strip()
    if isinstance(spec.max_drop, str):
        allowed = f"{100 * share(spec.max_drop):g} %"
    else:
        allowed = f"{spec.max_drop:g}{' points' if scale else ''}"
    if not spec.max_drop:
        return f"{name}: not worse than {watched.baseline}"
    return f"{name}: at most {allowed} worse than {watched.baseline}"


# -- measurements ---------------------------------------------------------------------------------


def check_measurement(
    spec: ConstraintSpec, variant: str, medians: Medians | None, missing: str | None
) -> ConstraintCheck:
    """Whether the median of a measured quantity lies within its bounds.

    A time or speed that misses its bound on a machine that was busy is unsure.

    Args:
        spec: The constraint.
        variant: Variant id.
        medians: What was measured of it; None where nothing was.
        missing: Why nothing was.
    """
    name = spec.measurement
    if name is None:
        raise TypeError("this constraint is not about a measurement")
    found = (medians or {}).get(name)
    if found is None:
        reason = missing or "it was not measured"
        if medians:
            reason = no_such(f"measurements of {name}", medians)
        found = Median(None, reason=reason)
    low = None if spec.min is None else amount(spec.min)
    high = None if spec.max is None else amount(spec.max)
    common: dict[str, Any] = {
        "variant": variant,
        "what": _measurement_words(spec),
        "value": found.value,
        "unit": found.unit,
        "higher_is_better": spec.max is None,
    }
    if found.value is None:
        return ConstraintCheck(status="unknown", reason=found.reason or "not recorded", **common)
    below = low is not None and found.value < low
    above = high is not None and found.value > high
    if below or above:
        common["bound"] = low if below else high
        # a busy machine only slows down: what is fast enough on it is fast enough
        slower = below if better_higher(unit_of(name)) else above
        if found.doubt and slower:
            return ConstraintCheck(status="unsure", reason=found.doubt, **common)
        return ConstraintCheck(status="broken", **common)
    return ConstraintCheck(status="kept", bound=low if low is not None else high, **common)


def _measurement_words(spec: ConstraintSpec) -> str:
    name = str(spec.measurement)
    bounds = [
        f"at {word} {value if isinstance(value, str) else _measured(value, unit_of(name))}"
        for word, value in (("least", spec.min), ("most", spec.max))
        if value is not None
    ]
    return f"{measured_name(name)} {' and '.join(bounds)}"


# -- all together ---------------------------------------------------------------------------------


def check_constraints(
    suite: Suite,
    variants: Sequence[str],
    baseline: str,
    readings: Sequence[Reading],
    measured: tuple[Mapping[str, Medians], Mapping[str, str]],
) -> tuple[ConstraintCheck, ...]:
    """Check every constraint of a suite for every variant, constraint by constraint.

    Args:
        suite: The suite.
        variants: The checkpoints.
        baseline: Variant that scores are compared with.
        readings: Scores of the constraints' tasks.
        measured: Medians by variant, and why other variants have none.
    """
    medians, missing = measured
    checks: list[ConstraintCheck] = []
    for constraint in suite.select.constraints:
        if constraint.task is None:
            checks += [
                check_measurement(constraint, name, medians.get(name), missing.get(name))
                for name in variants
            ]
            continue
        watched = watched_by(constraint, suite, baseline, readings, "select")
        checks += [check_score(constraint, watched, name) for name in variants]
    return tuple(checks)


def watched_by(
    constraint: ConstraintSpec,
    suite: Suite,
    baseline: str,
    readings: Sequence[Reading],
    part: Part,
) -> Watched:
    """What a score constraint is about, on the part that decides or the part that is reported."""
    task = str(constraint.task)
    metric = constraint.metric or first_metric(suite.tasks.get(task))
    return watch(baseline, task, metric, readings, part, suite.seed)


def explained(check: ConstraintCheck) -> str:
    """A check in words: what was asked, and what was found."""
    if check.status == "unknown" or check.value is None:
        return f"{check.what}: {check.reason}"
    if not check.data or check.low is None or check.high is None:
        found = f"{check.what}, found {_measured(check.value, check.unit)}"
        return f"{found}, but {check.reason}" if check.status == "unsure" else found
    sign = 1.0 if check.higher_is_better else -1.0
    worst, best = sorted((sign * check.low, sign * check.high))
    found = f"it is {_change(sign * check.value, check)}"
    n = f"n = {check.n:,}"
    if check.status == "broken":
        least = _change(best, check)
        return f"{check.what}, but {found}, with 95 % certainty at least {least} ({n})"
    if check.status == "unsure":
        ends = f"{_change(worst, check)} to {_change(best, check)}"
        return f"{check.what}; {found}, but anything from {ends} fits the data ({n})"
    return f"{check.what}; {found} ({n})"


def _change(gain: float, check: ConstraintCheck) -> str:
    """A gain in the metric's unit, and as a share where the bound is one."""
    size = in_points(abs(gain), check.scale)
    if size == 0:
        return "no different"
    shown = f"{size:.2f}" if size >= 0.1 else f"{size:.2g}"
    shown += " points" if check.scale else ""
    if check.reference:
        shown += f" ({100 * abs(gain / check.reference):.3g} %)"
    return f"{shown} {'worse' if gain < 0 else 'better'}"


def _measured(value: float, unit: str) -> str:
    if unit != "bytes":
        return f"{value:.4g} {unit}".strip()
    for factor, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:.3g} {name}"
    return f"{value:.0f} bytes"
