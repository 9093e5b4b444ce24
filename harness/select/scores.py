"""The score that a constraint is about, on the part of its examples that may be read.

A score is read where nothing is claimed: on the task's ``select`` split, or, for lm-eval tasks,
which are not split, on the half of the documents whose clusters fall below ``HALF`` by hash. The
other half, and the ``report`` split, are left for the figures of whichever checkpoint is chosen.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from harness.data.splits import hash_point
from harness.errors import PairingError
from harness.results.scores import Reading
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.resampling import Resamples

Part = Literal["select", "report"]
ALL = "all"  # split of tasks that are not split
HALF = 0.5


@dataclass(frozen=True)
class ConstraintScore:
    """The score that a constraint is about, on one part of its examples."""

    baseline: str  # variant that the others are compared with
    task: str  # task, or member of a group
    metric: str = ""  # metric name; empty where none is named and the task has no scores
    data: str = ""  # which examples, in words
    quantity: Quantity | None = None  # what the score is; None where there is none with statistics
    samples: Mapping[str, Sample] = dataclasses.field(default_factory=dict)  # statistics by variant
    # why other variants have none
    reasons: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reason: str | None = None  # why there is nothing at all
    seed: int = 0  # seed of the resampling

    def panel(self, variant: str) -> Panel | str:
        """Baseline and variant on the same examples, or why they cannot be compared."""
        if self.quantity is None:
            return self.reason or "there are no scores of it"
        names = [self.baseline] if variant == self.baseline else [self.baseline, variant]
        for name in names:
            if name not in self.samples:
                return self.reasons.get(name, f"{name} has no score of it")
        if not len(self.samples[self.baseline].ids):
            return f"there are no examples in the {self.data}"
        samples = [self.samples[name] for name in names]
        try:
            return Panel(self.quantity, samples, resamples=self._resamples)
        except PairingError as error:
            return error.problem

    @cached_property
    def _resamples(self) -> Resamples:
        """Weights are drawn once for all variants: order and clusters are the baseline's."""
        return Resamples(self.samples[self.baseline].clusters, seed=self.seed)


def constraint_score(
    baseline: str, task: str, metric: str | None, readings: Sequence[Reading], part: Part, seed: int
) -> ConstraintScore:
    """Find a task's (or a group member's) per-example statistics on one part of the examples.

    A group whose own average has no statistics is read as all documents of its members together.

    Args:
        baseline: Variant that the others are compared with.
        task: Task id, or a member of a group such as ``mmlu/anatomy``.
        metric: Metric name; None for the task's first.
        readings: Scores of all variants.
        part: ``select`` for deciding; ``report`` for what is claimed afterwards.
        seed: The suite's seed, which decides the halves.
    """
    of_task = [r for r in readings if r.score.task == task]
    members = [r for r in readings if r.score.task.startswith(f"{task}/") and r.is_leaf]
    if not of_task and not members:
        words = no_such(f"scores of {task}", (r.score.task for r in readings))
        return ConstraintScore(baseline, task, metric or "", reason=words)
    metric = metric or (of_task or members)[0].score.metric
    own, leaves = ([r for r in rs if r.score.metric == metric] for rs in (of_task, members))
    if not own and not leaves:
        words = no_such(f"{metric} of {task}", (r.score.metric for r in of_task or readings))
        return ConstraintScore(baseline, task, metric, reason=words)
    splits = {r.score.split for r in own or leaves}
    if part not in splits and ALL not in splits:
        words = f"{task} is not scored on the {part} split (only on {', '.join(sorted(splits))})"
        return ConstraintScore(baseline, task, metric, reason=words)
    split = part if part in splits else ALL
    own, leaves = ([r for r in rs if r.score.split == split] for rs in (own, leaves))
    if leaves and not any(r.sample is not None for r in own):
        samples, quantity = _pooled(task, leaves)
        pooled = f", {len({r.score.task for r in leaves})} members pooled"
    else:
        samples, pooled = {r.variant: r.sample for r in own if r.sample is not None}, ""
        quantity = next((r.quantity for r in own if r.quantity), None)
    reasons = {r.variant: r.reason or "it has no per-example statistics" for r in own}
    if split == ALL:
        samples = {name: half_of(sample, part, seed) for name, sample in samples.items()}
    data = f"{part} {'half' if split == ALL else 'split'}{pooled}"
    reason = next(iter(reasons.values()), None)
    if quantity is not None:
        quantity = dataclasses.replace(quantity, split=data)
    return ConstraintScore(baseline, task, metric, data, quantity, samples, reasons, reason, seed)


def _pooled(task: str, members: Sequence[Reading]) -> tuple[dict[str, Sample], Quantity | None]:
    """All documents of a group's members as one sample per variant."""
    by_variant: dict[str, list[tuple[str, Sample]]] = {}
    for reading in members:
        if reading.sample is not None:
            by_variant.setdefault(reading.variant, []).append((reading.score.task, reading.sample))
    samples = {
        variant: Sample(
            variant,
            np.concatenate([np.char.add(f"{name}/", s.ids) for name, s in parts]).astype(np.str_),
            np.concatenate([sample.clusters for _, sample in parts]),
            np.concatenate([sample.stats for _, sample in parts]),
        )
        for variant, parts in by_variant.items()
    }
    quantity = next((r.quantity for r in members if r.quantity is not None), None)
    return samples, quantity and dataclasses.replace(quantity, task=task)


def half_of(sample: Sample, part: Part, seed: int) -> Sample:
    """The examples whose cluster's hash falls into one half.

    Args:
        sample: Documents of a task that is not split.
        part: ``select`` for the half that constraints read, ``report`` for the other.
        seed: The suite's seed.
    """
    clusters = sample.clusters.tolist()
    points = {name: hash_point(seed, "constraint", name) for name in set(clusters)}
    keep = np.array([(points[name] < HALF) == (part == "select") for name in clusters], dtype=bool)
    return sample.only(sample.ids[keep])


def no_such(what: str, there: Iterable[str]) -> str:
    """What is missing, and what there is instead."""
    names = ", ".join(dict.fromkeys(there))
    return f"there are no {what}; there are: {names}" if names else f"there are no {what}"
