"""Ten examples side by side, and how the outputs of every variant ended."""

import numpy as np

from harness.metrics.names import metric_name
from harness.report.parts.contents import RunContents
from harness.report.parts.outputs import finite, output_of
from harness.report.view.records import Examples, ExampleView
from harness.schema import Manifest
from harness.stats.panel import Panel

N_SHOWN = 10
_GAINS, _LOSSES = 4, 3  # the rest are middling ones
_HOW = (
    "Of the report split, the largest gains ({gains}), the largest losses ({losses}) and the "
    "most middling differences ({middle}) of {candidate} against {baseline} in {metric}; "
    "equal differences in the order of the example ids."
)
_HOW_ALONE = (
    "Of the report split, the best ({gains}), the worst ({losses}) and the most middling "
    "({middle}) of {candidate} in {metric}; equal values in the order of the example ids."
)


def build_examples(run: RunContents) -> Examples:
    """Pick examples of the primary task and lay every variant's output beside the reference.

    Returns:
        At most ten examples, or none with the reason.
    """
    if run.primary is None:
        return Examples(reason="The suite has no task that decides, so there is none to show.")
    task, metric = run.primary
    manifest, panel = run.manifest, run.matrix[1].get((task, metric, "report"))
    written = any(name == task for _, name in run.predictions)
    if panel is None or task not in manifest.examples or not written:
        return Examples(
            task=task,
            metric=metric,
            reason=f"There are no outputs of {task} on the report split that could be shown.",
        )
    picks, how = _picks(panel, manifest)
    examples = run.examples_of(task)
    texts = {v.id: run.outputs_of(v.id, task) for v in manifest.variants}
    values = {name: panel.per_example(name) for name in panel.variants}
    candidate, baseline = compared(panel, manifest)
    first = [name for name in (baseline, candidate) if name is not None]
    order = dict.fromkeys([*first, *(variant.id for variant in manifest.variants)])
    items = tuple(
        ExampleView(
            id=example.id,
            picked=picked,
            delta=delta,
            prompt=example.prompt,
            references=example.references,
            outputs=tuple(
                output_of(item, name, values.get(name), index)
                for name in order
                if (item := texts[name].get(example.id)) is not None
            ),
        )
        for index, picked, delta in picks
        if (example := examples.get(str(panel.ids[index]))) is not None
    )
    return Examples(how=how, task=task, metric=metric, items=items)


def _picks(panel: Panel, manifest: Manifest) -> tuple[list[tuple[int, str, float | None]], str]:
    """Rows of the panel to show, each with why and its difference; and how they were picked."""
    candidate, baseline = compared(panel, manifest)
    sign = 1.0 if panel.quantity.higher_is_better else -1.0
    values = panel.per_example(candidate)
    if baseline is not None:
        values = values - panel.per_example(baseline)
    gains = np.where(np.isfinite(values), sign * values, 0.0)
    order = sorted(range(len(gains)), key=lambda row: (-gains[row], str(panel.ids[row])))
    paired = baseline is not None
    best = [row for row in order[:_GAINS] if gains[row] > 0 or not paired]
    rest = [row for row in order if row not in best]
    worst = [row for row in rest[-_LOSSES:] if gains[row] < 0 or not paired]
    rest = [row for row in rest if row not in worst]
    median = float(np.median(gains))
    rest.sort(key=lambda row: (abs(gains[row] - median), str(panel.ids[row])))
    middle = rest[: N_SHOWN - len(best) - len(worst)]
    words = ("gain", "middling", "loss") if paired else ("best", "middling", "worst")
    picks = [
        (row, word, finite(values[row]) if paired else None)
        for rows, word in zip((best, middle, worst), words, strict=True)
        for row in rows
    ]
    how = (_HOW if paired else _HOW_ALONE).format(
        gains=len(best),
        losses=len(worst),
        middle=len(middle),
        candidate=candidate,
        baseline=baseline,
        metric=metric_name(panel.quantity.metric),
    )
    return picks, how


def compared(panel: Panel, manifest: Manifest) -> tuple[str, str | None]:
    """The variant looked at, and the baseline where it is another one that was scored too."""
    baseline = manifest.baseline if manifest.baseline in panel.variants else None
    chosen = manifest.selection.chosen if manifest.selection else None
    if chosen is None or chosen not in panel.variants:
        others = [name for name in panel.variants if name != baseline]
        chosen = others[-1] if others else panel.variants[0]
    return chosen, baseline if baseline != chosen else None
