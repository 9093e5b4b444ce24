"""What a plan of sheets amounts to, in numbers and words, for methods sections and datasheets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.ratings.design.advice import raters_per_item
from harness.ratings.records import (
    Agreement,
    HumanResults,
    Item,
    Purpose,
    RowKind,
    SheetPlan,
    SheetRow,
)
from harness.suite.ratings import REFERENCES


@dataclass(frozen=True)
class Facts:
    """Counts of an export.

    Attributes:
        rows: Rows of all raters by kind and purpose.
        per_rater: Fewest and most rows of one rater, of all kinds and purposes.
        overlap: Fewest and most raters of one judgement that counts.
        apart: Least distance, in rows, of a row and its repetition; None without repetitions.
        turned: Whether all repeated comparisons have their sides swapped.
        equal: Items by pair whose two texts are equal, which nobody is asked to compare.
        shared: Items with a text that several variants wrote, which is judged once.
        items: Items there are.
        clusters: Clusters that the items come from.
    """

    rows: Counter[tuple[RowKind, Purpose]]
    per_rater: tuple[int, int]
    overlap: tuple[int, int]
    apart: int | None
    turned: bool
    equal: int
    shared: int
    items: int
    clusters: int

    def of(self, purpose: Purpose) -> int:
        """Rows of a purpose, of both kinds."""
        return self.rows["scale", purpose] + self.rows["pair", purpose]


def facts(plan: SheetPlan, items: Sequence[Item], rows: Sequence[SheetRow]) -> Facts:
    """Count what an export asks for."""
    loads = Counter({rater: 0 for rater in plan.raters})
    loads.update(row.rater for row in rows)
    by_token = {row.token: row for row in rows}
    again = [(row, by_token[row.repeats]) for row in rows if row.repeats in by_token]
    pairs = raters_per_item(rows, "pair")
    overlaps = [
        count
        for by_item in (*pairs.values(), *raters_per_item(rows, "scale").values())
        for count in by_item.values()
    ]
    return Facts(
        rows=Counter((row.kind, row.purpose) for row in rows),
        per_rater=(min(loads.values()), max(loads.values())),
        overlap=(min(overlaps, default=0), max(overlaps, default=0)),
        apart=min((abs(one.position - other.position) for one, other in again), default=None),
        turned=all(one.swapped != other.swapped for one, other in again if one.kind == "pair"),
        equal=sum(len(items) - len(pairs.get(pair, {})) for pair in plan.pairs),
        shared=len({r.item for r in rows if r.kind == "scale" and len(r.variants) > 1}),
        items=len(items),
        clusters=len({item.cluster for item in items}),
    )


def sampling(plan: SheetPlan, items: Sequence[Item], found: Facts) -> str:
    """How the items were drawn, as a sentence."""
    splits = listed(plan.splits)
    where = f"the splits {splits} in equal parts" if len(plan.splits) > 1 else f"the {splits} split"
    clusters = (
        "no two of one cluster of near-identical examples"
        if found.clusters == len(items)
        else f"from {found.clusters} clusters of near-identical examples, as there are no more"
    )
    return (
        f"{len(items)} examples of the task {plan.task} were drawn by a seeded hash (seed "
        f"{plan.seed}) from {where}, {clusters}."
    )


def checks(found: Facts) -> str:
    """Repeats and checks among the rows, as sentences."""
    parts = []
    if found.of("repeat"):
        apart = f", at least {found.apart} rows apart" if found.apart is not None else ""
        turned = found.rows["pair", "repeat"] and found.turned
        sides = ", comparisons with the sides swapped" if turned else ""
        parts.append(f"{were(found.of('repeat'), 'row')} shown a second time{apart}{sides}")
    if found.of("attention"):
        parts.append(
            f"{were(found.of('attention'), 'row')} shown with a spoilt output, as a check of "
            "attention"
        )
    if found.of("same"):
        parts.append(f"{were(found.of('same'), 'comparison')} of a text with itself")
    if not parts:
        return "There were no repeated rows and no attention checks."
    return f"{'; '.join(parts)}. Such rows describe the raters and enter no result."


def variants_in_words(plan: SheetPlan) -> str:
    """The variants, with the references named for what they are."""
    return listed(
        "the references of the data" if name == REFERENCES else name for name in plan.variants
    )


def came_back(results: HumanResults | None) -> list[str]:
    """What came back, and how far raters agree, as sentences; none before anything did."""
    if results is None:
        return []
    back = sum(rater.answered > 0 for rater in results.raters)
    sentences = [
        f"Of {results.asked} rows, {results.ratings} were answered, by {back} of "
        f"{len(results.plan.raters)} raters."
    ]
    alphas = [f"{a.name} {alpha(a)}" for a in results.agreement if a.alpha.value is not None]
    if alphas:
        sentences.append(f"Alpha was {listed(alphas)}.")
    return sentences


def alpha(agreement: Agreement) -> str:
    """Krippendorff's alpha with its interval, or why there is none."""
    estimate = agreement.alpha
    if estimate.value is None:
        return estimate.reason or "not defined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def listed(parts: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def were(number: int, noun: str) -> str:
    """``1 row was``, ``2 rows were``."""
    return f"{number} {noun} was" if number == 1 else f"{number} {noun}s were"


def span(low: int, high: int) -> str:
    """``3`` or ``2 to 3``."""
    return str(low) if low == high else f"{low} to {high}"
