"""A comparison of runs as tables: the page and the Markdown render the same ones."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.compare.view import RunSummary, RunsView, SettingDifference
from harness.compare.words import HOW, SIDES, loss, same_hardware
from harness.render.labels import measured_name, split_words
from harness.render.numbers import NONE, duration, estimate, metric_name, number, size
from harness.render.pages import breakable
from harness.render.table import Band, Cell, Head, Table, make_table, numbers, texts
from harness.render.text import marked
from harness.report.view.records import MatrixCell, MatrixRow
from harness.report.words.scores import score_cell, score_table
from harness.schema import Comparison

_PAGE_CHARS, _LINE_CHARS = 600, 120  # of a setting's value, which may be a whole prompt


def runs_table(view: RunsView) -> Table:
    """The runs, the variant of each that is compared, and what it gives and costs."""
    row = view.deciding
    metric = Head("Deciding metric")
    if row is not None:
        metric = Head(metric_name(row.metric), f"{row.task}, {split_words(row.split)}")
    memory = dict.fromkeys(run.costs.memory_name for run in view.runs if run.costs.memory_name)
    one_memory = measured_name(next(iter(memory))).lower() if len(memory) == 1 else ""
    priced = any(run.costs.currency for run in view.runs)
    several = len(view.others) > 1
    header = (
        *texts("Run", "Variant"),
        metric,
        Head("Against the reference", "paired, 95 % interval"),
        *([Head("p, adjusted", "Holm")] if several else []),
        Head("Over its base", "own run"),
        Head("Memory", one_memory),
        Head("Decode"),
        *([Head("Price", "per million new tokens")] if priced else []),
        Head("n"),
        *texts("State"),
    )

    def cells(run: RunSummary) -> Iterator[Cell | str]:
        costs, score = run.costs, row.cell(run.label) if row else None
        speed, price = costs.decode_tokens_per_s, costs.price_per_million_new_tokens
        yield Cell(run.label, tag="reference" if run is view.reference else "")
        yield Cell(run.variant, (HOW[run.how],), style="how")
        shown = score_cell(score, row) if score and row else Cell(NONE)
        yield replace(shown, side="", words="", change="")
        yield _difference(row.comparison(run.label) if row else None, row)
        if several:
            yield number(run.p_holm, 3)
        yield _difference(run.over_base, row)
        other = "other hardware" if not same_hardware(view.reference, run) else ""
        named = measured_name(costs.memory_name).lower() if len(memory) > 1 else ""
        about = tuple(filter(None, (other or named,))) if costs.memory_name else ()
        yield Cell(size(costs.memory_bytes), about, raw=costs.memory_bytes)
        sizes = (costs.speed_sizes,) if costs.speed_sizes else ()
        yield NONE if speed is None else Cell(f"{number(speed)} tok/s", sizes, raw=speed)
        if priced:
            yield NONE if price is None else f"{number(price)} {costs.currency}"
        yield f"{score.figure.n:,}" if score and score.figure else NONE
        left = (f"{run.unfinished} failed or skipped",) if run.unfinished else ()
        state = Cell("complete") if run.complete else Cell("not complete", left, style="worse")
        yield replace(state, more=(*state.more, run.updated[:10]), style=f"id {state.style}")

    what = "The runs, the variant of each that is compared, and what it gives and costs"
    return make_table(what, header, (tuple(cells(run)) for run in view.runs))


def _difference(comparison: Comparison | None, row: MatrixRow | None) -> Cell:
    """A paired difference on its own."""
    if comparison is None or row is None:
        return Cell(NONE)
    side, words = comparison.side, SIDES[comparison.side]
    if side == "none":
        return Cell(words, note=comparison.reason or "", style="quiet")
    if side == "same":
        return Cell(words, side=side, raw=0.0)
    bounds = (comparison.delta, comparison.low, comparison.high)
    value, interval = estimate(*bounds, row.scale, signed=True)
    return Cell(value, interval=interval, side=side, words=words, raw=comparison.delta)


def results_table(
    view: RunsView, caption: str, rows: Sequence[MatrixRow], *, bases: bool = False
) -> Table:
    """Metrics down, runs across; of the compared variants, or of each run's own baseline."""
    heads = [
        Head(
            run.label,
            (run.baseline if bases else run.variant)
            + (", reference" if run is view.reference else ""),
            style="run-name",
        )
        for run in view.runs
    ]
    return score_table(caption, heads, rows, _score)


def _score(cell: MatrixCell, row: MatrixRow) -> Cell:
    """A score, with its own n where that is not the row's."""
    other = cell.figure is not None and cell.figure.n != row.n
    shown = score_cell(cell, row)
    return replace(shown, beyond=f"n = {cell.figure.n:,}") if other and cell.figure else shown


def settings_table(view: RunsView) -> Table:
    """Settings that are not the same in all runs, under the heading of their group."""
    table = make_table(
        "Settings that are not the same in all runs",
        texts("Setting", *(run.label for run in view.runs)),
        ((Cell(i.key, drawing=breakable(i.key)), *_settings(i)) for i in view.differences),
    )
    groups = [item.group for item in view.differences]
    bands = tuple(Band(groups.index(group), group) for group in dict.fromkeys(groups))
    return replace(table, bands=bands, over="Part")


def _settings(item: SettingDifference) -> Iterator[Cell]:
    for place, value in enumerate(item.values):
        style = "same" if value == item.values[0] else "other"
        style = style if place else "reference"
        if value is None:
            yield Cell("not set", style=f"{style} quiet")
        else:
            line = value if len(value) <= _LINE_CHARS else f"{value[: _LINE_CHARS - 1]}…"
            yield Cell(line, code=True, drawing=marked(value, _PAGE_CHARS), style=style)


def training_table(view: RunsView) -> Table:
    """What came of each run's training."""
    header = (
        *texts("Run"),
        *numbers("Steps", "Final loss", "Final eval loss", "Best eval loss", "Tokens per second"),
        *numbers("Time", "Peak memory", "Rows", "Trained parameters"),
        *texts("On"),
    )
    return make_table(
        "Training of each run", header, (tuple(_training(view, run)) for run in view.runs)
    )


def _training(view: RunsView, run: RunSummary) -> Iterator[Cell | str]:
    training = run.training
    yield run.label
    if training is None:
        yield from (NONE,) * 9
        yield Cell("not trained by this run", style="quiet")
        return
    early = (training.stopped_early,) if training.stopped_early else ()
    yield Cell(f"{training.steps:,}", early)
    yield from map(loss, (training.final_loss, training.final_eval_loss, training.best_eval_loss))
    yield number(training.tokens_per_second)
    yield duration(training.seconds)
    yield size(training.peak_memory_bytes)
    yield f"{training.rows_used:,}"
    yield f"{training.trainable_parameters:,}"
    shared = run is not view.reference and training.key == view.reference.training_key
    same = ("the same training as the reference's",) if shared else ()
    yield Cell(training.device_name, same, style="id")
