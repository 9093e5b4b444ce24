"""From a run's records to what its report says."""

from __future__ import annotations

from harness.ratings.summary import summarise, why_none
from harness.report.parts.choice import build_choice
from harness.report.parts.costs import build_measurements, build_trade_off
from harness.report.parts.examples import build_examples, output_health, read_predictions
from harness.report.parts.losses import build_losses
from harness.report.parts.matrix import build_matrix
from harness.report.view.records import Provenance, View
from harness.report.words.verdict import build_verdict
from harness.results.scores import read_results
from harness.schema import Manifest, TrainingRun
from harness.store.runs import Store
from harness.suite.deciding import primary_metric
from harness.suite.record import suite_of


def build_view(store: Store, manifest: Manifest) -> View:
    """Read everything a run names and work out what the report says.

    Args:
        store: Where the results lie.
        manifest: The run.

    Raises:
        StoreError: A result that the manifest names as finished is missing or unreadable.
    """
    suite = suite_of(manifest)
    primary = primary_metric(suite)
    if manifest.selection is not None and manifest.selection.task:
        primary = (manifest.selection.task, manifest.selection.metric)
    readings = read_results(store, manifest.cells, suite.tasks)
    rows, panels = build_matrix(manifest, readings, primary)
    deciding = [row for row in rows if row.primary and row.split == "report"]
    choice = build_choice(manifest, readings, panels, deciding[0] if deciding else None)
    measurements = build_measurements(store, manifest)
    trade_off = build_trade_off(manifest, measurements, deciding[0] if deciding else None)
    predictions = read_predictions(store, manifest)
    human = summarise(store, manifest, readings)
    outputs = output_health(manifest, predictions)
    training = None
    if manifest.training_key is not None:
        training = store.read_record("training", manifest.training_key, "training", TrainingRun)
    return View(
        description=suite.description,
        verdict=build_verdict(manifest, rows, primary, trade_off, choice, human, outputs),
        baseline=manifest.baseline,
        variants=manifest.variants,
        primary=primary,
        selection=manifest.selection,
        choice=choice,
        rows=rows,
        measurements=measurements,
        trade_off=trade_off,
        training=training,
        examples=build_examples(store, manifest, panels, predictions, primary),
        losses=build_losses(store, manifest, rows, panels, predictions, primary),
        human=human,
        human_note=why_none(store, manifest) if human is None else "",
        outputs=outputs,
        data=manifest.data,
        findings=(*manifest.findings, *measurements.doubts),
        cells=manifest.cells,
        provenance=Provenance(
            run_id=manifest.run_id,
            suite=manifest.suite,
            suite_digest=manifest.suite_digest,
            spec=manifest.spec,
            command=manifest.command,
            created=manifest.created,
            updated=manifest.updated,
            complete=manifest.complete,
            seed=suite.seed,
            training_key=manifest.training_key,
            environment=manifest.environment,
        ),
    )
