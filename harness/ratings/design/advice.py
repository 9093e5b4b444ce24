"""What an export can show, and what it asks of raters: said before anybody has rated anything.

Figures rest on assumptions that no one can know beforehand; each stands beside what it gave.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from scipy import special

from harness.ratings.records import RowKind, SheetPlan, SheetRow, Sheets, VariantPair
from harness.stats.power import POWER, mde

ALPHA = 0.05  # two-sided
WIN_RATES = (0.55, 0.60, 0.65, 0.70)
ICC = 0.3  # assumed correlation of what two raters say of one item
SD = 1.0  # assumed, in scale points: of one rater's differences between two variants over items
TIES = 0.2  # assumed share of ties, for the second of two figures
SECONDS: dict[RowKind, int] = {"scale": 45, "pair": 30}  # assumed per row
MINUTES = 90  # beyond, attention falls


def decisive_votes(win_rate: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Independent votes with a winner that show a preference with that power.

    Args:
        win_rate: True share of votes that the better variant wins, above 0.5 and at most 1.
        alpha: Two-sided level of the test of one half.
        power: Probability that the test finds the preference.

    Raises:
        ValueError: The rate is not above one half: no number of votes would do.

    Source:
        Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, ch. 4, for one
        proportion, with the variance of one half under both hypotheses (its largest value):
        n = ((z_alpha/2 + z_power) / 2 / (p - 1/2))^2.
    """
    if not 0.5 < win_rate <= 1:
        raise ValueError(f"a win rate above 0.5 and at most 1 is needed, found {win_rate}")
    return math.ceil((_z(alpha, power) / 2 / (win_rate - 0.5)) ** 2)


def detectable_win_rate(
    votes: float, *, alpha: float = ALPHA, power: float = POWER
) -> float | None:
    """Smallest true win rate that so many independent votes show; the inverse of the above.

    Returns:
        A share in (0.5, 1]; None where there are too few votes for any.
    """
    if votes <= 0:
        return None
    rate = 0.5 + _z(alpha, power) / 2 / math.sqrt(votes)
    return rate if rate <= 1 else None


def effective_votes(raters_per_item: Iterable[int], icc: float = ICC) -> float:
    """Independent votes that the votes of several raters on the same items are worth.

    Args:
        raters_per_item: How many raters vote on each item.
        icc: Correlation of two votes on one item; 0: all independent, 1: one rater would do.

    Source:
        Kish (1965), Survey Sampling: the design effect 1 + (m - 1) icc, item by item.
    """
    return sum(m / (1 + (m - 1) * icc) for m in raters_per_item if m > 0)


def detectable_difference(
    raters_per_item: Sequence[int], *, sd: float = SD, icc: float = ICC
) -> float | None:
    """Smallest difference of two variants' means that is found with a power of 80 %.

    Every item counts once, as the mean of its raters; the test is a two-sided paired t-test at 5 %.

    Args:
        raters_per_item: How many raters judge both outputs of each item.
        sd: Standard deviation of one rater's differences over items, in scale points.
        icc: Correlation of two raters' differences on one item.

    Returns:
        A difference in scale points; None with fewer than two items.
    """
    counts = [m for m in raters_per_item if m > 0]
    if len(counts) < 2:
        return None
    variance = sum((1 + (m - 1) * icc) / m for m in counts) * sd**2 / len(counts) ** 2
    return mde(math.sqrt(variance), len(counts) - 1, ALPHA / 2)


def raters_per_item(
    rows: Iterable[SheetRow], kind: RowKind
) -> dict[tuple[str, ...], dict[str, int]]:
    """Raters of each item by what is judged: (variant,) of ratings, (first, second) of pairs.

    Only rows that count: repeats and checks are about the rater.
    """
    seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    main = {
        (what, row.item, row.rater)
        for row in rows
        if row.kind == kind and row.purpose == "main"
        for what in ([row.variants] if kind == "pair" else [(name,) for name in row.variants])
    }
    for what, item, _ in sorted(main):
        seen[what][item] += 1
    return {what: dict(by_item) for what, by_item in seen.items()}


def minutes_by_rater(plan: SheetPlan, rows: Iterable[SheetRow]) -> dict[str, float]:
    """Estimated minutes of each rater, at the assumed seconds per row."""
    seconds = Counter({rater: 0 for rater in plan.raters})
    for row in rows:
        seconds[row.rater] += SECONDS[row.kind]
    return {rater: seconds[rater] / 60 for rater in plan.raters}


def advice(sheets: Sheets) -> tuple[str, ...]:
    """What to know before sheets are sent, a line each; what needs mending starts with Warning."""
    return (*_effort(sheets), *_overlap(sheets), *power_lines(sheets))


def power_lines(sheets: Sheets) -> tuple[str, ...]:
    """What sheets can show, a line each, with the assumptions it rests on."""
    return (*_votes(sheets), *_points(sheets))


def _effort(sheets: Sheets) -> list[str]:
    plan, items, rows = sheets.plan, sheets.items, sheets.rows
    minutes = minutes_by_rater(plan, rows)
    counts = Counter((row.rater, row.kind) for row in rows)
    longest = max(plan.raters, key=lambda rater: minutes[rater])
    kinds: dict[RowKind, str] = {"scale": "ratings", "pair": "comparisons"}
    parts = [f"{counts[longest, k]} {words}" for k, words in kinds.items() if counts[longest, k]]
    equal = len({(counts[r, "scale"], counts[r, "pair"]) for r in plan.raters}) == 1
    who = "Each rater gets" if equal else f"The longest sheet, {longest}'s, has"
    line = (
        f"{who} {' and '.join(parts) or 'no rows'}, checks and repeats among them: about "
        f"{math.ceil(minutes[longest])} minutes, assuming {SECONDS['scale']} s a rating and "
        f"{SECONDS['pair']} s a comparison."
    )
    if minutes[longest] <= MINUTES:
        return [line]
    share = MINUTES / minutes[longest]
    cuts = [f"items: {max(1, math.floor(len(items) * share))}"]
    overlap = most_raters(rows)
    fewer = max(1, math.floor(overlap * share))
    if 1 < fewer < overlap:
        cuts.append(f"overlap: {fewer}, so that each rater sees only a part of the items")
    elif overlap > 2:
        cuts.append("more raters with the same overlap, so that each sees fewer items")
    if len(plan.pairs) > 1 and plan.baseline and any(plan.baseline not in p for p in plan.pairs):
        cuts.append("preference: baseline")
    if len(plan.variants) > 2:
        cuts.append("fewer variants")
    return [
        line,
        f"Warning: that is more than {MINUTES} minutes, and attention falls. In the suite's human "
        f"block: {'; or '.join(cuts)}. Or tell raters to take several sittings: sheets and page "
        "keep what is filled in.",
    ]


def most_raters(rows: Iterable[SheetRow]) -> int:
    """Most raters of one judgement: 1 where nothing is judged twice."""
    main = (row for row in rows if row.purpose == "main")  # a rater judges it once but for repeats
    return max(Counter((r.kind, r.item, r.variants) for r in main).values(), default=0)


def _overlap(sheets: Sheets) -> list[str]:
    plan, rows = sheets.plan, sheets.rows
    if len(plan.raters) == 1:
        return [
            "Warning: with one rater, agreement cannot be computed, and nothing tells the quality "
            "of a text from this rater's taste. Ask for three raters or more."
        ]
    if most_raters(rows) < 2:
        return [
            "Warning: no item is seen by two raters, so agreement cannot be computed. Set overlap "
            "to 2 or more, at least in a first round."
        ]
    if len(plan.raters) < 3:
        return [
            "Warning: with two raters a disagreement has no majority, and one severe rater moves "
            "every mean. Three or more are better."
        ]
    return []


def _votes(sheets: Sheets) -> list[str]:
    plan, items, rows = sheets.plan, sheets.items, sheets.rows
    if not plan.pairs:
        return []
    needed = ", ".join(f"{decisive_votes(rate)} at {_percent(rate)}" for rate in WIN_RATES)
    lines = [
        f"Decisive votes (with a winner, independent) that show a preference in 80 of 100 studies, "
        f"by true win rate, two-sided at 5 %: {needed}."
    ]
    raters = raters_per_item(rows, "pair")
    alike: dict[tuple[int, ...], list[VariantPair]] = defaultdict(list)
    for pair in plan.pairs:
        alike[tuple(sorted(raters.get(pair, {}).values()))].append(pair)
    weakest = sorted(alike.items(), key=lambda entry: effective_votes(entry[0]))
    lines += [_pair_line(counts, pairs, len(items)) for counts, pairs in weakest[:5]]
    if len(weakest) > 5:
        lines.append(f"{sum(len(p) for _, p in weakest[5:])} further pairs have more votes.")
    counts = weakest[0][0]
    if counts and (detectable_win_rate(effective_votes(counts)) or 1) > 0.6:
        per_item = effective_votes(counts) / len(counts)
        lines.append(
            f"To show a win rate of 60 % takes about {math.ceil(decisive_votes(0.6) / per_item)} "
            "items with unequal texts per pair at as many raters; more items help more than more "
            "raters of the same items."
        )
    return lines


def _pair_line(counts: Sequence[int], pairs: Sequence[VariantPair], items: int) -> str:
    # a variant's name stays as it is
    names = f"Each of {len(pairs)} pairs" if len(pairs) > 1 else " against ".join(pairs[0])
    if not counts:
        return f"{names}: no votes, as all texts are equal."
    votes, worth = sum(counts), effective_votes(counts)
    text = f"{names}: {votes} votes on {len(counts)} items"
    if len(counts) < items:
        text += f" (texts of the other {items - len(counts)} are equal, and tied without asking)"
    if max(counts) > 1:
        text += (
            f", worth about {worth:.0f} independent ones, as raters of one item see the same "
            f"texts (assumed correlation {ICC:g})"
        )
    rate, tied = detectable_win_rate(worth), detectable_win_rate(worth * (1 - TIES))
    if rate is None:
        return f"{text}. Too few to show any preference in 80 of 100 studies."
    with_ties = f"{_percent(tied)} if one vote in five is a tie" if tied else "none with ties"
    return (
        f"{text}. Smallest true win rate found in 80 of 100 studies: {_percent(rate)} "
        f"({with_ties})."
    )


def _points(sheets: Sheets) -> list[str]:
    plan, rows = sheets.plan, sheets.rows
    if not plan.criteria or len(plan.variants) < 2:
        return []
    raters = raters_per_item(rows, "scale")
    by_variant = (tuple(raters.get((name,), {}).values()) for name in plan.variants)
    counts = min(by_variant, key=effective_votes)
    gap = detectable_difference(counts)
    if gap is None:
        return ["Fewer than two items are rated: no difference of a criterion can be shown."]
    low, high = min(counts), max(counts)
    number = str(low) if low == high else f"{low} to {high}"
    return [
        "Smallest difference of two variants' means on a criterion that is found in 80 of 100 "
        f"studies: {math.ceil(100 * gap) / 100:.2f} points ({len(counts)} items, each by "
        f"{number} {'rater' if high == 1 else 'raters'}; assuming that one rater's differences "
        f"vary over items with a standard deviation of {SD:.1f} points, and a correlation of "
        f"{ICC:g} between raters)."
    ]


def _z(alpha: float, power: float) -> float:
    return float(special.ndtri(1 - alpha / 2) + special.ndtri(power))


def _percent(rate: float) -> str:
    """Rounded up: what is promised can be had."""
    return f"{math.ceil(round(100 * rate, 6))} %"
