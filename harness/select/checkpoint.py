"""Which checkpoint to recommend: decided on the ``select`` split, and on nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from harness.errors import PairingError
from harness.metrics.names import metric_name
from harness.results.measurements import MEMORY, SPEED, Medians, read_medians
from harness.results.scores import Reading, read_results
from harness.schema import Candidate, CellResult, ConstraintCheck, Selection, Variant
from harness.select.constraints import check_constraints
from harness.select.reasons import explain
from harness.stats.paired import Difference
from harness.stats.panel import Panel, Sample
from harness.stats.pareto import Objective, efficient
from harness.stats.significance import max_t
from harness.store.runs import Store
from harness.suite.deciding import CANDIDATES, SPLIT, primary_metric
from harness.suite.spec import Suite

Rule = Literal["one_se", "best"]


def select_checkpoint(
    store: Store,
    variants: Sequence[Variant],
    cells: Iterable[CellResult],
    suite: Suite,
    baseline: str,
) -> Selection:
    """Choose a checkpoint by the suite's rule, among those that keep to its constraints.

    The primary metric and the constraints' scores are read on what is set apart for choosing;
    nothing that is read here decides what is claimed for the choice afterwards.

    Args:
        store: Where the results lie.
        variants: The variants evaluated so far; the checkpoints among them are the
            candidates.
        cells: Their cells.
        suite: The suite.
        baseline: Variant id the candidates are compared with.

    Returns:
        The choice with its reason; ``chosen`` is None where nothing could be chosen.

    Raises:
        StoreError: A finished cell's results are missing or unreadable.
    """
    rule = suite.select.rule
    primary = primary_metric(suite)
    if primary is None:
        reason = "The suite has no generation or perplexity task that is scored on select."
        return Selection(task="", metric="", split=SPLIT, chosen=None, reason=reason, rule=rule)
    task, metric = primary

    def none(words: str) -> Selection:
        return Selection(
            task=task, metric=metric, split=SPLIT, chosen=None, reason=words, rule=rule
        )

    steps = {variant.id: variant.step for variant in variants if variant.kind in CANDIDATES}
    if not steps:
        return none("There is no checkpoint to choose from.")
    cells = [cell for cell in cells if cell.variant in {*steps, baseline}]
    readings = _read(store, cells, suite, task)
    deciding = [r for r in readings if r.key == (task, metric, SPLIT)]
    samples = [r.sample for r in deciding if r.sample is not None]
    quantity = next((r.quantity for r in deciding if r.quantity is not None), None)
    if quantity is None or not any(sample.variant in steps for sample in samples):
        reason = next((r.reason for r in deciding if r.reason), None) or "there are no scores of it"
        what = f"{metric_name(metric)} of {task} on {SPLIT}"
        return none(f"No checkpoint could be chosen by {what}: {reason}.")
    try:
        panel = Panel(quantity, _baseline_first(samples, baseline), seed=suite.seed)
    except PairingError as error:
        return none(f"No checkpoint could be chosen: {error.problem}")
    measured = read_medians(store, cells)
    checks = check_constraints(suite, list(steps), baseline, readings, measured)
    axes = [*_kept_scores(checks), *_costs(list(steps), measured[0])]
    return select(panel, steps, baseline, rule=rule, checks=checks, axes=axes)


def _read(store: Store, cells: Sequence[CellResult], suite: Suite, task: str) -> list[Reading]:
    """Scores of the task that decides and of those that are constrained."""
    constrained = {c.task.partition("/")[0] for c in suite.select.constraints if c.task is not None}
    wanted = [cell for cell in cells if cell.task in {task, *constrained}]
    return read_results(store, wanted, suite.tasks)


def _baseline_first(samples: Sequence[Sample], baseline: str) -> list[Sample]:
    """The baseline gives the order of the examples, as in the report's matrix."""
    return sorted(samples, key=lambda sample: sample.variant != baseline)


def select(
    panel: Panel,
    steps: Mapping[str, int | None],
    baseline: str | None,
    *,
    rule: Rule = "one_se",
    checks: Sequence[ConstraintCheck] = (),
    axes: Sequence[Objective] = (),
) -> Selection:
    """Choose among the candidates that keep to all constraints, as far as the data can tell.

    ``one_se``: the best candidate by value is found; every earlier one whose paired difference to
    it is within one standard error of that difference is as good for all we can tell, and the
    earliest of them is chosen: less training, less risk of over-fitting to the select split.
    Without a step, nothing is earlier, nor is anything earlier than it. ``best``: the best value.

    Args:
        panel: The primary metric on the ``select`` split.
        steps: Training step of each candidate, in the order in which those are shown whose step
            is unknown (None); they come last.
        baseline: Variant the choice is compared with; None where there is none.
        rule: How the choice is made.
        checks: Constraints; a candidate with a broken one cannot be chosen.
        axes: What counts on the Pareto front beside quality.

    Returns:
        The choice. ``ranking`` holds candidates and baseline, best first; candidates without a
        value come last, with None. ``candidates`` come by step.

    Source:
        Breiman et al. (1984), Classification and Regression Trees, section 3.4.3 (1 SE rule).
    """
    quantity, sign = panel.quantity, panel.quantity.sign
    values = {name: panel.value(name) for name in panel.variants}
    order = sorted(steps, key=lambda name: (steps[name] is None, steps[name] or 0))
    known = baseline if baseline in values else None
    quality = Objective(
        f"{quantity.metric} of {quantity.task}",
        {name: values.get(name) for name in order},
        quantity.higher_is_better,
    )
    axes = [quality, *axes]
    candidates = tuple(_candidates(panel, order, steps, known, checks, axes))
    kept = [c.variant for c in candidates if c.allowed and c.value is not None]
    ranked = order if known is None or known in steps else [*order, known]
    best = chosen = None
    if kept:  # the first of ties, so the earliest where steps are known
        best = max(kept, key=lambda name: sign * (values[name] or 0.0))
        earlier = _earlier(kept, best, steps) if rule == "one_se" else []
        chosen = _first_as_good(panel, earlier, best)
    return Selection(
        task=quantity.task,
        metric=quantity.metric,
        split=quantity.split,
        chosen=chosen,
        reason=explain(
            panel, candidates, checks, best=best, chosen=chosen, baseline=known, rule=rule
        ),
        ranking=_ranking(ranked, values, sign),
        rule=rule,
        candidates=candidates,
        constraints=tuple(checks),
        axes=tuple(axis.name for axis in axes),
    )


def _earlier(order: Sequence[str], best: str, steps: Mapping[str, int | None]) -> list[str]:
    """The candidates that are known to be of an earlier step than the best."""
    last = steps[best]
    known = ((name, steps[name]) for name in order)
    return [name for name, step in known if None not in (step, last) and step < last]  # type: ignore[operator]


def _first_as_good(panel: Panel, earlier: Sequence[str], best: str) -> str:
    """The first candidate that is not worse than the best by more than one standard error."""
    for name in earlier:
        gain = panel.difference(name, best).turned(panel.quantity.sign)
        if gain.delta is not None and gain.error is not None and gain.delta <= gain.error:
            return name
    return best


def _candidates(
    panel: Panel,
    order: Sequence[str],
    steps: Mapping[str, int | None],
    baseline: str | None,
    checks: Sequence[ConstraintCheck],
    axes: Sequence[Objective],
) -> Iterator[Candidate]:
    """What is known of each checkpoint, by step."""
    values = axes[0].values
    scored = [name for name in order if values.get(name) is not None]
    compared = [name for name in scored if name != baseline]
    adjusted: Mapping[str, float] = {}
    if compared and baseline is not None and panel.value(baseline) is not None:
        adjusted = max_t(panel, baseline, compared, greater=panel.quantity.higher_is_better)
    front = efficient(axes)
    broken = {check.variant for check in checks if check.status == "broken"}
    for name in order:
        change = Difference(None)
        if baseline and name in compared:
            change = panel.difference(baseline, name)
        yield Candidate(
            variant=name,
            step=steps[name],
            value=values.get(name),
            delta=change.delta,
            low=change.low,
            high=change.high,
            p_adjusted=adjusted.get(name),
            allowed=name not in broken,
            efficient=name in front,
            axes={axis.name: axis.values.get(name) for axis in axes},
        )


def _kept_scores(checks: Sequence[ConstraintCheck]) -> list[Objective]:
    """An axis per score constraint: the difference from the baseline, where little is forgotten."""
    axes: dict[str, dict[str, float | None]] = {}
    higher: dict[str, bool] = {}
    for check in checks:
        if check.data:
            name = f"{check.what.partition(':')[0]} against the baseline"
            axes.setdefault(name, {})[check.variant] = check.value
            higher[name] = check.higher_is_better
    return [
        Objective(name, values, higher[name])
        for name, values in axes.items()
        if any(value is not None for value in values.values())
    ]


def _costs(names: Sequence[str], measured: Mapping[str, Medians]) -> list[Objective]:
    """Memory and decode speed, where any checkpoint was measured and no figure is in doubt."""
    axes = []
    for quantities, higher in ((MEMORY, False), ((SPEED,), True)):
        for quantity in quantities:
            read = {n: measured[n][quantity] for n in names if quantity in measured.get(n, {})}
            if any(median.doubt for median in read.values()):
                continue
            values = {name: median.value for name, median in read.items()}
            if any(value is not None for value in values.values()):
                axes.append(Objective(quantity, values, higher))
                break
    return axes


def _ranking(
    names: Sequence[str], values: Mapping[str, float | None], sign: float
) -> tuple[tuple[str, float | None], ...]:
    def rank(name: str) -> tuple[bool, float]:
        value = values.get(name)
        return (value is None, -sign * (value or 0.0))

    return tuple((name, values.get(name)) for name in sorted(names, key=rank))
