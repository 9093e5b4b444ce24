"""Whether two runs' scores may be paired, as :mod:`harness.results.pairing` says, and more.

Ids alone do not tell: they may be of an id field whose rows have changed. What was asked must
be the same (references of generation, completions of losses, the task's definition of lm-eval),
and so must be how it was scored. What the runs do with it (training, prompt, decoding) is what is
compared, and is told beside the difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.diff import Change, difference
from harness.errors import StoreError
from harness.results import pairing
from harness.results.scores import Key, Reading
from harness.schema import HUMAN, CellResult, Example, Manifest, Variant
from harness.stats.panel import Sample
from harness.store.runs import Store
from harness.suite.spec import Suite, task_facts

_SYSTEM = ("examples.prompt", "examples.chat_template_of", "decoding", "max_length")
_SHOWN_KEYS, _SHOWN_CHARS = 4, 60
_Content = tuple[str, ...] | str


@dataclass(frozen=True, eq=False)
class Side:
    """One run of a comparison, and the variant of it that is compared."""

    label: str  # what the run is called, unique among the runs compared
    store: Store  # where its results lie
    manifest: Manifest  # the run
    variant: Variant  # the variant that is compared
    # the variant's scores, by what they are about; ``Reading.variant`` and the samples bear the
    # label
    readings: Mapping[Key, Reading]
    cells: Mapping[str, CellResult]  # the variant's cells by task
    suite: Suite  # what the run was made with
    _identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    _contents: dict[str, dict[str, _Content] | None] = field(default_factory=dict)

    def identity(self, task: str) -> dict[str, Any]:
        """What determined the scores of a task of the suite; empty where it is not finished."""
        if task not in self._identities:
            cell = self.cells.get(task)
            self._identities[task] = pairing.cell_identity(self.store, cell) if cell else {}
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
        if task_facts(self.cells[task].kind).per_token:
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
class SidePair:
    """Two runs of which scores are to be paired."""

    first: Side  # the reference
    second: Side  # the other

    def refusal(self, key: Key) -> str | None:
        """Why the scores of a key, which both runs have, must not be paired; None if they may."""
        before, after = self.first.readings[key], self.second.readings[key]
        for side, reading in ((self.first, before), (self.second, after)):
            if reading.sample is None:
                return f"{side.label}: {reading.reason}"
        if HUMAN in (before.kind, after.kind):
            return "ratings are compared within one set of sheets only"
        scoring = self._other_scoring(before, after)
        if scoring or before.sample is None or after.sample is None:
            return scoring
        task, other = before.suite_task, after.suite_task
        return (
            self._other_examples(before.sample, after.sample, task, other)
            or (
                self._other_task(task, other)
                if task_facts(before.kind).brings_data
                else self._other_contents(before, other)
            )
            or pairing.refusal(before.sample, after.sample, before.kind)
        )

    def remarks(self, task: str) -> tuple[str, ...]:
        """Dotted keys of prompt and decoding that differ: parts of what is compared."""
        return tuple(
            f"{key.removeprefix('examples.')} ({_shown(old)} against {_shown(new)})"
            for key, old, new in difference(*self._both(task, task))
            if key.startswith(_SYSTEM)
        )

    def _both(self, task: str, other: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Identities of a task in the first run, and of the one of the second run."""
        return self.first.identity(task), self.second.identity(other)

    def _other_scoring(self, before: Reading, after: Reading) -> str | None:
        if before.kind != after.kind:
            return f"another kind of task: {before.kind} against {after.kind}"
        if before.score.signature != after.score.signature:
            return f"another signature: {before.score.signature} against {after.score.signature}"
        identities = self._both(before.suite_task, after.suite_task)
        options = (pairing.metric_options(i).get(before.score.metric, {}) for i in identities)
        lines = _listed(difference(*options))
        return f"other options of the metric: {lines}" if lines else None

    def _other_examples(self, before: Sample, after: Sample, task: str, other: str) -> str | None:
        """How the sets of ids differ, and what may be behind that; None where they do not."""
        first, second = set(before.ids.tolist()), set(after.ids.tolist())
        if first == second:
            return None
        shared = len(first & second)
        parts = [f"{shared:,} are in both" if shared else "none is in both"]
        alone = ((self.first.label, first - second), (self.second.label, second - first))
        parts += [f"{len(ids):,} only in {label}" for label, ids in alone if ids]
        causes = _listed(self._causes(task, other))
        return f"other examples: {', '.join(parts)}" + (f" ({causes})" if causes else "")

    def _causes(self, task: str, other: str) -> list[Change]:
        """Settings that decide which examples are scored, where they differ."""
        return difference(_asked(self.first, task), _asked(self.second, other))

    def _other_task(self, task: str, other: str) -> str | None:
        lines = _listed(difference(*map(pairing.lm_eval_task, self._both(task, other))))
        return f"the task itself differs: {lines}" if lines else None

    def _other_contents(self, before: Reading, other: str) -> str | None:
        """Whether equal ids stand for equal references, or completions."""
        task = before.suite_task
        if before.sample is None or self._same_sources(task, other):
            return None
        first, second = self.first.contents(task), self.second.contents(other)
        if first is None or second is None:
            causes = _listed(self._causes(task, other)) or "their identities differ"
            return f"whether the examples are the same cannot be told ({causes})"
        changed = sum(first.get(name) != second.get(name) for name in before.sample.ids.tolist())
        what = "completions" if task_facts(before.kind).per_token else "references"
        total = len(before.sample.ids)
        return f"of the {total:,} examples, {changed:,} have other {what}" if changed else None

    def _same_sources(self, task: str, other: str) -> bool:
        """Whether both runs rendered the same rows with the same prompt."""
        first, second = self.first.manifest, self.second.manifest
        key = first.examples.get(task)  # the digest of all that they depend on
        if key is not None and (self.first.store.root, key) == (
            self.second.store.root,
            second.examples.get(other),
        ):
            return True
        old, new = first.data.get(task), second.data.get(other)
        if old is None or new is None or old.digest != new.digest:
            return False
        rendered, again = (i.get("examples") for i in self._both(task, other))
        return bool(rendered) and rendered == again


def _asked(side: Side, task: str) -> dict[str, Any]:
    """Settings that decide which examples of a task are scored."""
    data, identity = side.manifest.data.get(task), side.identity(task)
    examples, of_lm_eval = identity.get("examples") or {}, identity.get("lm_eval") or {}
    return {
        "rows": data.digest if data else None,
        "data": {k: v for k, v in (examples.get("data") or {}).items() if k != "python"},
        "seed": side.suite.seed,
        "prompt": examples.get("prompt"),
        "limit": identity.get("limit") or of_lm_eval.get("limit"),
        "--limit": side.manifest.limit,
        "task": of_lm_eval.get("task"),
    }


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    line = " ".join(text.split()) if text.strip() else repr(text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"


def _listed(changes: Sequence[Change]) -> str:
    """Differences as a list in words; empty where there are none."""
    lines = [f"{key}: {_shown(old)} against {_shown(new)}" for key, old, new in changes]
    more = [f"and {len(lines) - _SHOWN_KEYS} more"] if len(lines) > _SHOWN_KEYS else []
    return "; ".join([*lines[:_SHOWN_KEYS], *more])
