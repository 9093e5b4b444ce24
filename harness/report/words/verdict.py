"""The verdict: what to do, in one sentence, and what supports or limits it."""

from __future__ import annotations

from collections.abc import Sequence

from harness.ratings.records import HumanResults
from harness.render.numbers import count, estimate, metric_name, number, size
from harness.render.text import visible
from harness.report.view.records import (
    Choice,
    MatrixRow,
    Outcome,
    OutputHealth,
    TradeOff,
    Verdict,
    View,
)
from harness.report.words.cautions import cautions, rater_words, sensitivity
from harness.report.words.comparison import difference_words, equivalence_words
from harness.report.words.forms import form_words, prefers_merged
from harness.schema import HUMAN, Comparison, Manifest, Selection


def build_verdict(
    manifest: Manifest,
    rows: Sequence[MatrixRow],
    primary: tuple[str, str] | None,
    trade_off: TradeOff,
    choice: Choice,
    human: HumanResults | None = None,
    outputs: Sequence[OutputHealth] = (),
) -> Verdict:
    """Say which checkpoint to ship: chosen on ``select``, with figures from ``report``."""
    selection = manifest.selection
    chosen = selection.chosen if selection else None
    row = _find(rows, (*primary, "report")) if primary else None
    trained = [variant for variant in manifest.variants if variant.kind != "base"]
    outcome: Outcome
    if not trained:
        outcome, headline = "only_base", _only_base(manifest, row)
    elif chosen is None:
        why = selection.reason if selection else "The choice on the select split was not made."
        outcome, headline = "none", f"No checkpoint was chosen. {why}"
    else:
        outcome, headline = _chosen(manifest, chosen, row, trade_off)
    shipped = _shipped(choice, row, trade_off) if outcome == "ship" else None
    if row is not None and chosen is not None and shipped is not None:
        headline = _merged_headline(chosen, shipped, row, trade_off)
    support = _support(manifest, rows, row, trade_off, choice, human, shipped)
    left = open_words(selection)
    if left and outcome == "ship":
        headline = f"{headline.removesuffix('.')}; {left} (see Choice)."
    elif left and chosen is not None:
        support.insert(0, f"{left[0].upper()}{left[1:]} (see Choice).")
    if outcome == "ship" and row is not None and chosen is not None:
        support += sensitivity(row, shipped or chosen)
    return Verdict(
        outcome=outcome,
        chosen=chosen,
        shipped=shipped or chosen,
        headline=headline,
        support=tuple(support),
        cautions=(
            *cautions(manifest, row, choice, outcome, shipped or chosen, human, outputs),
            *trade_off.cautions,
        ),
    )


def _support(
    manifest: Manifest,
    rows: Sequence[MatrixRow],
    row: MatrixRow | None,
    trade_off: TradeOff,
    choice: Choice,
    human: HumanResults | None,
    shipped: str | None,
) -> list[str]:
    """What the choice gives in its other form, in other metrics and to raters; why it is chosen."""
    selection = manifest.selection
    if selection is None or selection.chosen is None:
        return []
    chosen, lines = selection.chosen, []
    if shipped is not None and row is not None:
        lines += _form_line(f"As an adapter ({chosen})", chosen, row, trade_off)
    lines += _merged(choice, row, trade_off, shipped)
    lines += _others(rows, shipped or chosen, row)
    lines += [line for side, line in rater_words(human, chosen) if side != "worse"]
    return [*lines, f"Why this checkpoint: {selection.reason}"]


def verdict_text(view: View) -> str:
    """The verdict for a terminal: the sentence, what supports it, what limits it; no markup."""
    verdict = view.verdict
    lines = [verdict.headline, *verdict.support, *(f"Note: {line}" for line in verdict.cautions)]
    return "\n".join(visible(line) for line in lines)


def open_words(selection: Selection | None) -> str:
    """How many constraints of the choice are neither kept nor broken; empty where none is."""
    if selection is None:
        return ""
    own = [check.status for check in selection.constraints if check.variant == selection.chosen]
    unknown, unsure = own.count("unknown"), own.count("unsure")
    noun = "constraint" if unknown == 1 or (not unknown and unsure == 1) else "constraints"
    parts = []
    if unknown:
        parts.append(f"{unknown} {noun} could not be checked")
        noun = ""
    if unsure:
        verb = "is" if unsure == 1 else "are"
        parts.append(f"{f'{unsure} {noun}'.strip()} {verb} not decided by the data")
    return ", ".join(parts)


def _chosen(
    manifest: Manifest, chosen: str, row: MatrixRow | None, trade_off: TradeOff
) -> tuple[Outcome, str]:
    cell = row.cell(chosen) if row else None
    if row is None or cell is None or cell.figure is None or cell.figure.value is None:
        why = cell.missing if cell and cell.missing else "its score is missing"
        return "none", f"{chosen} was chosen, but has no figure on the report split: {why}."
    comparison, cost = cell.comparison, _cost(chosen, trade_off)
    if comparison is not None and comparison.delta is not None:
        return _compared(chosen, comparison, row, cost)
    why = f" ({comparison.reason})" if comparison and comparison.reason else ""
    return "undecided", (
        f"{chosen} is chosen: {_value_words(row, chosen)} on the report split (n = {row.n:,}), "
        f"not compared with {manifest.baseline}{why}{cost}."
    )


def _compared(
    chosen: str, comparison: Comparison, row: MatrixRow, cost: str
) -> tuple[Outcome, str]:
    baseline, n = comparison.baseline, f"(n = {row.n:,})"
    change = f"{difference_words(comparison, row)} against {baseline} on the report split {n}"
    if comparison.identical:
        return "identical", (
            f"{chosen} scores exactly as {baseline} does on every example of the report split {n}: "
            f"it changes nothing that {metric_name(row.metric)} sees."
        )
    if comparison.better is None:
        why = comparison.reason if comparison.low is None else "the interval includes zero"
        return "undecided", (
            f"No checkpoint is distinguishable from the baseline: the choice, {chosen}, has "
            f"{change}; {why}."
        )
    if comparison.better:
        return "ship", f"Ship {chosen}: {change}{cost}."
    return "worse", f"Ship no checkpoint: the choice, {chosen}, is worse: {change}."


def _only_base(manifest: Manifest, row: MatrixRow | None) -> str:
    start = "There is no checkpoint to choose: only the base was evaluated"
    if row is None or (cell := row.cell(manifest.baseline)) is None or cell.figure is None:
        return f"{start}."
    value = _value_words(row, manifest.baseline)
    return f"{start}. {manifest.baseline} has {value} on the report split (n = {row.n:,})."


def _value_words(row: MatrixRow, variant: str) -> str:
    cell = row.cell(variant)
    figure = cell.figure if cell else None
    if figure is None:
        return f"no {metric_name(row.metric)}"
    value, bounds = estimate(figure.value, figure.low, figure.high, row.scale)
    return " ".join(part for part in (metric_name(row.metric), value, bounds) if part)


def _cost(variant: str, trade_off: TradeOff) -> str:
    """Memory and speed to go at the end of a sentence; nothing where they were not measured."""
    parts = []
    for point in trade_off.points:
        if point.variant != variant:
            continue
        if point.memory_bytes is not None:
            parts.append(size(point.memory_bytes))
        if point.decode_tokens_per_s is not None:
            parts.append(f"{number(point.decode_tokens_per_s)} tok/s")
    return "".join(f", {part}" for part in parts)


def _shipped(choice: Choice, row: MatrixRow | None, trade_off: TradeOff) -> str | None:
    """The merged form to ship in place of the adapter: shown as good, and cheaper; else None."""
    for found in choice.merged:
        cell = row.cell(found.second) if row is not None else None
        comparison = cell.comparison if cell else None
        if comparison is not None and comparison.better and prefers_merged(found, trade_off):
            return found.second
    return None


def _merged_headline(chosen: str, merged: str, row: MatrixRow, trade_off: TradeOff) -> str:
    cell = row.cell(merged)
    if cell is None or cell.comparison is None:
        raise ValueError(f"{merged} has no comparison to ship it on")
    _, words = _compared(merged, cell.comparison, row, _cost(merged, trade_off))
    return words.replace(f"Ship {merged}:", f"Ship {chosen}, merged ({merged}):", 1)


def _form_line(start: str, variant: str, row: MatrixRow, trade_off: TradeOff) -> list[str]:
    """The gain and the cost of one form of the choice."""
    cell = row.cell(variant)
    if cell is None or cell.comparison is None or cell.comparison.delta is None:
        return []
    change = difference_words(cell.comparison, row)
    against = cell.comparison.baseline
    return [f"{start}: {change} against {against}{_cost(variant, trade_off)}."]


def _merged(
    choice: Choice, row: MatrixRow | None, trade_off: TradeOff, shipped: str | None
) -> list[str]:
    """What the merged forms of the choice give, and whether they are as good as the adapter."""
    lines = []
    for found in choice.merged:
        cell = row.cell(found.second) if row is not None else None
        if row is None or cell is None or cell.comparison is None:
            continue
        if found.second != shipped:
            lines += _form_line(f"Merged ({found.second})", found.second, row, trade_off)
        lines.append(f"{equivalence_words(found, row)} {form_words(found, trade_off)}".rstrip())
    return lines


def _others(rows: Sequence[MatrixRow], chosen: str, primary: MatrixRow | None) -> list[str]:
    """What the choice gains and loses in everything else, at the level of whole tasks."""
    better: list[str] = []
    worse: list[str] = []
    open_ = same = alike = 0
    for row in rows:
        if row is primary or row.split == "select" or row.task != row.suite_task:
            continue
        cell = row.cell(chosen)
        comparison = cell.comparison if cell else None
        if comparison is None or comparison.delta is None or comparison.low is None:
            continue
        words = f"{row.task} {difference_words(comparison, row)}"
        if comparison.identical:
            same += row.kind != HUMAN
            alike += row.kind == HUMAN
        elif comparison.better is None:
            open_ += 1
        else:
            (better if comparison.better else worse).append(words)
    total = len(better) + len(worse) + open_ + same + alike
    if not total:
        return []
    line = (
        f"Of {count(total, 'further metric')}, {len(better)} better, {len(worse)} worse, "
        f"{open_} not distinguishable" + (f", {same} identical" if same else "")
    )
    line += f", {alike} rated alike" if alike else ""
    return [f"{line}. Worse: {'; '.join(worse)}." if worse else f"{line}."]


def _find(rows: Sequence[MatrixRow], key: tuple[str, str, str]) -> MatrixRow | None:
    return next((row for row in rows if (row.task, row.metric, row.split) == key), None)
