"""What limits a verdict: raters who disagree, outputs cut off, few examples, cells that failed."""

from collections.abc import Sequence

from harness.ratings.records import HumanResults
from harness.ratings.report.lead import preferred_words, rated_worse
from harness.render.numbers import count
from harness.report.view.records import Choice, MatrixRow, Outcome, OutputHealth
from harness.report.words.comparison import detectable_words, difference_words
from harness.schema import Comparison, Manifest

_SMALL_N = 30
_MANY_CUT = 0.1  # share of outputs cut off from which on it is a caution


def cautions(
    manifest: Manifest,
    row: MatrixRow | None,
    choice: Choice,
    outcome: Outcome,
    shipped: str | None,
    human: HumanResults | None,
    outputs: Sequence[OutputHealth],
) -> list[str]:
    """What a reader of the verdict must know besides, the gravest first.

    Args:
        manifest: The run.
        row: The primary metric on the report split.
        choice: What is claimed for the choice.
        outcome: Of the verdict.
        shipped: The variant that the headline's figures are of; None where nothing was chosen.
        human: The ratings, if there are any.
        outputs: How the outputs ended.
    """
    chosen = manifest.selection.chosen if manifest.selection else None
    lines = of_raters(human, chosen)
    if row is not None and chosen is not None:
        lines += cut_off(outputs, row.suite_task, (manifest.baseline, shipped or chosen))
        if choice.rival is not None:
            lines.append(overtaken(choice.rival, row))
        if choice.comparison is not None:
            if outcome != "ship":  # where a gain is shown, what might be missed is no caution
                lines += detectable_words(row.comparison(chosen), row, row.n)
            lines += few(row.n)
    return lines + _of_the_run(manifest)


def few(n: int) -> list[str]:
    """That so few examples decide; nothing where they are enough."""
    return [f"{count(n, 'example')} on the report split is very few."] if n < _SMALL_N else []


def rater_words(human: HumanResults | None, chosen: str) -> list[tuple[str, str]]:
    """Whether raters prefer the choice to the baseline: the side, and a sentence."""
    if human is None or human.plan.baseline is None:
        return []
    side, line = preferred_words(human, chosen, human.plan.baseline)
    return [(side, line)] if line else []


def of_raters(human: HumanResults | None, chosen: str | None) -> list[str]:
    """Where raters contradict the choice: by preference, or on a criterion."""
    if human is None or chosen is None:
        return []
    lines = [line for side, line in rater_words(human, chosen) if side == "worse"]
    worse = rated_worse(human, chosen)
    if worse:
        lines.append(f"Raters find {chosen} worse than {human.plan.baseline}: {'; '.join(worse)}.")
    return lines


def cut_off(outputs: Sequence[OutputHealth], task: str, variants: Sequence[str]) -> list[str]:
    """Where many of the outputs that are compared did not end by themselves."""
    health = {item.variant: item for item in outputs if item.task == task}
    cut = [(health[v].finished["length"], health[v].n, v) for v in variants if v in health]
    if max((length / n for length, n, _ in cut), default=0.0) < _MANY_CUT:
        return []
    words = ", ".join(f"{length:,} of {n:,} of {v}" for length, n, v in cut)
    return [
        f"Outputs on {task} cut at max_new_tokens: {words}. What would have followed is not "
        "scored, and the difference may come of that; raise max_new_tokens or add a stop string."
    ]


def overtaken(rival: Comparison, row: MatrixRow) -> str:
    """That another checkpoint does better on the report split: readers see it in the matrix.

    The choice stands, for its figures would flatter if the report split had a say in it.
    """
    return (
        f"On the report split {rival.candidate} does better than the choice, "
        f"{rival.baseline}: {difference_words(rival, row)}. That split has no say in the choice, "
        "or the figures claimed from it would flatter. More examples on select tell checkpoints "
        "apart better; select.rule: best takes the highest score there."
    )


def _of_the_run(manifest: Manifest) -> list[str]:
    lines = []
    unfinished = [cell for cell in manifest.cells if cell.status != "done"]
    if unfinished:
        verb = "was" if len(unfinished) == 1 else "were"
        lines.append(
            f"{count(len(unfinished), 'cell')} failed or {verb} skipped; see “Failed and skipped”."
        )
    elif not manifest.complete:
        lines.append("The run is not complete: some of its cells have not been computed.")
    return lines + [item.words for item in manifest.findings if item.severity == "error"]
