"""What a report says, as plain records: everything decided and computed, nothing formatted.

HTML, Markdown, JSON and CSV are four ways of writing the same ``View``.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from harness.ratings.records import HumanResults
from harness.results.losses import LossSummary
from harness.schema import (
    CellResult,
    Comparison,
    DataReport,
    Environment,
    Equivalence,
    Finding,
    FinishReason,
    Overlap,
    Proof,
    Selection,
    TrainingRun,
    Variant,
)

Outcome = Literal["ship", "undecided", "worse", "identical", "only_base", "none"]
Mark = Literal["best", "tied"]


class Part(BaseModel):
    """A frozen part of the view; NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figure(Part):
    """A value in the metric's own unit with its 95 % interval, or the reason why not."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int | None = None
    method: str = ""
    reason: str | None = None
    stderr: float | None = None  # as the scoring tool reports it


class MatrixCell(Part):
    """One variant in one row of the matrix."""

    variant: str
    figure: Figure | None = None
    comparison: Comparison | None = None  # with the baseline; None for the baseline itself
    mark: Mark | None = None
    missing: str | None = None  # why there is no figure

    @property
    def reason(self) -> str | None:
        """Why there is no figure, no interval or no difference: the first of these."""
        parts = (self.figure, self.comparison)
        return self.missing or next((part.reason for part in parts if part and part.reason), None)


class MatrixRow(Part):
    """One metric of one task on one split, over all variants.

    ``mark`` in its cells says which variants are best: those whose paired difference from the
    best value includes zero, where at least one variant's does not.
    """

    suite_task: str
    task: str
    kind: str
    metric: str
    split: str
    unit: str = ""
    scale: float | None = None
    higher_is_better: bool = True
    primary: bool = False
    n: int = 0
    num_fewshot: int | None = None
    signature: str = ""
    cells: tuple[MatrixCell, ...]

    def cell(self, variant: str) -> MatrixCell | None:
        """The cell of a variant."""
        return next((cell for cell in self.cells if cell.variant == variant), None)

    def figure(self, variant: str) -> Figure | None:
        """The score of a variant."""
        cell = self.cell(variant)
        return cell.figure if cell else None

    def comparison(self, variant: str) -> Comparison | None:
        """The paired difference of a variant from the baseline."""
        cell = self.cell(variant)
        return cell.comparison if cell else None


class MeasuredValue(Part):
    """Repeated readings of one quantity: median and quartiles in the row's unit."""

    median: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    reason: str | None = None
    note: str = ""


class MeasurementRow(Part):
    """One quantity at one point of the grid; one reading per column."""

    name: str
    unit: str
    batch_size: int
    prompt_tokens: int
    new_tokens: int
    readings: tuple[MeasuredValue | None, ...]


class Measurements(Part):
    """Memory and speed. A column holds all variants that share one measurement."""

    columns: tuple[tuple[str, ...], ...] = ()
    devices: tuple[str, ...] = ()
    rows: tuple[MeasurementRow, ...] = ()
    missing: dict[str, str] = {}  # variant -> why it has no measurement
    doubts: tuple[Finding, ...] = ()  # where the machine was busy while it was measured
    doubted: tuple[str, ...] = ()  # the variants that the doubts are of
    taken: tuple[str, ...] = ()  # which columns were measured before this run began, in words


class TradeOffPoint(Part):
    """What a variant gives and costs."""

    variant: str
    quality: Figure
    memory_bytes: float | None = None
    decode_tokens_per_s: float | None = None
    price_per_million_new_tokens: float | None = None
    speed_in_doubt: bool = False  # its speed was measured on a machine that was busy
    efficient: bool = False  # no other variant is better in one respect and no worse in the rest


class TradeOff(Part):
    """Quality against cost."""

    metric: str = ""
    memory_name: str = ""
    speed_sizes: str = ""  # the point of the grid that speed was taken from
    currency: str = ""  # of the prices; empty where there are none
    price_sizes: str = ""  # the point of the grid where they are lowest
    points: tuple[TradeOffPoint, ...] = ()
    cautions: tuple[str, ...] = ()  # which speeds to doubt, and why

    def point(self, variant: str) -> TradeOffPoint | None:
        """What a variant gives and costs."""
        return next((point for point in self.points if point.variant == variant), None)


class ExampleOutput(Part):
    """What one variant wrote for one example."""

    variant: str
    text: str
    value: float | None = None  # the primary metric of this example alone
    finish_reason: FinishReason
    new_tokens: int
    truncated_prompt_tokens: int = 0


class ExampleView(Part):
    """One example with every variant's output side by side."""

    id: str
    picked: str  # why it is shown
    delta: float | None = None  # of the compared variant against the baseline
    prompt: str
    references: tuple[str, ...]
    outputs: tuple[ExampleOutput, ...]


class Examples(Part):
    """The examples shown, and how they were picked."""

    how: str = ""
    task: str = ""
    metric: str = ""
    items: tuple[ExampleView, ...] = ()
    reason: str | None = None  # why there are none


class LostExample(Part):
    """An example on which the candidate does worse, with both outputs and what was found of them.

    Outputs are None where nothing is generated, as in perplexity tasks.
    """

    id: str
    gain: float  # in the metric's own unit; below zero
    prompt: str = ""
    references: tuple[str, ...] = ()
    baseline: ExampleOutput | None = None
    candidate: ExampleOutput | None = None
    findings: tuple[str, ...] = ()  # of the candidate's output
    baseline_findings: tuple[str, ...] = ()


class Loss(Part):
    """Where the candidate loses on one metric, in one sentence and in figures."""

    sentence: str
    summary: LossSummary
    worst: tuple[LostExample, ...] = ()


class Losses(Part):
    """Where the choice loses against the baseline."""

    primary: Loss | None = None
    others: tuple[Loss, ...] = ()  # one for each other task or metric where it is shown worse
    reason: str | None = None  # why there is no primary


class OutputHealth(Part):
    """How the outputs of one variant on one task ended."""

    task: str
    variant: str
    n: int
    mean_new_tokens: float
    finished: dict[FinishReason, int]
    empty: int
    truncated_prompts: int


class Held(Part):
    """What a constraint's score is for the choice, on examples that choosing did not read."""

    what: str  # the constraint in words
    scale: float | None = None
    comparison: Comparison  # with the baseline; its split says which examples


class Choice(Part):
    """What is claimed for the chosen checkpoint, all of it from examples set apart for that."""

    figure: Figure | None = None  # the primary metric on report
    comparison: Comparison | None = None
    mde: float | None = None  # true difference that 80 of 100 such runs would find
    held: tuple[Held, ...] = ()
    merged: tuple[Equivalence, ...] = ()  # of its merged forms with it, on report
    rival: Comparison | None = None  # the best other checkpoint of report, if shown to be better


class Verdict(Part):
    """What to do, in one sentence, with what supports it."""

    outcome: Outcome
    chosen: str | None
    shipped: str | None = None  # the form whose figures the headline has: chosen, or merged
    headline: str
    support: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


class Provenance(Part):
    """Everything needed to repeat the run."""

    run_id: str
    suite: str
    suite_digest: str
    spec: dict[str, Any]
    command: str
    created: str
    updated: str
    complete: bool
    seed: int | None = None
    training_key: str | None = None
    environment: Environment | None = None


class VariantProof(Part):
    """What was proved of a variant, or of a task on it, before it was relied on."""

    variant: str
    proof: Proof
    tasks: tuple[str, ...]  # whose results rest on it; none: its training does


class View(Part):
    """A whole report."""

    schema_version: int = 1
    description: str = ""
    smoke: tuple[str, ...] = ()  # what a smoke test replaced; it says nothing of any model
    verdict: Verdict
    baseline: str
    variants: tuple[Variant, ...]
    primary: tuple[str, str] | None
    selection: Selection | None
    choice: Choice = Choice()
    rows: tuple[MatrixRow, ...]
    measurements: Measurements
    trade_off: TradeOff
    training: TrainingRun | None
    trainings: dict[str, TrainingRun] = Field(  # of a suite with several, by name
        default_factory=dict, exclude_if=lambda named: not named
    )
    examples: Examples
    losses: Losses = Losses()
    human: HumanResults | None = None
    human_note: str = ""  # why human is None although sheets were exported
    outputs: tuple[OutputHealth, ...]
    data: dict[str, DataReport]
    findings: tuple[Finding, ...]
    overlaps: dict[str, tuple[Overlap, ...]] = {}
    proofs: tuple[VariantProof, ...] = ()
    cells: tuple[CellResult, ...]
    provenance: Provenance
    sections: dict[str, dict[str, JsonValue]] = {}  # of packages, by name
    left_out: dict[str, str] = {}  # sections of packages: where each is from, and why not here

    def row(self, task: str, metric: str, split: str) -> MatrixRow | None:
        """The matrix row of a task, metric and split."""
        wanted = (task, metric, split)
        return next((r for r in self.rows if (r.task, r.metric, r.split) == wanted), None)

    @property
    def primary_row(self) -> MatrixRow | None:
        """The primary metric on the report split."""
        return self.row(*self.primary, "report") if self.primary else None

    @property
    def unfinished(self) -> tuple[CellResult, ...]:
        """Cells that failed or were skipped."""
        return tuple(cell for cell in self.cells if cell.status != "done")

    def variant(self, name: str) -> Variant | None:
        """A variant by its id."""
        return next((variant for variant in self.variants if variant.id == name), None)

    def cost(self, name: str) -> TradeOffPoint | None:
        """The trade-off point of a variant."""
        return self.trade_off.point(name)

    def measured(self, name: str) -> tuple[float | None, float | None]:
        """Memory in bytes and decode speed in tok/s of a variant; None where not measured."""
        point = self.cost(name)
        return (point.memory_bytes, point.decode_tokens_per_s) if point else (None, None)
