"""Log-likelihoods are the forward pass: the chosen engine is compared on requests of the task."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch

from harness.engines.alone import Alone
from harness.engines.batching import in_memory
from harness.engines.kinds import kind_of
from harness.engines.prefix_tree import TokenRequest
from harness.engines.probe import Chosen, Engine, EngineChoice, choose_engine
from harness.engines.trial import Trial, Trials, Untried

PROBE = "log-likelihoods are the forward pass"
_ENOUGH = 3  # requests
_CONDITION = "of the task"
AnswersT = TypeVar("AnswersT")


class RequestTrial:
    """The engine that a probe of the model chose, and what may replace it.

    Args:
        model: A transformers or PEFT model.
        asked: The engine that is asked for.
        batch_size: Requests per forward pass of the stock engine.
        trials: Of the loaded base; None leaves the comparison out.
        task: What tells the task from others, which have trials of their own.
    """

    def __init__(
        self,
        model: Any,
        asked: Engine,
        batch_size: Any,
        trials: Trials | None,
        task: Hashable = None,
    ) -> None:
        self._chosen = choose_engine(model, asked)
        first = self._chosen.engine
        slower: list[Chosen] = ["prefix"] if (first, asked) == ("tree", "auto") else []
        self._ways = [*([] if first == "stock" else [first]), *slower, "stock", "stock"]
        ways = [f"scored by the engine {way}" for way in self._ways]
        ways[-1] += ", one by one"
        options: dict[str, Any] = {"counted": "requests", "enough": _ENOUGH}
        make = partial(Trial, PROBE, "log-likelihoods", ways, **options)
        use = PROBE, asked, batch_size, task
        self._trial = (trials or Untried()).of(kind_of(model), use, make)
        self._alone = Alone(model)

    @property
    def choice(self) -> EngineChoice:
        """The engine in use, and why, after all that was tried."""
        return EngineChoice(self.way, "; ".join([self._chosen.why, *self._trial.reasons]))

    @property
    def way(self) -> Chosen:
        """The engine in use."""
        return self._ways[self._trial.at]

    @property
    def one_by_one(self) -> bool:
        """Whether it is to be given one request at a time: the last that can be tried."""
        return self._trial.at + 1 == len(self._ways)

    def run(self, attempt: Callable[[], AnswersT]) -> AnswersT:
        """Attempt by the engine in use, and by the next ones while they differ; see ``Trial``."""
        return self._trial.run(attempt)

    def expected(self, request: TokenRequest, what: str) -> tuple[float, float] | None:
        """The answer of a pass of a sequence alone, and what another may differ by per token.

        Args:
            request: The sequence.
            what: Its name, for messages.

        Returns:
            Both in nats; None where enough was compared, or memory is short.

        Raises:
            AloneNotFiniteError: It is no number.
        """
        if not self._trial.needs(_CONDITION):
            return None
        count = len(request.targets)
        logits = in_memory(lambda: self._alone.logits(request.inputs, count, what))
        if logits is None:
            return None
        targets = torch.tensor(request.targets, device=logits.device)
        answer = -float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
        return answer, self._alone.limit(logits, mean_of=count)

    def note(self, count: int, found: float, expected: tuple[float, float] | None) -> None:
        """Compare an answer, of so many tokens, with what was expected.

        Raises:
            DiffersError: They differ.
        """
        if expected is not None:
            answer, limit = expected
            self._trial.note(_CONDITION, 1, abs(found - answer) / count, limit)


def spread(requests: Sequence[tuple[Any, Sequence[int], Sequence[int]]]) -> list[int]:
    """The longest request, the shortest, and one between them."""
    order = sorted(range(len(requests)), key=lambda i: len(requests[i][1]) + len(requests[i][2]))
    return sorted({order[at] for at in (0, len(order) // 2, -1)}) if order else []
