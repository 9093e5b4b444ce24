"""Generation tasks: prompts to predictions, predictions to scores.

The two halves are separate results in the store, so that a new metric regenerates no text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.engines.generation import Decoding, Generated, generate, generate_together
from harness.metrics.base import Metric, score_corpus
from harness.metrics.classification import label_set
from harness.metrics.registry import build_metric, is_evaluate_module, needs_labels
from harness.models.device import DevicePolicy
from harness.models.mixed import Mixture
from harness.schema import Example, Prediction, Score, Split
from harness.suite.spec import GenerationTask, MetricSpec, PromptSpec
from harness.tasks.evaluate_module import EvaluateModule
from harness.tasks.outcome import TaskOutcome, example_arrays

Progress = Callable[[int, int, str], None]


def select_examples(
    examples: Sequence[Example], splits: Sequence[Split], limit: int | None
) -> list[Example]:
    """Examples of some splits, at most ``limit`` of each, in the order of ``splits``."""
    chosen: list[Example] = []
    for split in splits:
        chosen += [example for example in examples if example.split == split][:limit]
    return chosen


def predict(
    task: GenerationTask,
    prompt: PromptSpec,
    examples: Sequence[Example],
    model: Any,
    tokenizer: Any,
    *,
    seed: int,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Generate one text per example.

    Args:
        task: Decoding options.
        prompt: The template the examples were rendered with; gives the stop strings.
        examples: What to predict, shape (n,).
        model: A causal language model with the right adapter active.
        tokenizer: Its tokenizer.
        seed: Seed of sampling; greedy decoding does not use it.
        progress: Called with (examples done, n, tokens per second in words).

    Returns:
        Predictions in the order of ``examples``, shape (n,).
    """
    decoding = _decoding(task, prompt, seed)
    prompts = [example.prompt for example in examples]
    texts = generate(model, tokenizer, prompts, decoding, chat=prompt.is_chat, progress=progress)
    return _predictions(examples, texts)


def predict_together(
    task: GenerationTask,
    prompt: PromptSpec,
    examples: Sequence[Example],
    mixture: Mixture,
    tokenizer: Any,
    *,
    seed: int,
    progress: Progress | None = None,
) -> dict[str | None, list[Prediction]]:
    """Generate one text per example and variant, the variants in the same batches.

    Args:
        task: Decoding options.
        prompt: The template the examples were rendered with; gives the stop strings.
        examples: What to predict, shape (n,).
        mixture: The variants, as ``AdapterSet.mixed`` gives them.
        tokenizer: Their tokenizer.
        seed: Seed of sampling; a prompt's draws are the same for every variant.
        progress: Called with (texts done, n x variants, tokens per second in words).

    Returns:
        What ``predict`` returns for each variant.
    """
    decoding = _decoding(task, prompt, seed)
    prompts = [example.prompt for example in examples]
    texts = generate_together(
        mixture, tokenizer, prompts, decoding, chat=prompt.is_chat, progress=progress
    )
    return {variant: _predictions(examples, own) for variant, own in texts.items()}


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


def _decoding(task: GenerationTask, prompt: PromptSpec, seed: int) -> Decoding:
    return Decoding(
        max_new_tokens=task.max_new_tokens,
        stop=prompt.stop,
        do_sample=task.do_sample,
        temperature=task.temperature,
        top_p=task.top_p,
        top_k=task.top_k,
        seed=seed,
        max_prompt_tokens=task.max_prompt_tokens,
        batch_size=task.batch_size,
    )


def _predictions(examples: Sequence[Example], texts: Sequence[Generated]) -> list[Prediction]:
    return [
        Prediction(
            example_id=example.id,
            text=made.text,
            prompt_tokens=made.prompt_tokens,
            new_tokens=made.new_tokens,
            finish_reason=made.finish_reason,
            truncated_prompt_tokens=made.truncated_prompt_tokens,
        )
        for example, made in zip(examples, texts, strict=True)
    ]


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
    scorers = [_scorer(metric, labels, base_dir) for metric in task.metrics]
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


def _scorer(
    spec: str | MetricSpec, labels: Sequence[str], base_dir: Path
) -> Metric | EvaluateModule:
    """What scores by one metric: one of ours, or a module that the user names."""
    metric_spec = MetricSpec.of(spec)
    if is_evaluate_module(metric_spec.name):
        return EvaluateModule(metric_spec, base_dir=base_dir)
    return build_metric(metric_spec, labels=labels if needs_labels(metric_spec) else None)
