"""How a training went, read from its losses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import median

from harness.schema import Finding

_PART, _SMALLEST = 10, 5  # a tenth of the losses is a part, of five or more
_FEWEST = 3  # parts
_RISE, _RISE_SHARE = 0.3, 0.25  # nats, and share of the lowest loss: the larger is a divergence
_RISE_ERRORS = 6  # standard errors that a rise must exceed as well: the lowest of ten is chosen
_LEARNT, _LEARNT_ERRORS = 0.05, 2  # share of the loss that learning takes away at least
_KNOWN = 0.05  # nats per token below which a text is all but known by heart
_OVERFIT = 0.02  # share by which the eval loss rises over its lowest


Curve = Sequence[tuple[int, float]]  # step, loss


@dataclass(frozen=True)
class CurveFacts:
    """Losses of one training, in the order of its steps, as its log has them."""

    losses: Curve
    evals: Curve
    of: str = ""  # which training, where there are several


class TrainingCurve:
    """That a training learnt, and went on learning."""

    about = CurveFacts

    def findings(self, facts: CurveFacts) -> Iterator[Finding]:
        """Warnings of losses that rise, stay or vanish."""
        which = f"{facts.of}: " if facts.of else ""
        found = [*_of_losses(facts.losses, facts.evals), *_of_evals(facts.evals)]
        for what, why, hint in found:
            yield Finding(
                check="training", severity="warning", what=f"{which}{what}", why=why, hint=hint
            )


def _of_losses(losses: Curve, evals: Curve) -> Iterator[tuple[str, str, str]]:
    size = max(_SMALLEST, len(losses) // _PART)
    if len(losses) < _FEWEST * size:
        return
    parts = [losses[at : at + size] for at in range(0, len(losses) - size + 1, size)]
    levels = [median(loss for _, loss in part) for part in parts]
    start, end, low = levels[0], levels[-1], min(levels)
    deviation = 1.25 * _deviation([loss for _, loss in losses])  # of medians, times sqrt(n)
    last_third = median(loss for _, loss in losses[-(len(losses) // 3) :])
    fall = start - last_third
    fall += _LEARNT_ERRORS * deviation * sqrt(1 / size + 3 / len(losses))  # as far as can be told
    if end - low > max(_RISE, _RISE_SHARE * low, _RISE_ERRORS * deviation / sqrt(size)):
        step = parts[levels.index(low)][-1][0]
        yield (
            f"The training loss rose from {low:.3g} about step {step} to {end:.3g} at the end.",
            "The training diverges: later checkpoints have unlearnt.",
            "Lower train.args.learning_rate, or add warmup_steps; earlier checkpoints may do.",
        )
    elif fall < _LEARNT * start and start > _KNOWN and not _falls(evals):
        yield (
            f"The training loss stays where it began: {start:.3g} at the start, "
            f"{last_third:.3g} in the last third.",
            "Nothing was learnt, so checkpoints score as the base does.",
            "Raise train.args.learning_rate or the number of steps, and check that labels are "
            "not masked.",
        )


def _deviation(losses: Sequence[float]) -> float:
    """Standard deviation of single losses around their trend, from neighbours' differences."""
    return 1.05 * median(abs(after - before) for before, after in pairwise(losses))


def _falls(evals: Curve) -> bool:
    return len(evals) > 1 and min(loss for _, loss in evals) < (1 - _LEARNT) * evals[0][1]


def _of_evals(evals: Curve) -> Iterator[tuple[str, str, str]]:
    if not evals:
        return
    best_step, best = min(evals, key=lambda item: item[1])
    last_step, last = evals[-1]
    if last > (1 + _OVERFIT) * best and sum(step > best_step for step, _ in evals) > 1:
        yield (
            f"The eval loss is lowest at step {best_step} ({best:.3g}), and {last:.3g} at the end "
            f"(step {last_step}).",
            f"From step {best_step} on the training overfits.",
            "Prefer a checkpoint from about there, or set train.early_stopping.",
        )
    if best < _KNOWN:
        yield (
            f"The eval loss falls to {best:.2g}: each token is all but known.",
            "Rows as predictable as that are trained on as well, or are copies of one another.",
            "Look at the findings about training overlap, and at the rows.",
        )


CHECK = TrainingCurve()
