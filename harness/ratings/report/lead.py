"""Who wins and how far raters agree, in sentences."""

from collections.abc import Mapping, Sequence

from harness.ratings.records import Estimate, HumanResults
from harness.ratings.report.claims import (
    Claim,
    claim_of,
    criteria_reach,
    is_beyond,
    without_difference,
)
from harness.ratings.report.words import (
    EVEN,
    alpha_word,
    met,
    share_words,
    side_of,
    together,
    value_words,
)
from harness.render.labels import listed
from harness.render.numbers import count
from harness.render.table import Side
from harness.suite.ratings import PREFERENCE, REFERENCES


def preferred_words(results: HumanResults, variant: str, baseline: str) -> tuple[Side, str]:
    """Whether raters prefer a variant to the baseline, and that in a sentence; empty if unasked.

    The side is that of these raters; the sentence says whether it is shown for others too.
    """
    claim, wins = claim_of(results, variant, baseline), met(results, variant, baseline)
    if claim is None or wins is None or claim.estimate.value is None:
        return "", ""
    if same := without_difference([wins], (variant, baseline)):
        return claim.side, same
    shown = together(share_words(claim.shown))
    known = f"n = {count(claim.estimate.n, 'item')}{_alpha_words(results)}"
    who = claim.who()
    if claim.side == "better":
        return claim.side, (
            f"{variant} is preferred by {who[0].lower()}{who[1:]} in {shown} of comparisons with "
            f"{baseline} ({known}); {claim.reach()}."
        )
    if claim.side == "worse":
        return claim.side, (
            f"{who} prefer{_s(who)} {baseline}: {variant} wins only {shown} of the comparisons "
            f"({known}); {claim.reach()}."
        )
    return claim.side, (
        f"Raters do not tell {variant} and {baseline} apart: {variant} wins {shown} of their "
        f"comparisons ({known})."
    )


def _s(who: str) -> str:
    return "s" if who == "The one rater" else ""


def rated_worse(results: HumanResults, variant: str) -> list[str]:
    """Criteria on which a variant is rated distinguishably worse than the baseline, in words."""
    return [
        f"{item.criterion} {_change(item.difference)}"
        + ("" if is_beyond(item) else " (by these raters; not shown for others)")
        for item in results.means
        if item.variant == variant and item.difference and side_of(item.difference) == "worse"
    ]


def _alpha_words(results: HumanResults) -> str:
    own = next((a for a in results.agreement if a.name == PREFERENCE), None)
    if own is None or own.alpha.value is None:
        return ""
    word = alpha_word(own.alpha.value)
    return f", alpha {value_words(own.alpha)[0]}" + (": low agreement" if word == "low" else "")


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
    compared = list(dict.fromkeys(name for w in preference.wins for name in (w.first, w.second)))
    names = [name for name in plan.variants if name in compared]
    if same := without_difference(preference.wins, names):
        return same
    if not preference.strengths:
        return f"Raters' comparisons give no order of the variants: {preference.reason}."
    models = [item.variant for item in preference.strengths if item.variant != REFERENCES]
    line = _strongest(results, models) if len(models) > 1 else ""
    return " ".join(part for part in (line, _beside_references(results, models[0])) if part)


def _strongest(results: HumanResults, models: Sequence[str]) -> str:
    """Whom the strongest of several variants beats, and for which raters."""
    top = models[0]
    claims = {name: claim for name in models[1:] if (claim := claim_of(results, top, name))}
    beaten = {name: claim for name, claim in claims.items() if claim.side == "better"}
    if not beaten:
        return (
            f"Raters do not tell the variants apart: even {top}, the strongest, is not shown to "
            "be preferred to any other."
        )
    beyond = {name: claim for name, claim in beaten.items() if claim.beyond}
    whole = len(beyond) == len(beaten)
    who = "Raters" if whole else next(c for c in beaten.values() if not c.beyond).who()
    won = listed([_with_share(name, claim.estimate) for name, claim in beaten.items()])
    open_ = [_with_share(name, c.estimate) for name, c in claims.items() if name not in beaten]
    rest = f"; it is not distinguishable from {listed(open_)}" if open_ else ""
    if len(claims) < len(models) - 1:
        line = f"{who} prefer{_s(who)} {top} to {won}{rest}; not every two variants were compared."
    else:
        line = f"{who} prefer{_s(who)} {top} most: it wins against {won}{rest}."
    return f"{line} {_reach(beaten, beyond)}"


def _reach(beaten: Mapping[str, Claim], beyond: Mapping[str, Claim]) -> str:
    """Which wins of the strongest are shown for other raters too; a sentence."""
    if beyond:
        won = listed([_with_share(name, claim.shown) for name, claim in beyond.items()])
        if len(beyond) == len(beaten):
            return f"This holds for other raters too: {won}."
        return f"For other raters a win is shown only against {won}."
    if all(claim.others is None for claim in beaten.values()):
        clause = next(iter(beaten.values())).reach()
        return f"{clause[0].upper()}{clause[1:]}."
    wider = listed([_with_share(n, c.others) for n, c in beaten.items() if c.others is not None])
    return f"For other raters no win is shown: {wider}."


def _with_share(name: str, share: Estimate) -> str:
    return f"{name} ({together(share_words(share))})"


def _beside_references(results: HumanResults, variant: str) -> str:
    """How a variant fares against the references; empty where those were not rated."""
    claim = claim_of(results, variant, REFERENCES)
    if claim is None or claim.estimate.value is None:
        return ""
    words = {
        "better": "is preferred to the references",
        "worse": "falls short of the references",
    }.get(claim.side, "is not distinguishable from the references")
    reach = f"; {claim.reach()}" if claim.reach() else ""
    return f"{variant} {words} ({together(share_words(claim.shown))} of comparisons){reach}."


def _choice(results: HumanResults, chosen: str | None) -> str:
    """The choice against the baseline, where the sentence before does not say it."""
    preference, baseline = results.preference, results.plan.baseline
    if preference is None or len(preference.wins) < 2 or chosen is None or baseline is None:
        return ""
    models = [item.variant for item in preference.strengths if item.variant != REFERENCES]
    return "" if models[:1] == [chosen] else preferred_words(results, chosen, baseline)[1]


def _pair_words(results: HumanResults, variant: str, other: str) -> str:
    claim, wins = claim_of(results, variant, other), met(results, variant, other)
    if claim is None or wins is None or claim.estimate.value is None:
        why = f": {claim.estimate.reason}" if claim is not None and claim.estimate.reason else ""
        return f"Whether raters prefer {variant} or {other} is not known{why}."
    if same := without_difference([wins], (variant, other)):
        return same
    shown = together(share_words(claim.shown))
    n = f"n = {count(claim.estimate.n, 'item')}; a tie is half a win"
    if claim.side == "better":
        who, reach = claim.who(), claim.reach()
        return (
            f"{who} prefer{_s(who)} {variant} to {other}: it wins {shown} of comparisons ({n}). "
            f"{reach[0].upper()}{reach[1:]}."
        )
    why = "the interval includes 50 %" if claim.estimate.low is not None else "there is no interval"
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
    ranked = [item.variant for item in strengths if item.variant in others]
    variant = chosen if chosen in others else (*ranked, others[-1])[0]
    sides: dict[str, list[str]] = {"better": [], "worse": [], "open": [], "same": []}
    decided = []
    for item in results.means:
        if item.variant != variant or item.difference is None or item.difference.value is None:
            continue
        side = side_of(item.difference)
        if side:
            shown = f" ({_change(item.difference)})" if side in ("better", "worse") else ""
            sides[side].append(f"{item.criterion}{shown}")
            decided += [item] if side in ("better", "worse") else []
    parts = [
        f"{words} {listed(sides[side])}"
        for side, words in (
            ("better", "better in"),
            ("worse", "worse in"),
            ("open", "not distinguishably different in"),
            ("same", "given the same points on every item in"),
        )
        if sides[side]
    ]
    if not parts:
        return ""
    line = f"Against {plan.baseline}, {variant} is rated {', '.join(parts)}."
    return f"{line} {criteria_reach(decided)}".rstrip()


def _change(difference: Estimate | None) -> str:
    return together(value_words(difference, signed=True)) if difference is not None else ""


def _agreement(results: HumanResults) -> str:
    parts: dict[str, list[str]] = {"good": [], "tentative": [], "low": []}
    unknown = []
    for item in results.agreement:
        if item.alpha.value is None:
            unknown.append(f"{item.name} ({item.alpha.reason or 'no reason was recorded'})")
            continue
        alpha = value_words(item.alpha)[0]
        parts[alpha_word(item.alpha.value)].append(f"{item.name} (alpha {alpha})")
    clauses = [f"{word} on {listed(names)}" for word, names in parts.items() if names]
    clauses += [f"not known on {listed(unknown)}"] if unknown else []
    return f"Agreement of the raters is {', '.join(clauses)}." if clauses else ""
