"""What a plan of sheets amounts to, in numbers, for methods sections and datasheets."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.ratings.design.advice import raters_per_item
from harness.ratings.records import Item, RowKind, RowPurpose, SheetPlan, SheetRow


@dataclass(frozen=True)
class Facts:
    """Counts of an export."""

    rows: Counter[tuple[RowKind, RowPurpose]]  # rows of all raters by kind and purpose
    per_rater: tuple[int, int]  # fewest and most rows of one rater, of all kinds and purposes
    overlap: tuple[int, int]  # fewest and most raters of one judgement that counts
    # least distance, in rows, of a row and its repetition; None without repetitions
    apart: int | None
    turned: bool  # whether all repeated comparisons have their sides swapped
    equal: int  # items by pair whose two texts are equal, which nobody is asked to compare
    shared: int  # items with a text that several variants wrote, which is judged once
    items: int  # items there are
    clusters: int  # clusters that the items come from

    def of(self, purpose: RowPurpose) -> int:
        """Rows of a purpose, of both kinds."""
        return self.rows["scale", purpose] + self.rows["pair", purpose]


def facts(plan: SheetPlan, items: Sequence[Item], rows: Sequence[SheetRow]) -> Facts:
    """Count what an export asks for."""
    loads = Counter({rater: 0 for rater in plan.raters})
    loads.update(row.rater for row in rows)
    by_token = {row.token: row for row in rows}
    again = [(row, by_token[row.repeats]) for row in rows if row.repeats in by_token]
    pairs = raters_per_item(rows, "pair")
    judged = (*pairs.values(), *raters_per_item(rows, "scale").values())
    overlaps = [count for by_item in judged for count in by_item.values()]
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
