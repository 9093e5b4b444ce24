"""Tables of what raters prefer, what points they give, and where the ratings come from."""

from __future__ import annotations

from harness.ratings.records import CriterionMean, HumanResults, Strength, Wins
from harness.ratings.report.claims import Claim, claim_of, is_beyond
from harness.ratings.report.words import EVEN, met, share_words, side_of, together, value_words
from harness.render.numbers import NONE, count
from harness.render.table import Cell, Head, Table


def preference_table(results: HumanResults) -> Table | None:
    """Strength of each variant, best first, and its share of wins against each other one."""
    preference = results.preference
    if preference is None or not preference.wins:
        return None
    compared = [name for wins in preference.wins for name in (wins.first, wins.second)]
    order = [found.variant for found in preference.strengths]
    order += [name for name in results.plan.variants if name in compared and name not in order]
    strengths = {found.variant: found for found in preference.strengths}
    header = [Head("Variant", numeric=False)]
    header += [Head(f"against {name}", "share of wins") for name in order]
    header += [Head("Strength", "log scale")] if strengths else []
    rows = []
    for name in order:
        cells = [Cell(name), *(_win_cell(results, name, other) for other in order)]
        if strengths:
            cells.append(_strength_cell(strengths.get(name)))
        rows.append(tuple(cells))
    return Table(
        "Share of comparisons that each variant wins against the others", (*header,), (*rows,)
    )


def _strength_cell(found: Strength | None) -> Cell:
    if found is None:
        return Cell(NONE)
    text, bounds = value_words(found.strength, signed=True)
    more = [bounds or found.strength.reason or ""]
    if found.other_raters is not None and found.other_raters.low is not None:
        more.append(f"other raters {value_words(found.other_raters, signed=True)[1]}")
    return Cell(text, tuple(line for line in more if line))


def _win_cell(results: HumanResults, name: str, other: str) -> Cell:
    if name == other:
        return Cell("")
    wins = met(results, name, other)
    if wins is None:
        return Cell(NONE, ("not compared",))
    won, lost, claim = wins.first_wins, wins.second_wins, claim_of(results, name, other)
    if name == wins.second:
        won, lost = lost, won
    share = wins.share if claim is None else claim.found
    if share.value is None:
        return Cell(NONE, (share.reason or "",))
    value, bounds = share_words(share)
    tally = f"{won:,} won, {wins.ties:,} tied, {lost:,} lost"
    others = claim.others if claim is not None else None
    wider = f"other raters {share_words(others)[1]}" if others is not None else ""
    more = tuple(text for text in (bounds, wider, tally) if text)
    return Cell(value, more, side_of(share, EVEN), _win_words(wins, claim))


def _win_words(wins: Wins, claim: Claim | None) -> str:
    """What the mark beside a share says."""
    if not wins.first_wins and not wins.second_wins:
        return "identical texts" if wins.ties == wins.automatic else "no difference seen"
    if claim is None or not claim.side:
        return ""
    words = {"better": "preferred", "worse": "not preferred"}.get(claim.side)
    if words is None:
        return "not distinguishable"
    return words if claim.beyond else f"{words}, by these raters"


def means_table(results: HumanResults) -> Table | None:
    """Mean of each criterion by variant, with its difference from the baseline."""
    if not results.means:
        return None
    plan = results.plan
    found = {(item.criterion, item.variant): item for item in results.means}
    header = [Head("Criterion", numeric=False)]
    header += [Head(name, "baseline" if name == plan.baseline else "") for name in plan.variants]
    rows = []
    for criterion in plan.criteria:
        own = [found.get((criterion.name, name)) for name in plan.variants]
        n = max((item.mean.n for item in own if item is not None), default=0)
        about = f"{criterion.points[0]} to {criterion.points[-1]}, {count(n, 'item')}"
        rows.append((Cell(criterion.name, (about,)), *(_mean_cell(item) for item in own)))
    return Table("Mean rating of each variant", tuple(header), tuple(rows))


def _mean_cell(item: CriterionMean | None) -> Cell:
    if item is None or item.mean.value is None:
        return Cell(NONE, words=(item.mean.reason or "") if item else "not rated")
    value, bounds = value_words(item.mean)
    more = [bounds] if bounds else []
    side = side_of(item.difference)
    if side == "same":
        return Cell(value, tuple(more), side, change="the same points on every item")
    if item.difference is None or item.difference.value is None:
        return Cell(value, tuple(more))
    change = together(value_words(item.difference, signed=True))
    words = {"better": "better", "worse": "worse", "open": "not distinguishable"}
    said = words.get(side, "no interval")
    if side in ("better", "worse") and not is_beyond(item):
        said += ", by these raters"
    beyond = ""
    if item.other_raters is not None:
        beyond = f"other raters {value_words(item.other_raters, signed=True)[1]}"
    return Cell(value, tuple(more), side, said, change=change, beyond=beyond)


def files_table(results: HumanResults) -> Table | None:
    """The files that came back."""
    names = ("File", "Rater", "Format")
    header = (
        *(Head(name, numeric=False) for name in names),
        Head("Rows answered"),
        Head("Imported", numeric=False),
        Head("SHA-256", numeric=False),
    )
    rows = [
        (
            Cell(item.name),
            Cell(item.rater),
            Cell(item.format),
            Cell(f"{item.rows:,}"),
            Cell(item.imported[:16].replace("T", " ") + " UTC"),
            Cell(item.digest[:16]),
        )
        for item in results.files
    ]
    return Table("Files that came back", header, tuple(rows)) if rows else None
