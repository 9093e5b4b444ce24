"""Which automatic metric follows the raters: a table, and a plain sentence."""

from harness.ratings.records import Estimate, HumanResults
from harness.ratings.report.words import (
    EVEN,
    estimate_cell,
    share_words,
    side_of,
    together,
    value_words,
)
from harness.render.labels import listed
from harness.render.numbers import NONE, count, metric_name
from harness.render.table import Cell, Head, Side, Table, make_table, texts

_FOLLOWS = {"better": "follows", "worse": "goes against them", "open": "not shown to follow"}


def metrics_table(results: HumanResults) -> Table | None:
    """How far each automatic metric follows the raters."""
    accuracy = {item.metric: item for item in results.accuracies}
    held = {(item.metric, item.criterion): item for item in results.correlations}
    criteria = list(dict.fromkeys(item.criterion for item in results.correlations))
    header = [*texts("Metric")]
    header += [Head("Prefers what raters prefer", "of decided comparisons")] if accuracy else []
    header += [Head(name, "Kendall's tau-b, Spearman's rho") for name in criteria]
    rows = []
    for name in metrics_of(results):
        cells = [Cell(metric_name(name))]
        if accuracy:
            own = accuracy.get(name)
            n = count(own.n, "comparison") if own is not None else ""
            cells.append(_cell(own.accuracy if own is not None else None, n, EVEN))
        for criterion in criteria:
            both = held.get((name, criterion))
            rho = f"rho {together(value_words(both.spearman))}" if both is not None else ""
            cells.append(_cell(both.kendall if both is not None else None, rho))
        rows.append(cells)
    return make_table("Which automatic metric follows the raters", header, rows) if rows else None


def _cell(estimate: Estimate | None, more: str, even: float = 0.0) -> Cell:
    if estimate is None:
        return Cell(NONE)
    value, bounds = share_words(estimate) if even else value_words(estimate)
    side = side_of(estimate, even)
    shown = (value, bounds or estimate.reason or "")
    return estimate_cell(shown, more, side=side, words=_FOLLOWS.get(side, ""))


def metrics_of(results: HumanResults) -> list[str]:
    """Automatic metrics that were held against the ratings, in order."""
    names = [item.metric for item in results.accuracies]
    return list(dict.fromkeys([*names, *(item.metric for item in results.correlations)]))


def metric_side(results: HumanResults, metric: str) -> Side:
    """Whether a metric follows the raters: by their preferences, else by any of the criteria."""
    for item in results.accuracies:
        if item.metric == metric and item.accuracy.low is not None:
            return side_of(item.accuracy, EVEN)
    sides = [side_of(item.kendall) for item in results.correlations if item.metric == metric]
    order: tuple[Side, ...] = ("better", "worse", "open")
    return next((side for side in order if side in sides), "")


def trust_words(results: HumanResults) -> str:
    """Which automatic metrics follow the raters on this task."""
    names = _best_first(results)
    if not names:
        return ""
    by_side: dict[str, list[str]] = {"better": [], "open": [], "worse": []}
    for name in names:
        by_side.setdefault(metric_side(results, name), []).append(_metric_words(results, name))
    follow, open_, against = by_side["better"], by_side["open"], by_side["worse"]
    lines = ["No automatic metric is shown to follow the raters on this task."]
    if follow:
        verb = "follows" if len(follow) == 1 else "follow"
        lines = [f"On this task {listed(follow)} {verb} the raters."]
    if open_:
        verb, which = ("is", "it") if len(open_) == 1 else ("are", "them")
        lines.append(f"{listed(open_)} {verb} not shown to: do not decide by {which} alone.")
    if against:
        verb = "goes" if len(against) == 1 else "go"
        lines.append(f"{listed(against)} {verb} against the raters.")
    if any(item.accuracy.low is not None for item in results.accuracies):
        lines.append(
            "In brackets: in how many comparisons with a winner the metric prefers what raters "
            "prefer; 50 % is chance."
        )
    return " ".join(lines)


def _best_first(results: HumanResults) -> list[str]:
    accuracy = {item.metric: item.accuracy.value for item in results.accuracies}
    tau: dict[str, list[float]] = {}
    for item in results.correlations:
        if item.kendall.value is not None:
            tau.setdefault(item.metric, []).append(item.kendall.value)

    def rank(name: str) -> tuple[float, float]:
        own = tau.get(name, [-1.0])
        return (-(accuracy.get(name) or 0.0), -sum(own) / len(own))

    return sorted(metrics_of(results), key=rank)


def _metric_words(results: HumanResults, metric: str) -> str:
    name = metric_name(metric)
    for item in results.accuracies:
        if item.metric == metric and item.accuracy.low is not None:
            return f"{name} ({together(share_words(item.accuracy))})"
    side = metric_side(results, metric)
    shown = [
        f"{item.criterion} {together(value_words(item.kendall))}"
        for item in results.correlations
        if item.metric == metric and side_of(item.kendall) == side
    ]
    return f"{name} (tau-b with {listed(shown)})" if shown else name
