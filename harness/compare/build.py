"""From several runs' records to what their comparison says.

Scores are paired by example, exactly as variants of one run are; when they may be,
:mod:`harness.compare.pairing` says.
"""

import dataclasses
import shlex
from collections.abc import Sequence

from harness.compare.facts import run_facts, setting_differences
from harness.compare.pairing import Side, SidePair
from harness.compare.view import How, RunsView
from harness.errors import PairingError, UsageError
from harness.report.parts.matrix import ResampleCache, compare_with, figure_of, marks_of, row_of
from harness.report.view.records import MatrixCell, MatrixRow
from harness.results.comparisons import comparison
from harness.results.pairing import FORM
from harness.results.scores import Key, Reading, read_results
from harness.schema import Comparison, Manifest, Variant
from harness.stats.panel import Panel
from harness.stats.significance import holm
from harness.store.runs import Store, usual_root
from harness.suite.deciding import CANDIDATES, CLAIMED, primary_metric
from harness.suite.record import suite_of


def build_comparison(
    runs: Sequence[tuple[Store, Manifest]], variant: str | None = None
) -> RunsView:
    """Read several runs and work out how the others compare with the first.

    Args:
        runs: Two runs or more, each with its store; the first is the reference.
        variant: The variant to compare in all runs; by default each run's choice, else its last
            checkpoint, else its base.

    Raises:
        UsageError: There is one run only, a run is named twice, or lacks the variant.
        StoreError: A result that a manifest names as finished is missing or unreadable.
    """
    labels = run_labels(runs)
    sides: list[Side] = []
    bases: list[Side] = []
    picked: list[tuple[How, str]] = []
    for label, (store, manifest) in zip(labels, runs, strict=True):
        chosen, how = _pick(manifest, variant, label)
        picked.append(how)
        sides.append(_side(label, store, manifest, chosen))
        base = next(v for v in manifest.variants if v.id == manifest.baseline)
        bases.append(sides[-1] if base == chosen else _side(label, store, manifest, base))
    primary = _claimed_key(sides[0])
    rows, panels = _rows(sides, primary)
    base_rows, _ = _rows(bases, None)
    adjusted = _adjusted(panels.get(primary) if primary else None)
    summaries = []
    for side, own, how in zip(sides, bases, picked, strict=True):
        facts = run_facts(side, how, _primary(side), _over_base(side, own, primary))
        known = {"p_holm": adjusted.get(side.label), "remarks": _remarks(sides[0], side)}
        summaries.append(facts.model_copy(update=known))
    return RunsView(
        runs=tuple(summaries),
        asked=variant,
        rows=rows,
        base_rows=base_rows,
        differences=tuple(setting_differences([side.manifest for side in sides])),
        command=_command(runs, variant),
    )


def run_labels(runs: Sequence[tuple[Store, Manifest]]) -> list[str]:
    """What each run is called: its suite, with the run's id and the folder where that is needed.

    Raises:
        UsageError: There is one run only, or one is named twice.
    """
    if len(runs) < 2:
        raise UsageError(
            f"A comparison needs two runs or more, found {len(runs)}.",
            hint="Name the runs: harness report RUN RUN; harness runs lists them.",
        )
    places = [(str(store.root.resolve()), m.suite, m.run_id) for store, m in runs]
    for place, (root, suite, run_id) in enumerate(places):
        if places.index((root, suite, run_id)) < place:
            raise UsageError(
                f"This run is named twice: {suite}/{run_id} in {root}.",
                where="RUN",
                hint="A suite's name is its latest run; name another as SUITE/RUN-ID "
                "(harness runs lists them).",
            )
    suites = [suite for _, suite, _ in places]
    ids = [(suite, run_id) for _, suite, run_id in places]
    labels = []
    for root, suite, run_id in places:
        if suites.count(suite) == 1:
            labels.append(suite)
        elif ids.count((suite, run_id)) == 1:
            labels.append(f"{suite}/{run_id}")
        else:  # of one suite on two machines: the run id is the digest of the suite
            labels.append(f"{root}/{suite}/{run_id}")
    return labels


def _command(runs: Sequence[tuple[Store, Manifest]], variant: str | None) -> str:
    """The command that makes this comparison again, where this one was called."""
    roots = {store.root for store, _ in runs}
    words = ["harness", "report"]
    if len(roots) == 1:
        words += [manifest.name for _, manifest in runs]
        words += [] if roots == {usual_root()} else ["--runs-dir", str(next(iter(roots)))]
    else:
        words += [str(store.run_dir(m.suite, m.run_id)) for store, m in runs]
    return shlex.join([*words, *(["--variant", variant] if variant else [])])


def _pick(manifest: Manifest, asked: str | None, label: str) -> tuple[Variant, tuple[How, str]]:
    """The variant to compare; how it was picked, and the same in words."""
    variants = {variant.id: variant for variant in manifest.variants}
    if asked is not None:
        if asked not in variants:
            raise UsageError(
                f"{label} has no variant {asked!r}; it has {', '.join(variants)}.",
                where="--variant",
                hint="Name one that all of the runs have, or leave --variant out to compare "
                "their choices.",
            )
        return variants[asked], ("named", "asked for by --variant")
    selection = manifest.selection
    if selection is not None and selection.chosen in variants:
        what = f"{selection.metric} of {selection.task} on {selection.split}"
        return variants[str(selection.chosen)], ("chosen", f"the run's choice, by {what}")
    trained = [v for v in manifest.variants if v.kind in CANDIDATES]
    if trained:
        why = "no checkpoint was chosen" + (
            f": {selection.reason.removesuffix('.')}" if selection else ""
        )
        steps = [v.step for v in trained]
        order = [len(steps) if None in steps else step or 0 for step in steps]
        last = len(steps) - 1 - order[::-1].index(max(order))
        by = "the last checkpoint" if None not in steps else "the last checkpoint by name"
        return trained[last], ("last", f"{by}, because {why}")
    return variants[manifest.baseline], ("base", "the base, because the run has no checkpoint")


def _side(label: str, store: Store, manifest: Manifest, variant: Variant) -> Side:
    cells = {cell.task: cell for cell in manifest.cells if cell.variant == variant.id}
    suite = suite_of(manifest)
    readings = {
        reading.key: _renamed(reading, label)
        for reading in read_results(store, cells.values(), suite.tasks)
    }
    return Side(label, store, manifest, variant, readings, cells, suite)


def _renamed(reading: Reading, name: str) -> Reading:
    sample = reading.sample
    if sample is not None:
        sample = dataclasses.replace(sample, variant=name)
    return dataclasses.replace(reading, variant=name, sample=sample)


def _claimed_key(side: Side) -> Key | None:
    """A run's primary metric on the first split that there is of those that are claimed."""
    primary = _primary(side)
    keys = ((*primary, split) for split in CLAIMED) if primary else ()
    return next((key for key in keys if key in side.readings), None)


def _primary(side: Side) -> tuple[str, str] | None:
    selection = side.manifest.selection
    if selection is not None and selection.task:
        return selection.task, selection.metric
    return primary_metric(side.suite)


def _rows(
    sides: Sequence[Side], primary: Key | None
) -> tuple[tuple[MatrixRow, ...], dict[Key, Panel]]:
    """One row per score of any run, in the order of the reference's tasks, then of the others'."""
    weights = ResampleCache(sides[0].suite.seed)
    order = list(dict.fromkeys(t for side in sides for t in side.suite.tasks))
    kinds: dict[tuple[Key, object], list[Side]] = {}
    for side in sides:
        for key, reading in side.readings.items():
            form = (reading.kind, *(getattr(reading.score, name) for name in FORM))
            kinds.setdefault((key, form), []).append(side)
    rows: list[MatrixRow] = []
    panels: dict[Key, Panel] = {}
    for (key, _), held in kinds.items():
        row, panel = _row(sides, held, key, weights, primary)
        rows.append(row)
        if panel is not None:
            panels.setdefault(key, panel)
    rows.sort(
        key=lambda row: (
            order.index(row.suite_task) if row.suite_task in order else len(order),
            row.task != row.suite_task,
        )
    )
    return tuple(rows), panels


def _row(
    sides: Sequence[Side],
    held: Sequence[Side],
    key: Key,
    weights: ResampleCache,
    primary: Key | None,
) -> tuple[MatrixRow, Panel | None]:
    reference, first = sides[0], held[0].readings[key]
    panel, unpaired = _panel(reference, held, key, weights)
    marks = marks_of(panel) if panel else {}
    cells = []
    for side in sides:
        reading = side.readings.get(key)
        if reading is None:
            cells.append(MatrixCell(variant=side.label, missing=side.missing(first.suite_task)))
        elif side not in held:
            other = "the score has another unit or direction, see the other row of this name"
            cells.append(MatrixCell(variant=side.label, missing=other))
        else:
            paired = panel if panel and side.label in panel.variants else None
            figure = figure_of(reading, paired or _alone(reading, weights))
            change = compare_with(reference.label, reading, paired, unpaired)
            mark = marks.get(side.label)
            cells.append(
                MatrixCell(variant=side.label, figure=figure, comparison=change, mark=mark)
            )
    readings = [side.readings[key] for side in held]
    decides = key == primary and reference in held
    tasks, n = held[0].suite.tasks, first.score.n
    return row_of(readings, cells, tasks, primary=decides, n=n), panel


def _panel(
    reference: Side, held: Sequence[Side], key: Key, weights: ResampleCache
) -> tuple[Panel | None, dict[str, str]]:
    """The reference and all that can be paired with it, and why the others cannot."""
    if reference not in held:
        return None, {side.label: f"{reference.label} has no such score" for side in held}
    own = reference.readings[key]
    unpaired, samples = {}, []
    for side in held[1:]:
        reason = SidePair(reference, side).refusal(key)
        sample = side.readings[key].sample
        if reason is not None or sample is None:
            unpaired[side.label] = reason or "it has no per-example statistics"
        else:
            samples.append(sample)
    if own.sample is None or own.quantity is None:
        return None, unpaired
    return Panel(own.quantity, [own.sample, *samples], resamples=weights.of(own.sample)), unpaired


def _alone(reading: Reading, weights: ResampleCache) -> Panel | None:
    if reading.sample is None or reading.quantity is None:
        return None
    return Panel(reading.quantity, [reading.sample], resamples=weights.of(reading.sample))


def _adjusted(panel: Panel | None) -> dict[str, float]:
    """Holm's p-values of the deciding metric, over all runs that were compared."""
    if panel is None:
        return {}
    reference, *others = panel.variants
    p_values = {name: comparison(panel, reference, name).p_value for name in others}
    return holm({name: p for name, p in p_values.items() if p is not None})


def _remarks(reference: Side, side: Side) -> dict[str, tuple[str, ...]]:
    """Prompts and decoding in which a run differs from the reference, by task."""
    if side is reference:
        return {}
    pair = SidePair(reference, side)
    return {task: lines for task in side.cells if (lines := pair.remarks(task))}


def _over_base(side: Side, base: Side, key: Key | None) -> Comparison | None:
    """What the compared variant gains over its own run's baseline on the deciding metric."""
    if side is base or key is None or key not in side.readings:
        return None
    name, start = side.variant.id, base.variant.id
    own, before = side.readings[key], base.readings.get(key)
    if before is None or before.sample is None or own.sample is None or own.quantity is None:
        reason = (before.reason if before else base.missing(own.suite_task)) or own.reason
        return compare_with(start, _renamed(own, name), None, {name: reason or "not known"})
    samples = [dataclasses.replace(before.sample, variant=start)]
    samples += [dataclasses.replace(own.sample, variant=name)]
    try:
        panel = Panel(own.quantity, samples, seed=side.suite.seed)
    except PairingError as error:
        return compare_with(start, _renamed(own, name), None, {name: error.problem})
    return comparison(panel, start, name)
