"""Runs tasks of EleutherAI's lm-evaluation-harness on a model that is already loaded.

The only module that imports lm_eval (besides ``engines/loglikelihood.py``). Prompts, shots, filters,
metrics, standard errors and group averages are lm-eval's own; what is done here is to find the task,
put local files in the place of Hub data, keep lm-eval quiet, and turn its results into records.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import (
    DataError,
    HarnessError,
    MetricError,
    MissingExtraError,
    ModelError,
    UsageError,
)
from harness.spec import LmEvalTask
from harness.tasks.lm_eval_data import (
    find_task_file,
    resolve_data_files,
    shipped_tasks_dir,
)
from harness.tasks.lm_eval_local import (
    DATA_KEYS,
    PLACEHOLDER,
    LocalData,
    MissingLeafError,
    effective_num_fewshot,
)
from harness.tasks.lm_eval_outcome import GroupFacts, LmEvalOutcome, RunFacts, outcome_of
from harness.tasks.lm_eval_quiet import quiet

try:
    import datasets
    import torch
    from lm_eval import __version__ as lm_eval_version
    from lm_eval.api.metrics import mean, nanmean
    from lm_eval.config.group import GroupConfig
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error

_GROUP_FIELDS = {field.name for field in dataclasses.fields(GroupConfig)}
Progress = Callable[[int, int], None]


def run_lm_eval(
    task: LmEvalTask,
    task_id: str,
    *,
    model: Any,
    tokenizer: Any,
    suite_dir: Path,
    seed: int,
    device: str,
    progress: Progress | None = None,
) -> LmEvalOutcome:
    """Score a loaded model on an lm-eval task, group or tag.

    Log-probabilities are taken in float32 whatever the model's dtype. Python's, numpy's and
    torch's generators are seeded, and the shots are drawn, with ``seed``.

    Args:
        task: What the suite says.
        task_id: The suite's name for it.
        model: A transformers or PEFT model, its adapter already active; it is put into eval mode.
        tokenizer: The model's tokenizer; left as it is.
        suite_dir: What relative paths of the task are relative to.
        seed: The suite's seed.
        device: Where the model is; lm-eval takes it from the model itself.
        progress: Called with (requests done, requests in all).

    Returns:
        Scores of every leaf task, subgroup and group, with per-example statistics.

    Raises:
        UsageError: The task is unknown, or cannot be run here.
        DataError: Its data cannot be had or read.
        ModelError: A chat template is asked for and the tokenizer has none.
        HarnessError: A request does not fit the model.
    """
    _check_chat(task, tokenizer)
    with quiet() as warnings, tempfile.TemporaryDirectory(prefix="harness-lm-eval-") as folder:
        loader = _TaskLoader(task, suite_dir, Path(folder))
        loaded = loader.load()
        for leaf in loaded["tasks"].values():
            _configure(leaf, task, seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  # lm-eval's tasks use the global generator
        torch.manual_seed(seed)
        lm = _ReportingLM(model, tokenizer, task.batch_size, device, progress)
        results = evaluate(
            lm=lm,
            task_dict=loaded,
            limit=task.limit,
            system_instruction=task.system_instruction,
            apply_chat_template=task.apply_chat_template,
            fewshot_as_multiturn=task.fewshot_as_multiturn,
        )
        run = RunFacts(
            results=results,
            root=loader.name if loader.name in {*loaded["tasks"], *loaded["groups"]} else None,
            means={name: _means(leaf) for name, leaf in loaded["tasks"].items()},
            groups={name: _group_facts(group) for name, group in loaded["groups"].items()},
            missing=loader.missing,
            seed=seed,
            truncated=lm.truncated,
            warnings=warnings.texts(),
            lm_eval=lm_eval_version,
        )
        return outcome_of(task, task_id, run)


@cache
def default_index() -> Mapping[str, Any]:
    """Every task, group and tag that lm-eval ships, by name (takes seconds: 13,000 files)."""
    index: Mapping[str, Any] = TaskManager().task_index
    return index


class _TaskLoader:
    """Loads a task with its data taken from where the suite says.

    lm-eval's index of tasks is rewritten in the part that is needed: local files are put into the
    configuration of each leaf, and leaves without a file are taken out of their groups and tags.

    Attributes:
        name: lm-eval's name of what was asked for.
        missing: Leaf task -> why it was left out.
    """

    def __init__(self, task: LmEvalTask, suite_dir: Path, folder: Path) -> None:
        self.task = task
        self.missing: dict[str, str] = {}
        self._cache = str(folder / "cache")
        self._local = LocalData(task.data, suite_dir, folder) if task.data else None
        self._own: dict[str, Any] = {}  # tasks beside the YAML that was asked for
        self._entries: dict[str, Any] = {}  # the rewritten part of the index
        self._sources: dict[str, tuple[str, Any]] = {}  # leaf -> its data set on the Hub
        self.name = self._find(find_task_file(task.task, suite_dir))

    def load(self) -> dict[str, Any]:
        """The tasks and groups, as lm-eval's ``evaluate`` takes them."""
        if not self._keep(self.name, {}):
            raise DataError(
                f"None of the {len(self.missing)} tasks of {self.name!r} has a local file; for "
                f"example, {next(iter(self.missing.values()))}.",
                mend="Check data.files and data.format.",
            )
        self._check_shared_files()
        manager = TaskManager(include_defaults=False)
        manager.task_index.update(self._entries)
        with self._readable():
            loaded: dict[str, Any] = manager.load([self.name])
        return loaded
