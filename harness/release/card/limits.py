"""What a model card's figures do not show, in plain words."""

from collections.abc import Iterator

from harness.release.card.data import Card, scored_part
from harness.render.markdown import bullets
from harness.render.numbers import metric_name
from harness.report.words.cautions import cut_off, few, of_raters, overtaken
from harness.report.words.comparison import detectable_words, difference_words
from harness.select.constraints import explained


def limits(card: Card) -> Iterator[str]:
    """What the figures do not show, in plain words."""
    yield "## Limitations"
    yield bullets(_limits(card))


def _limits(card: Card) -> Iterator[str]:
    yield from _of_primary(card)
    yield from _of_choice(card)
    yield from _worse(card)
    yield from _open_constraints(card)
    yield from _raters(card)
    lost = card.view.losses.primary
    if lost is not None and lost.summary.candidate == card.variant.id and lost.summary.worse:
        yield lost.sentence
    for task, part in _partial(card):
        yield f"{task} was {part}: not to be compared with scores of the whole task."
    for cell in card.view.unfinished:
        if cell.variant == card.variant.id:
            yield f"{cell.task} {cell.status}: {cell.reason or 'no reason was recorded'}"
    if not card.manifest.complete:
        yield "The run is not complete: some of its cells have no result yet."
    yield from (item.words for item in card.manifest.findings if item.severity == "error")
    yield (
        "Intervals cover the choice of examples. Another training run, another seed or another "
        "prompt would differ by more."
    )
    yield (
        "Nothing was evaluated but the tasks above: not safety, not bias, not other languages or "
        "uses."
    )


def _of_choice(card: Card) -> Iterator[str]:
    """What the report cautions about where it names the choice."""
    row, rival = card.view.primary_row, card.view.choice.rival
    if row is None:
        return
    yield from cut_off(card.view.outputs, row.suite_task, (card.view.baseline, card.variant.id))
    if rival is not None and card.variant.id in (
        card.view.verdict.chosen,
        card.view.verdict.shipped,
    ):
        yield overtaken(rival, row)


def _of_primary(card: Card) -> Iterator[str]:
    row = card.view.primary_row
    figure = row.figure(card.variant.id) if row is not None else None
    if row is None or figure is None:
        yield "It has no score on the report split of the task that decides."
        return
    comparison = row.comparison(card.variant.id)
    if comparison is not None and comparison.identical:
        yield f"It scores exactly as {comparison.baseline} does on every example of {row.task}."
    elif comparison is not None and comparison.delta is not None and comparison.better is None:
        yield (
            f"No gain in {metric_name(row.metric)} of {row.task} over {comparison.baseline} is "
            "shown: the interval of the difference includes zero."
        )
    yield from detectable_words(comparison, row, figure.n)
    yield from few(figure.n)


def _worse(card: Card) -> Iterator[str]:
    lost = []
    for row in card.rows:
        comparison = row.comparison(card.variant.id)
        if comparison is not None and comparison.better is False and not comparison.identical:
            lost.append(f"{row.task} {difference_words(comparison, row)}")
    if lost:
        yield f"It is worse than {card.view.baseline} in: {'; '.join(lost)}."


def _open_constraints(card: Card) -> Iterator[str]:
    selection = card.manifest.selection
    for check in selection.constraints if selection is not None else ():
        if check.variant == card.checkpoint.id and check.status != "kept":
            said = {"broken": "is broken", "unsure": "is not decided by the data"}
            words = said.get(check.status, "could not be checked")
            of = "" if card.variant.id == card.checkpoint.id else f" on {check.variant}"
            yield f"A constraint{of} {words}: {explained(check)}."


def _raters(card: Card) -> Iterator[str]:
    for name in dict.fromkeys((card.variant.id, card.checkpoint.id)):
        yield from of_raters(card.view.human, name)


def _partial(card: Card) -> Iterator[tuple[str, str]]:
    """Tasks of which only a part was scored, each with which part."""
    seen = {}
    for row in card.rows:
        data = card.data.get(row.task)
        if row.kind == "lm_eval":
            seen[row.task] = scored_part(row)
        elif data is not None and data.hub:
            seen[row.task] = data.why_not
    yield from ((task, part) for task, part in seen.items() if part)
