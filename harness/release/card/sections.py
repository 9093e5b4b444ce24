"""What a model card says about scores, cost, ratings, training and limits, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.ratings.report.lead import preferred_words
from harness.ratings.report.words import same_words
from harness.release.card.data import CLAIMED, Card
from harness.render.labels import measured_name, split_words
from harness.render.markdown import code, plain
from harness.render.numbers import NONE, count, estimate, metric_name, number, quantity, size
from harness.report.view.records import MatrixCell, MatrixRow
from harness.report.words.selection import claims
from harness.suite.record import suite_of

_FEW = 30


# -- scores ---------------------------------------------------------------------------------------


def results(card: Card) -> Iterator[str]:
    """All scores of the variant that no choice was made by, with what they were made with."""
    rows = _shown(card, card.rows)
    yield "## Results"
    if not rows:
        yield "This run has no score of it that was not read to choose."
        return
    yield (
        f"Value with its 95 % interval, and the paired difference from {plain(card.view.baseline)} "
        "on the same examples. Scores that have a best possible value are of 100; the metadata "
        "hold the same numbers to four decimals."
    )
    yield score_table(card, rows)
    yield _splits(card, rows)
    if card.chosen:
        yield "\n".join(f"- {plain(line)}" for line in claims(card.view))
    members = _shown(card, card.members)
    if members:
        yield "<details><summary>Members of groups</summary>"
        yield score_table(card, members)
        yield "</details>"
    signed = [row for row in rows if row.signature]
    if signed:
        yield "What each score was made with:"
        yield "\n".join(
            f"- {plain(f'{row.task} {row.metric}')}: {code(row.signature)}" for row in signed
        )


def score_table(card: Card, rows: Sequence[MatrixRow]) -> str:
    """One line per metric of a task."""
    baseline = plain(card.view.baseline)
    header = ["task", "metric", "value", f"against {baseline}", "n", "shots", "split"]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        cell = row.cell(card.variant.id)
        if cell is None or cell.figure is None:
            continue
        name = metric_name(row.metric) + (f", {row.unit}" if row.unit not in ("", "%") else "")
        figure = cell.figure
        value = _words(figure.value, figure.low, figure.high, row)
        lines.append(
            [
                plain(row.task),
                plain(name) + ("" if row.higher_is_better else " (lower is better)"),
                value if figure.value is not None else plain(figure.reason or "no value"),
                _against(card, cell, row),
                f"{figure.n:,}",
                NONE if row.num_fewshot is None else str(row.num_fewshot),
                plain(row.split),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(card: Card, rows: Sequence[MatrixRow]) -> list[MatrixRow]:
    return [row for row in rows if (c := row.cell(card.variant.id)) and c.figure is not None]


def _against(card: Card, cell: MatrixCell, row: MatrixRow) -> str:
    found = cell.comparison
    if card.variant.id == card.view.baseline:
        return "is the baseline"
    if found is None or found.delta is None:
        return plain(found.reason if found and found.reason else NONE)
    if found.identical:
        return same_words(row.kind)[1]
    return _words(found.delta, found.low, found.high, row, signed=True)


def _words(
    value: float | None,
    low: float | None,
    high: float | None,
    row: MatrixRow,
    *,
    signed: bool = False,
) -> str:
    parts = estimate(value, low, high, row.scale, signed=signed)
    return " ".join(part for part in parts if part)


def _splits(card: Card, rows: Sequence[MatrixRow]) -> str:
    """What was read to choose, said of the splits that are in the table, and what is not in it."""
    lines = []
    if any(row.split == "report" for row in rows):
        lines.append("report: held-out examples that neither training nor the choice read.")
    if any(row.split == "all" for row in rows):
        read = {constraint.task for constraint in suite_of(card.manifest).select.constraints}
        names = [row.task for row in rows if row.split == "all" and row.suite_task in read]
        half = f"; the choice read half of {', '.join(dict.fromkeys(names))}" if names else ""
        lines.append(f"all: {split_words('all')} of the task{half}.")
    others = _shown(card, [row for row in card.view.rows if row.split not in CLAIMED])
    if others:
        splits = ", ".join(sorted({row.split for row in others}))
        lines.append(
            f"Not shown: {count(len(others), 'score')} on {splits}, which training or the choice "
            "may have read."
        )
    return "\n".join(f"- {plain(line)}" for line in lines)


# -- cost -----------------------------------------------------------------------------------------


def cost(card: Card) -> Iterator[str]:
    """Memory, speed and price beside the baseline's, and the machine they were measured on."""
    yield "## Cost"
    view, name = card.view, card.variant.id
    own, other = view.cost(name), view.cost(view.baseline)
    trade_off = view.trade_off
    lines = []
    if own is not None and own.memory_bytes is not None:
        lines.append(
            [
                measured_name(trade_off.memory_name),
                size(own.memory_bytes),
                size(other.memory_bytes if other else None),
            ]
        )
    if own is not None and own.decode_tokens_per_s is not None:
        speeds = (own.decode_tokens_per_s, other.decode_tokens_per_s if other else None)
        sizes = f" ({trade_off.speed_sizes})" if trade_off.speed_sizes else ""
        lines.append([f"Decode speed{sizes}", *(quantity(speed, "tok/s") for speed in speeds)])
    if own is not None and own.price_per_million_new_tokens is not None:
        prices = (
            own.price_per_million_new_tokens,
            other.price_per_million_new_tokens if other else None,
        )
        sizes = f" ({trade_off.price_sizes})" if trade_off.price_sizes else ""
        shown = [quantity(price, trade_off.currency) for price in prices]
        lines.append([f"Price per million new tokens{sizes}", *shown])
    if not lines:
        why = view.measurements.missing.get(name)
        yield f"Memory and speed were not measured{f': {plain(why)}' if why else ''}."
        return
    header = ["", plain(name), plain(view.baseline)]
    if name == view.baseline:
        lines, header = [line[:2] for line in lines], header[:2]
    grid = [header, ["---"] * len(header), *([plain(line[0]), *line[1:]] for line in lines)]
    yield "\n".join(f"| {' | '.join(line)} |" for line in grid)
    yield f"Medians, measured on {plain(hardware(card))}.{_paid(card)}"
    doubts = view.measurements.doubts if own is not None and own.speed_in_doubt else ()
    yield from (plain(doubt.what) for doubt in doubts)


def _paid(card: Card) -> str:
    measure, currency = suite_of(card.manifest).measure, card.view.trade_off.currency
    if measure is None or measure.price_per_hour is None or not currency:
        return ""
    price = number(measure.price_per_hour)
    return f" Prices are of a machine at {price} {plain(currency)} an hour, never idle."


def hardware(card: Card) -> str:
    """The machine of the evaluation, in words."""
    found = card.manifest.environment
    if found is None:
        return "a machine that was not recorded"
    size_ = f"{count(found.cpu_count, 'core')}, {size(found.memory_bytes)}"
    return f"{found.device_name} ({size_}), compute dtype {found.compute_dtype}"


# -- people ---------------------------------------------------------------------------------------


def ratings(card: Card) -> Iterator[str]:
    """Whether raters prefer it, and how far they agree; nothing where they were not asked."""
    human = card.view.human
    if human is None or human.plan.baseline is None:
        return
    for name in dict.fromkeys((card.variant.id, card.checkpoint.id)):
        _, line = preferred_words(human, name, human.plan.baseline)
        if line:
            yield "## Human ratings"
            yield plain(line) + f" {count(len(human.raters), 'rater')}, blinded."
            return
