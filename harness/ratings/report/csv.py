"""Human ratings as lines of CSV tables, in the records' own units."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.ratings.records import Estimate, HumanResults

_Cell = str | float | int | bool | None
_Line = tuple[_Cell, ...]
_BOUNDS = ("value", "low", "high", "n", "method", "reason")
_OTHERS = ("other_raters_low", "other_raters_high")  # of the difference, or the second's share


def _means(human: HumanResults | None) -> Iterator[_Line]:
    names = tuple(f"difference_{name}" for name in _BOUNDS)
    yield ("criterion", "variant", *_BOUNDS, "baseline", *names, *_OTHERS)
    if human is None:
        return
    baseline = human.plan.baseline
    for item in human.means:
        against = baseline if item.difference is not None else None
        found = (*_estimate(item.mean), against, *_estimate(item.difference))
        yield (item.criterion, item.variant, *found, *_others(item.other_raters))


def _wins(human: HumanResults | None) -> Iterator[_Line]:
    yield (
        *("first", "second", "first_wins", "second_wins", "ties", "automatic_ties"),
        *(f"second_share_{name}" for name in _BOUNDS),
        *("first_strength", "second_strength"),
        *("raters", *_OTHERS),
    )
    if human is None or human.preference is None:
        return
    found = human.preference
    strengths = {item.variant: item.strength.value for item in found.strengths}
    for wins in found.wins:
        yield (
            *(wins.first, wins.second, wins.first_wins, wins.second_wins, wins.ties),
            *(wins.automatic, *_estimate(wins.share)),
            *(strengths.get(wins.first), strengths.get(wins.second)),
            *(wins.raters, *_others(wins.other_raters)),
        )


def _agreement(human: HumanResults | None) -> Iterator[_Line]:
    yield ("question", "level", "raters", "units", "what", *_BOUNDS, "exact")
    for item in human.agreement if human is not None else ():
        about = (item.name, item.level)
        yield (*about, None, item.units, "krippendorff_alpha", *_estimate(item.alpha), None)
        for pair in item.pairs:
            kappa = (pair.kappa, None, None, pair.n, None, pair.reason)
            both = f"{pair.first} {pair.second}"
            yield (*about, both, pair.n, "kappa", *kappa, pair.exact)


def _raters(human: HumanResults | None) -> Iterator[_Line]:
    criteria = [c.name for c in human.plan.criteria] if human is not None else []
    counts = (
        *("rows", "answered", "cannot_judge", "minutes", "repeats", "repeats_equal"),
        *("repeats_near", "attention", "attention_failed", "same", "same_tied", "decisive"),
        *("chose_a", "position_p"),
    )
    yield ("rater", *counts, *(f"severity_{name}" for name in criteria))
    for item in human.raters if human is not None else ():
        severity = [item.severity[c].value if c in item.severity else None for c in criteria]
        yield (item.rater, *(getattr(item, name) for name in counts), *severity)


def _metrics(human: HumanResults | None) -> Iterator[_Line]:
    yield ("metric", "criterion", "what", *_BOUNDS, "items")
    if human is None:
        return
    for found in human.accuracies:
        yield (found.metric, "preference", "accuracy", *_estimate(found.accuracy), None)
    for item in human.correlations:
        about = (item.metric, item.criterion)
        yield (*about, "kendall_tau_b", *_estimate(item.kendall), item.items)
        yield (*about, "spearman_rho", *_estimate(item.spearman), item.items)


def _estimate(found: Estimate | None) -> _Line:
    if found is None:
        return (None,) * len(_BOUNDS)
    return (found.value, found.low, found.high, found.n, found.method, found.reason)


def _others(found: Estimate | None) -> _Line:
    return (None, None) if found is None else (found.low, found.high)


RATING_TABLES: dict[str, Callable[[HumanResults | None], Iterator[_Line]]] = {
    "rating_means": _means,
    "rating_wins": _wins,
    "rating_agreement": _agreement,
    "raters": _raters,
    "rating_metrics": _metrics,
}
"""Table -> its lines, the header first; only the header where there are no ratings."""
