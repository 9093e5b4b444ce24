"""Several trainings of one suite against each other: what each costs, and what comes of it."""

from collections.abc import Iterator
from typing import Any

from harness.render.delimited import Raw
from harness.render.numbers import NONE, duration, metric_name, number, size
from harness.render.table import Cell, Table, data_table, make_table, numbers, texts, to_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import MatrixRow, View
from harness.report.words.comparison import change_words, figure_words
from harness.schema import Candidate, TrainingRun
from harness.suite.peft_types import method_words

_OF_RESULTS = ("report", "all")  # splits by whose scores nothing was chosen
_COLUMNS = (
    *("training", "method", "peft_type", "trainable_parameters", "total_parameters", "steps"),
    *("seconds", "peak_memory_bytes", "tokens_per_second", "estimated_flops", "best_eval_loss"),
    *("checkpoint", "value", "low", "high", "delta"),
)


class MethodsSection(ReportSection):
    """A row per training; nothing where there is only one."""

    name, title, label = "methods", "Methods of training", "Methods"

    def build(self, run: RunContents) -> dict[str, Any]:
        named = {name: own for name, own in run.trainings.items() if name}
        return {"trainings": named}

    def html(self, view: View, page: PageContext) -> str:
        return page.table(_table(view)) if view.trainings else ""

    def markdown(self, view: View) -> str:
        return to_markdown(_table(view), caption=False) if view.trainings else ""

    def tables(self, view: View) -> dict[str, Table]:
        if not view.trainings:
            return {}
        lines = [tuple(_line(view, name, run)) for name, run in view.trainings.items()]
        return {"methods": data_table("Methods of training", _COLUMNS, lines)}


SECTION = MethodsSection()


def _table(view: View) -> Table:
    row = _primary(view)
    quality = f"{metric_name(row.metric)} on {row.split}" if row is not None else "Quality"
    header = (
        *texts("Training", "Method"),
        *numbers("Trained parameters", "Peak memory", "Time", "Steps", "Best eval loss"),
        *texts("Best checkpoint"),
        *numbers(quality, f"Against {view.baseline}"),
    )
    rows = (tuple(_cells(view, name, run, row)) for name, run in view.trainings.items())
    return make_table("What each training took, and its best checkpoint on select", header, rows)


def _cells(view: View, name: str, run: TrainingRun, row: MatrixRow | None) -> Iterator[Cell | str]:
    share = run.trainable_parameters / run.total_parameters
    yield name
    yield method_words(run.method, run.peft_type)
    yield Cell(f"{run.trainable_parameters:,}", (f"{share:.2%}",))
    yield size(run.peak_memory_bytes) if run.peak_memory_bytes else NONE
    yield duration(run.seconds)
    yield f"{run.steps:,}"
    loss = _best_eval_loss(run)
    yield number(loss, 3) if loss is not None else NONE
    best = _best(view, name)
    if best is None or row is None:
        yield from (NONE, NONE, NONE)
        return
    figure, comparison = row.figure(best.variant), row.comparison(best.variant)
    yield best.variant
    for words in (
        figure_words(figure, row) if figure is not None else None,
        change_words(comparison, row) if comparison is not None else None,
    ):
        yield NONE if words is None else Cell(words[0], interval=words[1])


def _line(view: View, name: str, run: TrainingRun) -> Iterator[Raw]:
    yield from (name, run.method, run.peft_type or "")
    yield from (run.trainable_parameters, run.total_parameters, run.steps)
    yield from (run.seconds, run.peak_memory_bytes, run.tokens_per_second, run.estimated_flops)
    yield _best_eval_loss(run)
    best, row = _best(view, name), _primary(view)
    figure = row.figure(best.variant) if best is not None and row is not None else None
    comparison = row.comparison(best.variant) if best is not None and row is not None else None
    yield best.variant if best is not None else None
    yield from (figure.value, figure.low, figure.high) if figure else (None, None, None)
    yield comparison.delta if comparison is not None else None


def _best_eval_loss(run: TrainingRun) -> float | None:
    return min((e.eval_loss for e in run.log if e.eval_loss is not None), default=None)


def _primary(view: View) -> MatrixRow | None:
    """The metric that decides, on the split by which nothing was chosen."""
    rows = {row.split: row for row in view.rows if row.primary}
    return next((rows[split] for split in _OF_RESULTS if split in rows), None)


def _best(view: View, name: str) -> Candidate | None:
    """The checkpoint of a training that is best on select, among those that are allowed."""
    row, chosen = _primary(view), view.selection
    if row is None or chosen is None:
        return None
    own = {variant.id for variant in view.variants if variant.training == name}
    scored = [
        (candidate.value, candidate)
        for candidate in chosen.candidates
        if candidate.variant in own and candidate.allowed and candidate.value is not None
    ]
    pick = max if row.higher_is_better else min
    return pick(scored, key=lambda pair: pair[0])[1] if scored else None
