"""Where cells are computed: what is needed for it, and what it leaves behind."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from harness.console import Reporter
from harness.models.device import DevicePolicy
from harness.models.tokens import load_tokenizer
from harness.plan.plan import Cell
from harness.schema import CellResult, Environment, Example, Finding
from harness.store.runs import Store
from harness.suite.file import SuiteFile
from harness.suite.spec import LmEvalTask

if TYPE_CHECKING:
    from harness.tasks.lm_eval.task import PreparedLmEval


@dataclass
class Workplace:
    """What computing cells needs to know, and what it leaves behind.

    Attributes:
        examples: Task id -> examples of the whole data set.
        merged_dirs: Id of a merged variant -> folder of its weights.
        on_result: Called with each cell's result as soon as it is known.
        lm_eval: Task id -> lm-eval task, loaded once for all variants.
    """

    file: SuiteFile
    store: Store
    policy: DevicePolicy
    environment: Environment
    reporter: Reporter
    examples: dict[str, list[Example]]
    on_result: Callable[[CellResult], None]
    merged_dirs: dict[str, Path] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    position: tuple[int, int] = (0, 0)  # cells begun, cells in all
    lm_eval: dict[str, PreparedLmEval] = field(default_factory=dict)

    def prepare(self, names: Iterable[str]) -> None:
        """Load the lm-eval tasks among these, as far as they are not loaded yet.

        Raises:
            UsageError: One of them is wrong, or its data.
        """
        suite, base_dir = self.file.suite, self.file.base_dir
        for name in names:
            task = suite.tasks[name]
            if isinstance(task, LmEvalTask) and name not in self.lm_eval:
                from harness.tasks.lm_eval.task import prepare_lm_eval  # an extra of its own

                tokenizer = load_tokenizer(suite.base, base_dir)  # that of every variant
                self.lm_eval[name] = prepare_lm_eval(
                    task, name, tokenizer=tokenizer, suite_dir=base_dir, seed=suite.seed
                )

    def close(self) -> None:
        """Let go of the loaded tasks and their temporary files."""
        for prepared in self.lm_eval.values():
            prepared.close()
        self.lm_eval.clear()

    def begin(self, cell: Cell) -> None:
        """Say that a cell's turn has come."""
        done, total = self.position
        self.position = (done + 1, total)
        self.reporter.say(f"[{done + 1}/{total}] {cell.id}")

    def failed(self, cell: Cell, reason: str, seconds: float = 0.0) -> None:
        """Say and record that a cell failed."""
        self.reporter.warn(f"{cell.id} failed: {reason}")
        self.on_result(cell.failed(reason, seconds))

    def reason(self, error: Exception) -> str:
        """An error in one line; its traceback goes to the log's details."""
        self.reporter.detail("".join(traceback.format_exception(error)))
        text = str(error).strip() or "no message"
        return f"{type(error).__name__}: {text}"
