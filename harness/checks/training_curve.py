"""How a training went, read from its losses and from what became of its rows."""

from collections.abc import Iterator, Sequence
from statistics import median

from harness.schema import Finding, TrainingRun

_CHECK = "training"
_FEWEST = 10  # logged losses from which a curve is read
_PART = 10  # a tenth of the losses is the start, and the end
_RISE, _RISE_SHARE = 0.3, 0.25  # nats, and share of the lowest loss: the larger is a divergence
_LEARNT = 0.02  # share of the loss that learning takes away at least
_KNOWN = 0.05  # nats per token below which a text is all but known by heart
_OVERFIT = 0.02  # share by which the eval loss rises over its lowest
_DROPPED, _CUT = 0.2, 0.05  # shares of rows
_FEW_ROWS = 50


class TrainingCurve:
    """That a training learnt, went on learning, and was given its rows."""

    about = TrainingRun

    def findings(self, facts: TrainingRun) -> Iterator[Finding]:
        """Warnings of losses that rise, stay or vanish, and of rows that are missing."""
        losses = [(e.step, e.loss) for e in facts.log if e.loss is not None]
        evals = [(e.step, e.eval_loss) for e in facts.log if e.eval_loss is not None]
        yield from _of_losses(losses, evals)
        yield from _of_evals(evals)
        yield from _of_rows("training", facts.rows_used, facts.rows_truncated, facts.rows_dropped)
        yield from _of_rows(
            "eval", facts.eval_rows_used, facts.eval_rows_truncated, facts.eval_rows_dropped
        )
        if facts.rows_used < _FEW_ROWS:
            yield _finding("info", f"Only {facts.rows_used} rows were trained on.")


Curve = Sequence[tuple[int, float]]  # step, loss


def _of_losses(losses: Curve, evals: Curve) -> Iterator[Finding]:
    if len(losses) < _FEWEST:
        return
    size = len(losses) // _PART
    parts = [losses[at : at + size] for at in range(0, len(losses) - size + 1, size)]
    levels = [median(loss for _, loss in part) for part in parts]
    start, end, low = levels[0], levels[-1], min(levels)
    if end - low > max(_RISE, _RISE_SHARE * low):
        step = parts[levels.index(low)][-1][0]
        yield _finding(
            "warning",
            f"The training loss rose from {low:.3g} about step {step} to {end:.3g} at the end.",
            "The training diverges: later checkpoints have unlearnt.",
            "Lower train.args.learning_rate, or add warmup_steps; earlier checkpoints may do.",
        )
    elif start - low < _LEARNT * start and start > _KNOWN and not _falls(evals):
        yield _finding(
            "warning",
            f"The training loss stays where it began: {start:.3g} at the start, {end:.3g} at the "
            "end.",
            "Nothing was learnt, so checkpoints score as the base does.",
            "Raise train.args.learning_rate or the number of steps, and check that labels are "
            "not masked.",
        )


def _falls(evals: Curve) -> bool:
    return len(evals) > 1 and min(loss for _, loss in evals) < (1 - _LEARNT) * evals[0][1]


def _of_evals(evals: Curve) -> Iterator[Finding]:
    if not evals:
        return
    best_step, best = min(evals, key=lambda item: item[1])
    last_step, last = evals[-1]
    if last > (1 + _OVERFIT) * best and sum(step > best_step for step, _ in evals) > 1:
        yield _finding(
            "warning",
            f"The eval loss is lowest at step {best_step} ({best:.3g}), and {last:.3g} at the end "
            f"(step {last_step}).",
            f"From step {best_step} on the training overfits.",
            "Prefer a checkpoint from about there, or set train.early_stopping.",
        )
    if best < _KNOWN:
        yield _finding(
            "warning",
            f"The eval loss falls to {best:.2g}: each token is all but known.",
            "Rows as predictable as that are trained on as well, or are copies of one another.",
            "Look at the findings about training overlap, and at the rows.",
        )


def _of_rows(what: str, used: int, truncated: int, dropped: dict[str, int]) -> Iterator[Finding]:
    lost = sum(dropped.values())
    hint = "Raise train.args.max_length, or shorten the rows."
    if lost > _DROPPED * (used + lost):
        reasons = "; ".join(f"{count}: {why}" for why, count in dropped.items())
        yield _finding(
            "warning",
            f"{lost} of {used + lost} {what} rows were left out ({reasons}).",
            "What is left may be of another kind than the whole.",
            hint,
        )
    if truncated > _CUT * used:
        yield _finding(
            "warning",
            f"{truncated} of {used} {what} rows were cut at their end or beginning.",
            "Where the end is cut, a model is not taught to stop.",
            hint,
        )


def _finding(severity: str, what: str, why: str = "", hint: str = "") -> Finding:
    return Finding.model_validate(
        {"check": _CHECK, "severity": severity, "what": what, "why": why, "hint": hint}
    )


CHECK = TrainingCurve()
