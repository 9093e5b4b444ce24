"""Losses in words and table cells, the same in every form of the report."""

from harness.render.numbers import NONE, count, estimate, metric_name, number
from harness.render.table import Band, Cell, Side, Table, numbers, texts
from harness.results.losses import LossStratum, LossSummary
from harness.results.strata import FINDING, MEMBER, OUTPUT, PROMPT, REFERENCE

_MOST_GROUPS = 3  # that the sentence names
_PLACES = {
    PROMPT: "prompts of {}",
    REFERENCE: "references of {}",
    OUTPUT: "outputs of {}",
    FINDING: "examples whose {}",
    MEMBER: "documents of {}",
}


def loss_sentence(summary: LossSummary) -> str:
    """How often the candidate is worse, how concentrated that is, and where it is most so."""
    name = metric_name(summary.metric)
    if summary.identical:
        return f"{summary.candidate} and {summary.baseline} are identical in {name}."
    things = "documents" if summary.documents else "examples"
    parts = [
        f"{summary.candidate} is worse than {summary.baseline} on "
        f"{f'{summary.worse:,}' if summary.worse else 'none'} of {summary.n:,} {things} in {name}"
    ]
    for words in ("better", "equal", "undefined"):
        n = getattr(summary, words)
        parts += [f", {words} on {n:,}"] if n else []
    if summary.tenth_share is not None and 0 < summary.tenth < summary.worse:
        share = number(100 * summary.tenth_share, 0)
        parts.append(f"; the worst tenth ({summary.tenth:,}) carries {share} % of all loss")
    return "".join(parts) + ". " + _group_sentence(summary)


def _group_sentence(summary: LossSummary) -> str:
    if not summary.strata:
        return ""
    if not summary.looks:
        return "There are too few examples to look at groups of them."
    groups = [item for item in summary.strata if item.differs and (item.contrast or 0.0) < 0]
    if not groups:
        looks = count(summary.looks, "split")
        return f"No group does distinguishably worse than the rest ({looks} into two looked at)."
    groups.sort(key=lambda item: (item.contrast or 0.0, item.kind != FINDING))
    once = {(item.n, item.gain, item.rest_gain): item for item in reversed(groups)}
    groups = list(reversed(once.values()))  # of two names for the same examples, the finding
    texts = []
    for item in groups[:_MOST_GROUPS]:
        value, bounds = estimate(item.gain, item.low, item.high, summary.scale, signed=True)
        rest = estimate(item.rest_gain, None, None, summary.scale, signed=True)[0]
        own = f"{value} {bounds}".strip()
        texts.append(f"{place_words(item)} ({own}, the rest {rest})")
    more = len(groups) - len(texts)
    return f"It does worst on {', '.join(texts)}" + (f" and {more} more." if more else ".")


def place_words(stratum: LossStratum) -> str:
    """A group within a sentence."""
    if stratum.kind in _PLACES:
        return _PLACES[stratum.kind].format(stratum.name)
    return f"examples with {stratum.kind.removeprefix('field ')} “{stratum.name}”"


def strata_table(summary: LossSummary) -> Table:
    """The groups in their order, under what they were cut by."""
    kinds = [item.kind for item in summary.strata]
    starts = [n for n, kind in enumerate(kinds) if n == 0 or kind != kinds[n - 1]]
    return Table(
        f"{summary.task} {metric_name(summary.metric)}: gains and losses by group of examples",
        (
            *texts("Group"),
            *numbers("n", "Worse / equal / better", "Share of all loss", "Gain"),
            *numbers("Less the gain of the rest"),
        ),
        tuple(_stratum_cells(item, summary.scale) for item in summary.strata),
        tuple(Band(n, kinds[n]) for n in starts),
        over="Of",
    )


def _stratum_cells(item: LossStratum, scale: float | None) -> tuple[Cell, ...]:
    gain = ("=", "") if item.identical else _estimate(item.gain, item.low, item.high, scale)
    apart = item.clusters != item.n
    return (
        Cell(item.name),
        Cell(f"{item.n:,}", (count(item.clusters, "cluster"),) if apart else ()),
        Cell(f"{item.worse:,} / {item.equal:,} / {item.better:,}"),
        Cell(NONE if item.loss_share is None else f"{number(100 * item.loss_share, 0)} %"),
        Cell(gain[0], interval=gain[1], note=item.method),
        _contrast_cell(item, scale),
    )


def _contrast_cell(item: LossStratum, scale: float | None) -> Cell:
    """A group's gain less that of the rest, or why that was not tested."""
    side = side_of(item)
    if not side:
        return Cell(NONE, (item.reason or "not tested",))
    words = "not distinguishable from the rest" if side == "open" else f"{side} than the rest"
    bounds = (item.contrast, item.contrast_low, item.contrast_high)
    value, interval = _estimate(*bounds, scale)
    return Cell(value, side=side, words=words, interval=interval, note=words)


def side_of(item: LossStratum) -> Side:
    """Whether a group does worse or better than the rest; empty where that was not tested."""
    if item.differs is None:
        return ""
    if not item.differs:
        return "open"
    return "worse" if (item.contrast or 0.0) < 0 else "better"


def _estimate(
    value: float | None, low: float | None, high: float | None, scale: float | None
) -> tuple[str, str]:
    if value is not None and low is not None and low == high:
        return number(100 * value / scale if scale else value, signed=True), ""
    return estimate(value, low, high, scale, signed=True)


def loss_notes(summary: LossSummary) -> list[str]:
    """What has to be known to read the table."""
    notes = []
    if summary.strata and summary.looks:
        notes.append(
            f"Whether a group differs from the rest is decided at 95 % for all "
            f"{count(summary.looks, 'split')} into two together (Bonferroni); the interval of a "
            "group's own gain stands alone. Findings say what goes together with a loss, not what "
            "causes it."
        )
    if not summary.per_example:
        notes.append(
            f"{metric_name(summary.metric)} is not the plain mean of its values on single "
            "examples: which of them are better, worse and worst is a guide only. Gains of groups "
            "are the metric of all their examples together."
        )
    return [*notes, *summary.notes]
