"""What a run holds, each thing read or worked out when it is first asked for."""

from collections.abc import Mapping
from functools import cached_property

from harness.ratings.records import HumanResults
from harness.ratings.summary import summarise
from harness.report.parts.choice import build_choice
from harness.report.parts.costs import build_measurements, build_trade_off
from harness.report.parts.matrix import Panels, build_matrix
from harness.report.parts.outputs import Predictions, output_health, read_predictions
from harness.report.view import records
from harness.results.scores import Reading, read_results
from harness.schema import Example, Manifest, Overlap, Prediction, Proof, TrainingRun
from harness.store.runs import Store
from harness.suite.deciding import primary_metric
from harness.suite.record import suite_of
from harness.suite.spec import Suite


class RunContents:
    """A run's records and what several sections of its report work with.

    Everything raises StoreError where a result that the manifest names as finished is missing or
    unreadable.

    Args:
        store: Where the results lie.
        manifest: The run.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self.store, self.manifest = store, manifest
        self._examples: dict[str, Mapping[str, Example]] = {}

    @cached_property
    def suite(self) -> Suite:
        """The suite that the run was made with."""
        return suite_of(self.manifest)

    @cached_property
    def primary(self) -> tuple[str, str] | None:
        """Task and metric that decide."""
        selection = self.manifest.selection
        if selection is not None and selection.task:
            return selection.task, selection.metric
        return primary_metric(self.suite)

    @cached_property
    def readings(self) -> list[Reading]:
        """All scores."""
        return read_results(self.store, self.manifest.cells, self.suite.tasks)

    @cached_property
    def matrix(self) -> tuple[tuple[records.MatrixRow, ...], Panels]:
        """Scores with intervals and differences, and the statistics behind them."""
        return build_matrix(self.manifest, self.readings, self.primary)

    @property
    def deciding(self) -> records.MatrixRow | None:
        """The primary metric on the report split."""
        return next((row for row in self.matrix[0] if row.primary and row.split == "report"), None)

    @cached_property
    def choice(self) -> records.Choice:
        """What is claimed for the chosen checkpoint."""
        return build_choice(self.manifest, self.readings, self.matrix[1], self.deciding)

    @cached_property
    def measurements(self) -> records.Measurements:
        """Memory and speed."""
        return build_measurements(self.store, self.manifest)

    @cached_property
    def trade_off(self) -> records.TradeOff:
        """Quality against memory and speed."""
        return build_trade_off(self.manifest, self.measurements, self.deciding)

    @cached_property
    def predictions(self) -> Predictions:
        """Everything that was generated."""
        return read_predictions(self.store, self.manifest)

    @cached_property
    def outputs(self) -> tuple[records.OutputHealth, ...]:
        """How the outputs ended."""
        return output_health(self.manifest, self.predictions)

    @cached_property
    def human(self) -> HumanResults | None:
        """What came of the ratings, if any came back."""
        return summarise(self.store, self.manifest, self.readings)

    @cached_property
    def trainings(self) -> dict[str, TrainingRun]:
        """The run's trainings by name; none where its checkpoints come from elsewhere."""
        return {
            name: self.store.read_record("training", key, "training", TrainingRun)
            for name, key in self.manifest.training_keys.items()
        }

    @property
    def training(self) -> TrainingRun | None:
        """The only training of a run whose suite names no others."""
        return self.trainings.get("")

    @cached_property
    def proofs(self) -> tuple[records.VariantProof, ...]:
        """What was proved of the variants; none of results of versions that proved nothing."""
        tasks: dict[tuple[str, Proof], list[str]] = {
            (variant.id, proof): []
            for name, training in self.trainings.items()
            for proof in training.proofs
            for variant in self.manifest.variants
            if variant.kind != "base" and variant.training == name
        }
        for cell in self.manifest.cells:
            if cell.status == "done" and cell.scores_key is not None:
                key = cell.scores_key
                for proof in self.store.read_later_records("scores", key, "proofs", Proof):
                    tasks.setdefault((cell.variant, proof), []).append(cell.task)
        return tuple(
            records.VariantProof(variant=variant, proof=proof, tasks=tuple(own))
            for (variant, proof), own in tasks.items()
        )

    def overlaps_of(self, task: str) -> list[Overlap]:
        """What examples of a task have in common with training rows, where that was looked for."""
        key = self.manifest.overlaps.get(task)
        return self.store.read_records("overlaps", key, "overlaps", Overlap) if key else []

    def outputs_of(self, variant: str, task: str) -> Mapping[str, Prediction]:
        """What a variant wrote for a task, by example id."""
        return {item.example_id: item for item in self.predictions.get((variant, task), ())}

    def examples_of(self, task: str) -> Mapping[str, Example]:
        """Examples of a task by id; none where the task brings its own documents."""
        if task not in self._examples:
            key = self.manifest.examples.get(task)
            read = self.store.read_records("examples", key, "examples", Example) if key else []
            self._examples[task] = {example.id: example for example in read}
        return self._examples[task]
