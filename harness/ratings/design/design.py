"""The plan of rating sheets: which rows each rater gets, in what order, and what is known of each.

Everything is drawn by chance that is seeded with the export's key, the digest of all that the
sheets show: equal inputs give equal sheets, bit by bit, and no sheet tells what it was drawn from.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.digests import short_digest
from harness.errors import UsageError
from harness.ratings.design.assign import assign_raters, assign_sides, is_connected
from harness.ratings.design.attention import attention_rows, same_rows
from harness.ratings.design.chance import Chance
from harness.ratings.design.items import ItemSelection, same_text
from harness.ratings.design.order import APART, Draft, insert_checks, spread
from harness.ratings.design.tokens import row_token, sheet_id
from harness.ratings.records import (
    AutoTie,
    Item,
    RowKind,
    RowPurpose,
    SheetPlan,
    SheetRow,
    Sheets,
    VariantPair,
)
from harness.suite.ratings import HumanSpec

FORMAT = 1
"""Of the design: raised whenever the same inputs would give other sheets."""

KINDS: tuple[RowKind, ...] = ("scale", "pair")
_CHECKED_FROM = 12  # main rows of a kind from which on every check that is asked for is there

Drafts = dict[tuple[int, RowKind], list[Draft]]
"""Rows by the rater's place and by kind."""


def make_plan(selection: ItemSelection, spec: HumanSpec, *, seed: int, run: str) -> Sheets:
    """Lay out the sheets of all raters.

    Args:
        selection: What is rated.
        spec: What the suite says about raters.
        seed: The suite's seed.
        run: SUITE/RUN-ID, kept with the plan; it decides nothing.

    Returns:
        Rows by rater, kind and position. Per rater and kind: a main row for each distinct text
        (``scale``) or each pair of different texts (``pair``) of the rater's items; some of them
        again, at least 10 rows later; texts that were spoilt; and texts beside themselves.

    Raises:
        UsageError: There would be no rows.
    """
    identity = _identity(selection, spec, seed)
    key = short_digest(identity)
    items, raters = selection.items, spec.rater_names
    pairs = _pairs(selection, spec)
    seats = assign_raters(len(items), len(raters), spec.raters_per_item, Chance(key, "raters"))
    main = _main_rows(selection, spec, pairs, seats, key)
    if not any(main.values()):
        raise UsageError(
            "Raters would have nothing to do: they are asked for preferences only, and the "
            "variants wrote the same text for every item.",
            where="human.criteria",
            hint="Ask for criteria too, or compare other variants.",
        )
    rows = tuple(_rows(key, raters, items, _with_checks(selection, spec, main, key)))
    plan = SheetPlan(
        id=sheet_id(key),
        run=run,
        task=selection.task,
        variants=selection.variants,
        baseline=selection.baseline,
        predictions=selection.predictions,
        raters=raters,
        criteria=spec.all_criteria,
        pairs=pairs,
        splits=spec.splits,
        show_reference=spec.show_reference,
        instructions=spec.instructions,
        seed=seed,
        notes=(*selection.notes, *_seat_notes(seats, spec), *_check_notes(spec, main, rows)),
    )
    ties = tuple(
        AutoTie(item=item.id, variants=pair)
        for item in items
        for pair in pairs
        if not _differ(item, pair)
    )
    return Sheets(key, plan, items, rows, ties, identity)


def _identity(selection: ItemSelection, spec: HumanSpec, seed: int) -> dict[str, Any]:
    """All that the sheets depend on, with the suite's defaults filled in.

    Fields are named one by one: a record that gains one later does not make other sheets.
    """
    fields = ("id", "cluster", "split", "prompt", "reference", "outputs")
    shown = [[getattr(item, field) for field in fields] for item in selection.items]
    return {
        "format": FORMAT,
        "seed": seed,
        "task": selection.task,
        "variants": list(selection.variants),
        "baseline": selection.baseline,
        "predictions": dict(selection.predictions),
        "items": [item.id for item in selection.items],
        "outputs": short_digest(shown),
        "splits": list(spec.splits),
        "raters": list(spec.rater_names),
        "overlap": spec.raters_per_item,
        "criteria": [
            {"name": c.name, "question": c.question, "scale": [[*p] for p in c.scale.items()]}
            for c in spec.all_criteria
        ],
        "preference": spec.preference,
        "show_reference": spec.show_reference,
        "repeats": spec.repeats,
        "attention": spec.attention,
        "same": spec.same,
        "instructions": spec.instructions,
    }


def _pairs(selection: ItemSelection, spec: HumanSpec) -> tuple[VariantPair, ...]:
    """The comparisons that are asked for, in the order of the variants."""
    if spec.preference == "none":
        return ()
    pairs = itertools.combinations(selection.variants, 2)
    return tuple(p for p in pairs if spec.preference == "all" or selection.baseline in p)


def _main_rows(
    selection: ItemSelection,
    spec: HumanSpec,
    pairs: Sequence[VariantPair],
    seats: Sequence[tuple[int, ...]],
    key: str,
) -> Drafts:
    """What counts of every rater's rows, in no order."""
    drafts: Drafts = {(r, kind): [] for r in range(len(spec.rater_names)) for kind in KINDS}
    compared: dict[tuple[int, int], list[int]] = {}
    for place, (item, seated) in enumerate(zip(selection.items, seats, strict=True)):
        texts = _distinct(item, selection.variants) if spec.criteria else []
        differing = [pair for pair, names in enumerate(pairs) if _differ(item, names)]
        for rater in seated:
            drafts[rater, "scale"] += [Draft("scale", place, names) for names in texts]
            for pair in differing:
                compared.setdefault((rater, pair), []).append(place)
    for (rater, pair), swapped in assign_sides(compared, Chance(key, "sides")).items():
        drafts[rater, "pair"] += [
            Draft("pair", place, pairs[pair], swapped=side) for place, side in swapped.items()
        ]
    return drafts


def _distinct(item: Item, variants: Sequence[str]) -> list[tuple[str, ...]]:
    """Variants by what they wrote: those with the same text together."""
    by_text: dict[str, list[str]] = {}
    for name in variants:
        by_text.setdefault(item.outputs[name].strip(), []).append(name)
    return [tuple(names) for names in by_text.values()]


def _differ(item: Item, pair: VariantPair) -> bool:
    return not same_text(item.outputs[pair[0]], item.outputs[pair[1]])


def _with_checks(selection: ItemSelection, spec: HumanSpec, main: Drafts, key: str) -> Drafts:
    """Everybody's rows in their order, with those that are about the rater among them."""
    drafts: Drafts = {}
    for (rater, kind), rows in main.items():
        chance = Chance(key, "order", kind, spec.rater_names[rater])
        mine = list(dict.fromkeys(row.item for row in rows))
        numbers = _numbers(spec, kind, len(rows))
        spoilt, items = numbers["attention"], selection.items
        checks = attention_rows(kind, spoilt, items, mine, selection.baseline, chance)
        checks += same_rows(numbers["same"], items, mine, chance)
        drafts[rater, kind] = insert_checks(spread(rows, chance), checks, numbers["repeat"], chance)
    return drafts


def _numbers(spec: HumanSpec, kind: RowKind, rows: int, at_least_one: bool = False) -> Counter[str]:
    """How many rows of each other purpose there are to be beside the main ones.

    Args:
        spec: Holds the shares.
        kind: Of the rows.
        rows: How many main rows there are.
        at_least_one: Whether a share of few rows, too, stands for one at least.
    """
    shares: dict[RowPurpose, float] = {"repeat": spec.repeats, "attention": spec.attention}
    if kind == "pair":
        shares["same"] = spec.same
    least = int(rows > 0) if at_least_one else int(rows >= _CHECKED_FROM)
    wanted = {purpose: share for purpose, share in shares.items() if share > 0}
    return Counter({purpose: max(least, int(x * rows + 0.5)) for purpose, x in wanted.items()})


def _rows(
    key: str, raters: Sequence[str], items: Sequence[Item], drafts: Mapping[Any, list[Draft]]
) -> Iterator[SheetRow]:
    """Give rows their places and tokens."""
    taken: set[str] = set()
    for place, rater in enumerate(raters):
        index = itertools.count()
        for kind in KINDS:
            tokens: dict[Draft, str] = {}
            for position, draft in enumerate(drafts[place, kind], start=1):
                tokens[draft] = row_token(key, rater, next(index), taken)
                yield SheetRow(
                    token=tokens[draft],
                    rater=rater,
                    position=position,
                    kind=kind,
                    purpose=draft.purpose,
                    item=items[draft.item].id,
                    variants=draft.variants,
                    swapped=draft.swapped,
                    spoilt=draft.spoilt,
                    repeats=tokens[draft.repeats] if draft.repeats else None,
                )


def _seat_notes(seats: Sequence[tuple[int, ...]], spec: HumanSpec) -> Iterator[str]:
    """What the numbers of items and raters do not allow."""
    raters = len(spec.rater_names)
    seated = {rater for raters_of_item in seats for rater in raters_of_item}
    idle = [name for place, name in enumerate(spec.rater_names) if place not in seated]
    if idle:
        yield f"There are too few items for all raters; without any: {', '.join(idle)}."
    if raters > 1 and spec.raters_per_item == 1:
        yield "Every item has one rater (overlap: 1): how far raters agree cannot be told."
    elif not idle and not is_connected(seats, raters):
        yield (
            "There are too few items to link all raters by common ones: severe raters cannot be "
            "told from raters of bad outputs."
        )


def _check_notes(spec: HumanSpec, main: Drafts, rows: Sequence[SheetRow]) -> Iterator[str]:
    """Which checks there are fewer of than asked for, over all raters."""
    asked: Counter[str] = Counter()
    for (_, kind), drafts in main.items():
        asked += _numbers(spec, kind, len(drafts), at_least_one=True)
    got = Counter(row.purpose for row in rows)
    words: dict[RowPurpose, str] = {
        "repeat": f"shown a second time, at least {APART} rows later",
        "attention": "with a spoilt output",
        "same": "with a text beside itself",
    }
    for purpose, what in words.items():
        if got[purpose] < asked[purpose]:
            yield (
                f"There are {got[purpose]:,} instead of {asked[purpose]:,} rows {what}: some "
                f"sheets are too short."
            )
