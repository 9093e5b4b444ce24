"""Log-likelihood requests of lm-eval, answered with every shared prefix computed once.

lm-eval's own class scores each request with a forward pass of its own sequence, and runs the output
layer on all of its tokens. Here all requests of a task become one tree (``prefix_tree``), every
branch is computed once (``tree_forward``), and the output layer runs where something is scored.
Inputs are lm-eval's own to the token: encoding, truncation on the left and the order of answers
are taken over from it, so scores are equal up to rounding.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial
from typing import Any, TypeVar

import numpy as np

from harness.digests import value_digest
from harness.engines.base import Progress
from harness.engines.finite import require_finite_sums
from harness.engines.generate_trial import GenerateTrial
from harness.engines.prefix_tree import Limits, TokenRequest, TreePlan, make_plan
from harness.engines.probe import Engine, EngineChoice
from harness.engines.request_trial import RequestTrial, spread
from harness.engines.tree_forward import TreeScorer
from harness.engines.trial import Trials
from harness.errors import HarnessError, MissingExtraError
from harness.models.causality import Causality
from harness.models.vocabulary import require_embeddings

try:
    from lm_eval.models.huggingface import HFLM
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error


AnswersT = TypeVar("AnswersT")

SharedPlans = dict[str, tuple[TreePlan, int]]
"""What does not depend on weights, kept from one variant to the next.

Digest of texts, and of what their plan depends on -> the plan for them in their order, and how many
are cut on the left because they are longer than the model's context.
"""


class PrefixSharingLM(HFLM):  # type: ignore[misc]  # lm_eval is untyped
    """lm-eval's own model class around a loaded model; counts what is done and what is cut.

    Args:
        model: A transformers or PEFT model.
        tokenizer: Its tokenizer; a copy is used, since lm-eval may give it a padding token.
        batch_size: Requests per forward pass of the stock engine, and of generation.
        device: Where the model is.
        engine: ``auto`` chooses by a probe of the model.
        batch_tokens: Most tokens per forward pass; default: by device and free memory.
        shared: What to take over from, and leave to, other variants with the same tokenizer.
        progress: Called with (requests done, requests in all).
        trials: Of the loaded base, for what is tried on the requests; None: nothing is.
        causality: Whether log-likelihoods of it look ahead. None: it is not asked.
        turn_end: A token at which texts end beside EOS, such as that of a chat template.

    Attributes:
        truncated: Requests cut on the left because they are longer than the model's context.
    """

    batch_size_per_gpu: int

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        batch_size: int,
        device: str,
        engine: Engine = "auto",
        batch_tokens: int | None = None,
        shared: SharedPlans | None = None,
        progress: Progress | None = None,
        trials: Trials | None = None,
        causality: Causality | None = None,
        turn_end: str | None = None,
    ) -> None:
        super().__init__(
            pretrained=model,
            tokenizer=copy.deepcopy(tokenizer),
            batch_size=batch_size,
            device=device,
            softmax_dtype="float32",  # in bf16, near-ties between choices become ties
        )
        self.truncated = 0
        self._engine = engine
        self._batch_tokens = batch_tokens
        self._shared = shared if shared is not None else {}
        # lm-eval encodes a context anew for each of the continuations that follow each other
        self.tok_encode = lru_cache(maxsize=8)(super().tok_encode)
        self._progress = progress
        self._done = self._total = self._shown = 0
        self._trials = trials
        self._task = id(self._shared)  # what a task's variants share is its own
        self._causality = causality
        self._turn_end = turn_end
        self.set_cache_hook(self)

    @property
    def choice(self) -> EngineChoice:
        """Which engine answers log-likelihood requests, after all that was tried."""
        return self._trial.choice

    @cached_property
    def _trial(self) -> RequestTrial:
        how = self._engine, self.batch_size
        return RequestTrial(self.model, *how, self._trials, self._task)

    def add_partial(self, _kind: str, _request: Any, _response: Any) -> None:
        """What lm-eval calls for its request cache as soon as a request is answered."""
        self._done += 1
        self._report(self._done)

    def _report(self, done: int) -> None:
        self._shown = max(self._shown, done)  # windows of a text count before the text itself
        if self._progress is not None:
            self._progress(self._shown, self._total)

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = True
    ) -> list[tuple[float, bool]]:
        """Answer requests of (context, continuation) with (log-probability, is greedy)."""
        self._total += len(requests)
        texts = [request.args for request in requests]

        def attempt() -> list[tuple[float, bool]]:
            if self._trial.way != "stock":
                plan, truncated = self._shared.get(self._digest(texts), (None, 0))
                if plan is not None:
                    self.truncated += truncated
                    return self._run(plan, texts, lambda index: self._tokens(*texts[index]))
            answers: list[tuple[float, bool]] = ask(requests, disable_tqdm=True)
            return answers

        ask = super().loglikelihood
        return self._tried(attempt)

    def _tried(self, attempt: Callable[[], AnswersT]) -> AnswersT:
        """Answers of the first engine that is right; what a wrong one had counted is forgotten."""
        if self._causality is not None and self.backend == "causal":
            self._causality.require()
        done, truncated = self._done, self.truncated

        def anew() -> AnswersT:
            self._done, self.truncated = done, truncated
            return attempt()

        return self._trial.run(anew)

    def _tokens(self, context: str, continuation: str) -> tuple[list[int], list[int]] | None:
        return self._encode_pair(context, continuation) if context else None

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """Answer requests of whole texts with their log-probability."""
        self._total += len(requests)
        ask = super().loglikelihood_rolling

        def attempt() -> list[float]:
            # one plan for the windows of all texts
            size = self.batch_size_per_gpu if self._trial.way == "stock" else sys.maxsize
            with self._batches_of(size):
                answers: list[float] = ask(requests, disable_tqdm=True)
            return answers

        return self._tried(attempt)

    @contextmanager
    def _batches_of(self, size: int) -> Iterator[None]:
        before = self.batch_size_per_gpu
        self.batch_size_per_gpu = size
        try:
            yield
        finally:
            self.batch_size_per_gpu = before

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """Answer requests of (context, generation arguments) with a text."""
        self._total += len(requests)
        answers: list[str] = super().generate_until(requests, disable_tqdm=True)
        end = self._turn_end
        return answers if end is None else [text.partition(end)[0] for text in answers]

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = True,
        override_bs: int | None = None,
    ) -> Any:
        truncated = 0
        for _, context, continuation in requests:
            if not context:
                raise HarnessError(
                    "A context of nothing but white space cannot be scored: lm-eval leaves no "
                    "token of it, and the tokenizer puts none in front.",
                    hint="Leave this task out for this model.",
                )
            if not 0 < len(continuation) <= self.max_length:
                raise HarnessError(
                    f"A continuation of {len(continuation)} tokens cannot be scored: the model's "
                    f"context holds 1 to {self.max_length}.",
                    hint="Leave this task out for this model.",
                )
            truncated += len(context) + len(continuation) > self.max_length + 1
        self.truncated += truncated
        require_embeddings(self.model, self.tokenizer, (a + b for _, a, b in requests))
        if self._trial.way == "stock":
            due = {
                index: self._expected(requests[index][1:], _place(requests, index))
                for index in spread(requests)
            }
            with self._batches_of(1 if self._trial.one_by_one else self.batch_size_per_gpu):
                answers = super()._loglikelihood_tokens(
                    requests, disable_tqdm=True, override_bs=override_bs
                )
            require_finite_sums([value for value, _ in answers], partial(_place, requests))
            for index, expected in due.items():
                self._trial.note(len(requests[index][2]), answers[index][0], expected)
            return answers
        cut = [self._cut(context, continuation) for _, context, continuation in requests]
        texts = [text for text, _, _ in requests]
        plan = make_plan(cut, self._limits)
        if texts and texts[0] is not None:
            self._shared[self._digest(texts)] = plan, truncated
        return self._run(plan, texts, lambda index: requests[index][1:])

    @property
    def _limits(self) -> Limits:
        row_tokens = min(Limits.row_tokens, self._batch_tokens or Limits.row_tokens)
        return Limits(branching=self._trial.way == "tree", row_tokens=row_tokens)

    def _digest(self, texts: Sequence[tuple[str, str]]) -> str:
        return value_digest([self.max_length, repr(self._limits), [list(pair) for pair in texts]])

    def _expected(
        self, tokens: tuple[list[int], list[int]] | None, what: str
    ) -> tuple[float, float] | None:
        if tokens is None or self.backend != "causal":
            return None
        return self._trial.expected(self._cut(*tokens), what)

    def _cut(self, context: list[int], continuation: list[int]) -> TokenRequest:
        """A request as the model is to read it; what is too long is cut on the left."""
        inputs = (context + continuation)[-(self.max_length + 1) :][:-1]
        return TokenRequest(inputs, continuation)

    def _run(
        self,
        plan: TreePlan,
        texts: Sequence[tuple[str, str] | None],
        tokens: Callable[[int], tuple[list[int], list[int]] | None],
    ) -> list[tuple[float, bool]]:
        """Answers in the order of the requests; the cache hook hears of each when it is known."""
        scorer = TreeScorer(
            self.model,
            masks="tree" if self._trial.way == "tree" else "native",
            batch_tokens=self._batch_tokens,
        )
        sums = np.zeros(plan.requests)
        greedy = np.ones(plan.requests, dtype=np.bool_)
        missing = np.bincount(plan.terms.request, minlength=plan.requests)
        for answer in scorer.run(plan):
            owners = plan.terms.request[answer.terms]
            np.add.at(sums, owners, answer.log_probabilities)
            np.logical_and.at(greedy, owners, answer.greedy)
            touched, counts = np.unique(owners, return_counts=True)
            missing[touched] -= counts
            finished = touched[missing[touched] == 0]
            for index in finished[:1].tolist():  # one of each of the first passes
                expected = self._expected(tokens(index), _place(texts, index))
                count = int(np.count_nonzero(plan.terms.request == index))
                self._trial.note(count, float(sums[index]), expected)
            for index in finished:
                text = texts[index]
                if text is not None:
                    done = (float(sums[index]), bool(greedy[index]))
                    self.cache_hook.add_partial("loglikelihood", text, done)
            if texts and texts[0] is None:  # windows of long texts, answered as such at the end
                part = 1 - np.count_nonzero(missing) / len(texts)
                self._report(self._done + int(part * (self._total - self._done)))
            if not np.isfinite(answer.log_probabilities).all():
                require_finite_sums(sums.tolist(), partial(_place, texts))
        return list(zip(sums.tolist(), greedy.tolist(), strict=True))

    def _model_generate(self, context: Any, max_length: int, **options: Any) -> Any:
        """lm-eval's own loop over a batch of prompts, compared with forward passes."""
        ask, mask = super()._model_generate, options.pop("attention_mask")
        if self._turn_end is not None:
            options["eos_token_id"] = self._ends(self._turn_end)

        def generate(prompts: Any, mask: Any, longest: int) -> Any:
            return ask(context=prompts, attention_mask=mask, max_length=longest, **options)

        if self.backend != "causal":
            return generate(context, mask, max_length)
        return self._texts.run(generate, context, mask, max_length)

    def _ends(self, turn_end: str) -> list[int]:
        """Tokens that end a text: those that the model names, and the end of a turn."""
        named = self.model.generation_config.eos_token_id
        own = named if isinstance(named, list) else [named, self.eot_token_id]
        ends = {*own, self.tokenizer.convert_tokens_to_ids(turn_end)}
        return sorted(ends - {None})

    @cached_property
    def _texts(self) -> GenerateTrial:
        how = self.tokenizer, self.batch_size
        return GenerateTrial(self.model, *how, self._trials, self._task)

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> Any:
        """Encode the contexts of a batch of generations, counting those that are cut."""
        encoded = super().tok_batch_encode(strings, padding_side, left_truncate_len, truncation)
        if left_truncate_len and encoded[0].shape[1] == left_truncate_len:
            lengths = [len(self.tok_encode(text)) for text in strings]
            self.truncated += sum(length > left_truncate_len for length in lengths)
        require_embeddings(self.model, self.tokenizer, encoded[0].tolist())
        return encoded


def _place(requests: Sequence[Any], index: int) -> str:
    return f"request {index + 1} of {len(requests)}"
