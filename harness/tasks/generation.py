"""Generation tasks: prompts to predictions, predictions to scores.

The two halves are separate results in the store, so that a new metric regenerates no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.digests import file_digest
from harness.engines.base import ActiveModel, Decoding, Generated, MixedModel, Progress
from harness.files import local_path
from harness.metrics.base import score_corpus
from harness.metrics.classification import label_set
from harness.metrics.registry import build_metric, is_evaluate_module, needs_labels
from harness.models.hardware import installed_versions
from harness.models.tokens import load_tokenizer
from harness.schema import Example, Prediction
from harness.suite.spec import ENGINE, GenerationTask, MetricSpec
from harness.tasks import base
from harness.tasks.evaluate_module import EvaluateModule
from harness.tasks.perfect import (
    PERFECT,
    check_answers,
    perfect_answers,
    prove,
    stops_of,
    try_metrics,
)

if TYPE_CHECKING:
    from harness.console import Reporter  # rich, which planning does not need
    from harness.models.policy import DevicePolicy

PREDICTIONS = "predictions"
_FEW = 4  # examples on which a module of the user's is tried


class Generation:
    """Generate text and score it against references."""

    spec = GenerationTask

    def inputs(self, request: base.TaskRequest, examples: Mapping[str, Any] | None) -> Any:
        """The examples alone: they were rendered with the prompt."""
        return examples

    def identity(self, request: base.TaskRequest, inputs: Any) -> base.ResultIdentity:
        """Examples and decoding make the texts; texts and metrics make the scores."""
        task: GenerationTask = request.spec
        decoding: dict[str, Any] = {
            "max_new_tokens": task.max_new_tokens,
            "max_prompt_tokens": task.max_prompt_tokens,
            "do_sample": task.do_sample,
        }
        if task.mix_adapters == "always":
            decoding["mix_adapters"] = "always"  # in half precision it can flip a near-tie
        if task.do_sample:  # greedy decoding depends on none of these
            options = {"temperature": task.temperature, "top_p": task.top_p, "top_k": task.top_k}
            decoding |= {**options, "seed": request.suite.seed}
        if task.generation:
            decoding["generation"] = task.generation
        outputs = {**examples_identity(task, inputs), "decoding": decoding}
        metrics = [_metric_identity(spec, request.base_dir) for spec in task.metric_specs]
        return base.ResultIdentity(outputs, metrics)

    def rehearse(self, request: base.TaskRequest) -> None:
        """Try the metrics, and what perfect answers score, before anything is made to be scored."""
        suite = request.suite
        if suite.base.engine == ENGINE:  # another may have another tokenizer
            _ready(request, load_tokenizer(suite.base, request.base_dir))
        else:
            _try_metrics(request)

    @contextmanager
    def open(
        self, request: base.TaskRequest, tokenizer: Any, reporter: Reporter
    ) -> Iterator[base.TaskSession]:
        """A session with the decoding that the suite asks for."""
        yield _ready(request, tokenizer)

    def score(
        self, request: base.TaskRequest, kept: Callable[[str, type[Any]], Sequence[Any]]
    ) -> base.TaskOutcome:
        """Score stored texts with every metric of the task, split by split.

        Surrounding whitespace of a text is not scored: a completion that starts with a blank is a
        matter of tokenization, not of quality.
        """
        texts = {made.example_id: made.text.strip() for made in kept(PREDICTIONS, Prediction)}
        labels = label_set([example.references for example in request.examples])
        outcome = prove(request, kept(PERFECT, Prediction))
        scorers = [
            EvaluateModule(spec, base_dir=request.base_dir)
            if is_evaluate_module(spec.name)
            else build_metric(spec, labels=labels if needs_labels(spec) else None)
            for spec in request.spec.metric_specs
        ]
        for split in request.spec.splits:
            chosen = [example for example in request.examples if example.split == split]
            outcome.arrays |= base.example_arrays(split, chosen)
            references = [list(example.references) for example in chosen]
            corpus = [texts[example.id] for example in chosen], references
            for scorer in scorers:
                if isinstance(scorer, EvaluateModule):
                    value, reason, stats = scorer.score_corpus(*corpus)
                    signature = scorer.signature
                else:
                    value, reason, stats = score_corpus(scorer, *corpus)
                    signature = scorer.signature_for(references)
                made: dict[str, Any] = {"value": value, "reason": reason, "signature": signature}
                if stats is not None:
                    made["stats"] = f"{scorer.name}/{split}"
                    outcome.arrays[made["stats"]] = stats
                outcome.scores.append(
                    base.score_of(scorer, request.task_id, split, n=len(chosen), **made)
                )
        return outcome


TASK_TYPE = Generation()


def _ready(request: base.TaskRequest, tokenizer: Any) -> _GenerationSession:
    """A session, once everything was tried that needs no model."""
    _try_metrics(request)
    stops = stops_of(request, tokenizer)
    answers = perfect_answers(request, tokenizer, stops)
    check_answers(request, answers)
    session = _GenerationSession(request, stops, answers)
    if request.spec.generation:
        from harness.engines.stock_generate import own_config  # loads torch

        own_config(session.decoding)
    return session


def _try_metrics(request: base.TaskRequest) -> None:
    """Try each metric on references: one that cannot see them, and one that does not run."""
    try_metrics(request)
    references = [example.references for example in request.examples[:_FEW]]
    for spec in request.spec.metric_specs:
        if is_evaluate_module(spec.name):
            EvaluateModule(spec, base_dir=request.base_dir).check(references)


def examples_identity(task: Any, examples: Any) -> dict[str, Any]:
    """What changes results on examples of the suite's own, whatever is made of them."""
    return {
        "examples": examples,
        "splits": sorted(task.splits),
        "limit": task.limit,
        # it does not matter in exact arithmetic; in floating point it can flip a near-tie
        "batch_size": task.batch_size,
    }


@dataclass(frozen=True)
class _GenerationSession:
    request: base.TaskRequest
    stops: tuple[str, ...]
    answers: tuple[Prediction, ...]  # of a perfect model

    def predict(self, model: ActiveModel, progress: Progress) -> base.Outputs:
        return self._outputs(model.generate(**self._asked, progress=progress))

    def shares_batches(self, policy: DevicePolicy) -> bool:
        return together_pays(self.request.spec, self.request.examples, policy)

    def predict_together(
        self, mixture: MixedModel, progress: Progress
    ) -> Mapping[str | None, base.Outputs]:
        texts = mixture.generate(**self._asked, progress=progress)
        return {variant: self._outputs(own) for variant, own in texts.items()}

    @property
    def decoding(self) -> Decoding:
        """As the suite asks for it."""
        own: dict[str, Any] = {"seed": self.request.suite.seed, "stop": self.stops}
        shared = {field.name for field in fields(Decoding)} - own.keys()
        return Decoding(**own, **self.request.spec.model_dump(include=shared))

    @property
    def _asked(self) -> dict[str, Any]:
        request = self.request
        prompts = [example.prompt for example in request.examples]
        return {"prompts": prompts, "decoding": self.decoding, "chat": request.prompt.is_chat}

    def _outputs(self, texts: Sequence[Generated]) -> base.Outputs:
        predictions = [
            Prediction(example_id=example.id, **vars(made))
            for example, made in zip(self.request.examples, texts, strict=True)
        ]
        return base.Outputs({PREDICTIONS: predictions, PERFECT: self.answers})


def together_pays(task: GenerationTask, examples: Sequence[Example], policy: DevicePolicy) -> bool:
    """Whether several variants are predicted in common batches rather than one after another.

    Only fp32 gives the same texts either way. In half precision the batch can flip a near-tie, and
    a text would depend on which other variants happened to be missing: there it is done on
    request, which is part of the results' keys.

    A GPU decodes many rows in the time of few. A CPU does so up to some ten rows only: for
    SmolLM2-135M and four adapters of r 16 (fp32, one thread, batch_size 64, 16 new tokens) common
    batches were 3.4 times as fast for 1 prompt, 2.2 for 4, 1.3 for 16, and no faster for 32.
    """
    if task.generation:
        return False
    if task.mix_adapters != "auto":
        return task.mix_adapters == "always"
    few = policy.device != "cpu" or len(examples) <= task.batch_size // 4
    return few and policy.compute_dtype == "fp32"


def _metric_identity(spec: MetricSpec, base_dir: Path) -> dict[str, Any]:
    identity = spec.model_dump(mode="json")
    if is_evaluate_module(spec.name):
        identity["evaluate"] = installed_versions(["evaluate"])
        script = local_path(spec.name.partition(":")[2], base_dir)
        files = sorted(script.glob("*.py")) if script.is_dir() else [script]
        identity["script"] = {file.name: file_digest(file) for file in files if file.is_file()}
    return identity
