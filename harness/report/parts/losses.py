"""Where the choice loses against the baseline, read from a run's records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.checks.outputs import findings_of
from harness.report.parts.examples import Predictions, compared, output_of
from harness.report.view.records import Loss, Losses, LostExample, MatrixRow
from harness.report.words.losses import loss_sentence
from harness.results.comparisons import comparison
from harness.results.losses import LossSummary, analyse_losses
from harness.results.scores import Key
from harness.results.strata import MEMBER, Group, OutputPair, example_groups
from harness.schema import Example, Manifest, Prediction
from harness.stats.panel import Panel, Quantity, Sample
from harness.store.runs import Store

_RESAMPLES = 2_000  # of documents pooled over the tasks of a group


def build_losses(
    store: Store,
    manifest: Manifest,
    rows: Sequence[MatrixRow],
    panels: Mapping[Key, Panel],
    predictions: Predictions,
    primary: tuple[str, str] | None,
) -> Losses:
    """Analyse the deciding metric on the report split, and all else that got worse.

    Of every task, the first metric on which the choice is shown worse than the baseline is taken.
    Tasks of a group are looked at together, over all their documents.

    Args:
        store: Where the examples lie.
        manifest: The run.
        rows: The matrix.
        panels: Statistics by task, metric and split.
        predictions: What was generated.
        primary: Task and metric that decide.

    Raises:
        StoreError: The examples are missing or unreadable.
    """
    first = panels.get((*primary, "report")) if primary else None
    reason = None
    if first is None:
        reason = "There is no deciding metric on the report split with values of single examples."
    if not panels:
        return Losses(reason=reason)
    candidate, baseline = compared(first or next(iter(panels.values())), manifest)
    if baseline is None:
        return Losses(reason=reason or f"There is nothing to compare {candidate} with.")
    maker = _Maker(store, manifest, predictions, baseline, candidate)
    return Losses(
        primary=maker.loss(first.quantity.task, first, worst=True) if first else None,
        others=tuple(maker.others(rows, panels, first)),
        reason=reason,
    )


class _Maker:
    """Makes the analyses of one run; examples are read once."""

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        predictions: Predictions,
        baseline: str,
        candidate: str,
    ) -> None:
        self._store, self._manifest, self._predictions = store, manifest, predictions
        self._baseline, self._candidate = baseline, candidate
        self._examples: dict[str, dict[str, Example]] = {}

    def others(
        self, rows: Sequence[MatrixRow], panels: Mapping[Key, Panel], primary: Panel | None
    ) -> Iterator[Loss]:
        """One analysis for each task with a metric, the primary apart, that is shown worse."""
        for task in dict.fromkeys(row.suite_task for row in rows):
            own = [row for row in rows if row.suite_task == task and row.split != "select"]
            for panel, members in _panels(task, own, panels):
                both = {self._baseline, self._candidate} <= set(panel.variants)
                if panel is primary or not both:
                    continue
                if comparison(panel, self._baseline, self._candidate).better is False:
                    yield self.loss(task, panel, members)
                    break

    def loss(
        self,
        task: str,
        panel: Panel,
        members: Mapping[str, Sequence[str]] | None = None,
        *,
        worst: bool = False,
    ) -> Loss:
        """Analyse one panel; with its worst examples where asked for."""
        ids = [str(name) for name in panel.ids]
        groups: list[Group] = []
        notes: list[str] = []
        if members is None:
            groups, notes = example_groups(ids, self._known(task), self._outputs(task))
        elif len(members) > 1:
            place = {name: member for member, names in members.items() for name in names}
            owner = np.array([place[name] for name in ids])
            groups = [Group(MEMBER, member, owner == member) for member in members]
        summary = analyse_losses(
            panel, self._baseline, self._candidate, groups, members=members, notes=notes
        )
        examples = self._worst(task, panel, summary) if worst else ()
        return Loss(sentence=loss_sentence(summary), summary=summary, worst=examples)

    def _worst(self, task: str, panel: Panel, summary: LossSummary) -> tuple[LostExample, ...]:
        examples = self._known(task)
        outputs = self._outputs(task)
        place = {str(name): index for index, name in enumerate(panel.ids)}
        lost = []
        for name, gain in summary.worst:
            example = examples.get(name)
            before, after = outputs.baseline.get(name), outputs.candidate.get(name)
            if example is None:
                continue
            sides = (
                (before, summary.baseline, None),
                (after, summary.candidate, before),
            )
            shown = [
                output_of(item, variant, panel.per_example(variant), place[name]) if item else None
                for item, variant, _ in sides
            ]
            findings = [
                findings_of(item, example.prompt, other) if item else () for item, _, other in sides
            ]
            lost.append(
                LostExample(
                    id=name,
                    gain=gain,
                    prompt=example.prompt,
                    references=example.references,
                    baseline=shown[0],
                    candidate=shown[1],
                    baseline_findings=findings[0],
                    findings=findings[1],
                )
            )
        return tuple(lost)

    def _known(self, task: str) -> Mapping[str, Example]:
        """Examples of a task by id; none where the task brings its own documents."""
        if task not in self._examples:
            key = self._manifest.examples.get(task)
            read = self._store.read_records("examples", key, "examples", Example) if key else []
            self._examples[task] = {example.id: example for example in read}
        return self._examples[task]

    def _outputs(self, task: str) -> OutputPair:
        def of(variant: str) -> dict[str, Prediction]:
            return {item.example_id: item for item in self._predictions.get((variant, task), ())}

        return OutputPair(of(self._baseline), of(self._candidate))


def _panels(
    task: str, rows: Sequence[MatrixRow], panels: Mapping[Key, Panel]
) -> Iterator[tuple[Panel, Mapping[str, Sequence[str]] | None]]:
    """Panels of a suite's task, one per metric, with the documents of each member for lm-eval."""
    for metric, split in dict.fromkeys((row.metric, row.split) for row in rows):
        own = [row for row in rows if (row.metric, row.split) == (metric, split)]
        held = {row.task: panels[key] for row in own if (key := _key(row)) in panels}
        if not held:
            continue
        if own[0].kind != "lm_eval":
            yield held[own[0].task], None
            continue
        leaves = {name: panel for name, panel in held.items() if not _is_group(task, panel, held)}
        if len(leaves) == 1:
            (name, panel), *_ = leaves.items()
            yield panel, {name: [str(text) for text in panel.ids]}
        elif leaves:
            yield _pooled(task, leaves)


def _key(row: MatrixRow) -> Key:
    return (row.task, row.metric, row.split)


def _is_group(task: str, panel: Panel, held: Mapping[str, Panel]) -> bool:
    """Whether a panel repeats the documents of leaves: their ids carry the leaf's name."""
    leaf = str(panel.ids[0]).rpartition("/")[0]
    return f"{task}/{leaf}" in held


def _pooled(task: str, leaves: Mapping[str, Panel]) -> tuple[Panel, Mapping[str, Sequence[str]]]:
    """All documents of a group's tasks as one panel of the variants that all of them have."""
    first = next(iter(leaves.values()))
    own = first.quantity
    quantity = Quantity(task, own.metric, own.split, own.aggregate, own.higher_is_better, own.scale)
    members: dict[str, list[str]] = {}
    clusters: list[str] = []
    for leaf, panel in leaves.items():
        name = leaf.removeprefix(f"{task}/")
        members[name] = [f"{name}/{text}" for text in panel.ids]
        clusters += [f"{name}/{code}" for code in panel.resamples.codes]
    ids = np.array([name for texts in members.values() for name in texts])
    variants = [v for v in first.variants if all(v in p.variants for p in leaves.values())]
    samples = [
        Sample(
            name, ids, np.array(clusters), np.concatenate([p.stats(name) for p in leaves.values()])
        )
        for name in variants
    ]
    return Panel(quantity, samples, n_resamples=_RESAMPLES), members
