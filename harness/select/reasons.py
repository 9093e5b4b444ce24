"""Why a checkpoint was chosen, in words that someone who did not do the statistics can follow."""

from collections import Counter
from collections.abc import Sequence

from harness.metrics.names import metric_name
from harness.schema import Candidate, ConstraintCheck
from harness.stats.panel import Panel
from harness.suite.rules import in_points


def explain(
    panel: Panel,
    candidates: Sequence[Candidate],
    checks: Sequence[ConstraintCheck],
    *,
    best: str | None,
    chosen: str | None,
    baseline: str | None,
    rule: str = "best",
) -> str:
    """Say what is best, why an earlier one was taken, and what is gained; at most a few sentences.

    What became of each constraint is in the table of the candidates, not here.

    Args:
        panel: The primary metric on the ``select`` split.
        candidates: All checkpoints, by step.
        checks: Their constraints.
        best: The best of those that keep to all constraints.
        chosen: The choice.
        baseline: Variant it is compared with.
        rule: ``one_se`` prefers what is earlier, which takes steps.
    """
    quantity = panel.quantity
    scored = [c for c in candidates if c.value is not None]
    if not scored:
        return (
            f"{metric_name(quantity.metric)} on {quantity.split} is undefined for every checkpoint."
        )
    if best is None or chosen is None:
        return f"No checkpoint keeps to the constraints: {_breaking(scored, checks)}."
    parts = [_best(panel, scored, best), _earlier(panel, best, chosen)]
    parts.append(_against(panel, chosen, baseline, candidates))
    parts.append(_stepless(scored, best) if rule == "one_se" else "")
    unscored = [c.variant for c in candidates if c.value is None]
    if unscored:
        parts.append(f"Not considered, because they have no score: {', '.join(unscored)}.")
    return " ".join(part for part in parts if part)


def _best(panel: Panel, scored: Sequence[Candidate], best: str) -> str:
    quantity = panel.quantity
    highest = max(scored, key=lambda c: quantity.sign * (c.value or 0.0))
    word = "highest" if quantity.higher_is_better else "lowest"
    what = f"the {word} {metric_name(quantity.metric)} of {quantity.task}"
    figure = f"{_shown(panel, highest.value)}, n = {len(panel.ids)}"
    start = f"{highest.variant} has {what} on {quantity.split} ({figure})"
    value = next(c.value for c in scored if c.variant == best)
    if highest.variant == best or highest.value == value:
        return f"{best} has {what} on {quantity.split} ({figure})."
    return (
        f"{start}, but breaks a constraint; of those that keep to them, {best} has the {word} "
        f"({_shown(panel, value)})."
    )


def _earlier(panel: Panel, best: str, chosen: str) -> str:
    if chosen == best:
        return ""
    difference = panel.difference(chosen, best)
    size, error = _shown(panel, abs(difference.delta or 0)), _shown(panel, difference.error)
    return (
        f"{chosen} is earlier, and the paired difference of {size} is within its standard error of "
        f"{error}, so the earlier one is chosen."
    )


def _stepless(scored: Sequence[Candidate], best: str) -> str:
    """Which checkpoints the preference for earlier ones could not reach."""
    unknown = [candidate.variant for candidate in scored if candidate.step is None]
    if not unknown or len(scored) == 1:
        return ""
    if best in unknown:
        return f"Nothing tells the training step of {best}, so no other is preferred as earlier."
    return f"Nothing tells the training step of {', '.join(unknown)}: not preferred as earlier."


def _breaking(scored: Sequence[Candidate], checks: Sequence[ConstraintCheck]) -> str:
    """How many checkpoints break which constraint."""
    names = {candidate.variant for candidate in scored}
    broken = [check for check in checks if check.status == "broken" and check.variant in names]
    counts = Counter(check.what for check in broken)
    return "; ".join(f"{n} of {len(scored)} break “{what}”" for what, n in counts.items())


def _against(
    panel: Panel, chosen: str, baseline: str | None, candidates: Sequence[Candidate]
) -> str:
    if baseline is None or baseline == chosen:
        return ""
    difference = panel.difference(baseline, chosen)
    if difference.identical:
        return f"But it scores exactly as {baseline} does on every example there."
    if difference.delta is None:
        return ""
    gain = difference.delta if panel.quantity.higher_is_better else -difference.delta
    there = _shown(panel, panel.value(baseline))
    if gain <= 0:
        return f"But that is no gain: {baseline} scores at least as well ({there})."
    words = f"That is {_shown(panel, gain)} better than {baseline} ({there})"
    own = next(c.p_adjusted for c in candidates if c.variant == chosen)
    if own is None:
        return f"{words}."
    tried = sum(c.p_adjusted is not None for c in candidates)
    among = f"one of {tried} checkpoints" if tried > 1 else "it"
    return f"{words}; chance alone gives {among} such a gain with p {_p(own)}."


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.2g}"


def _shown(panel: Panel, value: float | None) -> str:
    """A value as reports show it: of 100 where the metric has a best value."""
    if value is None:
        return "undefined"
    scale = panel.quantity.scale
    return f"{in_points(value, scale):.2f}" if scale else f"{value:.4g}"
