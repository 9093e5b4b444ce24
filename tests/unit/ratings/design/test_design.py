"""The plan of rating sheets."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.ratings.design.design import make_plan
from harness.ratings.design.items import ItemSelection
from harness.ratings.design.tokens import LETTERS
from harness.ratings.layout import rater_sheets
from harness.ratings.records import Item, SheetRow, Sheets
from harness.ratings.store import read_sheets, write_sheets
from harness.store.runs import Store
from harness.suite.ratings import CRITERIA, CriterionSpec, HumanSpec
from tests.growth import growth

WORDS = "the council voted in spring to close an old bridge few people cross"


def _item(place: int, variants: Sequence[str], same: Sequence[tuple[int, int]] = ()) -> Item:
    """An item whose outputs all differ, but for those that ``same`` sets equal, by places."""
    words = WORDS.split()
    rotated = {
        name: " ".join([f"{place}.{number}", *words[number:], *words[:number]])
        for number, name in enumerate(variants)
    }
    for first, second in same:
        rotated[variants[second]] = rotated[variants[first]]
    return Item(
        id=f"example-{place}",
        cluster=f"cluster-{place}",
        split="report",
        prompt=f"Summarise text {place}.",
        reference=f"A bridge closes ({place}).",
        outputs=rotated,
    )


def _chosen(
    items: int | Sequence[Item] = 30, variants: Sequence[str] = ("base", "tuned"), **change: Any
) -> ItemSelection:
    if isinstance(items, int):
        items = [_item(place, variants) for place in range(items)]
    fields: dict[str, Any] = {
        "task": "summaries",
        "variants": tuple(variants),
        "baseline": variants[0],
        "predictions": {name: f"key-{place}" for place, name in enumerate(variants)},
        "items": tuple(items),
    }
    return ItemSelection(**{**fields, **change})


def _plan(chosen: ItemSelection, seed: int = 7, **spec: Any) -> Sheets:
    return make_plan(chosen, HumanSpec(**spec), seed=seed, run="suite/run")


def _of(sheets: Sheets, **wanted: object) -> list[SheetRow]:
    return [
        row
        for row in sheets.rows
        if all(getattr(row, name) == value for name, value in wanted.items())
    ]


# -- everything at once ---------------------------------------------------------------------------


@st.composite
def _exports(draw: st.DrawFn) -> tuple[ItemSelection, HumanSpec]:
    raters = draw(st.integers(1, 5))
    variants = [f"v{n}" for n in range(draw(st.integers(1, 4)))]
    pairs = list(itertools.combinations(range(len(variants)), 2))
    same = st.lists(st.sampled_from(pairs), max_size=2) if pairs else st.just([])
    items = tuple(_item(n, variants, draw(same)) for n in range(draw(st.integers(1, 40))))
    spec = HumanSpec(
        raters=raters,
        overlap=draw(st.integers(1, raters)),
        preference=draw(st.sampled_from(["all", "baseline", "none"])),
        repeats=draw(st.sampled_from([0, 0.08, 0.5])),
        attention=draw(st.sampled_from([0, 0.04, 0.5])),
        same=draw(st.sampled_from([0, 0.04, 0.5])),
    )
    return _chosen(variants=variants, items=items), spec


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(export=_exports(), seed=st.integers(0, 3))
def test_a_plan_is_balanced_and_complete_whatever_the_numbers(
    export: tuple[ItemSelection, HumanSpec], seed: int
) -> None:
    """Every text and pair is judged by as many raters as asked for, on balanced sides."""
    chosen, spec = export
    sheets = make_plan(chosen, spec, seed=seed, run="suite/run")
    main = _of(sheets, purpose="main")
    _check_complete(sheets, chosen, spec)
    seen = {(row.rater, row.item) for row in main}
    loads = Counter({rater: 0 for rater in spec.rater_names})
    loads.update(rater for rater, _ in seen)
    assert max(loads.values()) - min(loads.values()) <= 1
    assert set(Counter(item for _, item in seen).values()) == {spec.raters_per_item}
    surplus: Counter[object] = Counter()
    for row in _of(sheets, purpose="main", kind="pair"):
        for margin in (row.rater, row.variants, (row.rater, row.variants)):
            surplus[margin] += 1 if row.swapped else -1
    assert all(abs(value) <= 1 for value in surplus.values())
    _check_rows(sheets, chosen)


def _check_complete(sheets: Sheets, chosen: ItemSelection, spec: HumanSpec) -> None:
    """Every distinct text, and every wanted pair of different ones, has its rows; the rest ties."""
    wanted: Counter[object] = Counter()
    ties = []
    for item in chosen.items:
        for text in set(item.outputs.values()):
            wrote = tuple(name for name in chosen.variants if item.outputs[name] == text)
            wanted["scale", item.id, wrote] += spec.raters_per_item
        for pair in itertools.combinations(chosen.variants, 2):
            if spec.preference == "all" or (spec.preference == "baseline" and "v0" in pair):
                if item.outputs[pair[0]] == item.outputs[pair[1]]:
                    ties.append((item.id, pair))
                else:
                    wanted["pair", item.id, pair] += spec.raters_per_item
    main = _of(sheets, purpose="main")
    assert Counter((row.kind, row.item, row.variants) for row in main) == wanted
    assert sorted((tie.item, tie.variants) for tie in sheets.ties) == sorted(ties)


def _check_rows(sheets: Sheets, chosen: ItemSelection) -> None:
    """Tokens, positions and the rows of other purposes are as the records say."""
    tokens = [row.token for row in sheets.rows]
    assert len(set(tokens)) == len(tokens)
    assert all(re.fullmatch(f"[{LETTERS}]{{8}}", token) for token in tokens)
    by_token = {row.token: row for row in sheets.rows}
    items = {item.id: item for item in chosen.items}
    positions: dict[object, list[int]] = defaultdict(list)
    for row in sheets.rows:
        positions[row.rater, row.kind].append(row.position)
        if row.purpose == "repeat":
            first = by_token[str(row.repeats)]
            assert (first.purpose, first.rater, first.kind) == ("main", row.rater, row.kind)
            assert (first.item, first.variants) == (row.item, row.variants)
            assert row.position - first.position >= 10
            assert row.swapped == (row.kind == "pair" and not first.swapped)
        else:
            assert row.repeats is None
        if row.purpose == "attention":
            assert row.spoilt
            assert row.spoilt not in items[row.item].outputs.values()
        else:
            assert row.spoilt is None
        if row.kind == "pair" and row.purpose in ("attention", "same"):
            assert row.variants[0] == row.variants[1]
    assert all(own == list(range(1, len(own) + 1)) for own in positions.values())


# -- determinism and blinding ---------------------------------------------------------------------


def test_equal_inputs_give_equal_sheets() -> None:
    """Nothing is drawn from anything but the inputs, and the run's name decides nothing."""
    sheets = _plan(_chosen())
    assert _plan(_chosen()) == sheets
    other = make_plan(_chosen(), HumanSpec(), seed=7, run="suite/other")
    assert (other.key, other.rows, other.ties) == (sheets.key, sheets.rows, sheets.ties)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"predictions": {"base": "key-0", "tuned": "other"}},
        {"raters": ("ada", "ben", "cyd")},
        {"instructions": "Take your time."},
    ],
)
def test_other_inputs_give_other_tokens_and_another_order(change: dict[str, Any]) -> None:
    """A sheet cannot be taken for one of another export."""
    sheets = _plan(_chosen())
    predictions = {k: change[k] for k in ("predictions",) if k in change}
    other = _plan(
        _chosen(**predictions), **{k: v for k, v in change.items() if k not in predictions}
    )
    assert other.plan.id != sheets.plan.id
    assert not {row.token for row in other.rows} & {row.token for row in sheets.rows}
    order = [[row.item for row in s.rows if row.kind == "pair"] for s in (sheets, other)]
    assert order[0] != order[1]


def test_defaults_written_out_are_the_same_export() -> None:
    """Only what they come to decides, not how the suite says it."""
    written = {"raters": 3, "overlap": 3, "criteria": tuple(CRITERIA.values()), "items": 99}
    assert _plan(_chosen(), **written) == _plan(_chosen())


def test_nothing_that_a_rater_sees_names_a_variant() -> None:
    """Names of variants are nowhere in the raters' sheets."""
    sheets = _plan(_chosen(variants=("zebra@nf4", "yak-20", "xerus-40"), baseline="zebra@nf4"))
    for sheet in rater_sheets(sheets):
        assert not re.search("zebra|yak|xerus|suite|summaries", repr(sheet))


def test_names_of_variants_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the key, sheets are the same whatever the variants are called."""
    monkeypatch.setattr("harness.ratings.design.design.short_digest", lambda value: "the same key")
    shown = []
    for names in (("base", "tuned", "merged"), ("zebra", "yak", "aardvark")):
        sheets = _plan(_chosen(variants=names), preference="all", attention=0.2)
        shown.append(rater_sheets(sheets))
    assert shown[0] == shown[1]


def test_positions_sides_and_tokens_tell_nothing_of_the_variant() -> None:
    """Over seeds, the variant shown as A, first, or by a small token is either, half the times."""
    n, first, as_a, small = 0, 0, 0, 0
    for seed in range(40):
        sheets = _plan(_chosen(items=20), seed=seed, raters=2)
        for rater in sheets.plan.raters:
            scales: dict[str, dict[str, SheetRow]] = defaultdict(dict)
            for row in _of(sheets, purpose="main", kind="scale", rater=rater):
                scales[row.item][row.variants[0]] = row
            for own in scales.values():
                n += 1
                first += own["base"].position < own["tuned"].position
                small += own["base"].token < own["tuned"].token
            as_a += sum(not row.swapped for row in _of(sheets, purpose="main", rater=rater))
            as_a -= len(scales) * 2  # scales are never swapped
    assert n == 1600
    bound = 5 * (n / 4) ** 0.5  # five standard deviations of binomial(n, 1/2)
    assert abs(first - n / 2) < bound
    assert abs(small - n / 2) < bound
    assert as_a == n / 2  # balanced in each sheet


def test_sheets_are_pinned() -> None:
    """Equal inputs give the same sheets with every version: raters may be filling them in.

    Source: this design, format 1. Where this has to change, ``FORMAT`` rises with it.
    """
    own = CriterionSpec(name="tone", question="How is it?", scale={1: "bad", 2: "good"})
    chosen = _chosen(items=3, variants=("a", "b"))
    sheets = _plan(chosen, raters=1, criteria=(own,))
    assert (sheets.key, sheets.plan.id, sheets.identity["format"]) == (
        "5096c15e4be43cbcfd9c",
        "kgvkrn",
        1,
    )
    scale, pair = (_of(sheets, kind=kind) for kind in ("scale", "pair"))
    assert [(row.token, row.item, row.variants) for row in scale[:3]] == [
        ("hbnbdhlp", "example-1", ("a",)),
        ("mnhbwnhc", "example-2", ("a",)),
        ("rhmcnwmg", "example-0", ("b",)),
    ]
    assert [(row.token, row.item, row.swapped) for row in pair] == [
        ("nfmcjdzv", "example-0", True),
        ("wvnfpptb", "example-2", False),
        ("mnzwzvwb", "example-1", False),
    ]


def test_an_export_survives_the_store(tmp_path: Path) -> None:
    """What is read is what was made, to the last field."""
    store, sheets = Store(tmp_path), _plan(_chosen(), show_reference=True)
    write_sheets(store, sheets)
    assert read_sheets(store, sheets.key) == sheets


# -- equal texts ----------------------------------------------------------------------------------


def test_equal_texts_are_rated_once_and_tie_by_themselves() -> None:
    """Variants that wrote the same share a row, and are not compared; blanks do not count."""
    item = _item(0, ("base", "tuned", "merged"))
    item = item.model_copy(update={"outputs": {"base": "x", "tuned": "a b", "merged": " a b\n"}})
    sheets = _plan(_chosen(variants=("base", "tuned", "merged"), items=(item,)), raters=1)
    assert {row.variants for row in _of(sheets, kind="scale")} == {("base",), ("tuned", "merged")}
    pairs = {row.variants for row in _of(sheets, kind="pair", purpose="main")}
    assert pairs == {("base", "tuned"), ("base", "merged")}
    assert [tie.variants for tie in sheets.ties] == [("tuned", "merged")]


def test_ties_are_kept_once_per_item_and_pair() -> None:
    """However many raters there are."""
    items = tuple(_item(n, ("base", "tuned"), [(0, 1)]) for n in range(4))
    sheets = _plan(_chosen(items=items), raters=5)
    assert len(sheets.ties) == 4
    assert not _of(sheets, kind="pair")


def test_nothing_to_do_is_refused() -> None:
    """Preferences between equal texts leave raters nothing to judge."""
    items = tuple(_item(n, ("base", "tuned"), [(0, 1)]) for n in range(4))
    with pytest.raises(UsageError, match="nothing to do"):
        _plan(_chosen(items=items), criteria=())


# -- checks of raters -----------------------------------------------------------------------------


def test_there_are_as_many_checks_as_asked_for() -> None:
    """Shares are of each rater's main rows of a kind: 200 ratings and 100 comparisons here."""
    sheets = _plan(_chosen(items=100), raters=2, repeats=0.08, attention=0.04, same=0.05)
    for rater in sheets.plan.raters:
        found = Counter((row.kind, row.purpose) for row in _of(sheets, rater=rater))
        assert found == {
            ("scale", "main"): 200,
            ("scale", "repeat"): 16,
            ("scale", "attention"): 8,
            ("pair", "main"): 100,
            ("pair", "repeat"): 8,
            ("pair", "attention"): 4,
            ("pair", "same"): 5,
        }
        spoilt_as_a = [
            row.swapped for row in _of(sheets, rater=rater, kind="pair", purpose="attention")
        ]
        assert sum(spoilt_as_a) == 2
    assert sheets.plan.notes == ()


def test_checks_are_not_beside_rows_of_their_item() -> None:
    """A spoilt or repeated text next to the real one would give itself away."""
    sheets = _plan(_chosen(items=40), raters=2)
    for rater, kind in itertools.product(sheets.plan.raters, ("scale", "pair")):
        rows = _of(sheets, rater=rater, kind=kind)
        for first, second in itertools.pairwise(rows):
            if {first.purpose, second.purpose} != {"main"}:
                assert first.item != second.item


def test_small_sheets_do_without_and_say_so() -> None:
    """With 6 ratings and 3 comparisons there is no room for any check; the plan counts them."""
    sheets = _plan(_chosen(items=3), raters=2)
    assert {row.purpose for row in sheets.rows} == {"main"}
    assert sheets.plan.notes == (
        "There are 0 instead of 4 rows shown a second time, at least 10 rows later: some sheets "
        "are too short.",
        "There are 0 instead of 4 rows with a spoilt output: some sheets are too short.",
        "There are 0 instead of 2 rows with a text beside itself: some sheets are too short.",
    )


def test_checks_that_are_not_wanted_are_not_missed() -> None:
    """A share of nothing is nothing."""
    sheets = _plan(_chosen(items=3), raters=2, repeats=0, attention=0, same=0)
    assert sheets.plan.notes == ()


def test_a_spoilt_text_stands_beside_a_good_one() -> None:
    """References where they are rated, else not the baseline; never an empty output."""
    empty = [
        item.model_copy(update={"outputs": {**item.outputs, "tuned": ""}} if n % 2 else {})
        for n, item in enumerate(_chosen(items=40).items)
    ]
    sheets = _plan(_chosen(items=empty), raters=1, attention=0.5)
    rows = _of(sheets, kind="pair", purpose="attention")
    outputs = {item.id: item.outputs for item in sheets.items}
    assert len(rows) == 20
    for row in rows:
        good = "tuned" if outputs[row.item]["tuned"] else "base"
        assert row.variants == (good, good)
    rated = ("base", "tuned", "references")
    sheets = _plan(_chosen(items=40, variants=rated), raters=1)
    rows = _of(sheets, kind="pair", purpose="attention")
    assert {row.variants for row in rows} == {("references", "references")}


def test_blank_outputs_are_rated_and_not_compared_with_themselves() -> None:
    """No check is made of comparisons where nobody wrote anything; ratings go on."""
    blank = {"base": "", "tuned": " "}
    items = tuple(i.model_copy(update={"outputs": blank}) for i in _chosen(items=20).items)
    sheets = _plan(_chosen(items=items), raters=1)
    assert len(_of(sheets, kind="scale", purpose="main")) == 20
    assert not _of(sheets, kind="pair")
    spoilt = [row.spoilt for row in _of(sheets, kind="scale", purpose="attention")]
    assert len(spoilt) == 1
    assert spoilt[0]


# -- raters ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "spec", "note"),
    [
        (2, {"raters": 5, "overlap": 1}, "without any: "),
        (20, {"raters": 3, "overlap": 1}, "how far raters agree cannot be told"),
        (2, {"raters": 4, "overlap": 2}, "too few items to link all raters"),
    ],
)
def test_designs_that_cannot_be_are_said(items: int, spec: dict[str, Any], note: str) -> None:
    """Idle raters, no overlap, and raters whom no items link are in the plan's notes."""
    assert any(note in found for found in _plan(_chosen(items=items), **spec).plan.notes)


def test_only_pairs_with_the_baseline() -> None:
    """``preference: baseline`` compares nothing else; without criteria nothing is rated."""
    chosen = _chosen(variants=("a", "base", "c"), baseline="base")
    sheets = _plan(chosen, preference="baseline", criteria=())
    assert sheets.plan.pairs == (("a", "base"), ("base", "c"))
    assert {row.kind for row in sheets.rows} == {"pair"}


def test_planning_grows_with_the_items() -> None:
    """Four times the items are hardly more work for each of them."""

    def work(items: int) -> Callable[[], object]:
        chosen = _chosen(items=items)
        return lambda: _plan(chosen, raters=5)

    assert growth(work, 100, 400) < 1.2
