"""The section on human ratings: sentences, tables, and where the ratings come from."""

from dataclasses import dataclass

from harness.ratings.records import HumanResults
from harness.ratings.report.lead import lead_sentences
from harness.ratings.report.metrics import metric_side, metrics_of, metrics_table, trust_words
from harness.ratings.report.raters import (
    agreement_table,
    distribution_table,
    doubts,
    low_agreement,
    pairs_table,
    raters_table,
)
from harness.ratings.report.tables import files_table, means_table, preference_table
from harness.ratings.stats.alpha import TENTATIVE
from harness.ratings.stats.raters import concerns
from harness.render.labels import listed
from harness.render.numbers import count, metric_name
from harness.render.table import Table


@dataclass(frozen=True)
class Section:
    """The section on human ratings, ready for a page or for Markdown."""

    note: str = ""  # stands in place of everything else, where there is nothing to show
    lead: tuple[str, ...] = ()  # who wins, and how far raters agree
    cautions: tuple[str, ...] = ()  # what weakens that; shown first
    preference: Table | None = None
    means: Table | None = None
    agreement: Table | None = None
    pairs: Table | None = None
    answers: Table | None = None
    raters: Table | None = None
    doubts: tuple[str, ...] = ()  # what should make one look at a rater's answers
    trust: str = ""  # which automatic metric follows the raters, in words
    metrics: Table | None = None
    notes: tuple[str, ...] = ()  # what else has to be known to read the tables
    facts: tuple[tuple[str, str], ...] = ()  # where the ratings come from: name and value
    files: Table | None = None


def human_section(
    results: HumanResults | None,
    *,
    note: str = "",
    chosen: str | None = None,
    primary: tuple[str, str] | None = None,
) -> Section | None:
    """The section on human ratings; None where no sheets were exported.

    Args:
        results: What came of the ratings, if any came back.
        note: What stands in place of results.
        chosen: The recommended variant.
        primary: Task and metric that the checkpoint is chosen by.
    """
    if results is None:
        return Section(note=note) if note else None
    return Section(
        lead=tuple(lead_sentences(results, chosen)),
        cautions=tuple(_cautions(results, primary)),
        preference=preference_table(results),
        means=means_table(results),
        agreement=agreement_table(results),
        pairs=pairs_table(results),
        answers=distribution_table(results),
        raters=raters_table(results),
        doubts=tuple(doubts(results)),
        trust=trust_words(results),
        metrics=metrics_table(results),
        notes=tuple(_notes(results)),
        facts=tuple(_facts(results)),
        files=files_table(results),
    )


def _cautions(results: HumanResults, primary: tuple[str, str] | None) -> list[str]:
    lines = []
    low = [item.name for item in low_agreement(results)]
    if low:
        lines.append(
            f"Raters agree little on {listed(low)} (alpha below {TENTATIVE}): other raters may "
            f"well judge {'it' if len(low) == 1 else 'them'} otherwise."
        )
    silent = [item.rater for item in results.raters if not item.answered]
    if silent:
        lines.append(f"Nothing has come back from {listed(silent)}.")
    elif results.ratings < results.asked:
        lines.append(
            f"{results.ratings:,} of {count(results.asked, 'row')} have come back with an answer."
        )
    doubted = [item.rater for item in results.raters if concerns(item)]
    if doubted:
        lines.append(
            f"The answers of {listed(doubted)} call for a look (see Raters); all of them count."
        )
    task, metric = primary or (None, "")
    if task == results.plan.task and metric in metrics_of(results):
        side = metric_side(results, metric)
        if side in ("open", "worse"):
            what = "goes against the raters" if side == "worse" else "is not shown to follow them"
            lines.append(f"{metric_name(metric)}, by which the checkpoint is chosen, {what}.")
    return lines


def _notes(results: HumanResults) -> list[str]:
    notes = [f"{reason}: {count(n, 'item')} left out." for reason, n in results.dropped.items()]
    preference = results.preference
    if preference is not None:
        if preference.strengths:
            notes.append(
                "Strength: a Bradley–Terry model with ties (Davidson); a variant that is one "
                "higher than another wins against it 2.7 times as often as it loses. Intervals "
                "are for other items, judged by these raters."
            )
        elif preference.reason and len(preference.wins) > 1:
            notes.append(f"There are no strengths: {preference.reason}.")
        automatic = sum(wins.automatic for wins in preference.wins)
        if automatic:
            notes.append(
                f"{count(automatic, 'tie')} of equal texts were counted without asking anybody."
            )
        notes += preference.notes
    return [*notes, *results.notes]


def _facts(results: HumanResults) -> list[tuple[str, str]]:
    plan = results.plan
    facts = [
        ("Sheets", f"{plan.id}, exported from {plan.run}, seed {plan.seed}"),
        ("Rated", f"outputs of {plan.task} by {listed(list(plan.variants))}"),
        ("Items", f"{results.items:,} of {listed(list(plan.splits))}"),
        (
            "Answers",
            f"{results.ratings:,} of {count(results.asked, 'row')} "
            f"by {count(sum(r.answered > 0 for r in results.raters), 'rater')}",
        ),
        ("Reference", "shown to raters" if plan.show_reference else "not shown to raters"),
    ]
    facts += [
        (
            criterion.name,
            f"{criterion.question} "
            + "; ".join(f"{point}: {words}" for point, words in criterion.scale.items()),
        )
        for criterion in plan.criteria
    ]
    if results.comments:
        facts.append(("Comments", count(results.comments, "row") + " with a comment"))
    return facts
