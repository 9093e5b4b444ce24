"""Human ratings as tables of values in the records' own units, for CSV files."""

from collections.abc import Callable, Iterator, Sequence

from harness.ratings.records import Estimate, HumanResults
from harness.render.delimited import Raw
from harness.render.table import Table, data_table, raw_fields

_Lines = Iterator[tuple[Raw, ...]]
_BOUNDS = ("value", "low", "high", "n", "method", "reason")
_OTHERS = ("other_raters_low", "other_raters_high")  # of the difference, or the second's share
_COUNTS = (
    *("rows", "answered", "cannot_judge", "minutes", "repeats", "repeats_equal", "repeats_near"),
    *("attention", "attention_failed", "same", "same_tied", "decisive", "chose_a", "position_p"),
)


def _prefixed(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{name}" for name in _BOUNDS)


def _bounds(of: Estimate | None) -> tuple[Raw, ...]:
    return raw_fields(of, *_BOUNDS)


def _means(human: HumanResults) -> _Lines:
    for item in human.means:
        against = human.plan.baseline if item.difference is not None else None
        paired = (against, *_bounds(item.difference), *raw_fields(item.other_raters, "low", "high"))
        yield (item.criterion, item.variant, *_bounds(item.mean), *paired)


def _wins(human: HumanResults) -> _Lines:
    if human.preference is None:
        return
    strengths = {item.variant: item.strength.value for item in human.preference.strengths}
    for wins in human.preference.wins:
        yield (
            *raw_fields(wins, "first", "second", "first_wins", "second_wins", "ties", "automatic"),
            *_bounds(wins.share),
            *(strengths.get(wins.first), strengths.get(wins.second)),
            *(wins.raters, *raw_fields(wins.other_raters, "low", "high")),
        )


def _agreement(human: HumanResults) -> _Lines:
    for item in human.agreement:
        about = (item.name, item.level)
        yield (*about, None, item.units, "krippendorff_alpha", *_bounds(item.alpha), None)
        for pair in item.pairs:
            kappa = (pair.kappa, None, None, pair.n, None, pair.reason)
            yield (*about, f"{pair.first} {pair.second}", pair.n, "kappa", *kappa, pair.exact)


def _metrics(human: HumanResults) -> _Lines:
    for of in human.accuracies:
        yield (of.metric, "preference", "accuracy", *_bounds(of.accuracy), None)
    for item in human.correlations:
        for what, own in (("kendall_tau_b", item.kendall), ("spearman_rho", item.spearman)):
            yield (item.metric, item.criterion, what, *_bounds(own), item.items)


def _raters(human: HumanResults) -> _Lines:
    for item in human.raters:
        severity = (item.severity.get(criterion.name) for criterion in human.plan.criteria)
        points = (own.value if own is not None else None for own in severity)
        yield (item.rater, *raw_fields(item, *_COUNTS), *points)


def rating_tables(human: HumanResults | None) -> dict[str, Table]:
    """Name -> table; without any rows where there are no ratings."""
    criteria = [f"severity_{c.name}" for c in human.plan.criteria] if human is not None else []
    means = ("criterion", "variant", *_BOUNDS, "baseline", *_prefixed("difference"), *_OTHERS)
    wins = (
        *("first", "second", "first_wins", "second_wins", "ties", "automatic_ties"),
        *(*_prefixed("second_share"), "first_strength", "second_strength", "raters", *_OTHERS),
    )
    agreement = ("question", "level", "raters", "units", "what", *_BOUNDS, "exact")
    metrics = ("metric", "criterion", "what", *_BOUNDS, "items")
    tables: dict[str, tuple[Sequence[str], Callable[[HumanResults], _Lines]]] = {
        "rating_means": (means, _means),
        "rating_wins": (wins, _wins),
        "rating_agreement": (agreement, _agreement),
        "rating_metrics": (metrics, _metrics),
        "raters": (("rater", *_COUNTS, *criteria), _raters),
    }
    return {
        name: data_table(name, header, lines(human) if human is not None else ())
        for name, (header, lines) in tables.items()
    }
