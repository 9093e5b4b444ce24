"""What became of the rows that a training was given."""

from collections.abc import Iterator

from harness.schema import Finding, TrainingRun

_CHECK = "training"
_DROPPED, _CUT = 0.2, 0.05  # shares of rows
_FEW_ROWS = 50
_HINT = "Raise train.args.max_length, or shorten the rows."


class TrainingRows:
    """That a training was given its rows, whole, and that they are many."""

    about = TrainingRun

    def findings(self, facts: TrainingRun) -> Iterator[Finding]:
        """Warnings of rows that were left out or cut, and a note of few rows."""
        run = facts
        yield from _of("training", run.rows_used, run.rows_truncated, run.rows_dropped)
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
