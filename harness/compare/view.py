"""Runs side by side, as plain records: the first is the reference that the others are held against.

HTML, Markdown, JSON and CSV are four ways of writing the same ``RunsView``.
"""

from typing import Literal

from pydantic import Field

from harness.digests import short_digest
from harness.report.view.records import MatrixRow, Part
from harness.schema import Comparison, Environment, LogEntry

How = Literal["chosen", "last", "base", "named"]


class RunCosts(Part):
    """What the compared variant costs; None where it was not measured."""

    memory_bytes: float | None = None
    memory_name: str = ""
    decode_tokens_per_s: float | None = None
    speed_sizes: str = ""  # the point of the grid that speed was taken from
    price_per_million_new_tokens: float | None = None
    currency: str = ""
    fingerprint: str | None = None  # of the hardware; costs are compared only where it is equal
    reason: str | None = None  # why nothing was measured


class RunTraining(Part):
    """What came of a run's training."""

    key: str
    steps: int
    final_loss: float | None = None
    final_eval_loss: float | None = None
    best_eval_loss: float | None = None
    tokens_per_second: float | None = None
    seconds: float
    peak_memory_bytes: int | None = None
    trainable_parameters: int
    rows_used: int
    stopped_early: str | None = None
    device_name: str
    log: tuple[LogEntry, ...] = ()


class RunSummary(Part):
    """One run of a comparison.

    ``remarks`` are settings of prompt and decoding, by task, in which it is not as the reference:
    they are a part of what is compared.
    """

    label: str
    suite: str
    run_id: str
    runs_dir: str
    suite_digest: str
    variant: str
    how: How  # how the variant was picked
    why: str  # the same in words
    baseline: str
    primary: tuple[str, str] | None
    over_base: Comparison | None = None  # the variant with the run's own baseline
    p_holm: float | None = None  # of no difference from the reference, for all runs together
    remarks: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    costs: RunCosts = RunCosts()
    training: RunTraining | None = None
    command: str
    created: str
    updated: str
    complete: bool
    unfinished: int = 0  # cells that failed or were skipped
    limit: int | None = None
    seed: int | None = None
    training_key: str | None = None
    environment: Environment | None = None


class SettingDifference(Part):
    """One setting that is not the same in all runs; None where a run does not have it."""

    group: str
    key: str
    values: tuple[str | None, ...]


class RunsView(Part):
    """A whole comparison of runs. The first run is the reference.

    ``rows`` hold the compared variants, ``base_rows`` each run's own baseline; in both, the
    "variant" of a cell is the run's label.
    """

    schema_version: int = 1
    runs: tuple[RunSummary, ...]
    asked: str | None = None  # the variant that was asked for
    rows: tuple[MatrixRow, ...]
    base_rows: tuple[MatrixRow, ...]
    differences: tuple[SettingDifference, ...]
    command: str  # that makes this comparison again

    @property
    def reference(self) -> RunSummary:
        """The run that the others are compared with."""
        return self.runs[0]

    @property
    def others(self) -> tuple[RunSummary, ...]:
        """The runs that are compared with the reference."""
        return self.runs[1:]

    @property
    def deciding(self) -> MatrixRow | None:
        """The reference's primary metric where it is claimed, not where it was chosen by."""
        return next((row for row in self.rows if row.primary), None)

    @property
    def claimed(self) -> list[MatrixRow]:
        """Scores on splits that no choice reads."""
        return [row for row in self.rows if row.split != "select"]

    @property
    def whole(self) -> list[MatrixRow]:
        """Claimed scores of whole tasks."""
        return [row for row in self.claimed if row.task == row.suite_task]

    @property
    def leaves(self) -> list[MatrixRow]:
        """Claimed scores of members of groups."""
        return [row for row in self.claimed if row.task != row.suite_task]

    @property
    def bases(self) -> list[MatrixRow]:
        """Claimed scores of whole tasks, of each run's own baseline."""
        rows = (row for row in self.base_rows if row.split != "select")
        return [row for row in rows if row.task == row.suite_task]

    def digest(self) -> str:
        """A name for the folder of this comparison: the same runs in the same order share it."""
        names = [[run.runs_dir, run.suite, run.run_id] for run in self.runs]
        return short_digest({"runs": names, "variant": self.asked})[:12]
