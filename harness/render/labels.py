"""Words of the report: names of quantities, and its glossary."""

from __future__ import annotations

from collections.abc import Iterable

from harness.metrics import quantities

_PICKED = {
    "gain": "large gain",
    "loss": "large loss",
    "middling": "middling",
    "best": "among the best",
    "worst": "among the worst",
}

GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "Variant",
        "One column of the matrix: the base model at some precision, a checkpoint (the base with "
        "an adapter), or a merged model (the adapter's weights added to the base's).",
    ),
    (
        "Baseline",
        "The variant that the others are compared with; by default the base at the precision the "
        "adapters run on.",
    ),
    (
        "select and report",
        "Two parts of the held-out data. The checkpoint is chosen on select; the figures claimed "
        "for it come from report, which the choice never saw. Otherwise the best of several "
        "looks better than it is.",
    ),
    (
        "95 % interval",
        "Values that the data do not contradict: over many such runs, 95 of 100 intervals hold the "
        "true value. Wilson for shares of right answers, Student-t for means of fewer than 100 "
        "clusters, a percentile bootstrap over clusters otherwise. It covers the choice of "
        "examples, not another training run. Where all examples score the same there is none.",
    ),
    (
        "Found in 80 of 100 such runs",
        "The smallest true difference that a two-sided test at 5 % finds in 80 % of cases with "
        "these examples (minimal detectable effect). The gate's is of a one-sided test of a loss "
        "beyond its margin.",
    ),
    (
        "Cluster",
        "Near-identical examples, which count as one: they stay in one split, and are drawn "
        "together when an interval is computed.",
    ),
    (
        "Paired difference",
        "Variant minus baseline on the same examples. Both meet the same hard and easy ones, so "
        "its interval is narrower than a look at the two values suggests. Each comparison stands "
        "alone: of twenty that are truly equal, one shows a difference by chance.",
    ),
    (
        "Best",
        "Marked only where at least one variant is distinguishably worse; several are marked "
        "where they are not distinguishable from the best.",
    ),
    (
        "One-standard-error rule",
        "An earlier checkpoint is chosen where the paired difference to the best one is within one "
        "standard error: as good for all the data can tell, with less training.",
    ),
    (
        "Efficient",
        "No other variant is at least as good in quality, memory and decode speed and better in "
        "one of them (Pareto front).",
    ),
    (
        "Constraint",
        "What a checkpoint must keep to, whatever it gains. It is broken, and the checkpoint "
        "excluded, only where the data shows it; where the data shows neither, it is unsure.",
    ),
    (
        "Equivalent",
        "Two one-sided tests show a difference smaller than the margin; no worse: the one on the "
        "side of a loss does. That no difference was found would show nothing.",
    ),
    (
        "Points",
        "Scores with a best possible value are shown on a scale of 0 to 100. JSON and CSV keep "
        "each metric's own unit.",
    ),
)

RATING_TERMS: tuple[tuple[str, str], ...] = (
    (
        "Krippendorff's alpha",
        "How far raters agree beyond chance: 1 is full agreement, 0 what chance would give. From "
        "0.80 on, conclusions may rest on the ratings (good); from 0.667, tentative ones; below, "
        "agreement is low. Its interval is over items.",
    ),
    (
        "Share of wins",
        "Comparisons that raters decided for a variant, and half of the ties; each item counts "
        "once. 50 % is even.",
    ),
    (
        "Strength",
        "Of a variant in the Bradley–Terry model with ties (Davidson 1970), on the log scale; all "
        "of them sum to zero. A difference of 1 means 2.7 wins for each loss.",
    ),
    (
        "Severity of a rater",
        "Points that a rater gives above (+) or below (−) the other raters of the same outputs.",
    ),
    (
        "A metric follows the raters",
        "The interval of its accuracy lies above 50 % (or that of its Kendall's tau-b above 0): "
        "it prefers what raters prefer more often than chance. Where it does not follow them, a "
        "gain in it says little about what people think.",
    ),
)
"""Of the section on human ratings, where there is one."""


def split_words(split: str) -> str:
    """A split in words; tasks that are not split score all their documents."""
    return "all documents" if split == "all" else f"{split} split"


def measured_name(name: str) -> str:
    """A measured quantity's name at the head of a row or column; its own where it has no other."""
    words = quantities.measured_name(name)
    return words if words == name else words[:1].upper() + words[1:]


def picked_words(name: str) -> str:
    """Why an example is shown."""
    return _PICKED.get(name, name)


def listed(parts: Iterable[str]) -> str:
    """Names in a sentence: ``a``, ``a and b``, ``a, b and c``; empty without any."""
    *head, last = [*parts] or [""]
    return f"{', '.join(head)} and {last}" if head else last
