"""For which raters a win is shown: for these only, or for others too."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.ratings.records import CriterionMean, Estimate, HumanResults, Wins
from harness.ratings.report.words import EVEN, met, share_words, side_of, turned
from harness.ratings.stats.over_raters import FEWEST_RATERS
from harness.render.labels import listed
from harness.render.numbers import count
from harness.render.table import Side

_FEW = f"fewer than {FEWEST_RATERS} judged both"


@dataclass(frozen=True)
class Claim:
    """What raters say of a variant against another one, and how far that reaches."""

    estimate: Estimate  # the value with its interval for other items, judged by these raters
    others: Estimate | None  # with its interval for other raters too; None where there are too few
    side: Side  # on which side these raters are
    raters: int = 0  # how many there are; 0 where that was not recorded
    even: float = EVEN

    @property
    def beyond(self) -> bool:
        """Whether the side is shown for other raters too."""
        return self.side in ("better", "worse") and side_of(self.others, self.even) == self.side

    @property
    def shown(self) -> Estimate:
        """The value with the interval of those for whom the side is shown."""
        return self.others if self.beyond and self.others is not None else self.estimate

    def who(self) -> str:
        """Of whom it is said, as a sentence begins."""
        if self.beyond:
            return "Raters"
        if not self.raters:
            return "These raters"
        return "The one rater" if self.raters == 1 else f"These {self.raters:,} raters"

    def reach(self) -> str:
        """How far it reaches, as a clause; empty where no side is shown at all."""
        if self.side not in ("better", "worse"):
            return ""
        if self.beyond:
            return "this holds for other raters too"
        if self.others is None:
            return f"for other raters nothing is shown, as {_FEW}"
        return f"for other raters it is not shown: {share_words(self.others)[1]}"


def claim_of(results: HumanResults, variant: str, other: str) -> Claim | None:
    """How a variant fares against another one; None where they were not compared."""
    wins = met(results, variant, other)
    if wins is None:
        return None
    share, others = wins.share, wins.other_raters
    if wins.second != variant:
        share, others = turned(share), turned(others) if others is not None else None
    return Claim(share, others, side_of(share, EVEN), wins.raters)


def is_beyond(item: CriterionMean) -> bool:
    """Whether the side of a criterion's difference is shown for other raters too."""
    return item.difference is not None and side_of(item.other_raters) == side_of(item.difference)


def criteria_reach(items: Sequence[CriterionMean]) -> str:
    """Which of some differences, each better or worse, are shown for other raters; a sentence."""
    if not items:
        return ""
    beyond = [item.criterion for item in items if is_beyond(item)]
    if len(beyond) == len(items):
        return f"The difference in {listed(beyond)} is shown for other raters too."
    if all(item.other_raters is None for item in items):
        return f"For other raters nothing is shown, as {_FEW}."
    if beyond:
        return f"For other raters only the difference in {listed(beyond)} is shown."
    return "For other raters it is not shown."


def without_difference(wins: Sequence[Wins], names: Sequence[str]) -> str:
    """That raters saw no difference at all, in a sentence; empty where a vote has a winner.

    Equal votes are not equal texts: only texts that nobody had to be asked about are identical.

    Args:
        wins: Of the variants in question, with at least one vote.
        names: The variants.
    """
    if any(w.first_wins or w.second_wins for w in wins):
        return ""
    ties, automatic = sum(w.ties for w in wins), sum(w.automatic for w in wins)
    if not ties:
        return ""
    n = max(w.share.n for w in wins)
    if ties == automatic:
        return (
            f"The outputs of {listed(names)} are identical (n = {count(n, 'item')}), so nobody was "
            "asked which is better."
        )
    same = (
        f"; {count(automatic, 'further tie')} of identical texts were counted without asking"
        if automatic
        else ""
    )
    return (
        f"Raters saw no difference between {listed(names)} in "
        f"{count(ties - automatic, 'comparison')} (all ties, n = {count(n, 'item')}{same})."
    )
