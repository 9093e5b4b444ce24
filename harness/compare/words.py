"""What a comparison of runs says in words: which run is better, and what limits that."""

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.compare.view import RunSummary, RunsView
from harness.printable import visible
from harness.render.numbers import count, estimate, metric_name, number, size
from harness.report.view.records import MatrixRow
from harness.report.words.comparison import difference_words
from harness.schema import Comparison

HOW = {
    "chosen": "the choice",
    "last": "last checkpoint",
    "base": "base",
    "named": "as asked",
}
"""How a run's variant was picked, in a word or two."""

SIDES = {
    "better": "better",
    "worse": "worse",
    "open": "not distinguishable",
    "same": "identical",
    "none": "not compared",
}
"""What a comparison says of a run, in words."""

_NOTABLE = 0.05  # relative; smaller differences are within what repeats of a measurement vary
_ALPHA = 0.05


def named(run: RunSummary) -> str:
    """A run with the variant that is compared."""
    return f"{run.label} ({run.variant})"


def headline(view: RunsView) -> str:
    """Which run's choice is better on what, in one sentence or two."""
    row, others = view.deciding, view.others
    if row is None:
        return _undecidable(view)
    if len(others) == 1:
        return sentence(view, others[0], row)
    comparisons = [(run, row.comparison(run.label)) for run in others]
    what = f"{_what(row)} ({row.split} split)" if row.split != "all" else _what(row)
    first = f"Of {len(others)} runs held against {named(view.reference)} on {what}: "
    first += f"{_tally([comparison for _, comparison in comparisons])}."
    better = [(run, c) for run, c in comparisons if c is not None and c.side == "better"]
    if not better:
        return first
    best, comparison = max(better, key=lambda pair: abs(pair[1].delta or 0.0))
    change = difference_words(comparison, row)
    return f"{first} Largest gain: {named(best)}, {change}{_after_holm(view, best)}."


def _tally(comparisons: Sequence[Comparison | None]) -> str:
    """How many runs or scores came out on each side."""
    sides = Counter[str](comparison.side if comparison else "none" for comparison in comparisons)
    return ", ".join(f"{sides[side]} {words}" for side, words in SIDES.items() if sides[side])


def sentence(view: RunsView, run: RunSummary, row: MatrixRow) -> str:
    """How one run compares with the reference on one score."""
    reference, comparison = view.reference, row.comparison(run.label)
    if comparison is None:
        cell = row.cell(run.label)
        why = (cell.missing if cell else None) or "its score is missing"
        return f"{named(run)} has no {_what(row)}: {why}."
    if comparison.delta is None:
        values = "; ".join(_value(row, r) for r in (reference, run))
        return (
            f"{named(run)} is not compared with {named(reference)} on {_what(row)}: "
            f"{comparison.reason}. Side by side: {values}."
        )
    same = f"on the same {count(comparison.n, 'example')}" + (
        f" of the {row.split} split" if row.split != "all" else ""
    )
    if comparison.identical:
        return f"{named(run)} scores exactly as {named(reference)} on {_what(row)}, {same}."
    change = difference_words(comparison, row).removeprefix(metric_name(row.metric)).strip()
    if comparison.better is None:
        why = "the interval includes zero"
        if comparison.low is None:
            why = comparison.reason or "there is no interval"
        return (
            f"{named(run)} is not distinguishable from {named(reference)} on {_what(row)}: "
            f"{change} {same}; {why}."
        )
    side = "better" if comparison.better else "worse"
    flipped = "" if row.higher_is_better else ", lower is better"
    return (
        f"{named(run)} is {side} than {named(reference)} on {_what(row)}: {change} {same}"
        f"{flipped}{_after_holm(view, run)}."
    )


def support(view: RunsView) -> list[str]:
    """A sentence per run where there are several, then what else differs, then costs."""
    lines = []
    if view.deciding is not None and len(view.others) > 1:
        lines += [sentence(view, run, view.deciding) for run in view.others]
    for run in view.others:
        lines += [line for line in (_further(view, run), _costs(view.reference, run)) if line]
    return lines


def cautions(view: RunsView) -> list[str]:
    """What limits the comparison."""
    reference = view.reference
    lines = [
        f"{run.label} decides by {metric_name(run.primary[1])} of {run.primary[0]}, "
        f"{reference.label} by {metric_name(reference.primary[1])} of {reference.primary[0]}: "
        "their choices were made for different ends."
        for run in view.others
        if run.primary and reference.primary and run.primary != reference.primary
    ]
    lines += [
        f"{run.label}: {run.variant} is {run.why}."
        for run in view.runs
        if run.how in ("last", "base")
    ]
    for run in view.runs:
        if run.unfinished:
            verb = "was" if run.unfinished == 1 else "were"
            lines.append(f"{run.label}: {count(run.unfinished, 'cell')} failed or {verb} skipped.")
        elif not run.complete:
            lines.append(f"{run.label} is not complete: some cells have not been computed.")
        if run.limit is not None:
            lines.append(f"{run.label} was made with --limit {run.limit}.")
    for run in view.others:
        for task, remarks in run.remarks.items():
            if any(_is_paired(row, run) for row in view.rows if row.suite_task == task):
                lines.append(
                    f"{task} of {run.label} has another prompt or decoding, and the difference "
                    f"holds its effect too: {'; '.join(remarks)}."
                )
    others = [run.label for run in view.others if not same_hardware(reference, run)]
    if others:
        lines.append(
            f"Memory and speed of {', '.join(others)} were measured on other hardware than those "
            f"of {reference.label}, and are not compared."
        )
    if len(view.others) > 1 and view.deciding is not None:
        lines.append(
            "The best of several runs looks better than it is, because these examples picked it."
        )
    return lines


def not_compared(view: RunsView, rows: Sequence[MatrixRow]) -> list[str]:
    """Why values are missing or stand side by side without a difference, once per reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for run in view.runs:
            comparison, cell = row.comparison(run.label), row.cell(run.label)
            reason = cell.missing if cell else None
            if comparison is not None and comparison.delta is None:
                reason = comparison.reason or "no reason was recorded"
            if reason:
                reasons.setdefault((run.label, reason), []).append(
                    f"{_what(row)}{_split_words(view, row)}"
                )
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (label, reason), what in reasons.items():
        groups.setdefault((reason, tuple(dict.fromkeys(what))), []).append(label)
    return [
        f"{_some(labels)}, {_some(what)}: {reason}." for (reason, what), labels in groups.items()
    ]


def same_hardware(reference: RunSummary, run: RunSummary) -> bool:
    """Whether the costs of two runs may be compared; true where one of them has none."""
    known = reference.costs.fingerprint, run.costs.fingerprint
    return None in known or known[0] == known[1]


def verdict_lines(view: RunsView) -> list[str]:
    """The verdict for a terminal; no markup."""
    lines = [headline(view), *support(view), *(f"Note: {line}" for line in cautions(view))]
    return [visible(line) for line in lines]


def loss(value: float | None) -> str:
    """A training's loss, to four decimals."""
    return number(value, 4)


def _undecidable(view: RunsView) -> str:
    reference = view.reference
    runs = ", ".join(named(run) for run in view.runs)
    if reference.primary is None:
        return f"{reference.label} has no deciding metric, so no run is called better: {runs}."
    task, metric = reference.primary
    return (
        f"{named(reference)} has no {task} {metric_name(metric)} to compare by, so no run is "
        f"called better: {runs}."
    )


def _what(row: MatrixRow) -> str:
    return f"{row.task} {metric_name(row.metric)}"


def _split_words(view: RunsView, row: MatrixRow) -> str:
    """The split, where the same metric of the task is claimed on several."""
    same = [r for r in view.rows if (r.task, r.metric) == (row.task, row.metric)]
    return f" on {row.split}" if sum(r.split != "select" for r in same) > 1 else ""


def _is_paired(row: MatrixRow, run: RunSummary) -> bool:
    comparison = row.comparison(run.label)
    return comparison is not None and comparison.side != "none"


def _value(row: MatrixRow, run: RunSummary) -> str:
    cell = row.cell(run.label)
    if cell is None or cell.figure is None:
        return f"{run.label} none"
    shown = estimate(cell.figure.value, cell.figure.low, cell.figure.high, row.scale)
    return f"{run.label} {' '.join(filter(None, shown))} (n = {cell.figure.n:,})"


def _after_holm(view: RunsView, run: RunSummary) -> str:
    """Where several runs were looked at, what that leaves of a difference."""
    if len(view.others) < 2 or run.p_holm is None or run.p_holm <= _ALPHA:
        return ""
    return (
        f", though not after Holm's correction for {len(view.others)} comparisons "
        f"(p = {number(run.p_holm, 2)})"
    )


def _further(view: RunsView, run: RunSummary) -> str:
    """How a run does on everything else, at the level of whole tasks."""
    rows = [row for row in view.whole if row is not view.deciding]
    comparisons = [(row, row.comparison(run.label)) for row in rows]
    if not any(_is_paired(row, run) for row in rows):
        return ""
    tally = _tally([comparison for _, comparison in comparisons])
    line = f"{run.label}: of {count(len(rows), 'further metric')}, {tally}."
    for side in ("better", "worse"):
        changes = [
            f"{row.task} {difference_words(comparison, row)}{_split_words(view, row)}"
            for row, comparison in comparisons
            if comparison is not None and comparison.side == side
        ]
        line += f" {side.capitalize()}: {_some(changes, '; ')}." if changes else ""
    return line


def _costs(reference: RunSummary, run: RunSummary) -> str:
    """Memory and speed against the reference's, where they differ by 5 % or more."""
    parts = list(_cost_parts(reference, run)) if same_hardware(reference, run) else []
    return f"{run.label} {' and '.join(parts)}." if parts else ""


def _cost_parts(reference: RunSummary, run: RunSummary) -> Iterator[str]:
    before, after = reference.costs, run.costs
    old, new = before.memory_bytes, after.memory_bytes
    if before.memory_name == after.memory_name and old and new and abs(new / old - 1) >= _NOTABLE:
        word = "less" if new < old else "more"
        yield f"needs {word} memory ({size(new)} against {size(old)})"
    slow, fast = before.decode_tokens_per_s, after.decode_tokens_per_s
    if before.speed_sizes != after.speed_sizes or not slow or not fast:
        return
    if abs(fast / slow - 1) >= _NOTABLE:
        word = "faster" if fast > slow else "more slowly"
        yield f"decodes {word} ({number(fast)} against {number(slow)} tok/s)"


def _some(items: Sequence[str], between: str = ", ") -> str:
    """The first few of a list."""
    shown = between.join(items[:4])
    return f"{shown} and {len(items) - 4} more" if len(items) > 4 else shown
