"""Generation tasks: prompts to predictions, predictions to scores.

The two halves are separate results in the store, so that a new metric regenerates no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.console import Reporter
from harness.digests import file_digest
from harness.engines.base import ActiveModel, Decoding, Generated, MixedModel, Progress
from harness.metrics.base import Metric, score_corpus
from harness.metrics.classification import label_set
from harness.metrics.registry import build_metric, is_evaluate_module, needs_labels
from harness.models.hardware import installed_versions
from harness.schema import Example, Prediction, Score
from harness.suite.spec import GenerationTask, MetricSpec
from harness.tasks.base import (
    Outputs,
    ResultIdentity,
    TaskOutcome,
    TaskRequest,
    TaskSession,
    example_arrays,
)
from harness.tasks.evaluate_module import EvaluateModule

if TYPE_CHECKING:
    from harness.models.policy import DevicePolicy

PREDICTIONS = "predictions"
_FEW = 4  # examples on which a module of the user's is tried


class Generation:
    """Generate text and score it against references."""

    spec = GenerationTask

    def inputs(self, request: TaskRequest, examples: Mapping[str, Any] | None) -> Any:
        """The examples alone: they were rendered with the prompt."""
        return examples

    def identity(self, request: TaskRequest, inputs: Any) -> ResultIdentity:
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
        outputs = {**examples_identity(task, inputs), "decoding": decoding}
        metrics = [_metric_identity(spec, request.base_dir) for spec in task.metric_specs]
        return ResultIdentity(outputs, metrics)

    def rehearse(self, request: TaskRequest) -> None:
        """Run modules of Hugging Face evaluate once, before anything is made for them to score."""
        few = [example.references for example in request.examples[:_FEW]]
        for spec in request.spec.metric_specs:
            if is_evaluate_module(spec.name):
                EvaluateModule(spec, base_dir=request.base_dir).check(few)

    @contextmanager
    def open(
        self, request: TaskRequest, tokenizer: Any, reporter: Reporter
    ) -> Iterator[TaskSession]:
        """A session with the decoding that the suite asks for."""
        self.rehearse(request)
        yield _GenerationSession(request)

    def score(
        self, request: TaskRequest, kept: Callable[[str, type[Any]], Sequence[Any]]
    ) -> TaskOutcome:
        """Score stored texts."""
        predictions = kept(PREDICTIONS, Prediction)
        return score(
            request.task_id, request.spec, request.examples, predictions, base_dir=request.base_dir
        )


TASK_TYPE = Generation()


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
    request: TaskRequest

    def predict(self, model: ActiveModel, progress: Progress) -> Outputs:
        chat = self.request.prompt.is_chat
        texts = model.generate(self._prompts, self._decoding, chat=chat, progress=progress)
        return self._outputs(texts)

    def shares_batches(self, policy: DevicePolicy) -> bool:
        return together_pays(self.request.spec, self.request.examples, policy)

    def predict_together(
        self, mixture: MixedModel, progress: Progress
    ) -> Mapping[str | None, Outputs]:
        chat = self.request.prompt.is_chat
        texts = mixture.generate(self._prompts, self._decoding, chat=chat, progress=progress)
        return {variant: self._outputs(own) for variant, own in texts.items()}

    @property
    def _prompts(self) -> list[str]:
        return [example.prompt for example in self.request.examples]

    @property
    def _decoding(self) -> Decoding:
        task: GenerationTask = self.request.spec
        return Decoding(
            max_new_tokens=task.max_new_tokens,
            stop=self.request.prompt.stop,
            do_sample=task.do_sample,
            temperature=task.temperature,
            top_p=task.top_p,
            top_k=task.top_k,
            seed=self.request.suite.seed,
            max_prompt_tokens=task.max_prompt_tokens,
            batch_size=task.batch_size,
        )

    def _outputs(self, texts: Sequence[Generated]) -> Outputs:
        predictions = [
            Prediction(
                example_id=example.id,
                text=made.text,
                prompt_tokens=made.prompt_tokens,
                new_tokens=made.new_tokens,
                finish_reason=made.finish_reason,
                truncated_prompt_tokens=made.truncated_prompt_tokens,
            )
            for example, made in zip(self.request.examples, texts, strict=True)
        ]
        return Outputs({PREDICTIONS: predictions})


def together_pays(task: GenerationTask, examples: Sequence[Example], policy: DevicePolicy) -> bool:
    """Whether several variants are predicted in common batches rather than one after another.

    Only fp32 gives the same texts either way. In half precision the batch can flip a near-tie, and
    a text would depend on which other variants happened to be missing: there it is done on
    request, which is part of the results' keys.

    A GPU decodes many rows in the time of few. A CPU does so up to some ten rows only: for
    SmolLM2-135M and four adapters of r 16 (fp32, one thread, batch_size 64, 16 new tokens) common
    batches were 3.4 times as fast for 1 prompt, 2.2 for 4, 1.3 for 16, and no faster for 32.
    """
    if task.mix_adapters != "auto":
        return task.mix_adapters == "always"
    few = policy.device != "cpu" or len(examples) <= task.batch_size // 4
    return few and policy.compute_dtype == "fp32"


def _metric_identity(spec: MetricSpec, base_dir: Path) -> dict[str, Any]:
    identity = spec.model_dump(mode="json")
    if is_evaluate_module(spec.name):
        identity["evaluate"] = installed_versions(["evaluate"])
        script = base_dir / Path(spec.name.partition(":")[2]).expanduser()
        files = sorted(script.glob("*.py")) if script.is_dir() else [script]
        identity["script"] = {file.name: file_digest(file) for file in files if file.is_file()}
    return identity


def score(
    task_id: str,
    task: GenerationTask,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    base_dir: Path,
) -> TaskOutcome:
    """Score predictions with every metric of the task, split by split.

    Surrounding whitespace of a prediction is not scored: a completion that starts with a blank
    is a matter of tokenization, not of quality.

    Args:
        task_id: The task's name in the suite.
        task: Its metrics and splits.
        examples: What was predicted; those of other splits are left out.
        predictions: One per example, in any order.
        base_dir: Folder that paths of the user's own metric modules start from.
    """
    by_id = {prediction.example_id: prediction for prediction in predictions}
    labels = label_set([list(example.references) for example in examples])
    outcome = TaskOutcome()
    scorers = [_scorer(metric, labels, base_dir) for metric in task.metric_specs]
    for split in task.splits:
        chosen = [example for example in examples if example.split == split]
        outcome.arrays |= example_arrays(split, chosen)
        texts = [by_id[example.id].text.strip() for example in chosen]
        references = [list(example.references) for example in chosen]
        for scorer in scorers:
            if isinstance(scorer, EvaluateModule):
                value, reason, stats = scorer.score_corpus(texts, references)
                signature = scorer.signature
            else:
                value, reason, stats = score_corpus(scorer, texts, references)
                signature = scorer.signature_for(references)
            name = f"{scorer.name}/{split}"
            if stats is not None:
                outcome.arrays[name] = stats
            outcome.scores.append(
                Score(
                    task=task_id,
                    metric=scorer.name,
                    split=split,
                    n=len(chosen),
                    value=value,
                    reason=reason,
                    scale=scorer.scale,
                    unit=scorer.unit,
                    higher_is_better=scorer.higher_is_better,
                    signature=signature,
                    stats=name if stats is not None else None,
                )
            )
    return outcome


def _scorer(spec: MetricSpec, labels: Sequence[str], base_dir: Path) -> Metric | EvaluateModule:
    """What scores by one metric: one of ours, or a module that the user names."""
    if is_evaluate_module(spec.name):
        return EvaluateModule(spec, base_dir=base_dir)
    return build_metric(spec, labels=labels if needs_labels(spec) else None)
