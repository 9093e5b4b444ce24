"""Human ratings as tables of values in the records' own units, for CSV files."""

from collections.abc import Callable, Iterator
from functools import partial

from harness.ratings.records import Estimate, HumanResults
from harness.render.table import Raw, Table, data_table

_BOUNDS = ("value", "low", "high", "n", "method", "reason")
_OTHERS = ("other_raters_low", "other_raters_high")  # of the difference, or the second's share
_COUNTS = (
    *("rows", "answered", "cannot_judge", "minutes", "repeats", "repeats_equal", "repeats_near"),
    *("attention", "attention_failed", "same", "same_tied", "decisive", "chose_a", "position_p"),
)


def _prefixed(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{name}" for name in _BOUNDS)


def _bounds(of: Estimate | None, names: tuple[str, ...] = _BOUNDS) -> tuple[Raw, ...]:
    return tuple(getattr(of, name, None) for name in names)


def _others(of: Estimate | None) -> tuple[Raw, ...]:
    return _bounds(of, ("low", "high"))


def _means(human: HumanResults) -> Iterator[tuple[Raw, ...]]:
    for item in human.means:
        against = human.plan.baseline if item.difference is not None else None
        paired = (against, *_bounds(item.difference), *_others(item.other_raters))
        yield (item.criterion, item.variant, *_bounds(item.mean), *paired)


def _wins(human: HumanResults) -> Iterator[tuple[Raw, ...]]:
    if human.preference is None:
        return
    strengths = {item.variant: item.strength.value for item in human.preference.strengths}
    for wins in human.preference.wins:
        yield (
            *(wins.first, wins.second, wins.first_wins, wins.second_wins, wins.ties),
            *(wins.automatic, *_bounds(wins.share)),
            *(strengths.get(wins.first), strengths.get(wins.second)),
            *(wins.raters, *_others(wins.other_raters)),
        )


def _agreement(human: HumanResults) -> Iterator[tuple[Raw, ...]]:
    for item in human.agreement:
        about = (item.name, item.level)
        yield (*about, None, item.units, "krippendorff_alpha", *_bounds(item.alpha), None)
        for pair in item.pairs:
            kappa = (pair.kappa, None, None, pair.n, None, pair.reason)
            yield (*about, f"{pair.first} {pair.second}", pair.n, "kappa", *kappa, pair.exact)


def _metrics(human: HumanResults) -> Iterator[tuple[Raw, ...]]:
    for of in human.accuracies:
        yield (of.metric, "preference", "accuracy", *_bounds(of.accuracy), None)
    for item in human.correlations:
        for what, own in (("kendall_tau_b", item.kendall), ("spearman_rho", item.spearman)):
            yield (item.metric, item.criterion, what, *_bounds(own), item.items)


def _raters(human: HumanResults | None) -> Table:
    criteria = [c.name for c in human.plan.criteria] if human is not None else []
    lines = []
    for item in human.raters if human is not None else ():
        severity = (item.severity[c].value if c in item.severity else None for c in criteria)
        lines.append((item.rater, *(getattr(item, name) for name in _COUNTS), *severity))
    return data_table("raters", ("rater", *_COUNTS, *(f"severity_{c}" for c in criteria)), lines)


def _table(
    name: str,
    header: tuple[str, ...],
    lines: Callable[[HumanResults], Iterator[tuple[Raw, ...]]],
    human: HumanResults | None,
) -> Table:
    return data_table(name, header, lines(human) if human is not None else ())


RATING_TABLES: dict[str, Callable[[HumanResults | None], Table]] = {
    name: partial(_table, name, header, lines)
    for name, header, lines in (
        (
            "rating_means",
            ("criterion", "variant", *_BOUNDS, "baseline", *_prefixed("difference"), *_OTHERS),
            _means,
        ),
        (
            "rating_wins",
            (
                *("first", "second", "first_wins", "second_wins", "ties", "automatic_ties"),
                *(*_prefixed("second_share"), "first_strength", "second_strength"),
                *("raters", *_OTHERS),
            ),
            _wins,
        ),
        (
            "rating_agreement",
            ("question", "level", "raters", "units", "what", *_BOUNDS, "exact"),
            _agreement,
        ),
        ("rating_metrics", ("metric", "criterion", "what", *_BOUNDS, "items"), _metrics),
    )
} | {"raters": _raters}
"""Name -> table; without any rows where there are no ratings."""
