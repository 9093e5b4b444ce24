"""What is kept of human ratings: the plan of the sheets, the ratings, and what they say.

A *row* is one judgement that a rater is asked for: of one output (``scale``) or of two
(``pair``). Its token is all that a returned sheet needs to hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import Field

from harness.schema import Record, Split
from harness.suite.ratings import CriterionSpec

if TYPE_CHECKING:  # the plan of the sheets is read without any statistics
    from harness.stats.intervals import Interval

RowKind = Literal["scale", "pair"]
VariantPair = tuple[str, str]  # two variants that are compared, in the plan's order
# of a returned file
ReturnFormat = Literal["xlsx", "xlsb", "xls", "ods", "fods", "numbers", "csv", "json"]
RowPurpose = Literal["main", "repeat", "attention", "same"]
"""``main`` counts; the others are about the rater: shown twice, spoilt, a text beside itself."""


AnyRecord = TypeVar("AnyRecord", bound=Record)


def lean(records: Iterable[AnyRecord]) -> Iterator[AnyRecord]:
    """The same records in half the memory, for those of which there is one per row and rater.

    pydantic notes in each which of its fields were given, in a set of 700 bytes; here equal ones
    are shared. Records are frozen, and a copy of one gets a set of its own.
    """
    sets: dict[frozenset[str], set[str]] = {}
    for record in records:
        given = record.__pydantic_fields_set__
        object.__setattr__(
            record, "__pydantic_fields_set__", sets.setdefault(frozenset(given), given)
        )
        yield record


class Item(Record):
    """An example whose outputs are rated, with all that raters may see of it."""

    id: str  # example id
    cluster: str
    split: Split
    prompt: str
    reference: str | None = None  # the first one; shown only where the suite says so
    outputs: dict[str, str]  # variant -> text as it was generated


class SheetRow(Record):
    """One judgement that one rater is asked for."""

    token: str  # lower-case consonants only: nothing that a spreadsheet takes for a number or date
    rater: str
    position: int  # from 1, among the rater's rows of this kind
    kind: RowKind
    purpose: RowPurpose = "main"
    item: str
    # scale: every variant that wrote this text, in the plan's order. pair: the two compared, in
    # the plan's order; of purpose "attention" the second, and of "same" both, are the first.
    variants: tuple[str, ...]
    swapped: bool = False  # pair: the second of variants is shown as A
    spoilt: str | None = None  # attention: the text in place of the (second) output
    repeats: str | None = None  # token of the row that this one shows again


class AutoTie(Record):
    """Two variants that wrote the same text: a tie, for which no rater's time is spent."""

    item: str
    variants: tuple[str, str]


class SheetPlan(Record):
    """Everything about an export but its items and rows, which lie beside it.

    Items, rows and ties are ``items.jsonl``, ``rows.jsonl`` and ``ties.jsonl`` of the same result
    in the store (kind ``sheets``).
    """

    id: str  # stands on every sheet; says nothing of the run
    run: str  # SUITE/RUN-ID of the export
    task: str
    variants: tuple[str, ...]  # in the order of the run; "references" last
    baseline: str | None  # None where the baseline is not among them
    predictions: dict[str, str]  # variant -> key of the predictions that are rated
    raters: tuple[str, ...]
    criteria: tuple[CriterionSpec, ...]
    pairs: tuple[tuple[str, str], ...]  # compared; empty where no preference is asked
    splits: tuple[Split, ...]
    show_reference: bool = False
    instructions: str = ""
    seed: int
    notes: tuple[str, ...] = ()  # what was asked for and could not be had, in words


@dataclass(frozen=True)
class Sheets:
    """An export: everything that the raters' files are made of, and the key to them."""

    key: str  # of this result in the store
    plan: SheetPlan  # what is asked of whom
    items: tuple[Item, ...]  # what is rated
    rows: tuple[SheetRow, ...]  # by rater, kind and position
    ties: tuple[AutoTie, ...]  # comparisons that are decided without a rater
    identity: Mapping[str, Any] = field(default_factory=dict)  # what the key is the digest of

    @property
    def clusters(self) -> dict[str, str]:
        """Cluster of each item, by its id."""
        return {item.id: item.cluster for item in self.items}


class Rating(Record):
    """What one rater said about one row."""

    token: str
    rater: str
    kind: RowKind
    purpose: RowPurpose
    item: str
    variants: tuple[str, ...]
    swapped: bool = False
    position: int
    # criterion -> point of its scale; None: cannot judge
    scores: dict[str, int | None] = Field(default_factory=dict)
    preferred: Literal["first", "second", "tie"] | None = None  # of variants, whichever side
    judged: bool = True  # pair: False where the rater cannot judge
    comment: str = ""
    minutes: float | None = None
    repeats: str | None = None
    file: str  # digest of the return that it came from


class ReturnedFile(Record):
    """A file that a rater sent back; its bytes are kept beside this record."""

    name: str  # as it was called
    digest: str  # sha256; the kept file is called by it
    rater: str
    format: ReturnFormat
    rows: int  # that hold an answer
    imported: str  # ISO 8601


class Estimate(Record):
    """A value with its 95 % interval, or the reason why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    method: str = ""
    reason: str | None = None

    @classmethod
    def of(cls, interval: Interval, *, reach: float = 1.0, worst: float = 0.0) -> Estimate:
        """The interval of a share of a range, in the range's own points.

        Args:
            interval: Of the share.
            reach: Length of the range.
            worst: Where it begins.
        """
        value, low, high = (
            None if share is None else worst + reach * share
            for share in (interval.value, interval.low, interval.high)
        )
        return cls(
            value=value,
            low=low,
            high=high,
            n=interval.n,
            method=interval.method,
            reason=interval.reason,
        )


class PairAgreement(Record):
    """How two raters agree on one criterion (or the preference), on what both judged."""

    first: str
    second: str
    n: int
    kappa: float | None  # quadratic weights for a scale, none for a preference
    exact: float  # share of equal answers
    reason: str | None = None  # why kappa is None


class Agreement(Record):
    """How far raters agree on one criterion, or on the preference."""

    name: str
    level: Literal["ordinal", "nominal"]
    alpha: Estimate  # Krippendorff's
    units: int  # judged by two or more raters
    ratings: int  # of those units
    distribution: dict[str, dict[str, int]]  # rater -> answer -> count
    pairs: tuple[PairAgreement, ...] = ()


class RaterSummary(Record):
    """One rater: how much came back, how steady, how attentive, how severe."""

    rater: str
    rows: int  # asked for, checks included
    answered: int
    cannot_judge: int = 0
    minutes: float | None = None  # median per row, where given
    repeats: int = 0  # answers given twice
    repeats_equal: int = 0
    repeats_near: int = 0  # equal, or on a scale one point apart
    attention: int = 0  # spoilt rows answered
    attention_failed: int = 0
    same: int = 0  # texts beside themselves answered
    same_tied: int = 0
    decisive: int = 0  # main comparisons with a winner
    chose_a: int = 0
    position_bias: Estimate | None = None  # share of A among them
    position_p: float | None = None  # exact binomial test of one half
    # criterion (or preference: ties) -> main answers, where all of them are the same
    constant: dict[str, int] = Field(default_factory=dict)
    # criterion -> points above (+) or below the other raters of the same outputs
    severity: dict[str, Estimate] = Field(default_factory=dict)


class Wins(Record):
    """How two variants fared against each other; automatic ties are among the ties."""

    first: str
    second: str
    first_wins: int
    second_wins: int
    ties: int
    automatic: int = 0  # ties of equal texts, one per rater of the item
    share: Estimate  # of the second: wins and half the ties, over items
    other_raters: Estimate | None = None  # the same for other items and other raters
    raters: int = 0  # who compared the two, or are counted for equal texts


class Strength(Record):
    """Bradley-Terry strength of a variant on the log scale; all of them sum to zero."""

    variant: str
    strength: Estimate  # its interval is for other items, with these raters
    other_raters: Estimate | None = None  # for other items and other raters, where there are enough


class Preference(Record):
    """Who wins: a Bradley-Terry model with ties (Davidson 1970)."""

    wins: tuple[Wins, ...]
    strengths: tuple[Strength, ...] = ()  # best first
    tie_parameter: float | None = None  # Davidson's nu
    ridge: float = 0.0
    reason: str | None = None  # why there are no strengths
    notes: tuple[str, ...] = ()


class CriterionMean(Record):
    """A criterion's mean of one variant, each item counting once, and against the baseline."""

    criterion: str
    variant: str
    mean: Estimate
    difference: Estimate | None = None  # from the baseline, paired by item and rater
    other_raters: Estimate | None = None  # the difference for other items and other raters


class Correlation(Record):
    """Whether an automatic metric follows the raters, output by output."""

    metric: str
    higher_is_better: bool
    criterion: str
    n: int  # outputs
    items: int
    kendall: Estimate  # tau-b; oriented so that + means agreement
    spearman: Estimate


class PairAccuracy(Record):
    """How often an automatic metric prefers what raters prefer, where they have a winner."""

    metric: str
    accuracy: Estimate
    n: int  # comparisons


class HumanResults(Record):
    """All that the ratings say."""

    plan: SheetPlan
    items: int
    files: tuple[ReturnedFile, ...]
    ratings: int
    asked: int
    raters: tuple[RaterSummary, ...]
    agreement: tuple[Agreement, ...]
    means: tuple[CriterionMean, ...]
    preference: Preference | None = None
    correlations: tuple[Correlation, ...] = ()
    accuracies: tuple[PairAccuracy, ...] = ()
    comments: int = 0
    # reason -> items that no mean or share counts
    dropped: dict[str, int] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
