"""What limits a verdict: raters who disagree, outputs cut off, few examples, cells that failed."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.ratings.records import HumanResults
from harness.ratings.report.lead import preferred_words, rated_worse
from harness.render.numbers import count
from harness.report.view.records import Choice, MatrixRow, Outcome, OutputHealth, TradeOff
from harness.report.words.comparison import detectable_words, difference_words
from harness.schema import Comparison, Manifest

_SMALL_N = 30
_MANY_CUT = 0.1  # share of outputs cut off from which on it is a caution


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on."""

    manifest: Manifest
    rows: Sequence[MatrixRow]
    primary: tuple[str, str] | None  # task and metric that decide
    trade_off: TradeOff
    choice: Choice
    human: HumanResults | None = None  # the ratings, if there are any
    outputs: Sequence[OutputHealth] = ()

    @property
    def chosen(self) -> str | None:
        """The chosen checkpoint."""
        return self.manifest.selection.chosen if self.manifest.selection else None

    @property
    def row(self) -> MatrixRow | None:
        """The primary metric on the report split."""
        key = (*self.primary, "report") if self.primary else None
        return next((r for r in self.rows if (r.task, r.metric, r.split) == key), None)


def cautions(evidence: Evidence, outcome: Outcome, shipped: str | None) -> list[str]:
    """What a reader of the verdict must know besides, the gravest first.

    Args:
        evidence: What the verdict rests on.
        outcome: Of the verdict.
        shipped: The variant that the headline's figures are of; None where nothing was chosen.
    """
    manifest, chosen, row = evidence.manifest, evidence.chosen, evidence.row
    rival = evidence.choice.rival
    lines = of_raters(evidence.human, chosen)
    if row is not None and chosen is not None:
        lines += cut_off(evidence.outputs, row.suite_task, (manifest.baseline, shipped or chosen))
        if rival is not None:
            lines.append(overtaken(rival, row))
        if evidence.choice.comparison is not None:
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
