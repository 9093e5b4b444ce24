"""Whether a perfect answer scores full marks, tried before a model is asked for any.

A perfect model writes what the training teaches: the completions of the rows. Some of them are
encoded as in training, decoded as outputs are decoded, and scored like any output. What they do
not reach, no model does. Apart from that each metric is tried on the references themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, Literal

from harness.errors import PromptError
from harness.metrics.base import score_corpus
from harness.metrics.classification import label_set
from harness.metrics.names import metric_name
from harness.metrics.registry import build_metric, is_evaluate_module, needs_labels
from harness.metrics.sight import BLIND_SHARE, Sight, check_sight, lost_share, spread
from harness.models.tokens import ChatTurns, as_output, encode_pair
from harness.schema import Finding, Prediction, Proof
from harness.suite.rules import in_points
from harness.suite.spec import MetricSpec
from harness.tasks.base import TaskOutcome, TaskRequest

Texts = tuple[tuple[str, ...], ...]  # the references of each example

PROBE = "a perfect answer scores full marks"
PERFECT = "perfect"  # the answers, kept beside the outputs
_TRIED = 32  # examples

_SHARED = "All variants miss the same, so differences between them are smaller than they should be."
_REPAIR = (
    "Special tokens are not printed, and stop strings end an output: name a token that ends the "
    "completion in prompt.stop, leave others out of it, or name a field of what is printed with "
    "prompt.references."
)
_LONGER = "Raise max_new_tokens."
_ENDLESS = (
    "Give the tokenizer a chat template that ends turns with EOS or a token of their own, or name "
    "what begins the next turn in prompt.stop."
)


def stops_of(request: TaskRequest, tokenizer: Any) -> tuple[str, ...]:
    """What ends an output: the suite's strings, and of a chat the token that ends a turn."""
    stops = request.prompt.stop
    if tokenizer is None or not request.prompt.is_chat or not request.examples:
        return stops
    end = ChatTurns(tokenizer).end([example.completion for example in request.examples])
    return stops if end in (None, tokenizer.eos_token, *stops) else (*stops, str(end))


def perfect_answers(
    request: TaskRequest, tokenizer: Any, stops: Sequence[str]
) -> tuple[Prediction, ...]:
    """What a perfect model is seen to write; nothing where no completion says what that is.

    Args:
        request: The task with its examples; a few are taken, spread over all of them.
        tokenizer: That of every variant.
        stops: Strings that end an output.
    """
    if tokenizer is None:  # an engine of another package may have none
        return ()
    answers = []
    for example in spread([e for e in request.examples if e.completion], _TRIED):
        prompt, ids = encode_pair(
            tokenizer, example.prompt, example.completion, chat=request.prompt.is_chat
        )
        text, tokens, reason = as_output(tokenizer, ids, stops, request.spec.max_new_tokens)
        answers.append(
            Prediction(
                example_id=example.id,
                text=text,
                prompt_tokens=len(prompt),
                new_tokens=tokens,
                finish_reason=reason,
            )
        )
    return tuple(answers)


def check_answers(request: TaskRequest, answers: Sequence[Prediction]) -> None:
    """Refuse default references that no output can equal.

    References that the suite names stand as they are: what a perfect answer scores against them is
    in the proof.

    Raises:
        PromptError: Names the metric, what a perfect model would score, and an example.
    """
    if request.prompt.references is not None:
        return
    reach = _reach(request, [answer for answer in answers if not _is_cut(request, answer)])
    if reach is not None and reach.lost > BLIND_SHARE:
        raise PromptError(reach.words, where=f"tasks.{request.task_id}", hint=_REPAIR)


def prove(request: TaskRequest, answers: Sequence[Prediction]) -> TaskOutcome:
    """What a perfect answer scores on a task, and what its metrics cannot see; without scores.

    Args:
        request: The task with its examples.
        answers: As `perfect_answers` gave them.

    Raises:
        MetricError: A metric cannot see the references.
    """
    dim = [sight for sight in try_metrics(request) if sight.blind]
    findings = [Finding(check=PROBE, severity="info", what=s.words, why=_SHARED) for s in dim]
    untried = [s.name for s in request.spec.metric_specs if is_evaluate_module(s.name)]
    findings += [_untried(request.task_id, name) for name in untried]
    reach = _reach(request, answers)
    return TaskOutcome(
        findings=findings, proofs=[] if reach is None else [_proof(request, answers, reach)]
    )


def _untried(task: str, module: str) -> Finding:
    """That nobody knows the best value of what a stranger's code computes."""
    return Finding(
        check=PROBE,
        severity="info",
        what=f"{task}: what a perfect answer scores by {module} is not known: modules of Hugging "
        "Face evaluate are not tried on perfect answers or on the references' language.",
        why="Where it gives less than its best for a right answer, all variants miss the same.",
        hint="Put a built-in metric beside it: what that one misses, the task loses.",
    )


def try_metrics(request: TaskRequest) -> Sequence[Sight]:
    """Try a task's metrics on its references.

    Raises:
        MetricError: A metric cannot see them.
    """
    references = tuple(example.references for example in request.examples)
    return _sights(f"tasks.{request.task_id}", _specs(request), references)


def _specs(request: TaskRequest) -> tuple[str, ...]:
    """The metrics as JSON; modules of Hugging Face evaluate are left out."""
    named = [spec for spec in request.spec.metric_specs if not is_evaluate_module(spec.name)]
    return tuple(spec.model_dump_json() for spec in named)


@lru_cache(maxsize=16)  # the same for all variants, and METEOR takes its time
def _sights(where: str, specs: tuple[str, ...], references: Texts) -> Sequence[Sight]:
    return check_sight([MetricSpec.model_validate_json(spec) for spec in specs], references, where)


@lru_cache(maxsize=16)  # likewise
def _values(
    specs: tuple[str, ...], texts: tuple[str, ...], own: Texts, labels: tuple[str, ...]
) -> list[tuple[float, str, str, str]]:
    """Lost share of the range, name, value and best value, by metric that is defined on them."""
    values = []
    for spec in map(MetricSpec.model_validate_json, specs):
        metric = build_metric(spec, labels=labels if needs_labels(spec) else None)
        value, best = (score_corpus(metric, t, own)[0] for t in (texts, [r[0] for r in own]))
        if value is not None and best is not None:
            lost = lost_share(metric, value, best)
            shown, full = (_shown(each, metric.scale) for each in (value, best))
            values.append((lost, metric_name(spec.name), shown, full))
    return values


def _shown(value: float, scale: float | None) -> str:
    """As the report shows it: in points of 100 where there is a best value."""
    return f"{in_points(value, scale):.1f}" if scale else f"{value:.4g}"


@dataclass(frozen=True)
class _Reach:
    """What perfect answers score, by the metric of which they miss most."""

    lost: float
    words: str
    values: str


def _reach(request: TaskRequest, answers: Sequence[Prediction]) -> _Reach | None:
    """What some answers score, against what their own references would; None without answers."""
    by_id = {example.id: tuple(example.references) for example in request.examples}
    own = tuple(by_id[answer.example_id] for answer in answers)
    texts = tuple(answer.text.strip() for answer in answers)
    labels = label_set([example.references for example in request.examples])
    values = _values(_specs(request), texts, own, labels) if answers else []
    if not values:
        return None
    lost, name, value, best = max(values, key=itemgetter(0))
    other = next(((t, r[0]) for t, r in zip(texts, own, strict=True) if t not in r), None)
    words = f"On {len(texts)} examples a perfect answer scores {name} {value}, not {best}"
    if other is not None:
        words += f": {other[0][:60]!r} is printed where the reference is {other[1][:60]!r}"
    told = ", ".join(f"{name} {value}" for _, name, value, _ in values)
    return _Reach(lost, f"{words}.", told)


def _is_cut(request: TaskRequest, answer: Prediction) -> bool:
    return answer.finish_reason == "length" and answer.new_tokens >= request.spec.max_new_tokens


def _proof(request: TaskRequest, answers: Sequence[Prediction], reach: _Reach) -> Proof:
    cut = sum(_is_cut(request, answer) for answer in answers)
    endless = sum(answer.finish_reason == "length" for answer in answers) - cut
    tried = f"{len(answers)} completions, encoded as in training and decoded as outputs are"
    outcome: Literal["holds", "fallback", "fails"] = "holds"
    words, hint = f"{tried}, score {reach.values}.", ""
    if reach.lost > BLIND_SHARE:
        outcome = "fails" if reach.lost > 1 - BLIND_SHARE and not cut else "fallback"
        words, hint = reach.words, _LONGER if cut else _REPAIR
    if cut:
        words += f" max_new_tokens cuts {cut} of {len(answers)}."
    if endless:
        outcome = "fallback" if outcome == "holds" else outcome
        words += (
            f" Nothing ends {endless} of them: the chat template writes nothing after an answer."
        )
        hint = _ENDLESS
    return Proof(
        probe=PROBE,
        outcome=outcome,
        words=f"{request.task_id}: {words}",
        difference=100 * reach.lost,
        limit=100 * BLIND_SHARE,
        unit="points",
        hint=hint,
    )
