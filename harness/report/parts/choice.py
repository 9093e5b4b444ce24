"""What is claimed for the chosen checkpoint, on examples that the choice did not read."""

from collections.abc import Iterator, Sequence

from harness.report.parts.matrix import Panels
from harness.report.view.records import Choice, Held, MatrixRow
from harness.report.words.comparison import detectable
from harness.results.comparisons import comparison, equivalence
from harness.results.scores import Reading
from harness.schema import Comparison, Equivalence, Manifest, Variant
from harness.select.constraints import score_of
from harness.stats.panel import Panel
from harness.suite.deciding import CANDIDATES
from harness.suite.record import suite_of
from harness.suite.rules import margin_for, margin_in_own_unit, margin_unit


def build_choice(
    manifest: Manifest, readings: Sequence[Reading], panels: Panels, row: MatrixRow | None
) -> Choice:
    """Gather what is claimed for the chosen checkpoint.

    Args:
        manifest: The run.
        readings: Its scores.
        panels: Statistics by task, metric and split.
        row: The primary metric on the report split.
    """
    chosen = manifest.selection.chosen if manifest.selection else None
    if chosen is None:
        return Choice()
    held = tuple(_held(manifest, readings, chosen))
    cell = row.cell(chosen) if row else None
    if row is None or cell is None:
        return Choice(held=held)
    panel = panels.get((row.task, row.metric, row.split))
    forms = manifest.merged_forms(chosen)
    return Choice(
        figure=cell.figure,
        comparison=cell.comparison,
        mde=detectable(cell.comparison) if cell.comparison else None,
        held=held,
        merged=tuple(_equivalent(manifest, panel, row, chosen, form) for form in forms),
        rival=_rival(manifest, panel, chosen),
    )


def _rival(manifest: Manifest, panel: Panel | None, chosen: str) -> Comparison | None:
    """The best other checkpoint against the choice, where it is distinguishably better."""
    if panel is None or chosen not in panel.variants:
        return None
    others = {v.id for v in manifest.variants if v.kind in CANDIDATES} - {chosen}
    sign = 1.0 if panel.quantity.higher_is_better else -1.0
    values = {v: sign * value for v in others if (value := _value(panel, v)) is not None}
    if not values:
        return None
    best = comparison(panel, chosen, max(sorted(values), key=values.__getitem__))
    return best if best.better else None


def _value(panel: Panel, variant: str) -> float | None:
    return panel.value(variant) if variant in panel.variants else None


def _held(manifest: Manifest, readings: Sequence[Reading], chosen: str) -> Iterator[Held]:
    """Constrained scores of the choice, on what the constraints did not read."""
    if chosen == manifest.baseline:
        return
    checks = manifest.selection.constraints if manifest.selection else ()
    own = [check.what for check in checks if check.variant == chosen]
    suite = suite_of(manifest)
    for constraint, what in zip(suite.select.constraints, own, strict=False):
        if constraint.task is None:
            continue
        score = score_of(constraint, suite, manifest.baseline, readings, "report")
        panel = score.panel(chosen)
        if isinstance(panel, Panel):
            compared = comparison(panel, manifest.baseline, chosen)
            yield Held(what=what, scale=panel.quantity.scale, comparison=compared)


def _equivalent(
    manifest: Manifest, panel: Panel | None, row: MatrixRow, chosen: str, merged: Variant
) -> Equivalence:
    """Two one-sided tests of the merged model against the adapter."""
    rule = suite_of(manifest).select.equivalence_margin
    margin = margin_for(rule, margin_unit(row.scale, row.unit))
    reference = _value(panel, chosen) if panel is not None else None
    own = margin_in_own_unit(margin, reference or 0.0, row.scale)
    if panel is None or reference is None or merged.id not in panel.variants:
        lacking = merged.id if reference is not None else chosen
        return Equivalence(
            task=row.task,
            metric=row.metric,
            split=row.split,
            first=chosen,
            second=merged.id,
            n=row.n,
            delta=None,
            margin=own,
            reason=_why_missing(manifest, lacking, row) or f"{lacking} has no score to compare",
        )
    test = equivalence(panel, chosen, merged.id, own)
    return test.model_copy(update={"proved": merged.proof is not None})


def _why_missing(manifest: Manifest, variant: str, row: MatrixRow) -> str | None:
    """Why a variant has no score, where its cell failed."""
    own = [c for c in manifest.cells if (c.variant, c.task) == (variant, row.suite_task)]
    return own[0].reason if own else None
