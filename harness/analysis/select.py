"""Which checkpoint to recommend: decided on the ``select`` split, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.analysis.compare import Panel
from harness.analysis.results import read_results
from harness.errors import PairingError
from harness.schema import CellResult, Selection, Variant
from harness.spec import MetricSpec, Suite
from harness.store import Store

SPLIT = "select"
CANDIDATES = ("adapter", "full")  # kinds of variants to choose from: what training saved


def primary_metric(suite: Suite | Mapping[str, Any]) -> tuple[str, str] | None:
    """Task and metric that decide.

    Args:
        suite: The suite, or its resolved form as in ``manifest.spec``.

    Returns:
        Task id and metric name: what ``select`` names, else the first generation task's first
        metric, else the eval loss of the first perplexity task that is scored on ``select``.
        None where the suite has none of these.
    """
    spec = suite.model_dump(mode="json") if isinstance(suite, Suite) else suite
    tasks: Mapping[str, Mapping[str, Any]] = spec.get("tasks", {})
    wanted: Mapping[str, Any] = spec.get("select") or {}
    named = wanted.get("task")
    candidates = [named] if named else _deciding_tasks(tasks)
    for task in candidates:
        metric = wanted.get("metric") or _first_metric(tasks.get(task, {}))
        if metric:
            return str(task), str(metric)
    return None


def _deciding_tasks(tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    on_select = [
        (name, task["type"]) for name, task in tasks.items() if SPLIT in (task.get("splits") or ())
    ]
    generation = [name for name, kind in on_select if kind == "generation"]
    return generation + [name for name, kind in on_select if kind == "perplexity"]


def _first_metric(task: Mapping[str, Any]) -> str | None:
    if task.get("type") == "perplexity":
        return "eval_loss"
    for entry in task.get("metrics") or ():
        if isinstance(entry, MetricSpec):
            return entry.name
        return entry["name"] if isinstance(entry, Mapping) else str(entry)
    return None


def select_checkpoint(
    store: Store,
    variants: Sequence[Variant],
    cells: Iterable[CellResult],
    suite: Suite | Mapping[str, Any],
    baseline: str,
) -> Selection:
    """Read the primary metric on the ``select`` split and choose a checkpoint.

    Args:
        store: Where the results lie.
        variants: The variants evaluated so far; the checkpoints among them are the
            candidates.
        cells: Their cells.
        suite: The suite, or its resolved form.
        baseline: Variant id the candidates are compared with.

    Returns:
        The choice with its reason; ``chosen`` is None where nothing could be chosen.
    """
    spec = suite.model_dump(mode="json") if isinstance(suite, Suite) else suite
    primary = primary_metric(spec)
    if primary is None:
        reason = "The suite has no generation or perplexity task that is scored on select."
        return Selection(task="", metric="", split=SPLIT, chosen=None, reason=reason)
    task, metric = primary
    steps = {variant.id: variant.step for variant in variants if variant.kind in CANDIDATES}
    wanted = [cell for cell in cells if cell.task == task and cell.variant in {*steps, baseline}]
    readings = [
        reading
        for reading in read_results(store, wanted, spec.get("tasks", {}))
        if reading.key == (task, metric, SPLIT)
    ]
    samples = [r.sample for r in readings if r.sample is not None]
    quantities = [r.quantity for r in readings if r.quantity is not None]
    if not any(sample.variant in steps for sample in samples):
        reason = next((r.reason for r in readings if r.reason), None) or "there are no scores of it"
        words = f"No checkpoint could be chosen by {metric} of {task} on {SPLIT}: {reason}."
        if not steps:
            words = "There is no checkpoint to choose from."
        return Selection(task=task, metric=metric, split=SPLIT, chosen=None, reason=words)
    try:
        panel = Panel(quantities[0], samples, seed=int(spec.get("seed", 0)))
    except PairingError as error:
        words = f"No checkpoint could be chosen: {error.problem}"
        return Selection(task=task, metric=metric, split=SPLIT, chosen=None, reason=words)
    return select(panel, steps, baseline)


def select(panel: Panel, steps: Mapping[str, int | None], baseline: str | None) -> Selection:
    """Choose by the one-standard-error rule on paired differences.

    The best candidate by value is found; every earlier one whose paired difference to it is
    within one standard error of that difference is as good for all we can tell, and the earliest
    of them is chosen: less training, less risk of over-fitting to the select split.

    Args:
        panel: The primary metric on the ``select`` split.
        steps: Training step of each candidate (None where unknown: taken as the latest).
        baseline: Variant the choice is compared with in words; None where there is none.

    Returns:
        The choice. ``ranking`` holds candidates and baseline, best first; candidates without a
        value come last, with None.

    Source:
        Breiman et al. (1984), Classification and Regression Trees, section 3.4.3 (1 SE rule).
    """
    quantity = panel.quantity
    sign = 1.0 if quantity.higher_is_better else -1.0
    values = {name: panel.value(name) for name in panel.variants}
    order = sorted(steps, key=lambda name: _lateness(name, steps))
    scored = [name for name in order if values.get(name) is not None]
    ranking = _ranking([*order, *([baseline] if baseline in values else [])], values, sign)
    if not scored:
        words = f"{quantity.metric} on {quantity.split} is undefined for every checkpoint."
        return _selection(panel, None, words, ranking)
    best = max(scored, key=lambda name: sign * (values[name] or 0.0))  # first, so earliest, of ties
    chosen, why = best, ""
    for name in scored[: scored.index(best)]:
        found = panel.difference(name, best)
        if (
            found.delta is not None
            and found.error is not None
            and (sign * found.delta <= found.error)
        ):
            chosen = name
            why = (
                f" {name} is earlier, and the paired difference of "
                f"{_shown(panel, abs(found.delta))} is within its standard error of "
                f"{_shown(panel, found.error)}, so the earlier one is chosen."
            )
            break
    what = f"{'highest' if sign > 0 else 'lowest'} {quantity.metric} of {quantity.task}"
    figure = f"{_shown(panel, values[best])}, n = {len(panel.ids)}"
    words = f"{best} has the {what} on {quantity.split} ({figure})."
    unscored = [name for name in order if values.get(name) is None]
    if unscored:
        why += f" Not considered, because they have no score: {', '.join(unscored)}."
    return _selection(panel, chosen, words + why + _against(panel, chosen, baseline), ranking)


def _against(panel: Panel, chosen: str, baseline: str | None) -> str:
    if baseline is None or baseline not in panel.variants:
        return ""
    found = panel.difference(baseline, chosen)
    if found.identical:
        return f" But it scores exactly as {baseline} does on every example there."
    if found.delta is None:
        return ""
    gain = found.delta if panel.quantity.higher_is_better else -found.delta
    there = _shown(panel, panel.value(baseline))
    if gain <= 0:
        return f" But that is no gain: {baseline} scores at least as well ({there})."
    return f" That is {_shown(panel, gain)} better than {baseline} ({there})."


def _shown(panel: Panel, value: float | None) -> str:
    """A value as reports show it: of 100 where the metric has a best value."""
    if value is None:
        return "undefined"
    scale = panel.quantity.scale
    return f"{100 * value / scale:.2f}" if scale else f"{value:.4g}"


def _ranking(
    names: Sequence[str], values: Mapping[str, float | None], sign: float
) -> tuple[tuple[str, float | None], ...]:
    def rank(name: str) -> tuple[bool, float]:
        value = values.get(name)
        return (value is None, -sign * (value or 0.0))

    return tuple((name, values.get(name)) for name in sorted(names, key=rank))


def _lateness(name: str, steps: Mapping[str, int | None]) -> tuple[bool, int, str]:
    step = steps[name]
    return (step is None, step or 0, name)


def _selection(
    panel: Panel,
    chosen: str | None,
    reason: str,
    ranking: tuple[tuple[str, float | None], ...],
) -> Selection:
    quantity = panel.quantity
    return Selection(
        task=quantity.task,
        metric=quantity.metric,
        split=quantity.split,
        chosen=chosen,
        reason=reason,
        ranking=ranking,
    )
