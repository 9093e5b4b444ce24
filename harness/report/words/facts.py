"""The figures under the verdict: what the variant to ship gives and costs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.metrics.quantities import measured_name
from harness.render.labels import split_words
from harness.render.numbers import NONE, count, metric_name, number, size
from harness.render.table import Side
from harness.report.view.records import Figure, MatrixRow, TradeOffPoint, View
from harness.report.words.comparison import change_words, figure_words
from harness.suite.record import recorded_suite

_BEGINNINGS = ("only ", "the ", "it ")


@dataclass(frozen=True)
class Fact:
    """One figure."""

    name: str  # what it is
    value: str  # the figure
    # quieter lines below it: interval, the baseline's figure, at which sizes
    notes: tuple[str, ...] = ()
    side: Side = ""  # what it says of the variant


def headline_parts(text: str) -> tuple[str, str]:
    """The verdict's sentence in two: what to do, and the evidence.

    >>> headline_parts("Ship checkpoint-40: ROUGE-L +12.3 [+10.1, +14.6].")
    ('Ship checkpoint-40', 'ROUGE-L +12.3 [+10.1, +14.6].')
    >>> headline_parts("There is no checkpoint to choose: only the base was evaluated.")
    ('There is no checkpoint to choose', 'Only the base was evaluated.')
    """
    first, mark, rest = next(iter(re.findall(r"^(.*?)(: |\. |$)(.*)$", text, re.DOTALL)))
    if rest.startswith(_BEGINNINGS):  # not a metric's name, which keeps its case
        rest = rest[:1].upper() + rest[1:]
    return first + mark.strip().removesuffix(":"), rest


def lead_facts(view: View) -> list[Fact]:
    """Gain, value, memory, speed, price and n of what is to be shipped.

    Without a choice they are those of the baseline, where that is all there is. What was not
    measured has its place and says so.
    """
    verdict, row = view.verdict, view.primary_row
    name = verdict.shipped or verdict.chosen
    if name is None and verdict.outcome == "only_base":
        name = view.baseline
    figure = row.figure(name) if row and name else None
    if row is None or name is None or figure is None:
        return []
    apart = figure.clusters if figure.clusters != figure.n else None
    where = split_words(row.split) + ("" if apart is None else f", {count(apart, 'cluster')}")
    return [
        *_gain(view, row, name),
        _value(view, row, name, figure),
        *_costs(view, name),
        Fact("examples behind it", f"{figure.n:,}", (where,)),
    ]


def _gain(view: View, row: MatrixRow, name: str) -> Iterator[Fact]:
    comparison = row.comparison(name)
    what = f"{metric_name(row.metric)} against {view.baseline}"
    if comparison is None:
        return
    if comparison.identical:
        yield Fact(what, "identical", ("on every example",), "same")
    elif comparison.delta is None:
        yield Fact(what, NONE, ("not compared",))
    else:
        value, bounds = change_words(comparison, row)
        sides: dict[bool | None, Side] = {None: "open", True: "better", False: "worse"}
        words = "not distinguishable" if comparison.better is None else ""
        yield Fact(what, value, tuple(filter(None, (bounds, words))), sides[comparison.better])


def _value(view: View, row: MatrixRow, name: str, figure: Figure) -> Fact:
    value, bounds = figure_words(figure, row)
    base = row.figure(view.baseline) if name != view.baseline else None
    there = figure_words(base, row)[0] if base is not None else NONE
    notes = (bounds, f"{view.baseline} {there}" if there != NONE else "")
    return Fact(f"{metric_name(row.metric)} of {name}", value, tuple(filter(None, notes)))


def _costs(view: View, name: str) -> list[Fact]:
    terms, point = view.trade_off, view.cost(name)
    base = view.cost(view.baseline) if name != view.baseline else None
    if point is None or (point.memory_bytes is None and point.decode_tokens_per_s is None):
        return [Fact("memory, speed and price", NONE, (_why_unmeasured(view, name),))]

    def fact(what: str, show: Callable[[TradeOffPoint], str], unit: str, *notes: str) -> Fact:
        """A figure with the baseline's below it."""
        value, beside = show(point), show(base) if base else NONE
        there = f"{view.baseline} {beside}" if beside != NONE else ""
        whole = value if value == NONE or not unit else f"{value}\u00a0{unit}"
        return Fact(what, whole, tuple(filter(None, (there, *notes))))

    memory = measured_name(terms.memory_name) or "peak memory"
    facts = [
        fact(memory, lambda p: size(p.memory_bytes), ""),
        fact("decode speed", lambda p: number(p.decode_tokens_per_s), "tok/s", terms.speed_sizes),
    ]
    what = "per million new tokens"
    measure = recorded_suite(view.provenance.spec).measure
    if measure is None or measure.price_per_hour is None:
        return facts
    if point.price_per_million_new_tokens is None:
        return [*facts, Fact(what, NONE, ("decode speed not measured",))]
    price = fact(
        *(what, lambda p: number(p.price_per_million_new_tokens), terms.currency),
        *(terms.price_sizes, "machine always busy"),
    )
    return [*facts, price]


def _why_unmeasured(view: View, name: str) -> str:
    if recorded_suite(view.provenance.spec).measure is None:
        return "the suite has no measure section"
    missing = view.measurements.missing.get(name)
    return f"measuring {missing.partition(':')[0]}" if missing else "not measured"
