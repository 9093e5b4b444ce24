"""What became of the rows of a data source on their way to examples."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.schema import DataReport, Finding

_CHECK = "rows"
_LEFT_OUT, _COPIES = 0.2, 0.2  # shares from which it is told
_ASKED = "beyond the limit"  # how the reason begins of rows that the suite leaves out by number


@dataclass(frozen=True)
class DataFacts:
    """The data of a task, or of training."""

    task: str
    report: DataReport


class DataRows:
    """That most rows become examples, and most examples are rows of their own."""

    about = DataFacts

    def findings(self, facts: DataFacts) -> Iterator[Finding]:
        """A warning of many rows that are left out, a note of many near copies."""
        report = facts.report
        left_out = {
            why: count for why, count in report.dropped.items() if not why.startswith(_ASKED)
        }
        lost = sum(left_out.values())
        if lost > _LEFT_OUT * report.rows_read:
            reasons = "; ".join(f"{count:,}: {why}" for why, count in left_out.items())
            yield Finding(
                check=_CHECK,
                severity="warning",
                what=f"{facts.task}: {lost:,} of {report.rows_read:,} rows were left out "
                f"({reasons}).",
                why="What is left may be of another kind than the whole.",
                hint="Look at these rows, and at what data and prompt ask of them.",
            )
        if report.near_duplicates > _COPIES * report.rows_kept:
            yield Finding(
                check=_CHECK,
                severity="info",
                what=f"{facts.task}: {report.near_duplicates:,} of {report.rows_kept:,} rows are "
                "near copies of another row.",
                why="Intervals take groups of copies for one example each, so they are wide.",
            )


CHECK = DataRows()
