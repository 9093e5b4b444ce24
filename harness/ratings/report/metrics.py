"""Which automatic metric follows the raters: a table, and a plain sentence."""

from __future__ import annotations

from harness.ratings.records import Estimate, HumanResults
from harness.ratings.report.words import EVEN, share_words, side_of, together, value_words
from harness.render.labels import listed
from harness.render.numbers import NONE, count, metric_name
from harness.render.table import Cell, Head, Side, Table


def metrics_table(results: HumanResults) -> Table | None:
    """How far each automatic metric follows the raters."""
    names = metrics_of(results)
    if not names:
        return None
    accuracy = {item.metric: item for item in results.accuracies}
    held = {(item.metric, item.criterion): item for item in results.correlations}
    criteria = list(dict.fromkeys(item.criterion for item in results.correlations))
    header = [Head("Metric", numeric=False)]
    header += [Head("Prefers what raters prefer", "of decided comparisons")] if accuracy else []
    header += [Head(name, "Kendall's tau-b, Spearman's rho") for name in criteria]
    rows = []
    for name in names:
        cells = [Cell(metric_name(name))]
        if accuracy:
            own = accuracy.get(name)
            cells.append(_trust_cell(own.accuracy, own.n) if own is not None else Cell(NONE))
        for criterion in criteria:
            found = held.get((name, criterion))
            if found is None:
                cells.append(Cell(NONE))
                continue
            value, bounds = value_words(found.kendall)
            rho = f"rho {together(value_words(found.spearman))}"
            more = (bounds, rho) if bounds else (found.kendall.reason or "", rho)
            side, words = _trusted(side_of(found.kendall))
            cells.append(Cell(value, tuple(text for text in more if text), side, words))
        rows.append(tuple(cells))
    caption = "Which automatic metric follows the raters"
    return Table(caption, tuple(header), tuple(rows))


def _trust_cell(found: Estimate, n: int) -> Cell:
    value, bounds = share_words(found)
    side, words = _trusted(side_of(found, EVEN))
    more = (bounds or found.reason or "", count(n, "comparison"))
    return Cell(value, tuple(text for text in more if text), side, words)


def _trusted(side: Side) -> tuple[Side, str]:
    words = {"better": "follows", "worse": "goes against them", "open": "not shown to follow"}
    return side, words.get(side, "")


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
    for side in ("better", "worse", "open"):
        if side in sides:
            return side
    return ""


def trust_words(results: HumanResults) -> str:
    """Which automatic metrics follow the raters on this task."""
    names = metrics_of(results)
    if not names:
        return ""
    best = _best_first(results, names)
    sides = {name: metric_side(results, name) for name in best}
    follow = [_metric_words(results, name) for name in best if sides[name] == "better"]
    against = [_metric_words(results, name) for name in best if sides[name] == "worse"]
    open_ = [_metric_words(results, name) for name in best if sides[name] == "open"]
    lines = []
    if follow:
        verb = "follows" if len(follow) == 1 else "follow"
        lines.append(f"On this task {listed(follow)} {verb} the raters.")
    else:
        lines.append("No automatic metric is shown to follow the raters on this task.")
    if open_:
        verb = "is" if len(open_) == 1 else "are"
        which = "it" if len(open_) == 1 else "them"
        lines.append(f"{listed(open_)} {verb} not shown to: do not decide by {which} alone.")
    if against:
        verb = "goes" if len(against) == 1 else "go"
        lines.append(f"{listed(against)} {verb} against the raters.")
    if any(found.accuracy.low is not None for found in results.accuracies):
        lines.append(
            "In brackets: in how many comparisons with a winner the metric prefers what raters "
            "prefer; 50 % is chance."
        )
    return " ".join(lines)


def _best_first(results: HumanResults, names: list[str]) -> list[str]:
    accuracy = {item.metric: item.accuracy.value for item in results.accuracies}
    tau: dict[str, list[float]] = {}
    for item in results.correlations:
        if item.kendall.value is not None:
            tau.setdefault(item.metric, []).append(item.kendall.value)

    def rank(name: str) -> tuple[float, float]:
        found = tau.get(name, [-1.0])
        return (-(accuracy.get(name) or 0.0), -sum(found) / len(found))

    return sorted(names, key=rank)


def _metric_words(results: HumanResults, metric: str) -> str:
    name = metric_name(metric)
    for item in results.accuracies:
        if item.metric == metric and item.accuracy.low is not None:
            return f"{name} ({together(share_words(item.accuracy))})"
    own = [item for item in results.correlations if item.metric == metric]
    side = metric_side(results, metric)
    shown = [
        f"{item.criterion} {together(value_words(item.kendall))}"
        for item in own
        if side_of(item.kendall) == side
    ]
    return f"{name} (tau-b with {listed(shown)})" if shown else name
