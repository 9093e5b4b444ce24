"""A task type: how many words a variant writes, of a number that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from harness.engines.base import ActiveModel, Decoding, Progress
from harness.schema import Score, Split
from harness.suite.spec import TaskSpec
from harness.tasks.base import (
    Outputs,
    ResultIdentity,
    TaskOutcome,
    TaskRequest,
    TaskSession,
    example_arrays,
)


class WordCountTask(TaskSpec):
    """Count the words of generated texts."""

    type: Literal["word_count"]
    splits: tuple[Split, ...] = ("report",)
    wanted: int = Field(4, gt=0, description="The best number of words.")


class WordCount:
    spec = WordCountTask

    def inputs(self, request: TaskRequest, examples: Mapping[str, Any] | None) -> Any:
        return examples

    def identity(self, request: TaskRequest, inputs: Any) -> ResultIdentity:
        own = {"task": request.task_id, "limit": request.spec.limit, "wanted": request.spec.wanted}
        return ResultIdentity(None, {"examples": inputs, **own})

    def rehearse(self, request: TaskRequest) -> None:
        pass

    @contextmanager
    def open(self, request: TaskRequest, tokenizer: Any, reporter: Any) -> Iterator[TaskSession]:
        yield _Session(request)


TASK_TYPE = WordCount()


@dataclass(frozen=True)
class _Session:
    request: TaskRequest

    def predict(self, model: ActiveModel, progress: Progress) -> Outputs:
        texts = model.generate(
            [example.prompt for example in self.request.examples],
            Decoding(max_new_tokens=6),
            chat=False,
            progress=progress,
        )
        return Outputs({}, self._score([len(made.text.split()) for made in texts]))

    def _score(self, words: Sequence[int]) -> TaskOutcome:
        outcome = TaskOutcome()
        wanted, task_id = self.request.spec.wanted, self.request.task_id
        for split in self.request.spec.splits:
            pairs = list(zip(self.request.examples, words, strict=True))
            own = [(example, n) for example, n in pairs if example.split == split]
            outcome.arrays |= example_arrays(split, [example for example, _ in own])
            shares = [min(1.0, n / wanted) for _, n in own]
            outcome.arrays[f"words/{split}"] = np.array([(share, 1) for share in shares])
            outcome.scores.append(
                Score(
                    task=task_id,
                    metric="words",
                    split=split,
                    n=len(own),
                    value=float(np.mean(shares)),
                    scale=1.0,
                    stats=f"words/{split}",
                )
            )
        return outcome
