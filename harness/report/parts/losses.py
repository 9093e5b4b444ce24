"""Where the choice loses against the baseline, read from a run's records."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from harness.checks.outputs import findings_of
from harness.report.parts.contents import RunContents
from harness.report.parts.examples import compared
from harness.report.parts.outputs import output_of
from harness.report.view.records import ExampleOutput, Loss, Losses, LostExample, MatrixRow
from harness.report.words.losses import loss_sentence
from harness.results.comparisons import comparison
from harness.results.losses import LossSummary, analyse_losses
from harness.results.scores import Key
from harness.results.strata import MEMBER, Group, OutputPair, example_groups
from harness.schema import Prediction
from harness.stats.panel import Panel, Quantity, Sample

_RESAMPLES = 2_000  # of documents pooled over the tasks of a group


def build_losses(run: RunContents) -> Losses:
    """Analyse the deciding metric on the report split, and all else that got worse.

    Of every task, the first metric on which the choice is shown worse than the baseline is taken.
    Tasks of a group are looked at together, over all their documents.
    """
    _, panels = run.matrix
    first = panels.get((*run.primary, "report")) if run.primary else None
    reason = None
    if first is None:
        reason = "There is no deciding metric on the report split with values of single examples."
    if not panels:
        return Losses(reason=reason)
    candidate, baseline = compared(first or next(iter(panels.values())), run.manifest)
    if baseline is None:
        return Losses(reason=reason or f"There is nothing to compare {candidate} with.")
    sides = baseline, candidate
    primary = None
    if first is not None:
        primary = _loss(run, first.quantity.task, first, sides)
        worst = _worst(run, first.quantity.task, first, primary.summary)
        primary = primary.model_copy(update={"worst": worst})
    return Losses(primary=primary, others=tuple(_others(run, first, sides)), reason=reason)


def _others(run: RunContents, primary: Panel | None, sides: tuple[str, str]) -> Iterator[Loss]:
    """One analysis for each task with a metric, the primary apart, that is shown worse."""
    rows, panels = run.matrix
    for task in dict.fromkeys(row.suite_task for row in rows):
        own = [row for row in rows if row.suite_task == task and row.split != "select"]
        for panel, members in _panels(task, own, panels):
            if panel is primary or not set(sides) <= set(panel.variants):
                continue
            if comparison(panel, *sides).better is False:
                yield _loss(run, task, panel, sides, members)
                break


def _loss(
    run: RunContents,
    task: str,
    panel: Panel,
    sides: tuple[str, str],
    members: Mapping[str, Sequence[str]] | None = None,
) -> Loss:
    """Analyse one panel: the candidate (second of the sides) against the baseline."""
    ids = [str(name) for name in panel.ids]
    groups: list[Group] = []
    notes: list[str] = []
    if members is None:
        outputs = OutputPair(*(run.outputs_of(variant, task) for variant in sides))
        groups, notes = example_groups(ids, run.examples_of(task), outputs, run.overlaps_of(task))
    elif len(members) > 1:
        place = {name: member for member, names in members.items() for name in names}
        owner = np.array([place[name] for name in ids])
        groups = [Group(MEMBER, member, owner == member) for member in members]
    summary = analyse_losses(panel, *sides, groups, members=members, notes=notes)
    return Loss(sentence=loss_sentence(summary), summary=summary)


def _worst(
    run: RunContents, task: str, panel: Panel, summary: LossSummary
) -> tuple[LostExample, ...]:
    """The worst examples with both outputs, and what is noticed of each."""
    examples = run.examples_of(task)
    place = {str(name): index for index, name in enumerate(panel.ids)}
    before, after = (run.outputs_of(v, task) for v in (summary.baseline, summary.candidate))

    def shown(item: Prediction | None, variant: str) -> ExampleOutput | None:
        if item is None:
            return None
        return output_of(item, variant, panel.per_example(variant), place[item.example_id])

    def noticed(item: Prediction | None, other: Prediction | None) -> tuple[str, ...]:
        return findings_of(item, examples[item.example_id].prompt, other) if item else ()

    return tuple(
        LostExample(
            id=name,
            gain=gain,
            prompt=examples[name].prompt,
            references=examples[name].references,
            baseline=shown(before.get(name), summary.baseline),
            candidate=shown(after.get(name), summary.candidate),
            baseline_findings=noticed(before.get(name), None),
            findings=noticed(after.get(name), before.get(name)),
        )
        for name, gain in summary.worst
        if name in examples
    )


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
