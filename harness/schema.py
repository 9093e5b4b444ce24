"""Every record that flows through the harness, in the order in which data meets them.

Makers write these records, readers read them, and nothing else passes between the two. Bytes and
seconds carry their unit in the name. A missing value is ``None`` with a reason beside it; NaN and
infinity are refused.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Split = Literal["train", "eval", "select", "report"]
SPLITS: tuple[Split, ...] = ("train", "eval", "select", "report")
Precision = Literal["nf4", "fp4", "int8", "bf16", "fp16", "fp32"]
QUANTIZED: tuple[Precision, ...] = ("nf4", "fp4", "int8")  # by bitsandbytes
VariantKind = Literal["base", "adapter", "merged", "full"]
CellKind = str  # a task type, MEASURE or HUMAN
TRAIN = "train"  # id of the suite's own data among the examples
MEASURE, HUMAN = "measure", "human"  # task ids of cells that no entry of a suite's tasks makes
FinishReason = Literal["eos", "stop", "length"]
CellStatus = Literal["done", "failed", "skipped"]
Severity = Literal["info", "warning", "error"]


class Record(BaseModel):
    """A frozen record that refuses unknown fields, NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: int = 1


class Example(Record):
    """One row of a task after its prompt was rendered.

    ``completion`` is the text the model is trained to produce after ``prompt``; ``references``
    are what a prediction is scored against. ``cluster`` names the group of near-identical rows
    the example belongs to; a cluster never straddles two splits.
    """

    id: str
    prompt: str
    completion: str
    references: tuple[str, ...]
    cluster: str
    split: Split
    metadata: dict[str, Any] = Field(default_factory=dict)


class Overlap(Record):
    """What an evaluation example has in common with a row that was trained on."""

    example_id: str
    split: str  # a Split, or "all" for tasks that are not split
    level: Literal["exact", "near", "contained"]
    train_id: str
    share: float  # similarity of near copies; of contained ones, runs of eight words in training
    span: str  # words in common, cut where they are many


class DataReport(Record):
    """What happened to the rows of a data source on their way to examples; nothing is silent."""

    source: str
    digest: str
    rows_read: int
    rows_kept: int
    dropped: dict[str, int] = Field(default_factory=dict)  # reason -> rows
    near_duplicates: int = 0  # rows kept, but sharing a cluster with an earlier row
    clusters: int = 0
    split_sizes: dict[Split, int] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Prediction(Record):
    """What one variant wrote for one example."""

    example_id: str
    text: str
    prompt_tokens: int
    new_tokens: int
    finish_reason: FinishReason
    truncated_prompt_tokens: int = 0


class Score(Record):
    """One metric of one variant on one split of one task.

    ``value`` is in the metric's own unit; ``scale`` is the best possible value (1 or 100) where
    there is one. ``stats`` names the array in the ``stats.npz`` beside the record: shape (n, k),
    one row of sufficient statistics per example, whose column sums the metric aggregates.
    """

    task: str
    metric: str
    split: str  # a Split, or "all" for tasks that are not split
    n: int
    value: float | None
    reason: str | None = None  # why value is None
    stderr: float | None = None  # as the scoring tool itself reports it (lm-eval)
    scale: float | None = None
    unit: str = ""
    higher_is_better: bool = True
    signature: str = ""
    stats: str | None = None


class Proof(Record):
    """What a probe measured on a model or a task before it was relied on."""

    probe: str  # such as "base unchanged", the same for all variants
    outcome: Literal["holds", "isolated", "fallback", "fails"]
    words: str  # a sentence: what was compared with what, and what follows
    difference: float | None = None  # the largest that was measured, in ``unit``
    limit: float | None = None  # what it may be
    unit: str = ""
    hint: str = ""  # what can be done where it does not hold


class HubData(Record):
    """The data set on the Hub that the documents of one lm-eval task come from."""

    task: str  # as in Score.task
    dataset: str  # Hub id
    config: str | None = None
    split: str | None = None  # that is scored
    revision: str | None = None  # None: not pinned, and the commit is not known


class Measurement(Record):
    """Repeated readings of one quantity in one process, warm-up excluded."""

    name: str  # decode_tokens_per_s, prefill_tokens_per_s, ttft_s, peak_rss_bytes, ...
    unit: str  # "tok/s", "s", "bytes"
    values: tuple[float, ...]
    reason: str | None = None  # why values is empty
    warmup: int = 0
    batch_size: int = 1
    prompt_tokens: int = 0
    new_tokens: int = 0
    device: str = "cpu"
    note: str = ""


class Taken(Record):
    """When a measurement was made; its machine is the environment beside it."""

    at: str  # ISO 8601, UTC


class Environment(Record):
    """Where a result was made: versions, hardware, and what the device policy decided."""

    versions: dict[str, str]
    python: str
    platform: str
    device: str  # "cpu", "cuda:0", ...
    device_name: str
    cpu_count: int
    memory_bytes: int
    compute_dtype: str
    decisions: tuple[str, ...] = ()  # each device or dtype decision, in words
    fingerprint: str  # digest of the hardware part; speed is compared only where it is equal


class Finding(Record):
    """Something a check noticed about the data or the outputs."""

    check: str
    severity: Severity
    what: str
    why: str = ""
    hint: str = Field("", validation_alias=AliasChoices("hint", "mend"))  # "mend" before 0.2

    @property
    def words(self) -> str:
        """All of it in one line."""
        return " ".join(part for part in (self.what, self.why, self.hint) if part)


class LogEntry(Record):
    """One line of the training log; every quantity is optional except the step."""

    step: int
    epoch: float | None = None
    loss: float | None = None
    eval_loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    mean_token_accuracy: float | None = None
    tokens: int | None = None  # real (non-pad) tokens seen so far
    seconds: float | None = None  # since training began


class Checkpoint(Record):
    """A saved adapter (or full model) of a training run."""

    name: str  # "checkpoint-20"
    step: int | None  # None: nothing tells it
    path: str  # relative to the training folder in the store, or absolute for external ones
    digest: str
    eval_loss: float | None = None


class TrainingRun(Record):
    """What came of a training."""

    method: Literal["qlora", "lora", "full"]
    peft_type: str | None = None  # of the adapter; None: full, or LoRA before it was kept
    base_model: str
    log: tuple[LogEntry, ...]
    checkpoints: tuple[Checkpoint, ...]
    trainable_parameters: int
    total_parameters: int
    rows_used: int
    rows_dropped: dict[str, int] = Field(default_factory=dict)
    rows_truncated: int = 0
    answers_truncated: int = 0  # of those, rows that lost tokens of their completion
    packed_sequences: int | None = None  # sequences that the rows were packed into, with packing
    eval_rows_used: int = 0
    eval_rows_dropped: dict[str, int] = Field(default_factory=dict)
    eval_rows_truncated: int = 0
    sequence_tokens: dict[str, float] = Field(default_factory=dict)  # min, median, p95, max, mean
    estimated_flops: float | None = None
    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    seconds: float
    steps: int
    stopped_early: str | None = None  # the reason in words
    resumed_from: tuple[int, ...] = ()
    arguments: dict[str, Any] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what the libraries warned of
    proofs: tuple[Proof, ...] = ()  # what was tried before the first step
    environment: Environment


class Variant(Record):
    """One column of the model matrix."""

    id: str  # "base@nf4", "checkpoint-20", "merged-20"
    kind: VariantKind
    base_model: str
    base_revision: str | None = None
    precision: Precision | Literal["auto"]  # auto only until the device policy has decided
    adapter: str | None = None  # path of the adapter folder (kind full: of the model)
    step: int | None = None  # of training; None: there is none, or nothing tells it
    training: str = Field("", exclude_if=lambda name: not name)  # its name, of a suite with several
    merged_into: Precision | None = None  # for merged: precision of the weights merged into
    proof: Proof | None = None  # for merged: that it is the adapter; older versions proved nothing
    # "base" and "adapter", and for merged models "merged/<file>", each with its sha256
    digests: dict[str, str] = Field(default_factory=dict)

    def is_merged_of(self, checkpoint: Variant) -> bool:
        """Whether it is the merged form of a checkpoint, told by the digest of its adapter."""
        own, other = ((v.step, v.adapter, v.digests.get("adapter")) for v in (self, checkpoint))
        return self.kind == "merged" and own == other


class MergedModel(Record):
    """Weights of a merged model: what they were merged into, and what was written."""

    merged_into: Precision
    saved_as: Precision
    files: dict[str, str]  # file name -> sha256
    untied: tuple[str, ...] = ()  # parameters that were tied in the base
    proof: Proof | None = None  # that it is the adapter; None where an older version merged


class CellResult(Record):
    """One variant on one task or measurement, and where its results lie in the store."""

    variant: str
    task: str
    kind: CellKind
    status: CellStatus
    reason: str | None = None
    predictions_key: str | None = None
    scores_key: str | None = None
    measurements_key: str | None = None
    seconds: float | None = None
    computed: bool = False  # by this invocation, as against found in the store


class Comparison(Record):
    """A candidate against the baseline on the same examples, oriented so that more is better.

    ``delta`` is candidate minus baseline in the metric's own unit (not re-oriented); ``better``
    says what it means: True, False, or None where the interval includes zero.
    """

    task: str
    metric: str
    split: str
    baseline: str
    candidate: str
    n: int
    delta: float | None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    identical: bool = False
    better: bool | None = None
    method: str = ""
    p_value: float | None = None  # two-sided, of no difference
    test: str = ""  # what p_value comes from
    reason: str | None = None  # why delta is None

    @property
    def side(self) -> Literal["better", "worse", "open", "same", "none"]:
        """What it says of the candidate; open where the interval includes zero."""
        if self.delta is None:
            return "none"
        if self.identical:
            return "same"
        return "open" if self.better is None else "better" if self.better else "worse"


class ConstraintCheck(Record):
    """Whether a checkpoint keeps to one of ``select.constraints``.

    ``value``, ``low`` and ``high`` are a paired difference from the baseline in the metric's own
    unit (score constraints, not re-oriented), or a median (measurements, without interval).
    ``unsure``: the data shows neither that the bound is kept nor that it is broken.
    """

    variant: str
    what: str  # the constraint in words
    status: Literal["kept", "broken", "unsure", "unknown"]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: float | None = None  # in the unit of value; for scores the margin
    reference: float | None = None  # the baseline's value, where the bound is a share of it
    n: int | None = None
    data: str = ""  # which examples were read: "select split" or "select half" of all documents
    unit: str = ""
    scale: float | None = None
    higher_is_better: bool = True
    reason: str | None = None  # why it is unknown, or why a measurement leaves it unsure


class Candidate(Record):
    """A checkpoint among which was chosen, with what is known of it on ``select``."""

    variant: str
    step: int | None = None
    value: float | None
    delta: float | None = None  # from the baseline, in the metric's own unit
    low: float | None = None
    high: float | None = None
    p_adjusted: float | None = None  # that it is no better, adjusted for all candidates (max-T)
    allowed: bool = True  # keeps to all constraints, as far as the data can tell
    efficient: bool = False  # on the Pareto front of Selection.axes
    axes: dict[str, float | None] = Field(default_factory=dict)


class Selection(Record):
    """Which checkpoint is recommended, and the evidence. Chosen on ``select`` only."""

    task: str
    metric: str
    split: str
    chosen: str | None  # variant id
    reason: str
    ranking: tuple[tuple[str, float | None], ...] = ()
    rule: Literal["one_se", "best"] = "one_se"
    candidates: tuple[Candidate, ...] = ()
    constraints: tuple[ConstraintCheck, ...] = ()
    axes: tuple[str, ...] = ()  # of the Pareto front, in words


class Equivalence(Record):
    """Whether two variants are shown to differ by less than a margin (two one-sided tests)."""

    task: str
    metric: str
    split: str
    first: str
    second: str
    n: int
    delta: float | None  # second minus first, in the metric's own unit
    low: float | None = None  # bounds at 1 - 2 alpha, as the two tests use them
    high: float | None = None
    margin: float
    p_value: float | None = None
    identical: bool = False
    equivalent: bool | None = None  # None: neither shown equivalent nor shown different
    no_worse: bool = False  # the second is shown to be worse by less than the margin, if at all
    proved: bool = True  # of a merged second: its logits were compared with the first's
    needed_n: int | None = None  # examples with which it would be shown, were this the true delta
    method: str = ""
    reason: str | None = None


GateVerdict = Literal[
    "pass", "identical", "regression", "inconclusive", "missing", "invalid", "not_compared"
]


class GateCheck(Record):
    """One gated score or measurement of one gated variant against the baseline.

    Values, margin, gain and bounds are in the metric's own unit; ``gain`` is oriented so that more
    is better, and ``low`` and ``high`` are its one-sided bounds, simultaneous over all checks. For
    measurements they are relative: 0.1 is 10 % better.
    """

    subject: str  # as gate.variants has it: "chosen", "merged" or a variant
    variant: str | None  # what that is in this run
    kind: Literal["quality", "floor", "measurement"]
    task: str
    metric: str
    split: str
    verdict: GateVerdict
    decides: bool = True  # False: shown, but without a margin of its own
    unit: str = ""
    scale: float | None = None
    higher_is_better: bool = True
    n: int = 0
    clusters: int = 0
    baseline_value: float | None = None
    value: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    bound: float | None = None  # of a floor: what the value must reach (or not exceed)
    mde: float | None = None  # minimal detectable effect: loss beyond the margin found in 80 %
    needed_n: int | None = None  # examples with which an inconclusive check would be decided
    method: str = ""
    reason: str | None = None


class GateResult(Record):
    """What a gate decided, on what grounds; every output of the gate renders this record."""

    verdict: Literal["pass", "regression", "inconclusive", "incompatible", "invalid"]
    exit_code: int
    headline: str
    run: str  # SUITE/RUN-ID
    baseline: str  # path of its file
    baseline_run: str | None = None
    accepted: str | None = None  # when the baseline was accepted, ISO 8601
    alpha: float = 0.05
    level: float | None = None  # one-sided level of each bound, so that alpha holds for all
    on_inconclusive: Literal["fail", "warn"] = "fail"
    checks: tuple[GateCheck, ...] = ()
    differences: tuple[str, ...] = ()  # fields that make it incompatible
    changes: tuple[str, ...] = ()  # what else is not as it was, and may explain a difference
    problems: tuple[str, ...] = ()  # missing or invalid data
    advice: str = ""  # when to run what mends it
    # the whole command that mends it; called "mend" before 0.2
    hint: str = Field("", validation_alias=AliasChoices("hint", "mend"))
    created: str = ""


class HumanKeys(Record):
    """Where a run's rating sheets, and what came back of them, lie in the store."""

    sheets: str
    ratings: str | None = None  # None until the first sheet has come back


class Manifest(Record):
    """What belongs to a run. Results are shared between runs; the manifest only names them."""

    run_id: str
    suite: str
    suite_digest: str
    spec: dict[str, Any]  # the resolved suite
    command: str
    created: str  # ISO 8601, UTC
    updated: str
    complete: bool
    planned: int | None = None  # cells of the plan; None in manifests of before it was kept
    ended: bool | None = None  # whether the latest eval came to its end; None likewise
    limit: int | None = None  # of the command line (--limit)
    variants: tuple[Variant, ...]
    baseline: str
    cells: tuple[CellResult, ...]
    training_key: str | None = None  # of a suite's only training
    # of a suite with several: name -> key, of those that are done
    trainings: dict[str, str] = Field(default_factory=dict, exclude_if=lambda names: not names)
    data: dict[str, DataReport] = Field(default_factory=dict)  # task id (or "train") -> report
    examples: dict[str, str] = Field(default_factory=dict)  # task id -> examples key
    overlaps: dict[str, str] = Field(default_factory=dict)  # task id -> overlaps key
    selection: Selection | None = None
    human: HumanKeys | None = None
    findings: tuple[Finding, ...] = ()
    environment: Environment | None = None
    # of a run that pools others, one a fold or a seed: their names, ``SUITE/RUN-ID``, as planned
    members: tuple[str, ...] = Field((), exclude_if=lambda names: not names)

    @property
    def name(self) -> str:
        """``SUITE/RUN-ID``, as commands take it."""
        return f"{self.suite}/{self.run_id}"

    @property
    def training_keys(self) -> dict[str, str]:
        """The keys of its finished trainings by name; the only one of a suite has none."""
        return self.trainings or ({"": self.training_key} if self.training_key else {})

    @property
    def done_cells(self) -> int:
        """How many cells of the plan are done; ratings are no part of it."""
        return sum(cell.status == "done" for cell in self.cells if cell.kind != HUMAN)

    @property
    def planned_cells(self) -> int:
        """How many cells the plan has, as far as it is known.

        Older manifests do not hold it: there it is at least every task of every variant so far.
        """
        cells = sum(cell.kind != HUMAN for cell in self.cells)
        if self.planned is not None:
            return max(self.planned, cells)
        if self.complete:
            return cells
        tasks = len(self.spec.get("tasks", {})) + (self.spec.get("measure") is not None)
        return max(cells, len(self.variants) * tasks)

    def merged_forms(self, checkpoint: str) -> list[Variant]:
        """The merged variants made of a checkpoint, told by the digest of its adapter."""
        own = next((variant for variant in self.variants if variant.id == checkpoint), None)
        return [v for v in self.variants if own is not None and v.is_merged_of(own)]
