"""What a model card says about scores, cost, ratings, training and limits, in Markdown."""

from collections.abc import Iterator, Sequence

from harness.ratings.report.lead import preferred_words
from harness.ratings.report.words import same_words
from harness.release.card.data import CLAIMED, Card
from harness.render.labels import measured_name, split_words
from harness.render.markdown import bullets, code, plain
from harness.render.numbers import NONE, count, joined, metric_name, number, quantity, size
from harness.render.table import Cell, make_table, numbers, texts, to_markdown
from harness.report.view.records import Figure, MatrixRow
from harness.report.words.comparison import change_words, figure_words
from harness.report.words.selection import claims
from harness.suite.record import suite_of


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
        yield bullets(claims(card.view))
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
    table = make_table(
        "Scores",
        (
            *texts("task", "metric"),
            *numbers("value", f"against {card.view.baseline}", "n", "shots"),
            *texts("split"),
        ),
        (_score_cells(card, row, figure) for row in rows if (figure := _figure(card, row))),
    )
    return to_markdown(table, caption=False)


def _score_cells(card: Card, row: MatrixRow, figure: Figure) -> tuple[Cell | str, ...]:
    unit = f", {row.unit}" if row.unit not in ("", "%") else ""
    flipped = "" if row.higher_is_better else " (lower is better)"
    value = joined(*figure_words(figure, row))
    return (
        row.task,
        f"{metric_name(row.metric)}{unit}{flipped}",
        value if figure.value is not None else figure.reason or "no value",
        _against(card, row),
        f"{figure.n:,}",
        NONE if row.num_fewshot is None else str(row.num_fewshot),
        row.split,
    )


def _figure(card: Card, row: MatrixRow) -> Figure | None:
    return row.figure(card.variant.id)


def _shown(card: Card, rows: Sequence[MatrixRow]) -> list[MatrixRow]:
    return [row for row in rows if _figure(card, row) is not None]


def _against(card: Card, row: MatrixRow) -> str:
    comparison = row.comparison(card.variant.id)
    if card.variant.id == card.view.baseline:
        return "is the baseline"
    if comparison is None or comparison.delta is None:
        return comparison.reason if comparison and comparison.reason else NONE
    if comparison.identical:
        return same_words(row.kind)[1]
    return joined(*change_words(comparison, row))


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
    return bullets(lines)


def cost(card: Card) -> Iterator[str]:
    """Memory, speed and price beside the baseline's, and the machine they were measured on."""
    yield "## Cost"
    view, name = card.view, card.variant.id
    terms, own = view.trade_off, view.cost(name)
    variants = [name] if name == view.baseline else [name, view.baseline]
    points = [view.cost(variant) for variant in variants]

    def row(what: str, sizes: str, field: str, unit: str) -> list[str]:
        """A measured quantity of each variant; none where the first has it not."""
        values = [getattr(point, field, None) for point in points]
        at = f" ({sizes})" if sizes else ""
        shown = [quantity(value, unit) for value in values]
        return [f"{what}{at}", *shown] if values[0] is not None else []

    rows = [
        row(measured_name(terms.memory_name), "", "memory_bytes", "bytes"),
        row("Decode speed", terms.speed_sizes, "decode_tokens_per_s", "tok/s"),
        row(
            *("Price per million new tokens", terms.price_sizes),
            *("price_per_million_new_tokens", terms.currency),
        ),
    ]
    if not any(rows):
        why = view.measurements.missing.get(name)
        yield f"Memory and speed were not measured{f': {plain(why)}' if why else ''}."
        return
    header = (*texts(""), *numbers(*variants))
    yield to_markdown(make_table("Cost", header, filter(None, rows)), caption=False)
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
    place = card.manifest.environment
    if place is None:
        return "a machine that was not recorded"
    room = f"{count(place.cpu_count, 'core')}, {size(place.memory_bytes)}"
    return f"{place.device_name} ({room}), compute dtype {place.compute_dtype}"


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
