"""What a suite file may say: the models behind the YAML, and behind its JSON Schema.

Names are PEFT's, TRL's, bitsandbytes' and lm-eval's own wherever those have one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

from harness.doors import TASK_TYPES
from harness.errors import UsageError
from harness.hints import choices
from harness.schema import SPLITS, Precision, Split
from harness.suite.peft_types import (
    PEFT_TYPES,
    PeftMethod,
    PeftType,
    as_peft_writes_it,
    is_never_merged,
)
from harness.suite.ratings import HumanSpec
from harness.suite.rules import GateSpec, SelectSpec, Spec

ENGINE = "transformers"  # the inference engine of suites that name none
DTYPE_VARIABLE = "HARNESS_COMPUTE_DTYPE"  # the environment variable that overrides base.dtype
MOST = 1_000_000  # tokens of a text, rows at once, ranks: more than any machine holds
Size = Annotated[int, Field(gt=0, le=MOST)]

_TORCH_NAMES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def _short_name(value: Any) -> Any:
    """Torch's name of a dtype, as bitsandbytes' and transformers' own options have it, as ours."""
    return _TORCH_NAMES.get(value.removeprefix("torch."), value) if type(value) is str else value


_TorchName = Literal["bfloat16", "float16", "float32"]
_Dtype = Literal["auto", "bf16", "fp16", "fp32"]
_WeightType = Precision | Literal["auto"]
Dtype = Annotated[_Dtype, BeforeValidator(_short_name, json_schema_input_type=_Dtype | _TorchName)]
WeightType = Annotated[
    _WeightType, BeforeValidator(_short_name, json_schema_input_type=_WeightType | _TorchName)
]


class BaseSpec(Spec):
    """The base model."""

    model: str = Field(
        description="Hub id, local directory, .gguf file, or a built-in: "
        "smollm2-135m-instruct, tiny:<architecture>."
    )
    revision: str | None = Field(None, description="Commit, tag or branch of a Hub model.")
    trust_remote_code: bool = Field(False, description="Run Python code from the model repository.")
    allow_pickle: bool = Field(
        False,
        description="Read weights from a pickle (.bin), which can run code, where there are no "
        "safetensors.",
        exclude_if=lambda value: not value,
    )
    dtype: Dtype = Field("auto", description="Compute dtype; auto lets the device policy decide.")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2"] = "auto"
    engine: str = Field(
        ENGINE,
        description="Inference engine: transformers, or one that an installed package brings.",
        exclude_if=lambda name: name == ENGINE,  # the run ids of suites from before it was there
    )

    dequantize: bool = Field(
        False,
        description="Of a model that is stored quantized: evaluate its weights dequantized once.",
        exclude_if=lambda value: not value,
    )

    tokenizer: str | None = Field(
        None,
        description="Folder of the tokenizer and chat template that all variants are trained and "
        "evaluated with, such as an adapter's that ships with its own; default: the base's.",
        exclude_if=lambda value: value is None,
    )

    def at(self, folder: str) -> BaseSpec:
        """This base with other weights, such as a merged model's."""
        return self.model_copy(update={"model": folder, "revision": None, "dequantize": False})

    @property
    def as_stored(self) -> BaseSpec:
        """This base in the form in which it is stored, with its own tokenizer."""
        return self.model_copy(update={"dequantize": False, "tokenizer": None})


class DataSpec(Spec):
    """Where rows come from and how they are split."""

    source: str | None = Field(
        None,
        description="A built-in (stdlib-docstrings), a path or glob (JSONL, JSON, CSV, Parquet; "
        "relative to the suite file), or a Hub data set id.",
    )
    files: dict[str, str] = Field(
        default_factory=dict,
        description="Instead of source: a path per split of the source, e.g. {train: a.jsonl}.",
    )
    format: Literal["auto", "jsonl", "json", "csv", "parquet", "hub", "builtin"] = "auto"
    name: str | None = Field(None, description="Configuration name of a Hub data set.")
    revision: str | None = Field(None, description="Revision of a Hub data set.")
    split_map: dict[str, Split | list[Split]] = Field(
        default_factory=dict,
        description="Maps the source's own splits to train, eval, select, report; a list divides "
        "one split by hash. Source splits not named here are not read.",
    )
    splits: dict[Split, float] = Field(
        default_factory=dict,
        description="Shares of rows per split when the source has no splits of its own, by seeded "
        "hash of the cluster; they add up to 1.",
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=1000,
        description="Cross-validation: so many trainings, each on all folds but one, whose rows "
        "are its report split. No near-identical rows lie in two folds.",
        exclude_if=lambda value: value is None,
    )
    fold: int | None = Field(
        None,
        ge=1,
        description="Of folds: hold out only this one, counted from 1; default: each in its turn.",
        exclude_if=lambda value: value is None,
    )
    limits: dict[Split, int] = Field(
        default_factory=dict, description="At most this many examples per split, by hash order."
    )
    id_field: str | None = Field(None, description="Field with a unique row id; default: a digest.")
    cluster: str = Field(
        "near",
        description="near (near-identical inputs share a cluster), exact, or field:<name>.",
    )
    required_fields: tuple[str, ...] = Field(
        (), description="Rows in which one of these is empty are dropped and counted."
    )
    min_chars: int = Field(0, ge=0, description="Rows with a shorter prompt are dropped, counted.")
    max_chars: int | None = Field(None, gt=0, description="Rows with a longer prompt are dropped.")

    @model_validator(mode="after")
    def _one_source(self) -> DataSpec:
        if bool(self.source) == bool(self.files):
            raise ValueError("exactly one of source and files must be given")
        if self.splits and abs(sum(self.splits.values()) - 1) > 1e-6:
            raise ValueError(f"splits must add up to 1, found {sum(self.splits.values()):g}")
        if any(share < 0 for share in self.splits.values()):
            raise ValueError("splits must not be negative")
        if self.fold is not None and self.fold > (self.folds or 0):
            raise ValueError(f"fold {self.fold} needs folds: {self.fold} or more")
        if self.folds and self.mapped_splits:
            raise ValueError(
                "folds divides all rows alike, so the source's own splits cannot be mapped as "
                "well: give only one of folds and split_map (or files named by split)"
            )
        if self.folds and self.splits.get("report"):
            raise ValueError(
                "under folds the report split is the fold that is held out: "
                "divide the rest in splits, without report"
            )
        return self

    @property
    def mapped_splits(self) -> dict[str, Split | list[Split]]:
        """``split_map``, or what files that are named as splits say; empty where shares divide."""
        if self.split_map or self.splits or not set(self.files) <= set(SPLITS):
            return dict(self.split_map)
        return {split: split for split in SPLITS if split in self.files}

    @property
    def has_training_split(self) -> bool:
        """Whether the source itself says which rows are trained on."""
        targets = self.mapped_splits.values()
        return any("train" in ([t] if isinstance(t, str) else t) for t in targets)


class MessageSpec(Spec):
    """One chat message; content is a template."""

    role: Literal["system", "user", "assistant"]
    content: str


class TurnsSpec(Spec):
    """A field that holds a conversation as one text, with marks in it; by default Llama 2's."""

    field: str = Field(description="The field with the text.")
    user: str = Field("[INST]", min_length=1, description="Stands before what a user says.")
    assistant: str = Field("[/INST]", min_length=1, description="Stands before an answer.")
    start: str = Field("<s>", description="Stands for BOS, before a turn.")
    end: str = Field("</s>", description="Stands for EOS, after an answer.")
    chat: bool = Field(
        False, description="Render its messages by the chat template, not as they are written."
    )


class PromptSpec(Spec):
    """One template for training and evaluation, in one of four forms.

    Separated: ``prompt`` and ``completion``. Combined: ``text`` with ``response_marker``, after
    whose last occurrence in the template the completion begins. Chat: ``messages`` (templates)
    whose last one, from the assistant, is the completion, or ``messages_field`` naming a field
    that holds such a list. Turns: ``turns`` naming a field that holds a conversation as one text,
    whose last answer is the completion.
    """

    prompt: str | None = None
    completion: str | None = None
    text: str | None = None
    response_marker: str | None = None
    messages: tuple[MessageSpec, ...] = ()
    messages_field: str | None = None
    turns: TurnsSpec | None = Field(None, exclude_if=lambda value: value is None)
    references: str | None = Field(
        None,
        description="Field holding the reference, or list of references; "
        "default: the rendered completion, stripped.",
    )
    stop: tuple[str, ...] = Field((), description="Strings that end a generation; not kept.")

    @property
    def is_chat(self) -> bool:
        """Whether the tokenizer's chat template renders it (and brings its special tokens)."""
        by_turns = self.turns is not None and self.turns.chat
        return bool(self.messages) or self.messages_field is not None or by_turns

    @model_validator(mode="after")
    def _one_form(self) -> PromptSpec:
        forms = [
            self.prompt is not None,
            self.text is not None,
            bool(self.messages),
            self.messages_field is not None,
            self.turns is not None,
        ]
        if sum(forms) != 1:
            raise ValueError(
                "exactly one of prompt (with completion), text (with response_marker), messages, "
                "messages_field and turns must be given"
            )
        if self.text is not None and not self.response_marker:
            raise ValueError("text needs response_marker, the string the completion follows")
        if self.messages and self.messages[-1].role != "assistant":
            raise ValueError("the last of messages must be the assistant's: it is the completion")
        return self


class QuantizationSpec(Spec):
    """bitsandbytes options of the 4- and 8-bit base (names of BitsAndBytesConfig)."""

    bnb_4bit_quant_type: Literal["nf4", "fp4"] = "nf4"
    bnb_4bit_use_double_quant: bool = True
    bnb_4bit_compute_dtype: Dtype = "auto"
    llm_int8_threshold: float = 6.0


class EarlyStoppingSpec(Spec):
    """Stops training when eval loss no longer falls, or a task no longer gains."""

    task: str | None = Field(
        None,
        description="Generation or perplexity task that is scored on select, by which to stop "
        "instead of by eval loss: run on each checkpoint as it is saved.",
        exclude_if=lambda value: value is None,  # the keys from before it was there
    )
    metric: str | None = Field(
        None,
        description="Metric of the task; default: its first.",
        exclude_if=lambda value: value is None,
    )
    limit: Size = Field(
        64, description="Most examples of the task.", exclude_if=lambda value: value == 64
    )
    patience: int = Field(3, gt=0, description="Evaluations without improvement before stopping.")
    threshold: float = Field(0.0, ge=0, description="Smallest drop that counts as improvement.")


class LoraSpec(BaseModel):
    """PEFT's LoraConfig; names not listed here pass through to it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    r: int = Field(16, gt=0, le=MOST, description="Rank. Typical values are 8 to 64.")
    lora_alpha: int = Field(32, gt=0)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: str | list[str] = "all-linear"


PeftName = Annotated[PeftType, BeforeValidator(as_peft_writes_it)]


def _lora_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options that LoraSpec takes; those that are not given stay so."""
    LoraSpec.model_validate(options)
    return options


class MethodSpec(Spec):
    """One of several trainings of a suite: what it does otherwise than ``train`` itself says."""

    method: Literal["qlora", "lora", "full"] | None = None
    peft_type: PeftName | None = None
    lora: Annotated[dict[str, Any], AfterValidator(_lora_options)] = Field(
        default_factory=dict, description="Options of LoRA, over those of train.lora."
    )
    peft: dict[str, Any] = Field(
        default_factory=dict, description="Options of peft_type, over those of train.peft."
    )
    args: dict[str, Any] = Field(default_factory=dict, description="Over those of train.args.")


class TrainSpec(Spec):
    """How to train. ``args`` takes every field of TRL's SFTConfig by its own name."""

    method: Literal["qlora", "lora", "full"] = Field(
        "qlora",
        description="How the base is held: qlora in 4 bits, lora in the compute dtype, each under "
        "an adapter of peft_type; full trains all of its weights.",
    )
    peft_type: PeftName = Field(
        "LORA",
        description="The method of PEFT that trains the adapter.",
        exclude_if=lambda value: value == "LORA",  # the keys from before it was there
    )
    lora: LoraSpec = LoraSpec()
    peft: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of a peft_type other than LORA: every field of PEFT's configuration "
        "of it, by its own name.",
        exclude_if=lambda value: not value,
    )
    quantization: QuantizationSpec = QuantizationSpec()
    completion_only_loss: bool = Field(True, description="Loss on the completion only.")
    long_rows: Literal["truncate", "drop"] = Field(
        "truncate",
        description="What becomes of rows that are longer than args.max_length, which is counted.",
        exclude_if=lambda value: value == "truncate",  # the keys from before it was there
    )
    args: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = Field(
        None,
        ge=0,
        description="Of the training alone: first weights, order of rows, dropout. Default: the "
        "suite's seed, which divides the rows as well.",
        exclude_if=lambda value: value is None,
    )
    early_stopping: EarlyStoppingSpec | None = None
    methods: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")], MethodSpec] = Field(
        default_factory=dict,
        description="Several trainings in one matrix, each by a name that its checkpoints begin "
        "with, and what it does otherwise.",
        exclude_if=lambda value: not value,
    )

    @property
    def each(self) -> dict[str, TrainSpec]:
        """The trainings by their names; the only one of a suite that names no methods has none."""
        if not self.methods:
            return {"": self}
        return {name: self._by(method) for name, method in self.methods.items()}

    def _by(self, own: MethodSpec) -> TrainSpec:
        """One of the methods, as if the suite had no others."""
        peft_type = own.peft_type or self.peft_type
        shared = self.peft if peft_type == self.peft_type else {}
        is_lora = peft_type == "LORA"
        change = {
            "method": own.method or self.method,
            "peft_type": peft_type,
            "lora": LoraSpec(**{**self.lora.model_dump(), **own.lora}) if is_lora else LoraSpec(),
            "peft": {**shared, **own.peft},
            "args": {**self.args, **own.args},
            "methods": {},
        }
        return self.model_copy(update=change)

    @property
    def adapter(self) -> PeftMethod | None:
        """The method of PEFT that trains; None where all weights are trained."""
        return None if self.method == "full" else PEFT_TYPES[self.peft_type]

    @property
    def words(self) -> str:
        """The method, and that of the adapter where it is not LoRA: ``qlora, IA3``."""
        other = self.adapter is not None and self.peft_type != "LORA"
        return f"{self.method}, {PEFT_TYPES[self.peft_type].words}" if other else self.method

    @property
    def has_virtual_tokens(self) -> bool:
        """Whether tokens that are learned stand before every row."""
        return self.adapter is not None and self.adapter.is_prompt

    @property
    def has_tokens_in_cache(self) -> bool:
        """Whether they stand in the cache, so that layers cannot be computed again without it."""
        return self.adapter is not None and self.adapter.in_cache

    @property
    def why_not_merged(self) -> str | None:
        """Why its checkpoints cannot be merged into the base; None where they can."""
        if self.adapter is None:
            return "train.method is full: a checkpoint is a whole model, not an adapter to merge"
        if self.adapter.is_prompt:
            return f"train.peft_type is {self.peft_type}: virtual tokens are no weights to merge"
        if not self.adapter.merges:
            return f"train.peft_type is {self.peft_type}, which PEFT does not merge"
        return None

    @property
    def keeps_best(self) -> bool:
        """Whether the checkpoint that is best by eval loss is kept, whatever limits their number.

        Training stops, or saves, by it; or the suite asks for it.
        """
        asked = self.args.get("metric_for_best_model") or self.args.get("load_best_model_at_end")
        stops = self.early_stopping is not None and self.early_stopping.task is None
        return bool(stops or asked or self.args.get("save_strategy") == "best")

    @property
    def joins_rows(self) -> bool:
        """Whether rows share a sequence in which each is to be read as alone."""
        packs = self.args.get("packing") or self.args.get("eval_packing")
        apart = self.args.get("packing_strategy") != "wrapped"
        return bool((packs and apart) or self.args.get("padding_free"))


class MatrixSpec(Spec):
    """Which variants to evaluate, and at which precision."""

    base: list[WeightType] = Field(
        ["nf4"],
        description="Precisions of the base to evaluate; auto: the compute dtype. Default: that of "
        "the training, which is nf4 for qlora, auto for lora and fp32 for full.",
    )
    adapters: WeightType | Literal["trained"] = Field(
        "nf4",
        description="Precision of the base under the adapters; trained: of each, that of its "
        "training. Default: as of base; with train.methods: trained.",
    )
    merged: Literal["best", "last", "all", "none"] | list[int] = Field(
        "best", description="Which checkpoints to merge: by the primary metric on select, or steps."
    )
    merged_precision: Dtype = Field(
        "auto", description="Precision of the base merged into; auto: the compute dtype."
    )


class MetricSpec(Spec):
    """A metric with options. Short form: just its name."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def of(cls, entry: str | MetricSpec) -> MetricSpec:
        """The long form of either form."""
        return cls(name=entry) if isinstance(entry, str) else entry


class TaskSpec(Spec):
    """What a suite says of a task; each task type has a class of its own.

    Attributes:
        brings_data: Whether its documents come with it, so that it reads neither the data nor the
            prompt of the suite. They are not split, and no checkpoint is chosen by its scores.
        writes_texts: Whether its outputs are texts, which can be read and rated; it keeps them as
            ``Prediction`` records under the name ``predictions``.
        needs: Abilities of the inference engine that it cannot do without.
        per_token: Whether its scores are of completions, token by token: they can be paired only
            where the completions, and their numbers of tokens, are the same.
    """

    brings_data: ClassVar[bool] = False
    writes_texts: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    per_token: ClassVar[bool] = False

    type: str
    limit: int | None = Field(None, gt=0, description="At most this many examples per split.")

    @property
    def metric_specs(self) -> tuple[MetricSpec, ...] | None:
        """The metrics of ours that it is scored by on every split.

        None where only its run will tell; its scores are then means over examples, with statistics
        of (value, 1).
        """
        return None

    @property
    def scored_splits(self) -> tuple[str, ...]:
        """The splits that its scores are on; ``all`` where the documents are not split."""
        return ("all",) if self.brings_data else tuple(getattr(self, "splits", ()))


GENERATION_OPTIONS = (  # of transformers' generate; those of the task itself are keys of their own
    "bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "early_stopping",
    "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty", "length_penalty",
    "min_new_tokens", "min_p", "no_repeat_ngram_size", "num_beams", "remove_invalid_values",
    "renormalize_logits", "repetition_penalty", "sequence_bias", "suppress_tokens", "top_h",
    "typical_p",
)  # fmt: skip


class GenerationTask(TaskSpec):
    """Generate text and score it against references."""

    writes_texts: ClassVar[bool] = True

    type: Literal["generation"]
    metrics: tuple[str | MetricSpec, ...] = Field(min_length=1)
    splits: tuple[Split, ...] = ("select", "report")
    data: DataSpec | None = Field(None, description="Default: the suite's own data.")
    prompt: PromptSpec | None = Field(None, description="Default: the suite's own prompt.")
    max_new_tokens: int = Field(64, gt=0, le=MOST)
    max_prompt_tokens: int | None = Field(
        None, gt=0, description="Longer prompts are cut on the left, and counted."
    )
    do_sample: bool = False
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0 switches it off.")
    batch_size: int = Field(64, gt=0, le=MOST, description="Halved when memory runs out.")
    mix_adapters: Literal["auto", "always", "never"] = Field(
        "auto",
        description="Whether base and adapters write in common batches; auto: in fp32, where it "
        "changes no text and is faster.",
    )
    generation: dict[str, Any] = Field(
        default_factory=dict,
        description="Further options of transformers' generate by their own names, such as "
        "num_beams or repetition_penalty; it then writes the texts, a prompt at a time.",
        exclude_if=lambda options: not options,
    )

    @model_validator(mode="after")
    def _options_are_known(self) -> GenerationTask:
        for name in self.generation:
            if name not in GENERATION_OPTIONS:
                raise ValueError(
                    f"generation has no option {name!r}. {choices(name, GENERATION_OPTIONS)}"
                )
        if self.generation and self.mix_adapters == "always":
            raise ValueError("generation writes a prompt at a time: leave mix_adapters out")
        return self

    @property
    def metric_specs(self) -> tuple[MetricSpec, ...]:
        """Those that the suite names."""
        return tuple(MetricSpec.of(entry) for entry in self.metrics)


class PerplexityTask(TaskSpec):
    """Loss and perplexity of the held-out completions."""

    per_token: ClassVar[bool] = True

    type: Literal["perplexity"]
    splits: tuple[Split, ...] = ("eval",)
    data: DataSpec | None = None
    prompt: PromptSpec | None = None
    max_length: int | None = Field(None, gt=0, description="Default: the model's context length.")
    batch_size: int = Field(8, gt=0, le=MOST)

    @property
    def metric_specs(self) -> tuple[MetricSpec, ...]:
        """Two forms of the same loss."""
        return (MetricSpec(name="eval_loss"), MetricSpec(name="perplexity"))


class LmEvalData(Spec):
    """Local files in place of the data set an lm-eval task loads from the Hub."""

    format: Literal["hub_fields", "hellaswag_jsonl", "mmlu_csv"] = "hub_fields"
    files: dict[str, str] = Field(
        description="Path per split (train, validation, test, dev). For mmlu_csv a folder per "
        "split, holding <subject>_<split>.csv; for the others a file.",
        min_length=1,
    )


class LmEvalTask(TaskSpec):
    """Any task of lm-eval, by name or by a YAML file of its own."""

    brings_data: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("lm_eval",)

    type: Literal["lm_eval"]
    task: str = Field(description="lm-eval task or group name, or a path to a task YAML.")
    num_fewshot: int | None = Field(None, ge=0, description="Default: the task's own.")
    apply_chat_template: bool = False
    fewshot_as_multiturn: bool = Field(
        default_factory=lambda data: bool(data.get("apply_chat_template")),
        description="Each shot as a turn of its own; default, as lm-eval's: with a chat template.",
    )
    system_instruction: str | None = None
    data: LmEvalData | None = None
    engine: Literal["auto", "tree", "prefix", "stock"] = Field(
        "auto",
        description="How log-likelihoods are computed: tree shares every common prefix of a batch, "
        "prefix only the stems of long contexts, stock is lm-eval's own; auto probes the model.",
    )
    batch_tokens: int | None = Field(
        None, gt=0, description="Most tokens per forward pass; default: by device and free memory."
    )
    batch_size: int = Field(
        8, gt=0, description="Requests per forward pass of engine stock, and of generation."
    )
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)


TASK_SPECS: dict[str, type[TaskSpec]] = {  # of the types whose specs stand here
    "generation": GenerationTask,
    "perplexity": PerplexityTask,
    "lm_eval": LmEvalTask,
}
Tasks = dict[
    str, Annotated[GenerationTask | PerplexityTask | LmEvalTask, Field(discriminator="type")]
]


class MeasureSpec(Spec):
    """What to measure of memory and speed, in a process of its own per model shape."""

    prompt_tokens: tuple[Size, ...] = (128,)
    new_tokens: tuple[Size, ...] = (32,)
    batch_sizes: tuple[Size, ...] = (1,)
    repeats: int = Field(10, ge=2, le=10_000)
    warmup: int = Field(1, ge=1, le=10_000)
    price_per_hour: float | None = Field(
        None, gt=0, description="What the machine costs per hour; gives prices per million tokens."
    )
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="Of price_per_hour.")


_AS_TRAINED: dict[str, dict[str, Any]] = {  # method -> what its matrix is by default
    "lora": {"base": ["auto"], "adapters": "auto"},
    "full": {"base": ["fp32"], "adapters": "fp32", "merged": "none"},
}


def _of_methods(train: Mapping[str, Any]) -> dict[str, Any]:
    """What the matrix of several methods is by default: each as trained, and the bases of all.

    A base of fp32 is not told from one of the compute dtype: both are the plain one.
    """
    methods = [m if isinstance(m, Mapping) else {} for m in train["methods"].values()]
    names = [method.get("method", train.get("method", "qlora")) for method in methods]
    quantization = train.get("quantization", {})
    quantized = isinstance(quantization, Mapping) and quantization.get("bnb_4bit_quant_type")
    plain = ["auto"] if set(names) - {"qlora"} else []
    base = [*plain, *([quantized or "nf4"] if "qlora" in names else [])]
    whole = [
        name == "full" or is_never_merged({"peft_type": train.get("peft_type"), **method})
        for name, method in zip(names, methods, strict=True)
    ]
    merged = {"merged": "none"} if all(whole) else {}
    return {"base": base, "adapters": "trained", **merged}


class ReportSpec(Spec):
    """Where else scores are shown."""

    trackers: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = Field(
        (),
        description="After an eval its scores are logged, by training step, to each of these.",
    )


class Suite(Spec):
    """One evaluation: a base, its training or checkpoints, data, matrix and tasks."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Names the folder of runs.")
    description: str = ""
    seed: int = Field(42, ge=0)
    seeds: tuple[int, ...] = Field(
        (),
        description="Train once by each of these seeds, on the same rows: how much a training's "
        "chance moves a score becomes part of the interval.",
        exclude_if=lambda seeds: not seeds,
    )
    base: BaseSpec
    train: TrainSpec | None = None
    checkpoints: str | list[str] | None = Field(
        None, description="Instead of train: adapter folders trained elsewhere (paths or globs)."
    )
    data: DataSpec | None = None
    prompt: PromptSpec | None = None
    matrix: MatrixSpec = MatrixSpec()
    baseline: str | None = Field(
        None, description="Variant to compare with; default: the base at the adapters' precision."
    )
    tasks: Tasks = Field(min_length=1)
    measure: MeasureSpec | None = None
    select: SelectSpec = SelectSpec()
    gate: GateSpec = GateSpec()
    human: HumanSpec = HumanSpec()
    report: ReportSpec = Field(
        ReportSpec(),
        exclude_if=lambda report: not report.trackers,  # the run ids from before it was there
    )
    smoke: tuple[str, ...] = Field(
        (),
        description="What --smoke replaced; whoever sets it marks the results as meaningless.",
        exclude_if=lambda lines: not lines,
    )

    @model_validator(mode="before")
    @classmethod
    def _as_trained(cls, content: Any) -> Any:
        """What is trained without quantization is evaluated without, unless the suite says so."""
        if not isinstance(content, Mapping):
            return content
        train, matrix = content.get("train"), content.get("matrix", {})
        if isinstance(train, Mapping) and isinstance(train.get("methods"), Mapping):
            default = _of_methods(train)
            is_right = isinstance(matrix, Mapping)
            return {**content, "matrix": {**default, **matrix}} if is_right else content
        method = train.get("method") if isinstance(train, Mapping) else None
        default = dict(_AS_TRAINED.get(method, {})) if isinstance(method, str) else {}
        if is_never_merged(train):
            default["merged"] = "none"
        if not default or not isinstance(matrix, Mapping):
            return content
        return {**content, "matrix": {**default, **matrix}}

    @model_validator(mode="after")
    def _consistent(self) -> Suite:
        if self.train is not None and self.checkpoints is not None:
            raise ValueError("only one of train and checkpoints may be given")
        if self.train is None and self.matrix.adapters == "trained":
            raise ValueError("matrix.adapters is trained, but nothing is trained here")
        if self.train is not None and (self.data is None or self.prompt is None):
            raise ValueError("train needs data and prompt at the top level of the suite")
        for task_id, task in self.tasks.items():
            for part in ("data", "prompt"):
                if task.brings_data or getattr(task, part, None) or getattr(self, part):
                    continue
                raise ValueError(f"task {task_id!r} has no {part}, and the suite has none either")
        self._check_repeats()
        return self

    def _check_repeats(self) -> None:
        """Whether several trainings of one recipe, by folds or by seeds, can be told apart."""
        for task_id, task in self.tasks.items():
            own = getattr(task, "data", None)
            if isinstance(own, DataSpec) and own.folds is not None:
                raise ValueError(f"tasks.{task_id}.data.folds: only the suite's own data has folds")
        folds = self.data.folds if self.data is not None else None
        if not self.seeds and folds is None:
            return
        if self.train is None:
            raise ValueError("folds and seeds repeat a training, but nothing is trained here")
        if not self.seeds:
            return
        if folds is not None:
            raise ValueError(
                "only one of data.folds and seeds may be given: trainings of folds differ by their "
                "rows and by chance at once, trainings of seeds by chance alone"
            )
        if len(self.seeds) < 2 or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(
                f"seeds must be two or more different numbers, none negative; found {self.seeds}"
            )
        if self.train.seed is not None:
            raise ValueError("only one of seeds and train.seed may be given")

    @property
    def trainings(self) -> dict[str, TrainSpec]:
        """The trainings by their names; the only one of a suite that names no methods has none."""
        return self.train.each if self.train is not None else {}

    def precision_of(self, training: str) -> WeightType:
        """Precision at which the checkpoints of a training are evaluated."""
        asked = self.matrix.adapters
        if asked != "trained":
            return asked
        spec = self.trainings[training]
        if spec.method == "qlora":
            return spec.quantization.bnb_4bit_quant_type
        return "fp32" if spec.method == "full" else "auto"

    @property
    def quantization(self) -> QuantizationSpec:
        """Bitsandbytes options of 4- and 8-bit bases: the training's, so that both are the same."""
        return self.train.quantization if self.train is not None else QuantizationSpec()

    @property
    def names_training_rows(self) -> bool:
        """Whether it says which rows are trained on; its own training's, or a source's own split.

        Rows that a share of ``data.splits`` draws are none of an adapter trained elsewhere.
        """
        if self.train is not None:
            return True
        data = self.data if self.checkpoints is not None and self.prompt is not None else None
        return data is not None and data.has_training_split

    def task_data(self, task_id: str) -> tuple[DataSpec, PromptSpec]:
        """Data and prompt of a task that brings none, falling back to the suite's own.

        Args:
            task_id: The task, or ``train``.
        """
        task = self.tasks.get(task_id)  # none of the name: it is training
        data = getattr(task, "data", None) or self.data
        prompt = getattr(task, "prompt", None) or self.prompt
        if data is None or prompt is None or (task is not None and task.brings_data):
            raise TypeError(f"{task_id} reads neither data nor prompt of the suite")
        return data, prompt


class SuiteParts(Suite):
    """What there is of a suite that may lack parts; what it does not hold has today's default."""

    name: str = ""
    base: BaseSpec = BaseSpec(model="")
    tasks: Tasks = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> SuiteParts:
        return self


def suite_model(content: Any, *, parts: bool = False) -> type[Suite]:
    """The model of a suite that may name task types of other packages.

    Args:
        content: What the suite says, as read from its file.
        parts: Whether the suite may lack parts.

    Raises:
        PluginError: A package's task type cannot be loaded.
    """
    others = sorted(named_types(content) - TASK_SPECS.keys())
    names = tuple(name for name in others if name in TASK_TYPES.names)
    return _model_with(names, SuiteParts if parts else Suite)


def named_types(content: Any) -> set[str]:
    """The task types that a suite's content names."""
    tasks = content.get("tasks") if isinstance(content, Mapping) else None
    entries = tasks.values() if isinstance(tasks, Mapping) else ()
    return {str(entry.get("type")) for entry in entries if isinstance(entry, Mapping)}


@cache
def _model_with(others: tuple[str, ...], model: type[Suite] = Suite) -> type[Suite]:
    return with_tasks(model, [task_spec(name) for name in others]) if others else model


def task_spec(name: str) -> type[TaskSpec]:
    """What a suite may say of a task type.

    Raises:
        PluginError: The type cannot be loaded, or has no such model.
    """
    spec = TASK_TYPES.get(name).spec
    if not (isinstance(spec, type) and issubclass(spec, TaskSpec)):
        raise TASK_TYPES.broken(name, "has a `spec` that is no TaskSpec")
    return spec


def task_facts(kind: str) -> type[TaskSpec]:
    """What is known of a task type; the defaults where no package brings it, or a broken one."""
    if kind in TASK_SPECS:
        return TASK_SPECS[kind]
    try:
        return task_spec(kind)
    except UsageError:
        return TaskSpec


def with_tasks(model: type[Suite], specs: Sequence[type[TaskSpec]]) -> type[Suite]:
    """A suite's model that takes tasks of further types."""
    union: Any = reduce(or_, (*TASK_SPECS.values(), *specs))
    tasks = dict[str, Annotated[union, Field(discriminator="type")]]
    field = model.model_fields["tasks"]
    return create_model(model.__name__, __base__=model, tasks=(tasks, field))


def suite_schema() -> dict[str, Any]:
    """JSON Schema of a suite file; ``docs/suite.schema.json`` holds it for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_model_with(tuple(TASK_TYPES.built_in.keys() - TASK_SPECS.keys())).model_json_schema(),
        "title": "qlora-harness suite",
    }
