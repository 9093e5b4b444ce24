"""All that the ratings of a run say, from what is kept of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from harness.ratings.records import HumanResults, PairAccuracy, SheetPlan, Sheets
from harness.ratings.stats.agreement import agreement
from harness.ratings.stats.blocks import unpaired
from harness.ratings.stats.correlation import MetricValues, accuracies, correlations, metric_values
from harness.ratings.stats.means import criterion_means, item_means
from harness.ratings.stats.preference import preference
from harness.ratings.stats.raters import rater_summaries
from harness.ratings.stats.votes import item_shares, votes_of
from harness.ratings.store import StoredRatings, read_ratings, read_sheets
from harness.results.scores import Reading, read_results
from harness.schema import Manifest
from harness.store.runs import Store
from harness.suite.record import suite_of

_CLAIMED = "report"  # the split that figures are claimed from, as everywhere in a report


def summarise(
    store: Store, manifest: Manifest, readings: Iterable[Reading] | None = None
) -> HumanResults | None:
    """Work out what the ratings of a run say.

    Means and preferences are of the items of the report split where there are any: those of
    select served the choice, and would flatter it. How far raters agree, and which metric
    follows them, is learnt from all items.

    Args:
        store: Where sheets, ratings and scores lie.
        manifest: The run.
        readings: Its scores, where they have been read already.

    Returns:
        None where no sheet has come back, or where the run now has other outputs than those that
        were rated; :func:`why_none` says which.

    Raises:
        StoreError: Something that the manifest names is missing or unreadable.
    """
    if manifest.human is None or manifest.human.ratings is None:
        return None
    sheets = read_sheets(store, manifest.human.sheets)
    if _outdated(sheets.plan, manifest):
        return None
    stored = read_ratings(store, manifest.human.ratings)
    if readings is None:
        readings = read_results(store, manifest.cells, suite_of(manifest).tasks)
    return _results(sheets, stored, readings)


def why_none(store: Store, manifest: Manifest) -> str:
    """Why there are no results of ratings, in a sentence; empty where no sheets were exported.

    Args:
        store: Where the sheets lie.
        manifest: A run for which :func:`summarise` gives None.
    """
    if manifest.human is None:
        return ""
    if manifest.human.ratings is None:
        return "Rating sheets were exported; nothing has come back yet."
    plan = read_sheets(store, manifest.human.sheets).plan
    changed = ", ".join(_outdated(plan, manifest))
    return (
        f"Ratings of earlier outputs are not shown: what {changed} wrote for {plan.task} is no "
        f"longer what was rated (sheets {plan.id}). Export new sheets to have it rated."
    )


def _outdated(plan: SheetPlan, manifest: Manifest) -> list[str]:
    """Variants whose outputs in the run are not those that were rated."""
    current = {
        cell.variant: cell.predictions_key for cell in manifest.cells if cell.task == plan.task
    }
    return [name for name, key in plan.predictions.items() if current.get(name) != key]


def _results(sheets: Sheets, stored: StoredRatings, readings: Iterable[Reading]) -> HumanResults:
    plan, items, ratings = sheets.plan, sheets.items, stored.ratings
    counted = tuple(item for item in items if item.split == _CLAIMED) or items
    names = {item.id for item in counted}
    ties = tuple(tie for tie in sheets.ties if tie.item in names)
    claimed = replace(sheets, items=counted, ties=ties)
    of_claimed = [rating for rating in ratings if rating.item in names]
    means, dropped = criterion_means(claimed, of_claimed)
    clusters = sheets.clusters
    metrics = metric_values(readings, plan.task, plan.splits, plan.variants)
    rated = {c.name: item_means(sheets, ratings, c.name) for c in plan.criteria}
    won = None
    decided: tuple[PairAccuracy, ...] = ()
    if plan.pairs:
        won = preference(claimed, of_claimed)
        shares = item_shares(votes_of(sheets, ratings))
        decided = accuracies(shares, metrics, clusters)
    return HumanResults(
        plan=plan,
        items=len(items),
        files=stored.files,
        ratings=len(ratings),
        asked=len(sheets.rows),
        raters=rater_summaries(plan, sheets.rows, ratings),
        agreement=agreement(plan, ratings),
        means=means,
        preference=won,
        correlations=correlations(rated, metrics, clusters, seed=plan.seed),
        accuracies=decided,
        comments=sum(bool(rating.comment.strip()) for rating in ratings),
        dropped=dropped,
        notes=(
            *plan.notes,
            *_notes(len(items), len(counted), metrics, unpaired(claimed, of_claimed)),
        ),
    )


def _notes(
    items: int, claimed: int, metrics: Mapping[str, MetricValues], lone: Mapping[str, int]
) -> Iterator[str]:
    """What else has to be known of the results; ``lone`` are points that no mean counts."""
    if claimed < items:
        yield (
            f"Means and preferences are of the {claimed:,} items of the {_CLAIMED} split; "
            f"the other {items - claimed:,} served the choice. Agreement and automatic "
            "metrics are looked at on all of them."
        )
    for metric, of in metrics.items():
        if of.undefined:
            missing = f"{of.undefined:,} outputs"
            yield f"{metric} has no value for {missing}, which are left out beside it."
    if lone:
        counted = ", ".join(f"{n:,} of {name}" for name, n in lone.items())
        yield (
            f"Points left out of the means: {counted}. Their raters did not judge the item for all "
            "variants, and would have brought their severity into some variants alone."
        )
