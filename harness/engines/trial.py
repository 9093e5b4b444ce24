"""A fast way of answering is tried on real requests, and a slower one taken where it differs."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from harness.engines.batching import is_out_of_memory
from harness.errors import (
    AloneNotFiniteError,
    HarnessError,
    ModelError,
    NotFiniteError,
    UnknownTokenError,
)
from harness.schema import Proof

ENOUGH = 8  # tokens of each condition that are compared, where nothing else is said
PLANTED = "with the tokens that the adapter names"
ResultT = TypeVar("ResultT")


class DiffersError(ModelError):
    """One way of answering gives something else than each sequence by itself."""


@dataclass
class Trial:
    """Which way of answering one kind of model gets, from the fastest on.

    Attributes:
        probe: Name of the proof.
        what: What is compared, in words that go before "of each sequence by itself".
        ways: Each way in words that go after "answered".
        at: Which of them is in use.
        counted: What is counted.
        enough: How many of them are compared in each condition; 0 leaves the trial out.
        counts: Condition, such as "padded" -> how many were compared in it.
        difference: Largest that was measured of the way in use, in nats.
        limit: What it may be, in nats.
        reasons: Why each faster way was not taken.
    """

    probe: str
    what: str
    ways: Sequence[str]
    at: int = 0
    counted: str = "tokens"
    enough: int = ENOUGH
    counts: Counter[str] = field(default_factory=Counter)
    difference: float = 0.0
    limit: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def needs(self, condition: str) -> bool:
        """Whether more is to be compared in a condition."""
        return self.counts[condition] < self.enough

    def note(self, condition: str, count: int, difference: float, limit: float) -> None:
        """Take a comparison into account.

        Raises:
            DiffersError: It is over the limit, or not a number.
        """
        if not difference <= limit:
            raise DiffersError(f"{self.what} differ by {difference:.2g} nats ({condition})")
        self.counts[condition] += count
        self.difference = max(self.difference, difference)
        self.limit = max(self.limit, limit)

    def run(self, attempt: Callable[[], ResultT]) -> ResultT:
        """Attempt by the way in use, and by the next ones while they differ or cannot.

        Raises:
            ModelError: No way is left.
        """
        if not self.enough:
            return attempt()
        while True:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what it warns of is measured, not told
                    return attempt()
            except Exception as error:  # a model may refuse masks, positions or caches in any way
                # what is wrong with the request, or with its numbers, is wrong in every way
                theirs = isinstance(error, UnknownTokenError) or (
                    isinstance(error, HarnessError) and not isinstance(error, ModelError)
                )
                numbers = isinstance(error, AloneNotFiniteError) or (
                    isinstance(error, NotFiniteError) and bool(self.counts)
                )
                if is_out_of_memory(error) or theirs or numbers:
                    raise
                self._fall(error)

    def _fall(self, error: Exception) -> None:
        self.reasons.append(f"{self.ways[self.at]} ({_in_a_line(error)})")
        if self.at + 1 < len(self.ways):
            self.at += 1
            self.counts.clear()
            self.difference = self.limit = 0.0
            return
        if isinstance(error, NotFiniteError):
            raise error
        raise ModelError(
            f"No way of answering gives what forward passes of each sequence by itself give. "
            f"Tried: {', '.join(self.reasons)}.",
            hint="Of an adapter, evaluate the merged model; else leave such tasks out.",
        ) from error

    @property
    def proof(self) -> Proof | None:
        """What was measured; None where nothing was."""
        if not self.counts:
            return None
        compared = f"{self.counts.total()} {self.counted} ({', '.join(self.counts)})"
        words = f"{compared}, {self.ways[self.at]}: {self.what} are those of each "
        words += "sequence alone, up to rounding."
        if self.reasons:
            words = f"Not {', nor '.join(self.reasons)}. Instead, {words}"
        return Proof(
            probe=self.probe,
            outcome="fallback" if self.reasons else "holds",
            words=words[:1].upper() + words[1:],
            difference=self.difference,
            limit=self.limit,
            unit="nats",
            hint="The figures are right, and take longer to compute." if self.reasons else "",
        )


def _in_a_line(error: Exception) -> str:
    if isinstance(error, ModelError):
        return error.problem.rstrip(".")
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".rstrip(".: ")


class Trials:
    """The trials of one loaded base: one for each kind of model over it, and use of it."""

    def __init__(self) -> None:
        self._trials: dict[tuple[Hashable, Hashable], Trial] = {}

    def of(self, whose: Hashable, use: Hashable, make: Callable[[], Trial]) -> Trial:
        """A trial, made where there is none.

        Args:
            whose: The kind of model, or the names of variants that answer together.
            use: What it is tried for: a probe, and whatever could be right for one task and not
                for another.
            make: Makes a new one.
        """
        key = whose, use
        trial = self._trials.pop(key, None) or make()
        self._trials[key] = trial  # the latest use comes last
        return trial

    def proofs(self, kind: str, name: str | None) -> list[Proof]:
        """What each probe measured of a kind of model, or of a variant among others, at last."""
        own = {
            proof.probe: proof
            for (whose, _), trial in self._trials.items()
            if (whose == kind or (isinstance(whose, tuple) and name in whose))
            and (proof := trial.proof) is not None
        }
        return list(own.values())


class Untried(Trials):
    """Nothing is compared: each way that is asked for is taken."""

    def of(self, whose: Hashable, use: Hashable, make: Callable[[], Trial]) -> Trial:
        """A trial of nothing."""
        trial = make()
        trial.enough = 0
        return trial
