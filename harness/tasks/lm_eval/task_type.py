"""The task type ``lm_eval``: any task of lm-eval. Loads lm-eval when a session is opened."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.base import ActiveModel, Progress
from harness.schema import Example
from harness.suite.spec import LmEvalTask
from harness.tasks.base import Outputs, ResultIdentity, TaskRequest, TaskSession
from harness.tasks.lm_eval.code import check_code, own_code
from harness.tasks.lm_eval.identity import lm_eval_identity

if TYPE_CHECKING:
    from harness.console import Reporter  # rich, which planning does not need
    from harness.engines.probe import EngineChoice
    from harness.tasks.lm_eval.task import PreparedLmEval


class LmEval:
    """HellaSwag, MMLU, and any other task or group of lm-eval."""

    spec = LmEvalTask

    def inputs(self, request: TaskRequest, examples: Mapping[str, Any] | None) -> Any:
        """What lm-eval reads: the task's files and data, and how it is asked."""
        return lm_eval_identity(request.spec, request.base_dir)

    def identity(self, request: TaskRequest, inputs: Any) -> ResultIdentity:
        """The shots are drawn with the suite's seed."""
        return ResultIdentity({"lm_eval": inputs, "seed": request.suite.seed}, "lm_eval")

    def check(self, request: TaskRequest) -> None:
        """Refuse a task whose own code needs packages that are not installed."""
        check_code(request.spec, request.base_dir)

    def documents(self, request: TaskRequest) -> Sequence[Example]:
        """Its documents, without shots."""
        from harness.tasks.lm_eval.documents import read_documents  # an extra of its own

        return read_documents(request.spec, request.base_dir, request.suite.seed)

    def rehearse(self, request: TaskRequest) -> None:
        """Load the task and its data: a mistake in one must not show hours later."""
        from harness.tasks.lm_eval.load import FOLDER_PREFIX, load_tasks
        from harness.tasks.lm_eval.quiet import quiet

        with quiet(), tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
            load_tasks(request.spec, request.base_dir, Path(folder))

    @contextmanager
    def open(
        self, request: TaskRequest, tokenizer: Any, reporter: Reporter
    ) -> Iterator[TaskSession]:
        """Load the task once for all variants."""
        from harness.tasks.lm_eval.task import prepare_lm_eval  # an extra of its own

        if files := own_code(request.spec, request.base_dir):
            named = ", ".join(map(str, files))
            reporter.warn(f"the task {request.task_id} runs Python code of its own: {named}")
        prepared = prepare_lm_eval(
            request.spec,
            request.task_id,
            tokenizer=tokenizer,
            suite_dir=request.base_dir,
            seed=request.suite.seed,
        )
        with closing(prepared):
            yield _LmEvalSession(prepared, reporter)


TASK_TYPE = LmEval()


@dataclass(frozen=True)
class _LmEvalSession:
    prepared: PreparedLmEval
    reporter: Reporter

    def predict(self, model: ActiveModel, progress: Progress) -> Outputs:
        outcome = self.prepared.run(model, progress=progress, on_engine=self._say)
        return Outputs({"samples": outcome.samples, "datasets": outcome.datasets}, outcome)

    def _say(self, choice: EngineChoice) -> None:
        # whoever waits for a slower engine should know from the start
        say = self.reporter.detail if choice.engine == "tree" else self.reporter.say
        say(f"  engine {choice.engine}: {choice.why}")
