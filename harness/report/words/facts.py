"""The figures under the verdict: what the variant to ship gives and costs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from harness.metrics.quantities import measured_name
from harness.render.labels import split_words
from harness.render.numbers import NONE, count, estimate, metric_name, number, size
from harness.report.view.records import MatrixRow, TradeOffPoint, View
from harness.suite.record import recorded_suite

_BEGINNINGS = ("only ", "the ", "it ")

Side = Literal["better", "worse", "open", "same", ""]


@dataclass(frozen=True)
class Fact:
    """One figure.

    Attributes:
        name: What it is.
        value: The figure.
        notes: Quieter lines below it: interval, the baseline's figure, at which sizes.
        side: What it says of the variant.
    """

    name: str
    value: str
    notes: tuple[str, ...] = ()
    side: Side = ""


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
    cell = row.cell(name) if row and name else None
    if row is None or name is None or cell is None or cell.figure is None:
        return []
    facts = [*_gain(view, row, name), _value(view, row, name), *_costs(view, name)]
    clusters = cell.figure.clusters
    apart = clusters is not None and clusters != cell.figure.n
    where = split_words(row.split) + (f", {count(clusters, 'cluster')}" if apart else "")
    return [*facts, Fact("examples behind it", f"{cell.figure.n:,}", (where,))]


def _gain(view: View, row: MatrixRow, name: str) -> Iterator[Fact]:
    cell = row.cell(name)
    found = cell.comparison if cell else None
    if found is None:
        return
    what = f"{metric_name(row.metric)} against {view.baseline}"
    if found.identical:
        yield Fact(what, "identical", ("on every example",), "same")
        return
    if found.delta is None:
        yield Fact(what, NONE, ("not compared",))
        return
    value, bounds = estimate(found.delta, found.low, found.high, row.scale, signed=True)
    side: Side = "open" if found.better is None else "better" if found.better else "worse"
    words = {"open": "not distinguishable"}.get(side, "")
    yield Fact(what, value, tuple(text for text in (bounds, words) if text), side)


def _value(view: View, row: MatrixRow, name: str) -> Fact:
    value, bounds = _estimate(row, name)
    notes = [bounds] if bounds else []
    there = _estimate(row, view.baseline)[0]
    if name != view.baseline and there != NONE:
        notes.append(f"{view.baseline} {there}")
    return Fact(f"{metric_name(row.metric)} of {name}", value, tuple(notes))


def _estimate(row: MatrixRow, name: str) -> tuple[str, str]:
    cell = row.cell(name)
    figure = cell.figure if cell else None
    if figure is None:
        return NONE, ""
    return estimate(figure.value, figure.low, figure.high, row.scale)


def _costs(view: View, name: str) -> list[Fact]:
    found, point = view.trade_off, view.cost(name)
    base = view.cost(view.baseline) if name != view.baseline else None
    memory = measured_name(found.memory_name) or "peak memory"
    if point is None or (point.memory_bytes is None and point.decode_tokens_per_s is None):
        return [Fact("memory, speed and price", NONE, (_why_unmeasured(view, name),))]
    facts = [
        Fact(
            memory,
            size(point.memory_bytes),
            _beside(base, size(base.memory_bytes if base else None)),
        ),
        Fact(
            "decode speed",
            _with(number(point.decode_tokens_per_s), "tok/s"),
            (
                *_beside(base, number(base.decode_tokens_per_s if base else None)),
                *([found.speed_sizes] if found.speed_sizes else []),
            ),
        ),
    ]
    what = "per million new tokens"
    measure = recorded_suite(view.provenance.spec).measure
    if measure is None or measure.price_per_hour is None:
        return facts
    if point.price_per_million_new_tokens is None:
        return [*facts, Fact(what, NONE, ("decode speed not measured",))]
    price = _with(number(point.price_per_million_new_tokens), found.currency)
    beside = _beside(base, number(base.price_per_million_new_tokens if base else None))
    terms = [found.price_sizes, "machine always busy"]
    return [*facts, Fact(what, price, (*beside, *filter(None, terms)))]


def _with(text: str, unit: str) -> str:
    return text if text == NONE else f"{text}\u00a0{unit}"


def _beside(base: TradeOffPoint | None, text: str) -> tuple[str, ...]:
    return (f"{base.variant} {text}",) if base is not None and text != NONE else ()


def _why_unmeasured(view: View, name: str) -> str:
    if recorded_suite(view.provenance.spec).measure is None:
        return "the suite has no measure section"
    missing = view.measurements.missing.get(name)
    return f"measuring {missing.partition(':')[0]}" if missing else "not measured"
