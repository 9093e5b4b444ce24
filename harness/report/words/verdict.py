"""The verdict: what to do, in one sentence, and what supports or limits it."""

from collections.abc import Iterator, Sequence

from harness.printable import visible
from harness.render.numbers import count, joined, metric_name, number, size
from harness.report.view.records import (
    Choice,
    MatrixRow,
    Outcome,
    TradeOff,
    Verdict,
    View,
)
from harness.report.words.cautions import Evidence, cautions, rater_words
from harness.report.words.comparison import (
    detectable_words,
    difference_words,
    equivalence_words,
    figure_words,
)
from harness.report.words.forms import form_words, prefers_merged
from harness.schema import HUMAN, Comparison, Manifest, Selection


def build_verdict(evidence: Evidence) -> Verdict:
    """Say which checkpoint to ship: chosen on ``select``, with figures from ``report``."""
    chosen, row, trade_off = evidence.chosen, evidence.row, evidence.trade_off
    shipped, outcome, headline = chosen, *_outcome(evidence.manifest, row, trade_off)
    if outcome == "ship" and chosen is not None and row is not None:
        better, words = _merged_headline(evidence.choice, row, trade_off)
        shipped, headline = (better, words) if better else (chosen, headline)
    support = list(_support(evidence, shipped))
    if left := open_words(evidence.manifest.selection):
        if outcome == "ship":
            headline = f"{headline.removesuffix('.')}; {left} (see Choice)."
        elif chosen is not None:
            support.insert(0, f"{left[0].upper()}{left[1:]} (see Choice).")
    if outcome == "ship" and row is not None and shipped is not None:
        support += detectable_words(row.comparison(shipped), row, row.n)
    return Verdict(
        outcome=outcome,
        chosen=chosen,
        shipped=shipped,
        headline=headline,
        support=tuple(support),
        cautions=(*cautions(evidence, outcome, shipped), *trade_off.cautions),
    )


_TRIED = (
    "Tried, by the code of a real run: columns, templates, lengths, target modules, packages, "
    "options of the libraries, and every step of the suite."
)
_NOT_TRIED = (
    "Not tried: whether the model fits into memory, how fast it is and whether it learns, and what "
    "is made, left out or replaced above."
)


def smoke_verdict(manifest: Manifest, replaced: Sequence[str]) -> Verdict:
    """What a smoke test shows: whether every step ran, and nothing of any model.

    Args:
        manifest: The run.
        replaced: What stands in for what the suite says.
    """
    failed = sum(cell.status == "failed" for cell in manifest.cells)
    what = f"{failed} of {len(manifest.cells)} cells failed" if failed else "every step ran"
    return Verdict(
        outcome="none",
        chosen=None,
        headline=f"SMOKE TEST: {what}. No figure of it says how good, large or fast a model is.",
        support=(*(f"In place of what the suite says, {line}." for line in replaced), _TRIED),
        cautions=(_NOT_TRIED,),
    )


def verdict_text(view: View) -> str:
    """The verdict for a terminal: the sentence, what supports it, what limits it; no markup."""
    verdict = view.verdict
    lines = [verdict.headline, *verdict.support, *(f"Note: {line}" for line in verdict.cautions)]
    return "\n".join(visible(line) for line in lines)


def open_words(selection: Selection | None) -> str:
    """How many constraints of the choice are neither kept nor broken; empty where none is."""
    checks = selection.constraints if selection else ()
    own = [check.status for check in checks if selection and check.variant == selection.chosen]
    unknown, unsure = own.count("unknown"), own.count("unsure")
    noun = "constraint" if (unknown or unsure) == 1 else "constraints"
    parts = [f"{unknown} {noun} could not be checked"] if unknown else []
    if unsure:
        verb = "is" if unsure == 1 else "are"
        subject = unsure if unknown else f"{unsure} {noun}"
        parts.append(f"{subject} {verb} not decided by the data")
    return ", ".join(parts)


def _outcome(manifest: Manifest, row: MatrixRow | None, trade_off: TradeOff) -> tuple[Outcome, str]:
    """What is to be done, and the headline, as far as the adapter goes."""
    selection, baseline = manifest.selection, manifest.baseline
    if all(variant.kind == "base" for variant in manifest.variants):
        start = "There is no checkpoint to choose: only the base was evaluated"
        if row is None or row.figure(baseline) is None:
            return "only_base", f"{start}."
        value = _value_words(row, baseline)
        return "only_base", f"{start}. {baseline} has {value} on the report split (n = {row.n:,})."
    if selection is None or selection.chosen is None:
        why = selection.reason if selection else "The choice on the select split was not made."
        return "none", f"No checkpoint was chosen. {why}"
    chosen = selection.chosen
    figure = row.figure(chosen) if row else None
    if row is None or figure is None or figure.value is None:
        cell = row.cell(chosen) if row else None
        why = cell.missing if cell and cell.missing else "its score is missing"
        return "none", f"{chosen} was chosen, but has no figure on the report split: {why}."
    comparison, cost = row.comparison(chosen), _cost(chosen, trade_off)
    if comparison is not None and comparison.delta is not None:
        return _compared(chosen, comparison, row, cost)
    why = f" ({comparison.reason})" if comparison and comparison.reason else ""
    return "undecided", (
        f"{chosen} is chosen: {_value_words(row, chosen)} on the report split (n = {row.n:,}), "
        f"not compared with {baseline}{why}{cost}."
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


def _value_words(row: MatrixRow, variant: str) -> str:
    figure, name = row.figure(variant), metric_name(row.metric)
    return f"no {name}" if figure is None else joined(name, *figure_words(figure, row))


def _cost(variant: str, trade_off: TradeOff) -> str:
    """Memory and speed to go at the end of a sentence; nothing where they were not measured."""
    point = trade_off.point(variant)
    if point is None:
        return ""
    memory, speed = point.memory_bytes, point.decode_tokens_per_s
    return ("" if memory is None else f", {size(memory)}") + (
        "" if speed is None else f", {number(speed)} tok/s"
    )


def _merged_headline(choice: Choice, row: MatrixRow, trade_off: TradeOff) -> tuple[str | None, str]:
    """The merged form to ship in place of the adapter, shown as good and cheaper; and so said."""
    for test in choice.merged:
        comparison = row.comparison(test.second)
        if comparison is not None and comparison.better and prefers_merged(test, trade_off):
            _, words = _compared(test.second, comparison, row, _cost(test.second, trade_off))
            start = f"Ship {test.first}, merged ({test.second}):"
            return test.second, words.replace(f"Ship {test.second}:", start, 1)
    return None, ""


def _support(evidence: Evidence, shipped: str | None) -> Iterator[str]:
    """What the choice gives in its other form, in other metrics and to raters; why it is chosen."""
    selection, row, trade_off = evidence.manifest.selection, evidence.row, evidence.trade_off
    if selection is None or selection.chosen is None:
        return
    chosen = selection.chosen
    if row is not None:
        if shipped != chosen:
            yield from _form_line(f"As an adapter ({chosen})", chosen, row, trade_off)
        for test in evidence.choice.merged:
            if row.comparison(test.second) is None:
                continue
            if test.second != shipped:
                yield from _form_line(f"Merged ({test.second})", test.second, row, trade_off)
            yield f"{equivalence_words(test, row)} {form_words(test, trade_off)}".rstrip()
    yield from _others(evidence.rows, shipped or chosen, row)
    raters = rater_words(evidence.human, chosen)
    yield from (line for side, line in raters if side != "worse")
    yield f"Why this checkpoint: {selection.reason}"


def _form_line(start: str, variant: str, row: MatrixRow, trade_off: TradeOff) -> Iterator[str]:
    """The gain and the cost of one form of the choice."""
    comparison = row.comparison(variant)
    if comparison is not None and comparison.delta is not None:
        change, against = difference_words(comparison, row), comparison.baseline
        yield f"{start}: {change} against {against}{_cost(variant, trade_off)}."


def _others(rows: Sequence[MatrixRow], chosen: str, primary: MatrixRow | None) -> Iterator[str]:
    """What the choice gains and loses in everything else, at the level of whole tasks."""
    sides: list[str] = []
    worse: list[str] = []
    for row in rows:
        if row is primary or row.split == "select" or row.task != row.suite_task:
            continue
        comparison = row.comparison(chosen)
        if comparison is None or comparison.delta is None or comparison.low is None:
            continue
        if comparison.identical:
            sides.append("alike" if row.kind == HUMAN else "same")
        else:
            sides.append({True: "better", False: "worse", None: "open"}[comparison.better])
        if sides[-1] == "worse":
            worse.append(f"{row.task} {difference_words(comparison, row)}")
    if sides:
        n = sides.count
        yield (
            f"Of {count(len(sides), 'further metric')}, {n('better')} better, {n('worse')} worse, "
            f"{n('open')} not distinguishable"
            + (f", {n('same')} identical" if "same" in sides else "")
            + (f", {n('alike')} rated alike" if "alike" in sides else "")
            + (f". Worse: {'; '.join(worse)}." if worse else ".")
        )
