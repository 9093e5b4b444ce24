"""The matrix: every score with its interval and its paired difference from the baseline."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from scipy import special

from harness.errors import PairingError
from harness.report.view.records import Figure, Mark, MatrixCell, MatrixRow
from harness.results.comparisons import comparison
from harness.results.scores import Key, Reading, group_by_key
from harness.schema import CellResult, Comparison, Manifest
from harness.stats.intervals import CONFIDENCE, Interval, interval
from harness.stats.panel import Panel, Sample, aligned
from harness.stats.resampling import Resamples
from harness.suite.record import suite_of
from harness.suite.spec import LmEvalTask, Suite, TaskSpec

Panels = dict[Key, Panel]

# fields of a score that a row has under the same name
_OF_SCORE = {"task", "metric", "split", "unit", "scale", "higher_is_better"}


class ResampleCache:
    """Resamples, drawn once for all metrics of the same examples."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._held: tuple[bytes, Resamples] | None = None

    def of(self, sample: Sample) -> Resamples:
        """ResampleCache of a sample's clusters; only the latest are held, to bound memory."""
        name = sample.clusters.tobytes()
        if self._held is None or self._held[0] != name:
            self._held = (name, Resamples(sample.clusters, seed=self._seed))
        return self._held[1]


def build_matrix(
    manifest: Manifest, readings: Sequence[Reading], primary: tuple[str, str] | None
) -> tuple[tuple[MatrixRow, ...], Panels]:
    """Intervals and comparisons of all scores.

    Args:
        manifest: The run; its order of tasks and variants is the matrix' order.
        readings: Its scores.
        primary: Task and metric that decide.

    Returns:
        Rows in the suite's order of tasks, a group before its subjects; and the panel behind each
        row that has statistics.
    """
    suite = suite_of(manifest)
    weights = ResampleCache(suite.seed)
    order = {task: place for place, task in enumerate(suite.tasks)}
    groups = group_by_key(readings)
    panels: Panels = {}
    rows: list[MatrixRow] = []
    for key, group in groups.items():
        by_variant = {reading.variant: reading for reading in group}
        panel, unpaired = _panel(manifest, by_variant, weights)
        if panel is not None:
            panels[key] = panel
        rows.append(_row(manifest, suite, key, by_variant, panel, unpaired, primary))
    rows.sort(key=lambda row: (order.get(row.suite_task, len(order)), row.task != row.suite_task))
    return tuple(rows), panels


def _panel(
    manifest: Manifest, by_variant: dict[str, Reading], weights: ResampleCache
) -> tuple[Panel | None, dict[str, str]]:
    """All variants that can be paired with the baseline, and why the others cannot."""
    names = [manifest.baseline, *(v.id for v in manifest.variants if v.id != manifest.baseline)]
    held = [by_variant[name] for name in names if name in by_variant]
    samples = [reading.sample for reading in held if reading.sample is not None]
    quantity = next((reading.quantity for reading in held if reading.quantity is not None), None)
    if quantity is None:
        return None, {}
    paired, unpaired = [], {}
    for sample in samples:
        try:
            aligned(samples[0], sample)
        except PairingError as error:
            unpaired[sample.variant] = error.problem
        else:
            paired.append(sample)
    if not paired:
        return None, unpaired
    return Panel(quantity, paired, resamples=weights.of(paired[0])), unpaired


def _row(
    manifest: Manifest,
    suite: Suite,
    key: Key,
    by_variant: dict[str, Reading],
    panel: Panel | None,
    unpaired: dict[str, str],
    primary: tuple[str, str] | None,
) -> MatrixRow:
    readings = [*by_variant.values()]
    marks = marks_of(panel) if panel else {}
    cells = []
    for name in (variant.id for variant in manifest.variants):
        if reading := by_variant.get(name):
            figure = figure_of(reading, panel)
            change = compare_with(manifest.baseline, reading, panel, unpaired)
            cells.append(
                MatrixCell(variant=name, figure=figure, comparison=change, mark=marks.get(name))
            )
        else:
            missing = _why_missing(manifest.cells, name, readings[0].suite_task)
            cells.append(MatrixCell(variant=name, missing=missing))
    n = max(reading.score.n for reading in readings)
    return row_of(readings, cells, suite.tasks, primary=primary == key[:2], n=n)


def row_of(
    readings: Sequence[Reading],
    cells: Iterable[MatrixCell],
    tasks: Mapping[str, TaskSpec],
    *,
    primary: bool,
    n: int,
) -> MatrixRow:
    """A row of the matrix: scores of one task, metric and split; the first says what they are."""
    first, score = readings[0], readings[0].score
    signatures = dict.fromkeys(r.score.signature for r in readings if r.score.signature)
    return MatrixRow(
        **score.model_dump(include=_OF_SCORE),
        suite_task=first.suite_task,
        kind=first.kind,
        primary=primary,
        n=n,
        num_fewshot=shots_of(tasks.get(first.suite_task), score.signature),
        signature=" / ".join(signatures),
        cells=tuple(cells),
    )


def figure_of(reading: Reading, panel: Panel | None) -> Figure:
    """A score with its interval: of the panel, else of its own sample, else of its own error."""
    score, sample = reading.score, reading.sample
    estimate: Interval | None = None
    if panel and reading.variant in panel.variants:
        estimate = panel.interval(reading.variant)
    elif sample is not None and panel is not None:  # not on the baseline's examples: on its own
        estimate = interval(
            sample.stats,
            panel.quantity.aggregate,
            Resamples(sample.clusters),
            scale=panel.quantity.scale,
            share=panel.is_share,
        )
    if estimate is not None:
        known = asdict(estimate) | {"reason": estimate.reason or score.reason}
        known |= {"value": score.value} if estimate.value is None else {}
        return Figure(**known, stderr=score.stderr)
    if score.value is not None and score.stderr is not None:
        reach = float(special.ndtri((1 + CONFIDENCE) / 2)) * score.stderr
        return Figure(
            value=score.value,
            low=score.value - reach,
            high=score.value + reach,
            n=score.n,
            method="normal, from the tool's own standard error",
            stderr=score.stderr,
        )
    reason = score.reason or reading.reason
    return Figure(value=score.value, n=score.n, reason=reason, stderr=score.stderr)


def compare_with(
    baseline: str, reading: Reading, panel: Panel | None, unpaired: dict[str, str]
) -> Comparison | None:
    """A score's paired difference from the baseline, or why there is none; None for itself.

    Args:
        baseline: Variant id.
        reading: The score.
        panel: Samples that can be paired, those of the baseline among them.
        unpaired: Why others cannot, by variant.
    """
    name = reading.variant
    if name == baseline:
        return None
    if panel and name in panel.variants and baseline in panel.variants:
        return comparison(panel, baseline, name)
    task, metric, split = reading.key
    reason = unpaired.get(name) or reading.reason or f"{baseline} has no score to compare with"
    return Comparison(
        task=task,
        metric=metric,
        split=split,
        baseline=baseline,
        candidate=name,
        n=reading.score.n,
        delta=None,
        reason=reason,
    )


def marks_of(panel: Panel) -> dict[str, Mark]:
    """Mark the best where at least one variant is distinguishably worse than it."""
    sign = 1.0 if panel.quantity.higher_is_better else -1.0
    values = {name: value for name in panel.variants if (value := panel.value(name)) is not None}
    if len(values) < 2:
        return {}
    best = max(values, key=lambda name: sign * values[name])
    tied = [best]
    for name in values:
        if name == best:
            continue
        difference = panel.difference(name, best)
        if (
            difference.identical
            or difference.low is None
            or difference.high is None
            or difference.low <= 0 <= difference.high
        ):
            tied.append(name)
    if len(tied) == len(values):
        return {}
    return dict.fromkeys(tied, "best" if len(tied) == 1 else "tied")


def shots_of(task: TaskSpec | None, signature: str) -> int | None:
    """The number of shots: as the suite says, else as lm-eval's own task has it."""
    asked = task.num_fewshot if isinstance(task, LmEvalTask) else None
    shots = re.search(r"\|nshot:(\d+)(?:\||$)", signature)
    return int(shots[1]) if asked is None and shots else asked


def _why_missing(cells: Sequence[CellResult], variant: str, task: str) -> str:
    for cell in cells:
        if (cell.variant, cell.task) == (variant, task):
            if cell.status != "done":
                return f"{cell.status}: {cell.reason or 'no reason was recorded'}"
            return "the cell is finished, but gives no such score"
    return "not part of this run"
