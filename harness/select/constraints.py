"""What a checkpoint must keep to: scores that may not fall far, and measurements within bounds."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.metrics.quantities import better_higher, measured_name, unit_of
from harness.results.measurements import Median, Medians
from harness.results.scores import Reading
from harness.schema import ConstraintCheck
from harness.select.scores import ConstraintScore, Part, constraint_score, no_such
from harness.suite import rules
from harness.suite.deciding import first_metric
from harness.suite.spec import Suite

TAIL = 0.05
"""Each bound alone holds with 95 %: a constraint is broken or kept only if the data shows it."""


def check_score(margin: rules.Margin, score: ConstraintScore, variant: str) -> ConstraintCheck:
    """Whether a variant's score is not too far below the baseline's.

    With the paired difference oriented so that more is better, and its one-sided 95 % bounds L and
    U: kept if L >= -margin, broken if U < -margin, else unsure.
    """
    quantity, panel, baseline = score.quantity, score.panel(variant), score.baseline
    scale = quantity.scale if quantity else None
    common: dict[str, Any] = {
        "variant": variant,
        "what": _score_words(margin, score),
        "data": score.data,
        "scale": scale,
        "higher_is_better": quantity.higher_is_better if quantity else True,
    }
    if isinstance(panel, str):
        return ConstraintCheck(status="unknown", reason=panel, **common)
    common["n"] = len(panel.ids)
    if variant == baseline:
        return ConstraintCheck(status="kept", value=0.0, low=0.0, high=0.0, **common)
    drop, before = panel.bounded_difference(baseline, variant, tail=TAIL), panel.value(baseline)
    common["value"] = drop.delta
    if drop.low is None or drop.high is None or before is None:
        return ConstraintCheck(status="unknown", reason=drop.reason, **common)
    bound = rules.margin_in_own_unit(margin, before, scale)
    gain = drop.turned(panel.quantity.sign)
    kept = gain.low is not None and gain.low >= -bound
    broken = gain.high is not None and gain.high < -bound
    return ConstraintCheck(
        status="kept" if kept else "broken" if broken else "unsure",
        low=drop.low,
        high=drop.high,
        bound=bound,
        reference=before if isinstance(margin, str) else None,
        **common,
    )


def _score_words(margin: rules.Margin, score: ConstraintScore) -> str:
    name = f"{score.task} {score.metric}".strip()
    if not margin:
        return f"{name}: not worse than {score.baseline}"
    if isinstance(margin, str):
        allowed = f"{100 * rules.share(margin):g} %"
    else:
        of = score.quantity
        unit = "" if of is None else " points" if of.scale else f" {of.unit}".rstrip()
        allowed = f"{margin:g}{unit}"
    return f"{name}: at most {allowed} worse than {score.baseline}"


def check_measurement(
    spec: rules.ConstraintSpec, variant: str, medians: Medians | None, missing: str | None
) -> ConstraintCheck:
    """Whether the median of a measured quantity lies within its bounds.

    A time or speed that misses its bound on a machine that was busy is unsure.

    Args:
        spec: The constraint.
        variant: Variant id.
        medians: What was measured of it; None where nothing was.
        missing: Why nothing was.
    """
    name = str(spec.measurement)
    absent = no_such(f"measurements of {name}", medians) if medians else missing
    median = (medians or {}).get(name) or Median(None, reason=absent or "it was not measured")
    low = None if spec.min is None else rules.amount(spec.min)
    high = None if spec.max is None else rules.amount(spec.max)
    common: dict[str, Any] = {
        "variant": variant,
        "what": _measurement_words(spec),
        "value": median.value,
        "unit": median.unit,
        "higher_is_better": spec.max is None,
    }
    if median.value is None:
        return ConstraintCheck(status="unknown", reason=median.reason or "not recorded", **common)
    below = low is not None and median.value < low
    above = high is not None and median.value > high
    if below or above:
        common["bound"] = low if below else high
        # a busy machine only slows down: what is fast enough on it is fast enough
        slower = below if better_higher(unit_of(name)) else above
        if median.doubt and slower:
            return ConstraintCheck(status="unsure", reason=median.doubt, **common)
        return ConstraintCheck(status="broken", **common)
    return ConstraintCheck(status="kept", bound=low if low is not None else high, **common)


def _measurement_words(spec: rules.ConstraintSpec) -> str:
    name = str(spec.measurement)
    bounds = [
        f"at {word} {value if isinstance(value, str) else _measured(value, unit_of(name))}"
        for word, value in (("least", spec.min), ("most", spec.max))
        if value is not None
    ]
    return f"{measured_name(name)} {' and '.join(bounds)}"


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
        if constraint.max_drop is None:
            checks += [
                check_measurement(constraint, name, medians.get(name), missing.get(name))
                for name in variants
            ]
        else:
            score = score_of(constraint, suite, baseline, readings, "select")
            checks += [check_score(constraint.max_drop, score, name) for name in variants]
    return tuple(checks)


def score_of(
    constraint: rules.ConstraintSpec,
    suite: Suite,
    baseline: str,
    readings: Sequence[Reading],
    part: Part,
) -> ConstraintScore:
    """What a score constraint is about, on the part that decides or the part that is reported."""
    task = str(constraint.task)
    metric = constraint.metric or first_metric(suite.tasks.get(task))
    return constraint_score(baseline, task, metric, readings, part, suite.seed)


def explained(check: ConstraintCheck) -> str:
    """A check in words: what was asked, and what was found."""
    if check.status == "unknown" or check.value is None:
        return f"{check.what}: {check.reason}"
    if not check.data or check.low is None or check.high is None:
        words = f"{check.what}, found {_measured(check.value, check.unit)}"
        return f"{words}, but {check.reason}" if check.status == "unsure" else words
    sign = 1.0 if check.higher_is_better else -1.0
    worst, best = sorted((sign * check.low, sign * check.high))
    change = f"it is {_change(sign * check.value, check)}"
    n = f"n = {check.n:,}"
    if check.status == "broken":
        least = _change(best, check)
        return f"{check.what}, but {change}, with 95 % certainty at least {least} ({n})"
    if check.status == "unsure":
        ends = f"{_change(worst, check)} to {_change(best, check)}"
        return f"{check.what}; {change}, but anything from {ends} fits the data ({n})"
    return f"{check.what}; {change} ({n})"


def _change(gain: float, check: ConstraintCheck) -> str:
    """A gain in the metric's unit, and as a share where the bound is one."""
    size = rules.in_points(abs(gain), check.scale)
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
