"""Every example of a run with every variant's output, as the report's browser and CSV list them.

It is read when first asked for, and kept out of the view: JSON and Markdown do without the texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.checks import outputs as findings
from harness.report.parts.contents import RunContents
from harness.results.scores import Reading, read_results
from harness.schema import CellResult, Example, Manifest, Prediction
from harness.store.runs import Store
from harness.suite.spec import task_facts

FINDINGS = (findings.TRUNCATED, findings.CUT, findings.EMPTY, findings.LOOP, findings.COPY)
"""What is flagged of an output: bit 0 of its flags is the first of these."""

MISSING = 1 << len(FINDINGS)
"""The bit that says that there is no output."""

Outputs = tuple[Prediction | None, ...]
"""What one variant wrote for each example, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Values:
    """One metric of each example alone, shape (variants, n); NaN where there is none."""

    metric: str
    scale: float | None
    higher_is_better: bool
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskOutputs:
    """All examples of one generation task for which anything was generated."""

    task: str  # task id
    variants: tuple[str, ...]  # all variants of the run, in its order
    baseline: str | None  # the run's baseline; None where it wrote nothing for this task
    candidate: str  # the variant that the others are looked at for: the choice, or the last
    missing: Mapping[str, str]  # why a variant has no outputs at all
    examples: tuple[Example, ...]  # shape (n,), in the order of the data
    outputs: tuple[Outputs, ...]  # one row per variant
    metrics: tuple[Values, ...]  # the deciding metric first
    flags: NDArray[np.uint8]  # bits of ``FINDINGS`` and ``MISSING``, shape (variants, n)
    groups: NDArray[np.uint16]  # the first variant that wrote the same text, shape (variants, n)

    def deltas(self) -> NDArray[np.float64]:
        """The first metric of the candidate less the baseline's (if any), shape (n,)."""
        if not self.metrics:
            return np.full(len(self.examples), np.nan)
        values = self.metrics[0].values
        deltas: NDArray[np.float64] = values[self.variants.index(self.candidate)]
        if self.baseline is not None and self.baseline != self.candidate:
            deltas = deltas - values[self.variants.index(self.baseline)]
        return deltas


class AllExamples:
    """Every example of a run's generation tasks, read from the store when first looked at.

    Args:
        store: Where the results lie.
        manifest: The run.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._run = RunContents(store, manifest)

    @cached_property
    def tasks(self) -> tuple[TaskOutputs, ...]:
        """The tasks that have outputs, in the suite's order; the deciding one first.

        Raises:
            StoreError: A result that the manifest names as finished is missing or unreadable.
        """
        run, manifest = self._run, self._run.manifest
        cells = [cell for cell in manifest.cells if task_facts(cell.kind).writes_texts]
        readings = read_results(run.store, cells, run.suite.tasks)
        primary, metric = run.primary or ("", "")
        names = dict.fromkeys(task for _, task in run.predictions)
        return tuple(
            _task(
                run,
                task,
                [reading for reading in readings if reading.score.task == task],
                {cell.variant: cell for cell in cells if cell.task == task},
                metric,
            )
            for task in sorted(names, key=lambda task: task != primary)
            if task in manifest.examples
        )


def _task(
    run: RunContents,
    task: str,
    readings: Sequence[Reading],
    cells: Mapping[str, CellResult],
    metric: str,
) -> TaskOutputs:
    variants = tuple(variant.id for variant in run.manifest.variants)
    made = {name: run.outputs_of(name, task) for name in variants}
    known = set().union(*made.values())
    read = run.examples_of(task).values()
    examples = tuple(example for example in read if example.id in known)
    outputs = tuple(tuple(made[name].get(example.id) for example in examples) for name in made)
    baseline, candidate = _sides(run.manifest, [name for name in variants if made[name]])
    own = sorted(readings, key=lambda reading: reading.score.metric != metric)
    return TaskOutputs(
        task=task,
        variants=variants,
        baseline=baseline,
        candidate=candidate,
        missing={name: _why(cells.get(name)) for name in variants if not made[name]},
        examples=examples,
        outputs=outputs,
        metrics=_values(own, variants, examples),
        flags=_flags(examples, outputs),
        groups=_groups(outputs),
    )


def _sides(manifest: Manifest, written: Sequence[str]) -> tuple[str | None, str]:
    """The baseline where it wrote anything, and the variant to look at."""
    baseline = manifest.baseline if manifest.baseline in written else None
    chosen = manifest.selection.chosen if manifest.selection else None
    if chosen in written:
        return baseline, str(chosen)
    others = [name for name in written if name != baseline]
    return baseline, others[-1] if others else written[0]


def _why(cell: CellResult | None) -> str:
    if cell is None:
        return "not part of this run"
    return f"{cell.status}: {cell.reason or 'no reason was recorded'}"


def _values(
    readings: Sequence[Reading], variants: Sequence[str], examples: Sequence[Example]
) -> tuple[Values, ...]:
    """Values of single examples by metric, those of all splits together."""
    place = {example.id: index for index, example in enumerate(examples)}
    by_metric: dict[str, Values] = {}
    for reading in readings:
        score, sample, quantity = reading.score, reading.sample, reading.quantity
        if sample is None or quantity is None:
            continue
        if score.metric not in by_metric:
            empty = np.full((len(variants), len(examples)), np.nan)
            by_metric[score.metric] = Values(
                score.metric, score.scale, score.higher_is_better, empty
            )
        held = np.array([place.get(name, -1) for name in sample.ids.tolist()], dtype=np.int64)
        alone = np.asarray(quantity.aggregate(sample.stats), dtype=np.float64)[held >= 0]
        row = by_metric[score.metric].values[variants.index(reading.variant)]
        row[held[held >= 0]] = np.where(np.isfinite(alone), alone, np.nan)
    return tuple(by_metric.values())


def _flags(examples: Sequence[Example], outputs: Sequence[Outputs]) -> NDArray[np.uint8]:
    """What is found of each output; variants that wrote the same share the work."""
    flags = np.zeros((len(outputs), len(examples)), dtype=np.uint8)
    for column, (example, made) in enumerate(
        zip(examples, zip(*outputs, strict=True), strict=True)
    ):
        phrases = findings.phrases_of(example.prompt.split())
        seen: dict[str, int] = {}
        for row, item in enumerate(made):
            if item is None:
                flags[row, column] = MISSING
                continue
            if item.text not in seen:
                words = item.text.split()
                copied = findings.share_of(words, phrases) >= findings.COPIED_SHARE
                # in the order of FINDINGS, of which the first two are not about the text
                held = (not words, findings.repeats_itself(words), copied)
                seen[item.text] = sum(bit << place for place, bit in enumerate(held, start=2))
            ended = (item.truncated_prompt_tokens > 0) | (item.finish_reason == "length") << 1
            flags[row, column] = seen[item.text] | ended
    return flags


def _groups(outputs: Sequence[Outputs]) -> NDArray[np.uint16]:
    """For each output the first variant that wrote the same text; missing ones are alike."""
    columns = []
    for made in zip(*outputs, strict=True):
        first: dict[str | None, int] = {}
        texts = (None if item is None else item.text.strip() for item in made)
        columns.append([first.setdefault(text, row) for row, text in enumerate(texts)])
    shape = (len(columns), len(outputs))
    return np.array(columns, dtype=np.uint16).reshape(shape).T.copy()
