"""What a gate decided, in words and rounded figures; all outputs of the gate are made of these."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.printable import visible
from harness.render import numbers as fmt
from harness.render.labels import measured_name
from harness.render.text import cut
from harness.schema import GateCheck, GateResult, GateVerdict
from harness.suite.rules import in_points

MARKS: dict[str, str] = {
    "regression": "\u2717",
    "missing": "\u2717",
    "invalid": "\u2717",
    "incompatible": "\u2717",
    "inconclusive": "?",
    "not_compared": "\u2013",
    "pass": "\u2713",
    "identical": "=",
    "listed": "\u00b7",
}
WORST_FIRST: tuple[GateVerdict, ...] = (
    "regression",
    "missing",
    "invalid",
    "inconclusive",
    "not_compared",
    "pass",
    "identical",
)
_FINE = 0.1  # points: as in format.estimate, so that a row adds up as shown
LEGEND = (
    "Gain: this run minus the baseline on the same examples, turned so that more is better, "
    "between one-sided bounds that hold for all checks together. Pass: the lower bound is not "
    "below \u2212margin. Regression: the upper bound is below it. Inconclusive: neither. MDE: the "
    "loss beyond the margin that is found in 80 of 100 such runs. Scores with a best value are in "
    "points of 100, memory and speed in percent of the baseline."
)


@dataclass(frozen=True)
class CheckWords:
    """A check as people read it. Names and notes may hold text of any origin: escape them."""

    mark: str
    verdict: str
    subject: str
    what: str
    where: str  # the split, or the sizes of a measurement
    n: str
    baseline: str
    value: str
    change: str  # the gain and its bounds
    margin: str  # of a floor: the bound itself
    mde: str
    note: str


def check_words(check: GateCheck) -> CheckWords:
    """Round a check for reading: points of 100 where there is a best value, else its own unit."""
    baseline, value = _ends(check)
    return CheckWords(
        mark=MARKS[verdict_word(check)],
        verdict=verdict_word(check).replace("_", " "),
        subject=_subject(check),
        what=_name(check),
        where=check.split,
        n=f"{check.n:,}" if check.n else fmt.NONE,
        baseline=baseline,
        value=value,
        change=_change(check),
        margin=_bound(check) if check.kind == "floor" else _limit(check.margin, check),
        mde=_limit(check.mde, check),
        note=_note(check),
    )


def verdict_word(check: GateCheck) -> str:
    """The verdict; ``listed`` where there is a difference to show, but no margin to hold it to."""
    return check.verdict if check.decides or check.gain is None else "listed"


def check_label(check: GateCheck) -> str:
    """What a headline calls a check: the words of its row."""
    place = f" on {check.split}" if check.split and check.kind != "measurement" else ""
    return f"{check.subject} {_name(check)}{place}"


def difference_title(result: GateResult) -> str:
    """The heading over what makes the baseline unusable for this run."""
    if result.baseline_run is None:
        return "Not compared, because the baseline cannot be used"
    return "Not comparable, because these differ"


def was_tested(result: GateResult) -> bool:
    """Whether something was bounded, so that alpha means anything."""
    return any(
        check.decides and check.low is not None and check.low != check.high
        for check in result.checks
    )


def sentence(check: GateCheck) -> str:
    """A check with all its evidence on one line."""
    words = check_words(check)
    parts = [words.subject, words.what, words.where]
    if check.value is not None or check.baseline_value is not None:
        parts.append(f"{words.baseline} \u2192 {words.value}")
    bound = "bound" if check.kind == "floor" else "margin"
    evidence = {"gain": words.change, bound: words.margin, "n =": words.n, "MDE": words.mde}
    parts += [f"{label} {text}" for label, text in evidence.items() if text != fmt.NONE]
    line = ", ".join(part for part in parts if part)
    return f"{line} ({words.note})" if words.note else line


def worst_first(checks: Iterable[GateCheck]) -> list[GateCheck]:
    """Checks that decide before those that do not, by verdict, then the largest loss first."""
    return sorted(checks, key=lambda c: (not c.decides, WORST_FIRST.index(c.verdict), _share(c)))


def tally(checks: Sequence[GateCheck]) -> str:
    """How many checks there are of each verdict."""
    counts = Counter(verdict_word(check) for check in checks)
    order = (*WORST_FIRST, "listed")
    return ", ".join(f"{counts[v]:,} {v.replace('_', ' ')}" for v in order if counts[v])


def suite_of(result: GateResult) -> str:
    """The suite's name, of SUITE/RUN-ID."""
    return result.run.partition("/")[0]


def origin(result: GateResult) -> str:
    """Where the baseline comes from: its file, its run, when it was accepted."""
    parts = [f"run {result.baseline_run}"] if result.baseline_run else []
    if result.accepted:
        parts.append(f"accepted {result.accepted[:10]}")
    return f"{result.baseline} ({', '.join(parts)})" if parts else result.baseline


def meaning(result: GateResult) -> str:
    """What alpha promises, in one sentence."""
    alpha = _trimmed(100 * result.alpha)
    text = (
        f"Alpha = {alpha} %: where nothing is really worse by more than its margin, at most "
        f"{alpha} of 100 such runs are called a regression, all checks together"
    )
    if result.level is None:
        return f"{text}."
    return f"{text} (each bound by itself: {_trimmed(100 * result.level)} %)."


def shortened(text: str, limit: int = 300) -> str:
    """A text of unknown origin on one line, nothing hidden in it, cut with a note of how much."""
    shown, left = cut(visible(" ".join(text.split())), limit)
    return f"{shown} \u2026 ({left:,} more characters)" if left else shown


def _name(check: GateCheck) -> str:
    if check.kind == "measurement":
        return measured_name(check.metric)
    floor = " (floor)" if check.kind == "floor" else ""
    return f"{check.task}: {fmt.metric_name(check.metric)}{floor}"


def _subject(check: GateCheck) -> str:
    if check.variant is None or check.variant == check.subject:
        return check.subject
    return f"{check.subject} ({check.variant})"


def _note(check: GateCheck) -> str:
    """What the figures do not say: reason, needed n, direction."""
    if verdict_word(check) == "listed":
        return ""
    parts = [] if check.reason is None else [check.reason.rstrip(".")]
    if check.verdict == "inconclusive" and check.needed_n is not None:
        noun = "repeat" if check.kind == "measurement" else "example"
        parts.append(f"about {fmt.count(check.needed_n, noun)} would decide")
    if check.kind == "quality" and not check.higher_is_better:
        parts.append("lower is better")
    if not check.decides:
        parts.append("does not decide")
    return "; ".join(parts)


def _change(check: GateCheck) -> str:
    scale, unit = _gain_scale(check)
    if check.gain is None:
        return fmt.NONE
    ends = (None, None) if check.low == check.high else (check.low, check.high)  # exact
    gain, bounds = fmt.estimate(check.gain, *ends, scale, signed=True)
    return f"{gain} {bounds}{unit}" if bounds else f"{gain}{unit}"


def _gain_scale(check: GateCheck) -> tuple[float | None, str]:
    """What gains, bounds and margins are of: a measurement's are relative, shown in percent."""
    return (1.0, " %") if check.kind == "measurement" else (check.scale, "")


def _ends(check: GateCheck) -> tuple[str, str]:
    """Baseline and value, with as many decimals as their difference has."""
    ends = check.baseline_value, check.value
    if check.kind == "measurement":
        return fmt.quantity(ends[0], check.unit), fmt.quantity(ends[1], check.unit)
    places = 1 if check.scale else None
    if check.low is not None and check.high is not None and check.high > check.low:
        reach = in_points(check.high - check.low, check.scale) / 2
        places = 1 if check.scale and reach >= _FINE else fmt.decimals_for(reach)
    shown = [None if end is None else in_points(end, check.scale) for end in ends]
    return fmt.number(shown[0], places), fmt.number(shown[1], places)


def _limit(value: float | None, check: GateCheck) -> str:
    """A margin or the like, in the unit of the gain."""
    scale, unit = _gain_scale(check)
    if not (unit or scale) and check.unit:
        unit = f" {check.unit}"  # a bare 0.02 could be points
    return fmt.NONE if value is None else _trimmed(in_points(value, scale)) + unit


def _bound(check: GateCheck) -> str:
    """What a value must reach, or must not exceed."""
    side = "\u2265" if check.higher_is_better else "\u2264"
    return f"{side} {_limit(check.bound, check)}"


def _trimmed(value: float) -> str:
    """Three significant digits without needless zeros."""
    text = fmt.number(value, fmt.plain_decimals(value))
    return text.rstrip("0").rstrip(".") if "." in text else text


def _share(check: GateCheck) -> float:
    """The gain as a share, so that checks of different units can be put in one order."""
    if check.gain is None:
        return 0.0
    if check.kind == "measurement":
        return check.gain
    whole = check.scale or abs(check.baseline_value or 0.0)
    return check.gain / whole if whole else check.gain
