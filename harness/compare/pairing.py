"""Whether two runs' scores may be paired: the same examples, scored in the same way.

Ids alone do not say so: they may be of an id field whose rows have changed. What was asked must
be the same (references of generation, completions and their tokens of losses, the task's
definition of lm-eval), and so must be how it was scored. What the runs do with it (training,
prompt, decoding) is what is compared, and is told beside the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.diff import Change, difference
from harness.errors import PairingError, StoreError
from harness.gate.subjects import cell_identity
from harness.results.scores import Key, Reading
from harness.schema import HUMAN, CellResult, Example, Manifest, Variant
from harness.stats.panel import Sample, aligned
from harness.store.runs import Store
from harness.suite.record import suite_of

_SPEED_ONLY = ("batch_size", "batch_tokens", "engine")  # of lm-eval: they change no score
_SYSTEM = ("examples.prompt", "examples.chat_template_of", "decoding", "max_length")
_SHOWN_KEYS, _SHOWN_CHARS = 4, 60
_Content = tuple[str, ...] | str


@dataclass(frozen=True, eq=False)
class Side:
    """One run of a comparison, and the variant of it that is compared.

    Attributes:
        label: What the run is called, unique among the runs compared.
        store: Where its results lie.
        manifest: The run.
        variant: The variant that is compared.
        readings: The variant's scores, by what they are about; ``Reading.variant`` and the
            samples bear the label.
        cells: The variant's cells by task.
    """

    label: str
    store: Store
    manifest: Manifest
    variant: Variant
    readings: Mapping[Key, Reading]
    cells: Mapping[str, CellResult]
    _identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    _contents: dict[str, dict[str, _Content] | None] = field(default_factory=dict)

    def identity(self, task: str) -> dict[str, Any]:
        """What determined the scores of a task of the suite; empty where it is not finished."""
        if task not in self._identities:
            cell = self.cells.get(task)
            self._identities[task] = cell_identity(self.store, cell) if cell is not None else {}
        return self._identities[task]

    def contents(self, task: str) -> dict[str, _Content] | None:
        """What each example of a task asks for, by id; None where they cannot be read.

        That is its completion for tasks that score losses, its references otherwise.
        """
        if task not in self._contents:
            self._contents[task] = self._read_contents(task)
        return self._contents[task]

    def _read_contents(self, task: str) -> dict[str, _Content] | None:
        key = self.manifest.examples.get(task)
        if key is None:
            return None
        try:
            examples = self.store.read_records("examples", key, "examples", Example)
        except StoreError:
            return None
        if self.cells[task].kind == "perplexity":
            return {example.id: example.completion for example in examples}
        return {example.id: example.references for example in examples}

    def missing(self, task: str) -> str:
        """Why there is no score of a task, or of a member of it."""
        cell = self.cells.get(task) or self.cells.get(task.partition("/")[0])
        if cell is None:
            return f"{self.label} has no cell {self.variant.id}/{task.partition('/')[0]}"
        if cell.status != "done":
            return f"{cell.status}: {cell.reason or 'no reason was recorded'}"
        return "the cell is finished, but gives no such score"


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two runs of which scores are to be paired.

    Attributes:
        first: The reference.
        second: The other.
    """

    first: Side
    second: Side

    def refusal(self, key: Key) -> str | None:
        """Why the scores of a key must not be paired; None where they may be.

        Both runs have a score of the key.
        """
        before, after = (side.readings[key] for side in (self.first, self.second))
        for side, reading in ((self.first, before), (self.second, after)):
            if reading.sample is None:
                return f"{side.label}: {reading.reason}"
        if HUMAN in (before.kind, after.kind):
            return "ratings are compared within one set of sheets only"
        scoring = self._other_scoring(before, after)
        if scoring or before.sample is None or after.sample is None:
            return scoring
        try:
            aligned(before.sample, after.sample)
        except PairingError as error:
            return self._other_examples(before, after) or error.problem
        if before.kind == "lm_eval":
            return self._other_task(before.suite_task, after.suite_task)
        return self._other_contents(before, after)

    def remarks(self, task: str) -> tuple[str, ...]:
        """Dotted keys of prompt and decoding that differ: parts of what is compared."""
        found = (
            f"{key.removeprefix('examples.')} ({_shown(old)} against {_shown(new)})"
            for key, old, new in difference(self.first.identity(task), self.second.identity(task))
            if key.startswith(_SYSTEM)
        )
        return tuple(found)

    # -- reasons ------------------------------------------------------------------------------

    def _other_scoring(self, before: Reading, after: Reading) -> str | None:
        if before.kind != after.kind:
            return f"another kind of task: {before.kind} against {after.kind}"
        if before.score.signature != after.score.signature:
            return f"another signature: {before.score.signature} against {after.score.signature}"
        options = (
            _options(side.identity(reading.suite_task), reading.score.metric)
            for side, reading in ((self.first, before), (self.second, after))
        )
        lines = _listed(difference(*options))
        return f"other options of the metric: {lines}" if lines else None

    def _other_examples(self, before: Reading, after: Reading) -> str | None:
        """How the sets of ids differ, and what may be behind that; None where they do not."""
        if before.sample is None or after.sample is None:
            return None
        first, second = set(_ids(before.sample)), set(_ids(after.sample))
        if first == second:
            return None
        shared = len(first & second)
        parts = [f"{shared:,} are in both" if shared else "none is in both"]
        for label, alone in (
            (self.first.label, first - second),
            (self.second.label, second - first),
        ):
            parts += [f"{len(alone):,} only in {label}"] if alone else []
        causes = _listed(self._causes(before.suite_task, after.suite_task))
        return f"other examples: {', '.join(parts)}" + (f" ({causes})" if causes else "")

    def _causes(self, task: str, other: str) -> list[Change]:
        """Settings that decide which examples are scored, where they differ."""
        sides = ((self.first, task), (self.second, other))
        asked = []
        for side, name in sides:
            data, identity = side.manifest.data.get(name), side.identity(name)
            of_lm_eval = identity.get("lm_eval") or {}
            asked.append(
                {
                    "rows": data.digest if data else None,
                    "data": {k: v for k, v in _data(identity).items() if k != "python"},
                    "seed": suite_of(side.manifest).seed,
                    "prompt": (identity.get("examples") or {}).get("prompt"),
                    "limit": identity.get("limit") or of_lm_eval.get("limit"),
                    "--limit": side.manifest.limit,
                    "task": of_lm_eval.get("task"),
                }
            )
        return difference(*asked)

    def _other_task(self, task: str, other: str) -> str | None:
        first, second = (
            {k: v for k, v in (identity.get("lm_eval") or {}).items() if k not in _SPEED_ONLY}
            for identity in (self.first.identity(task), self.second.identity(other))
        )
        lines = _listed(difference(first, second))
        return f"the task itself differs: {lines}" if lines else None

    def _other_contents(self, before: Reading, after: Reading) -> str | None:
        """Whether equal ids stand for equal references, or completions and tokens."""
        if before.sample is None or after.sample is None:
            return None
        task, other = before.suite_task, after.suite_task
        what = "completions" if before.kind == "perplexity" else "references"
        if not self._same_sources(task, other):
            first, second = self.first.contents(task), self.second.contents(other)
            if first is None or second is None:
                causes = _listed(self._causes(task, other)) or "their identities differ"
                return f"whether the examples are the same cannot be told ({causes})"
            changed = sum(first.get(name) != second.get(name) for name in _ids(before.sample))
            if changed:
                total = len(before.sample.ids)
                return f"of the {total:,} examples, {changed:,} have other {what}"
        if before.kind == "perplexity":
            return _other_tokens(before.sample, after.sample)
        return None

    def _same_sources(self, task: str, other: str) -> bool:
        """Whether both runs rendered the same rows with the same prompt."""
        if self.first.manifest.examples.get(task) is not None and self._same_key(task, other):
            return True
        digests = [
            side.manifest.data.get(name)
            for side, name in ((self.first, task), (self.second, other))
        ]
        if digests[0] is None or digests[1] is None or digests[0].digest != digests[1].digest:
            return False
        first, second = self.first.identity(task), self.second.identity(other)
        return bool(first.get("examples")) and first["examples"] == second.get("examples")

    def _same_key(self, task: str, other: str) -> bool:
        """The key of examples is the digest of all that they depend on."""
        return self.first.store.root == self.second.store.root and self.first.manifest.examples[
            task
        ] == self.second.manifest.examples.get(other)


def _data(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (identity.get("examples") or {}).get("data") or {}
    return found


def _ids(sample: Sample) -> list[str]:
    names: list[str] = sample.ids.tolist()
    return names


def _other_tokens(first: Sample, second: Sample) -> str | None:
    """A loss is one per token: it can be compared where the completions have equally many."""
    other = aligned(first, second)
    changed = int(np.sum(first.stats[:, -1] != other[:, -1]))
    if not changed:
        return None
    return (
        f"a loss is one per token, and of the {len(other):,} completions, {changed:,} have another "
        "number of tokens"
    )


def _options(identity: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The metric's entry in the identity of scores; empty for those of lm-eval."""
    entries = identity.get("metrics")
    if not isinstance(entries, list):
        return {}
    return next((entry for entry in entries if entry.get("name") == metric), {})


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    line = " ".join(text.split()) if text.strip() else repr(text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"


def _listed(changes: Sequence[Change]) -> str:
    """Differences as a list in words; empty where there are none."""
    lines = [f"{key}: {_shown(old)} against {_shown(new)}" for key, old, new in changes]
    more = [f"and {len(lines) - _SHOWN_KEYS} more"] if len(lines) > _SHOWN_KEYS else []
    return "; ".join([*lines[:_SHOWN_KEYS], *more])
