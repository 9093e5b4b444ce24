"""The door of executors: where cells are computed, here or elsewhere.

An executor is named by ``--executor NAME[:ADDRESS]``. It takes cells as plain records that can be
sent to another process or machine, and tells what becomes of each; results go into the store that
each record names. ``harness.run.local`` computes them in this process, and whatever sends them
elsewhere lets that code compute them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from harness.console import Reporter
from harness.schema import Environment, Finding, Proof, Record, Variant


class StoreKey(Record):
    """A result's key in the store, with its readable form."""

    key: str
    identity: dict[str, Any]


class CellJob(Record):
    """One cell to be computed, with all that is needed for it.

    Attributes:
        suite: The resolved suite.
        base_dir: Folder that the suite's relative paths start from.
        runs_dir: Root of the store.
        variant: Whose cell it is.
        task: Id of the task.
        scores: Where its scores go.
        predictions: Where its outputs go, where some are kept apart from the scores.
        examples: Key of the task's rendered examples; None where it brings its own documents.
        probe: Key and task id of examples whose prompts try what an adapter does; None: there are
            none.
        weights: Folder of a whole model in the base's place: merged, or trained in full.
        proofs: What was proved of the variant already, such as of a merged model.
    """

    suite: dict[str, Any]
    base_dir: str
    runs_dir: str
    variant: Variant
    task: str
    scores: StoreKey
    predictions: StoreKey | None = None
    examples: str | None = None
    probe: tuple[str, str] | None = None
    weights: str | None = None
    proofs: tuple[Proof, ...] = ()

    @property
    def id(self) -> str:
        """``variant/task``."""
        return f"{self.variant.id}/{self.task}"


class CellStart(Record):
    """A cell's turn has come."""

    variant: str
    task: str


class CellOutcome(Record):
    """What became of a cell.

    Attributes:
        variant: The cell's variant.
        task: The cell's task.
        reason: Why it failed; None where it is done, and its results are in the store.
        seconds: What it took.
        findings: What should be shown beside its scores.
        environment: Where it was computed.
    """

    variant: str
    task: str
    reason: str | None = None
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    environment: Environment | None = None


class Workers(Protocol):
    """Whoever computes cells, for the time of one run."""

    def compute(self, jobs: Sequence[CellJob]) -> Iterator[CellStart | CellOutcome]:
        """Compute cells in any order, with one outcome for each of them.

        A cell that fails is an outcome; the others go on. Cells may come in several calls.

        Raises:
            UsageError: A mistake of the user's that ends the run; what is finished is kept.
        """


class Executor(Protocol):
    """One way of computing cells."""

    def start(self, address: str, reporter: Reporter) -> AbstractContextManager[Workers]:
        """Make workers ready; they are let go when the context ends.

        Args:
            address: What follows the colon in ``--executor NAME:ADDRESS``; empty without one.
            reporter: Says what is going on.

        Raises:
            UsageError: There is no such place.
        """
