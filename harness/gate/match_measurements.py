"""Which of a run's measurements are held against which of the baseline's."""

from collections.abc import Mapping

from harness.gate.baseline import BaselineFiles, BaselineMeasurements, rounded
from harness.gate.decide import Match
from harness.gate.repeats import Repeats, at_point, main_readings
from harness.gate.subjects import GateSubject, SubjectMeasurements
from harness.results.measurements import point, sizes
from harness.schema import MEASURE, Manifest, Measurement
from harness.suite.rules import GateSpec, share

_NOT_AGAIN = "not measured again: the same record as the baseline's"


def match_measurements(
    manifest: Manifest, rules: GateSpec, baseline: BaselineFiles, subject: GateSubject
) -> Match:
    """Match memory and speed of a gated variant with what the baseline has of it.

    Raises:
        BaselineError: The baseline's readings are not there, or not those of its medians.
    """
    accepted = baseline.baseline.subjects[subject.name]
    before, then = accepted.measurements, baseline.measurements(accepted)
    margins = {rule.measurement: share(rule.margin) for rule in rules.measurements}
    match = Match(
        differences=tuple(
            f"gate.measurements: names {name}, which the baseline does not have of "
            f"{subject.name}; accept a new one with it"
            for name in margins
            if name not in then
        )
    )
    if before is None:
        return match
    other = _other_hardware(before, then, subject.measurements)
    if other is not None and rules.require_hardware:
        match += Match(differences=(f"hardware: {other} (gate.require_hardware)",))
    elif other is not None:
        match += Match(changes=(f"{subject.name}: memory and speed are not compared: {other}",))
    elif _same_record(before, then, subject.measurements):
        match += Match(
            changes=tuple(
                f"{subject.name}: {name} decides nothing, though gate.measurements names it: "
                f"{_NOT_AGAIN}"
                for name in margins
                if name in then
            )
        )
        other, margins = _NOT_AGAIN, {}
    repeats = []
    for name, item in then.items():
        values, missing = _same_point(item, subject)
        if missing is not None and (name not in margins or subject.is_pending(manifest, MEASURE)):
            continue  # nothing decides by it; that the run measured nothing is listed once
        repeats.append(
            Repeats(
                subject.name,
                subject.variant_id,
                name,
                item.unit,
                sizes(item),
                before=item.values,
                after=values,
                margin=margins.get(name),
                missing=missing,
                not_comparable=other,
            )
        )
    return match + Match(repeats=tuple(repeats))


def _same_record(
    before: BaselineMeasurements, then: Mapping[str, Measurement], after: SubjectMeasurements | None
) -> bool:
    """Whether a run took its measurements from the stored record that the baseline has."""
    if after is None or not before.key or before.key != after.key:
        return False
    now = main_readings(after.items)
    return {name: (point(item), list(item.values)) for name, item in then.items()} == {
        name: (point(item), rounded(item.values)) for name, item in now.items()
    }


def _other_hardware(
    before: BaselineMeasurements, then: Mapping[str, Measurement], after: SubjectMeasurements | None
) -> str | None:
    if after is None:
        return None
    both = main_readings(after.items)
    pairs = [(item.device, both[name].device) for name, item in then.items() if name in both]
    if before.fingerprint == after.fingerprint and all(was == is_ for was, is_ in pairs):
        return None
    was, is_ = (
        f"{', '.join(sorted({item.device for item in items}))} of {name} ({fingerprint[:8]})"
        for items, name, fingerprint in (
            (then.values(), before.device_name, before.fingerprint),
            (after.items, after.device_name, after.fingerprint),
        )
    )
    return f"other hardware: was {was}, is {is_}"


def _same_point(item: Measurement, subject: GateSubject) -> tuple[tuple[float, ...], str | None]:
    """The run's readings of the same quantity at the same sizes; none, with the reason why."""
    if subject.variant is None:
        return (), subject.reason
    if subject.measurements is None:
        return (), subject.unmeasured
    reading = at_point(subject.measurements.items, item)
    if reading is None:
        return (), f"not measured at {sizes(item) or 'all'}"
    if not reading.values:
        return (), reading.reason or "no readings"
    return tuple(rounded(reading.values)), None
