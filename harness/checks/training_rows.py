"""What became of the rows that a training was given."""

from collections.abc import Iterator

from harness.schema import Finding, TrainingRun

_CHECK = "training"
_DROPPED, _CUT, _ANSWERS = 0.2, 0.05, 0.01  # shares of rows
_FEW_ROWS = 50
_HINT = "Raise train.args.max_length, or shorten the rows."


class TrainingRows:
    """That a training was given its rows, whole, and that they are many."""

    about = TrainingRun

    def findings(self, facts: TrainingRun) -> Iterator[Finding]:
        """Of rows that were left out or cut, and of few rows.

        Answers that are cut are an error where they are many: they limit what is claimed.
        """
        run = facts
        if run.answers_truncated:
            yield Finding(
                check=_CHECK,
                severity="error" if run.answers_truncated > _ANSWERS * run.rows_used else "warning",
                what=f"{run.answers_truncated} of {run.rows_used} training rows lost a part of "
                "their answer at max_length.",
                why="A model is not taught to end such answers.",
                hint=f"{_HINT[:-1]}, or leave those out: train.long_rows: drop.",
            )
        prompts = run.rows_truncated - run.answers_truncated
        yield from _of("training", run.rows_used, prompts, run.rows_dropped)
        yield from _of("eval", run.eval_rows_used, run.eval_rows_truncated, run.eval_rows_dropped)
        if run.rows_used < _FEW_ROWS:
            what = f"Only {run.rows_used} rows were trained on."
            yield Finding(check=_CHECK, severity="info", what=what)


def _of(kind: str, used: int, truncated: int, dropped: dict[str, int]) -> Iterator[Finding]:
    lost = sum(dropped.values())
    if lost > _DROPPED * (used + lost):
        reasons = "; ".join(f"{count}: {why}" for why, count in dropped.items())
        yield Finding(
            check=_CHECK,
            severity="warning",
            what=f"{lost} of {used + lost} {kind} rows were left out ({reasons}).",
            why="What is left may be of another kind than the whole.",
            hint=_HINT,
        )
    if truncated > _CUT * used:
        yield Finding(
            check=_CHECK,
            severity="warning",
            what=f"{truncated} of {used} {kind} rows were cut at their end or beginning.",
            why="Where the end is cut, a model is not taught to stop.",
            hint=_HINT,
        )


CHECK = TrainingRows()
