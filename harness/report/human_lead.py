"""Who wins and how far raters agree, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from harness.human.records import Estimate, HumanResults
from harness.human_spec import PREFERENCE, REFERENCES
from harness.report.format import count
from harness.report.human_words import (
    EVEN,
    Side,
    alpha_word,
    listed,
    share_won,
    share_words,
    side_of,
    together,
    value_words,
)


def preferred_words(results: HumanResults, variant: str, baseline: str) -> tuple[Side, str]:
    """Whether raters prefer a variant to the baseline, and that in a sentence; empty if unasked."""
    share = share_won(results, variant, baseline)
    if share is None or share.value is None:
        return "", ""
    shown = together(share_words(share))
    side = side_of(share, EVEN)
    known = f"n = {count(share.n, 'item')}{_alpha_words(results)}"
    if side == "better":
        return side, (
            f"{variant} is preferred by raters in {shown} of comparisons with {baseline} ({known})."
        )
    if side == "worse":
        return side, (
            f"Raters prefer {baseline}: {variant} wins only {shown} of their comparisons ({known})."
        )
    return side, (
        f"Raters do not tell {variant} and {baseline} apart: {variant} wins {shown} of their "
        f"comparisons ({known})."
    )


def rated_worse(results: HumanResults, variant: str) -> list[str]:
    """Criteria on which a variant is rated distinguishably worse than the baseline, in words."""
    return [
        f"{item.criterion} {_change(item.difference)}"
        for item in results.means
        if item.variant == variant and item.difference and side_of(item.difference) == "worse"
    ]


def _alpha_words(results: HumanResults) -> str:
    found = next((a for a in results.agreement if a.name == PREFERENCE), None)
    if found is None or found.alpha.value is None:
        return ""
    word = alpha_word(found.alpha.value)
    return f", alpha {value_words(found.alpha)[0]}" + (": low agreement" if word == "low" else "")


def lead_sentences(results: HumanResults, chosen: str | None) -> list[str]:
    """Who wins, how the choice is rated against the baseline, and how far raters agree."""
    sentences = [
        _who_wins(results),
        _choice(results, chosen),
        _criteria(results, chosen),
        _agreement(results),
    ]
    return [sentence for sentence in sentences if sentence]


def _who_wins(results: HumanResults) -> str:
    preference, plan = results.preference, results.plan
    if preference is None or not preference.wins:
        return "" if not plan.pairs else "No comparison of two outputs has come back yet."
    if len(preference.wins) == 1:
        wins = preference.wins[0]
        first, second = wins.first, wins.second
        if side_of(wins.share, EVEN) == "worse":
            first, second = second, first
        return _pair_words(results, second, first)
    if not preference.strengths:
        return f"Raters' comparisons give no order of the variants: {preference.reason}."
    models = [item.variant for item in preference.strengths if item.variant != REFERENCES]
    top = models[0]
    beaten, open_ = _against(results, top, models[1:])
    if len(models) == 1:
        line = ""
    elif not beaten:
        line = (
            f"Raters do not tell the variants apart: even {top}, the strongest, is not shown to "
            "be preferred to any other. "
        )
    elif len(beaten) + len(open_) < len(models) - 1:
        others = f"; it is not distinguishable from {listed(open_)}" if open_ else ""
        line = (
            f"Raters prefer {top} to {listed(beaten)}{others}; not every two variants were "
            "compared. "
        )
    else:
        rest = f"; it is not distinguishable from {listed(open_)}" if open_ else ""
        line = f"Raters prefer {top} most: it wins against {listed(beaten)}{rest}. "
    return (line + _beside_references(results, top)).rstrip()


def _against(
    results: HumanResults, variant: str, others: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Others that a variant wins against, and those that it does not, with its share."""
    beaten: list[str] = []
    rest: list[str] = []
    for other in others:
        share = share_won(results, variant, other)
        if share is not None:
            words = f"{other} ({together(share_words(share))})"
            (beaten if side_of(share, EVEN) == "better" else rest).append(words)
    return beaten, rest


def _beside_references(results: HumanResults, variant: str) -> str:
    """How a variant fares against the references; empty where those were not rated."""
    share = share_won(results, variant, REFERENCES)
    if share is None or share.value is None:
        return ""
    words = {
        "better": "is preferred to the references",
        "worse": "falls short of the references",
    }.get(side_of(share, EVEN), "is not distinguishable from the references")
    return f"{variant} {words} ({together(share_words(share))} of comparisons)."


def _choice(results: HumanResults, chosen: str | None) -> str:
    """The choice against the baseline, where the sentence before does not say it."""
    preference, baseline = results.preference, results.plan.baseline
    if preference is None or len(preference.wins) < 2 or chosen is None or baseline is None:
        return ""
    models = [item.variant for item in preference.strengths if item.variant != REFERENCES]
    return "" if models[:1] == [chosen] else preferred_words(results, chosen, baseline)[1]


def _pair_words(results: HumanResults, variant: str, other: str) -> str:
    share = share_won(results, variant, other)
    if share is None or share.value is None:
        why = f": {share.reason}" if share is not None and share.reason else ""
        return f"Whether raters prefer {variant} or {other} is not known{why}."
    shown = together(share_words(share))
    n = f"n = {count(share.n, 'item')}; a tie is half a win"
    if side_of(share, EVEN) == "better":
        return f"Raters prefer {variant} to {other}: it wins {shown} of comparisons ({n})."
    why = "the interval includes 50 %" if share.low is not None else "there is no interval"
    return (
        f"Raters do not tell {variant} and {other} apart: {variant} wins {shown} of comparisons "
        f"({n}); {why}."
    )


def _criteria(results: HumanResults, chosen: str | None) -> str:
    """How one variant is rated against the baseline: the choice, else the strongest, else last."""
    plan = results.plan
    others = [name for name in plan.variants if name not in (plan.baseline, REFERENCES)]
    if plan.baseline is None or not others or not results.means:
        return ""
    strengths = results.preference.strengths if results.preference is not None else ()
    ranked = [found.variant for found in strengths if found.variant in others]
    variant = chosen if chosen in others else (*ranked, others[-1])[0]
    sides: dict[str, list[str]] = {"better": [], "worse": [], "open": [], "same": []}
    for item in results.means:
        if item.variant != variant or item.difference is None or item.difference.value is None:
            continue
        side = side_of(item.difference)
        if side:
            shown = f" ({_change(item.difference)})" if side in ("better", "worse") else ""
            sides[side].append(f"{item.criterion}{shown}")
    parts = [
        f"{words} {listed(sides[side])}"
        for side, words in (
            ("better", "better in"),
            ("worse", "worse in"),
            ("open", "not distinguishably different in"),
            ("same", "the same on every item in"),
        )
        if sides[side]
    ]
    if not parts:
        return ""
    return f"Against {plan.baseline}, {variant} is rated {', '.join(parts)}."


def _change(found: Estimate | None) -> str:
    return together(value_words(found, signed=True)) if found is not None else ""


def _agreement(results: HumanResults) -> str:
    parts: dict[str, list[str]] = {"good": [], "tentative": [], "low": []}
    unknown = []
    for item in results.agreement:
        if item.alpha.value is None:
            unknown.append(f"{item.name} ({item.alpha.reason or 'no reason was recorded'})")
            continue
        alpha = value_words(item.alpha)[0]
        parts[alpha_word(item.alpha.value)].append(f"{item.name} (alpha {alpha})")
    found = [f"{word} on {listed(names)}" for word, names in parts.items() if names]
    found += [f"not known on {listed(unknown)}"] if unknown else []
    return f"Agreement of the raters is {', '.join(found)}." if found else ""
