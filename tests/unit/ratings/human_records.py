"""Made-up results of human ratings, for the unit tests of the report's section on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.ratings.records import (
    Agreement,
    AutoTie,
    Correlation,
    CriterionMean,
    Estimate,
    HumanResults,
    Item,
    PairAccuracy,
    PairAgreement,
    Preference,
    RaterSummary,
    ReturnedFile,
    SheetPlan,
    SheetRow,
    Sheets,
    Strength,
    Wins,
)
from harness.suite.ratings import CRITERIA

BASE, CHOSEN = "base@nf4", "checkpoint-40"
RATERS = ("ada", "bob", "cyd")


def estimate(value: float, reach: float, n: int = 50) -> Estimate:
    """A value with an even interval."""
    return Estimate(value=value, low=value - reach, high=value + reach, n=n, method="made up")


def wider(found: Estimate, reach: float) -> Estimate:
    """A value with an interval that is wider on either side, as for other raters."""
    if found.low is None or found.high is None:
        return found
    return found.model_copy(update={"low": found.low - reach, "high": found.high + reach})


def wins_of(first: str, second: str, share: Estimate, **changes: Any) -> Wins:
    """How two variants fared, of 150 comparisons; a point more or less for other raters."""
    fields: dict[str, Any] = {
        "first": first,
        "second": second,
        "first_wins": 43,
        "second_wins": 85,
        "ties": 22,
        "automatic": 6,
        "share": share,
        "other_raters": wider(share, 0.01),
        "raters": 3,
    }
    return Wins(**{**fields, **changes})


def agreement_of(name: str, alpha: Estimate, **changes: Any) -> Agreement:
    """Agreement of three raters on one question."""
    points = ("first", "tie", "second") if name == "preference" else ("1", "2", "3", "4", "5")
    counts = {**dict(zip(points, (3, 9, 41, 60, 37), strict=False)), "cannot judge": 2}
    fields: dict[str, Any] = {
        "name": name,
        "level": "nominal" if name == "preference" else "ordinal",
        "alpha": alpha,
        "units": 98,
        "ratings": 290,
        "distribution": dict.fromkeys(RATERS, counts),
        "pairs": (PairAgreement(first="ada", second="bob", n=97, kappa=0.61, exact=0.58),),
    }
    return Agreement(**{**fields, **changes})


def rater_of(name: str, **changes: Any) -> RaterSummary:
    """A rater without anything to doubt."""
    fields: dict[str, Any] = {
        "rater": name,
        "rows": 174,
        "answered": 174,
        "cannot_judge": 2,
        "minutes": 0.7,
        "repeats": 12,
        "repeats_equal": 9,
        "repeats_near": 11,
        "attention": 6,
        "same": 2,
        "same_tied": 2,
        "decisive": 128,
        "chose_a": 66,
        "position_bias": estimate(0.516, 0.086, 128),
        "position_p": 0.79,
        "severity": {"fluency": estimate(0.12, 0.2), "correctness": estimate(-0.31, 0.22)},
    }
    return RaterSummary(**{**fields, **changes})


def correlation_of(metric: str, criterion: str, tau: float, reach: float = 0.14) -> Correlation:
    """A metric against a criterion."""
    return Correlation(
        metric=metric,
        higher_is_better=True,
        criterion=criterion,
        n=100,
        items=50,
        kendall=estimate(tau, reach, 100),
        spearman=estimate(1.3 * tau, 1.3 * reach, 100),
    )


def plan_of(**changes: Any) -> SheetPlan:
    """Sheets of a baseline and a checkpoint for three raters."""
    fields: dict[str, Any] = {
        "id": "s-7c1",
        "run": "sample/r-4f21c0",
        "task": "summary",
        "variants": (BASE, CHOSEN),
        "baseline": BASE,
        "predictions": {BASE: "p1", CHOSEN: "p2"},
        "raters": RATERS,
        "criteria": (CRITERIA["fluency"], CRITERIA["correctness"]),
        "pairs": ((BASE, CHOSEN),),
        "splits": ("report",),
        "seed": 7,
    }
    return SheetPlan(**{**fields, **changes})


def sheets_of(
    plan: SheetPlan,
    items: Sequence[Item] = (),
    rows: Sequence[SheetRow] = (),
    ties: Sequence[AutoTie] = (),
) -> Sheets:
    """An export that is in no store."""
    return Sheets("key", plan, tuple(items), tuple(rows), tuple(ties))


def means_of(criterion: str, *values: tuple[str, float, float | None]) -> list[CriterionMean]:
    """Means by variant: name, value and difference."""
    return [
        CriterionMean(
            criterion=criterion,
            variant=name,
            mean=estimate(value, 0.21),
            difference=None if change is None else estimate(change, 0.2),
            other_raters=None if change is None else estimate(change, 0.3),
        )
        for name, value, change in values
    ]


def results(**changes: Any) -> HumanResults:
    """Raters prefer the checkpoint, agree well on fluency and little on correctness."""
    fields: dict[str, Any] = {
        "plan": plan_of(),
        "items": 50,
        "files": (
            ReturnedFile(
                name="ada.xlsx",
                digest="ab" * 32,
                rater="ada",
                format="xlsx",
                rows=174,
                imported="2026-01-02T10:20:30+00:00",
            ),
        ),
        "ratings": 522,
        "asked": 522,
        "raters": tuple(rater_of(name) for name in RATERS),
        "agreement": (
            agreement_of("fluency", estimate(0.84, 0.05)),
            agreement_of("correctness", estimate(0.41, 0.13)),
            agreement_of("preference", estimate(0.71, 0.09)),
        ),
        "means": (
            *means_of("fluency", (BASE, 3.42, None), (CHOSEN, 3.96, 0.54)),
            *means_of("correctness", (BASE, 3.31, None), (CHOSEN, 3.36, 0.05)),
        ),
        "preference": Preference(
            wins=(wins_of(BASE, CHOSEN, estimate(0.64, 0.085)),),
            strengths=(
                Strength(variant=CHOSEN, strength=estimate(0.34, 0.21, 150)),
                Strength(variant=BASE, strength=estimate(-0.34, 0.21, 150)),
            ),
            tie_parameter=0.4,
        ),
        "correlations": (
            correlation_of("rougeL", "fluency", 0.31),
            correlation_of("rougeL", "correctness", 0.12),
            correlation_of("bleu", "fluency", 0.08),
            correlation_of("bleu", "correctness", 0.02),
        ),
        "accuracies": (
            PairAccuracy(metric="rougeL", accuracy=estimate(0.71, 0.08, 128), n=128),
            PairAccuracy(metric="bleu", accuracy=estimate(0.53, 0.09, 128), n=128),
        ),
        "comments": 14,
        "dropped": {"fluency: judged for some variants only": 2},
        "notes": ("Only 50 of 80 items could be had.",),
    }
    return HumanResults(**{**fields, **changes})
