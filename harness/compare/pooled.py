"""Several trainings of one recipe, pooled, as plain records: by folds, or by seeds."""

from __future__ import annotations

from typing import Literal

from harness.report.view.records import Part

CHOICE = "the choice"
"""What each member chose on its own select rows, whichever checkpoint that is."""


class MemberRun(Part):
    """One of the trainings."""

    label: str  # ``fold 2 of 5`` or ``seed 7``
    run: str  # ``SUITE/RUN-ID``
    state: str  # complete, running, interrupted, partial, or missing
    chosen: str | None = None  # its own choice, made on its select rows
    step: int | None = None  # training step of that choice
    train_rows: int = 0
    held_out_rows: int = 0  # of its report split


class MemberScore(Part):
    """One score of one member, with the paired difference from its own base."""

    label: str
    variant: str
    n: int
    base: float | None = None
    value: float | None = None
    delta: float | None = None
    low: float | None = None
    high: float | None = None


class PooledRow(Part):
    """One metric of the recipe, or of one of its steps, over all members."""

    task: str
    metric: str
    split: str
    what: str  # ``the choice``, or a checkpoint that every member has
    unit: str = ""
    scale: float | None = None
    higher_is_better: bool = True
    rows: Literal["held out once", "the same"] | None = None  # None where it could not be pooled
    n: int = 0  # examples, each counted once
    clusters: int = 0
    base: float | None = None
    value: float | None = None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    identical: bool = False
    sampling: float | None = None  # half of the interval by the choice of examples alone
    training: float | None = None  # half of the interval by the trainings' own values
    spread: float | None = None  # standard deviation of the trainings' differences
    noise: float | None = None  # what of it the choice of examples does not explain
    method: str = ""
    reason: str | None = None
    members: tuple[MemberScore, ...] = ()

    @property
    def side(self) -> Literal["better", "worse", "open", "same", "none"]:
        """What it says of the recipe; open where the interval includes zero, or there is none."""
        if self.delta is None:
            return "none"
        if self.identical:
            return "same"
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "open"
        return "better" if (self.low > 0) == self.higher_is_better else "worse"


class PooledView(Part):
    """All that the report of a recipe over several trainings shows."""

    suite: str
    run_id: str
    suite_digest: str
    command: str
    updated: str
    complete: bool
    by: Literal["folds", "seeds"]
    smoke: tuple[str, ...] = ()
    members: tuple[MemberRun, ...]
    rows: tuple[PooledRow, ...]
    deciding: int | None = None  # index of the row that the verdict is about
    notes: tuple[str, ...] = ()
    limited: bool = False  # whether data.limits leaves rows out
    splits: tuple[str, ...] = ()  # that the suite's tasks read of its own data

    @property
    def decided(self) -> PooledRow | None:
        """The row that the verdict is about."""
        return None if self.deciding is None else self.rows[self.deciding]
