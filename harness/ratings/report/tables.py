"""Tables of what raters prefer, what points they give, and where the ratings come from."""

from harness.ratings.records import CriterionMean, HumanResults, Strength, Wins
from harness.ratings.report.claims import Claim, claim_of, is_beyond
from harness.ratings.report.words import (
    EVEN,
    estimate_cell,
    met,
    share_words,
    side_of,
    together,
    value_words,
)
from harness.render.numbers import NONE, count
from harness.render.table import Cell, Head, Table, make_table, numbers, texts


def preference_table(results: HumanResults) -> Table | None:
    """Strength of each variant, best first, and its share of wins against each other one."""
    preference = results.preference
    if preference is None or not preference.wins:
        return None
    compared = [name for wins in preference.wins for name in (wins.first, wins.second)]
    strengths = {item.variant: item for item in preference.strengths}
    order = [*strengths]
    order += [name for name in results.plan.variants if name in compared and name not in order]
    header = [*texts("Variant"), *(Head(f"against {name}", "share of wins") for name in order)]
    header += [Head("Strength", "log scale")] if strengths else []
    rows = [
        [Cell(name), *(_win_cell(results, name, other) for other in order)]
        + ([_strength_cell(strengths.get(name))] if strengths else [])
        for name in order
    ]
    caption = "Share of comparisons that each variant wins against the others"
    return make_table(caption, header, rows)


def _strength_cell(strength: Strength | None) -> Cell:
    if strength is None:
        return Cell(NONE)
    value, bounds = value_words(strength.strength, signed=True)
    others = strength.other_raters
    wider = value_words(others, signed=True)[1] if others is not None else ""
    more = f"other raters {wider}" if wider else ""
    return estimate_cell((value, bounds or strength.strength.reason or ""), more)


def _win_cell(results: HumanResults, name: str, other: str) -> Cell:
    if name == other:
        return Cell("")
    wins, claim = met(results, name, other), claim_of(results, name, other)
    if wins is None or claim is None:
        return Cell(NONE, ("not compared",))
    share = claim.estimate
    if share.value is None:
        return Cell(NONE, (share.reason or "",))
    won, lost = wins.first_wins, wins.second_wins
    if name == wins.second:
        won, lost = lost, won
    wider = f"other raters {share_words(claim.others)[1]}" if claim.others is not None else ""
    tally = f"{won:,} won, {wins.ties:,} tied, {lost:,} lost"
    return estimate_cell(
        share_words(share), wider, tally, side=side_of(share, EVEN), words=_win_words(wins, claim)
    )


def _win_words(wins: Wins, claim: Claim) -> str:
    """What the mark beside a share says."""
    if not wins.first_wins and not wins.second_wins:
        return "identical texts" if wins.ties == wins.automatic else "no difference seen"
    words = {"": "", "better": "preferred", "worse": "not preferred"}.get(claim.side)
    if words is None:
        return "not distinguishable"
    return words if claim.beyond or not words else f"{words}, by these raters"


def means_table(results: HumanResults) -> Table | None:
    """Mean of each criterion by variant, with its difference from the baseline."""
    if not results.means:
        return None
    plan = results.plan
    means = {(item.criterion, item.variant): item for item in results.means}
    header = [Head(name, "baseline" if name == plan.baseline else "") for name in plan.variants]
    rows = []
    for criterion in plan.criteria:
        own = [means.get((criterion.name, name)) for name in plan.variants]
        n = max((item.mean.n for item in own if item is not None), default=0)
        about = f"{criterion.points[0]} to {criterion.points[-1]}, {count(n, 'item')}"
        rows.append([Cell(criterion.name, (about,)), *map(_mean_cell, own)])
    return make_table("Mean rating of each variant", (*texts("Criterion"), *header), rows)


def _mean_cell(item: CriterionMean | None) -> Cell:
    if item is None or item.mean.value is None:
        return Cell(NONE, words=(item.mean.reason or "") if item else "not rated")
    value, difference, side = value_words(item.mean), item.difference, side_of(item.difference)
    if side == "same":
        return estimate_cell(value, side=side, change="the same points on every item")
    if difference is None or difference.value is None:
        return estimate_cell(value)
    words = {"better": "better", "worse": "worse", "open": "not distinguishable"}
    said = words.get(side, "no interval")
    if side in ("better", "worse") and not is_beyond(item):
        said += ", by these raters"
    others = item.other_raters
    return estimate_cell(
        value,
        side=side,
        words=said,
        change=together(value_words(difference, signed=True)),
        beyond=f"other raters {value_words(others, signed=True)[1]}" if others is not None else "",
    )


def files_table(results: HumanResults) -> Table | None:
    """The files that came back."""
    rows = [
        (
            *(item.name, item.rater, item.format, f"{item.rows:,}"),
            *(item.imported[:16].replace("T", " ") + " UTC", item.digest[:16]),
        )
        for item in results.files
    ]
    header = (*texts("File", "Rater", "Format"), *numbers("Rows answered"))
    header += texts("Imported", "SHA-256")
    return make_table("Files that came back", header, rows) if rows else None
