"""The choice of a checkpoint in words and as a table: what it was made on, what is claimed."""

from collections.abc import Sequence
from dataclasses import replace

from harness.metrics.quantities import measured_name
from harness.printable import visible
from harness.render.numbers import estimate, joined, metric_name, number, p_words, percent, quantity
from harness.render.table import Cell, Head, Table, numbers, texts, to_text
from harness.report.view.records import Held, MatrixRow, View
from harness.report.words.cautions import overtaken
from harness.report.words.comparison import change_words, equivalence_words, figure_words
from harness.report.words.verdict import open_words
from harness.schema import HUMAN, Candidate, ConstraintCheck, Selection
from harness.select.constraints import explained
from harness.suite.rules import in_points

_RULES = {
    "one_se": "the earliest within one standard error of the best is chosen",
    "best": "the one of the best value is chosen",
}
BOUNDS = (
    "Scores of constraints are differences from the baseline with one-sided 95 % bounds: kept or "
    "broken only where the data shows it."
)


def candidate_table(
    selection: Selection | None, rows: Sequence[MatrixRow], baseline: str, *, short: bool = False
) -> Table | None:
    """What is known of each checkpoint on the select split, by step; None where there is none.

    Args:
        selection: The choice.
        rows: The matrix, which knows the metric's unit.
        baseline: What checkpoints are compared with.
        short: Call the constraints C1, C2 and so on, as a terminal has room for.
    """
    if selection is None or not selection.candidates:
        return None
    key = (selection.task, selection.metric, selection.split)
    row = next((row for row in rows if (row.task, row.metric, row.split) == key), None)
    whats = constraint_names(selection)
    heads = [f"C{place}" for place in range(1, len(whats) + 1)] if short else whats
    return Table(
        "Checkpoints to choose from, on the select split",
        (
            *texts("Checkpoint"),
            *numbers(metric_name(selection.metric), f"against {baseline}", "p, adjusted"),
            *(Head(head, numeric=False, style="bound") for head in heads),
            *texts("Efficient"),
        ),
        tuple(
            _candidate_cells(candidate, selection, whats, row.scale if row else None)
            for candidate in selection.candidates
        ),
    )


def constraint_names(selection: Selection) -> list[str]:
    """The constraints of a choice in words, each once."""
    return list(dict.fromkeys(check.what for check in selection.constraints))


def _candidate_cells(
    candidate: Candidate, selection: Selection, whats: Sequence[str], scale: float | None
) -> tuple[Cell, ...]:
    own = {c.what: c for c in selection.constraints if c.variant == candidate.variant}
    gain, bounds = estimate(candidate.delta, candidate.low, candidate.high, scale, signed=True)
    chosen = candidate.variant == selection.chosen
    tag = "the choice" if chosen else "" if candidate.allowed else "excluded"
    cells = (
        Cell(candidate.variant, tag=tag),
        Cell(estimate(candidate.value, None, None, scale)[0]),
        Cell(gain, interval=bounds),
        Cell(p_words(candidate.p_adjusted)),
        *(_check_cell(own[what]) for what in whats if what in own),
        Cell("yes" if candidate.efficient else "no"),
    )
    return tuple(replace(cell, style="chosen") for cell in cells) if chosen else cells


def _check_cell(check: ConstraintCheck) -> Cell:
    value = ""
    if check.value is not None and not check.data:
        value = quantity(check.value, check.unit)
    elif check.value is not None:
        parts = estimate(check.value, check.low, check.high, check.scale, signed=True)
        share = percent(check.value, abs(check.reference)) if check.reference else ""
        value = joined(*parts, f"({share})" if share else "")
    return Cell(check.status, side=check.status, interval=value, note=explained(check))


def how_chosen(selection: Selection) -> str:
    """The rule and what it was applied to, in one sentence."""
    among = "checkpoints that keep to the constraints" if selection.constraints else "checkpoints"
    return (
        f"Of the {among}, {_RULES[selection.rule]}, by {metric_name(selection.metric)} of "
        f"{selection.task} on the {selection.split} split alone."
    )


def axes_words(selection: Selection) -> list[str]:
    """What a choice weighs on the Pareto front, in words."""
    return [_axis_words(name) for name in selection.axes]


def _axis_words(name: str) -> str:
    metric, of, task = name.partition(" of ")
    if of:
        return f"{metric_name(metric)} of {task}"
    return measured_name(name)


def claims(view: View) -> list[str]:
    """What is claimed for the choice: on report, on what constraints did not read, and merged."""
    choice, row = view.choice, view.primary_row
    chosen = view.selection.chosen if view.selection else None
    lines = []
    if chosen is not None and row is not None and choice.figure is not None:
        value = joined(metric_name(row.metric), *figure_words(choice.figure, row))
        line, change = f"On the report split {chosen} has {value}", choice.comparison
        if change is not None and change.identical:
            line += f", identical to {change.baseline} on every example"
        elif change is not None and change.delta is not None:
            line += f", {joined(*change_words(change, row))} against {change.baseline}"
        line += f" (n = {choice.figure.n:,}"
        if choice.mde is not None:
            smallest = number(in_points(choice.mde, row.scale), 1 if row.scale else None)
            line += f"; a true difference of {smallest} is found in 80 of 100 such runs"
        lines.append(f"{line}).")
    lines += held_claims(view)
    return lines + [equivalence_words(test, row) for test in choice.merged if row is not None]


def held_claims(view: View) -> list[str]:
    """What is claimed for the choice on examples that its constraints did not read."""
    return [_held_claim(held) for held in view.choice.held]


def _held_claim(held: Held) -> str:
    of = held.comparison
    change = joined(*estimate(of.delta, of.low, of.high, held.scale, signed=True))
    if of.identical:
        change = "rated alike" if of.task == HUMAN else "identical to it"
    return (
        f"{of.task} {metric_name(of.metric)} against {of.baseline} on the {of.split}: {change} "
        f"(n = {of.n:,}); the choice did not read these examples."
    )


def selection_text(view: View) -> str:
    """Candidates, constraints, the reason and what is claimed, for a terminal; no markup."""
    selection = view.selection
    if selection is None:
        return "The choice was not made."
    table = candidate_table(selection, view.rows, view.baseline, short=True)
    blocks = []
    if table is not None:
        blocks += [how_chosen(selection), to_text(table)]
        whats = [f"C{n}: {what}" for n, what in enumerate(constraint_names(selection), 1)]
        blocks.append("\n".join([*whats, BOUNDS] if whats else []))
    blocks.append("\n".join(_not_kept(selection)))
    left = open_words(selection)
    start = "No checkpoint was chosen."
    if selection.chosen:
        start = f"Chosen: {selection.chosen}{f'; {left}' if left else ''}."
    blocks.append(f"{start}\n{selection.reason}")
    row, rival = view.primary_row, view.choice.rival
    beyond = [f"Note: {overtaken(rival, row)}"] if rival is not None and row is not None else []
    blocks.append("\n".join([*claims(view), *beyond]))
    return "\n\n".join(visible(block) for block in blocks if block)


def _not_kept(selection: Selection) -> list[str]:
    """What excludes a checkpoint, and what is open about the choice, in words."""
    return [
        f"{check.variant}, {check.status}: {explained(check)}."
        for check in selection.constraints
        if check.status == "broken"
        or (check.variant == selection.chosen and check.status in ("unsure", "unknown"))
    ]
