"""Runs tasks of EleutherAI's lm-evaluation-harness on models that are already loaded.

Prompts, shots, filters, metrics, standard errors and group averages are lm-eval's own; what is
done here is to find the task, put local files in the place of Hub data, build the requests once
for all variants, keep lm-eval quiet, and turn its results into records. lm_eval is imported only
here, in ``lm_eval_load`` and in ``engines/loglikelihood.py``.
"""

from __future__ import annotations

import copy
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

from harness.checks.lm_eval_run import LmEvalFacts
from harness.engines.base import ActiveModel, Progress
from harness.engines.loglikelihood import SharedPlans
from harness.engines.probe import EngineChoice
from harness.errors import DataError, MetricError, MissingExtraError, ModelError, UsageError
from harness.models.quiet import recorded
from harness.models.tokens import ChatTurns
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.hub import hub_data
from harness.tasks.lm_eval.load import FOLDER_PREFIX, LoadedTasks, load_tasks
from harness.tasks.lm_eval.local import effective_num_fewshot
from harness.tasks.lm_eval.outcome import GroupFacts, LmEvalOutcome, RunFacts, outcome_of
from harness.tasks.lm_eval.quiet import Records, quiet, repeat, texts
from harness.tasks.lm_eval.requests import RequestsOnce, seed_generators, templates_compiled_once

try:
    from lm_eval import __version__ as lm_eval_version
    from lm_eval.api.metrics import mean, nanmean
    from lm_eval.evaluator import evaluate
    from lm_eval.utils import env as template_environment
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error


_MEANS = (mean, nanmean)


def prepare_lm_eval(
    task: LmEvalTask, task_id: str, *, tokenizer: Any, suite_dir: Path, seed: int
) -> PreparedLmEval:
    """Load a task, group or tag of lm-eval and its data, to be run on any number of models.

    Args:
        task: What the suite says.
        task_id: The suite's name for it.
        tokenizer: The tokenizer of all the models.
        suite_dir: What relative paths of the task are relative to.
        seed: The suite's seed.

    Raises:
        UsageError: The task is unknown, or cannot be run here.
        DataError: Its data cannot be had or read.
        ModelError: A chat template is asked for and the tokenizer has none.
        MetricError: A metric of the task would have to be loaded from the Hub and cannot be.
    """
    if task.apply_chat_template and not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "apply_chat_template is set, and the tokenizer has no chat template.",
            hint="Leave it out for base models, or use the instruction-tuned model's tokenizer.",
        )
    if task.fewshot_as_multiturn and not task.apply_chat_template:
        raise UsageError(
            "fewshot_as_multiturn needs apply_chat_template: without it there are no turns.",
            hint="Set both, or leave both out.",
        )
    with ExitStack() as undo, quiet(), templates_compiled_once(template_environment):
        folder = undo.enter_context(tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX))
        seed_generators(seed)  # some tasks shuffle choices while their rows are loaded
        with recorded("lm_eval", alone=False) as warnings:
            loaded = load_tasks(task, suite_dir, Path(folder))
            for leaf in loaded.leaves.values():
                _configure(leaf, task)
                leaf.build_all_requests = RequestsOnce(leaf, seed)
        end = _turn_end(task, loaded, tokenizer)
        return PreparedLmEval(task, task_id, seed, loaded, warnings, undo.pop_all(), end)


@dataclass(eq=False)
class PreparedLmEval:
    """A task of lm-eval, loaded once for all variants; made by ``prepare_lm_eval``.

    Its requests are built by the first run and used again by the others; each run gives what it
    would give on a task loaded for it alone. The temporary folder with its rows is removed by
    ``close``, or with the object.
    """

    task: LmEvalTask
    task_id: str
    seed: int
    loaded: LoadedTasks | None
    warnings: Records
    undo: InitVar[ExitStack]
    turn_end: str | None = None  # where it is not EOS
    shared: SharedPlans = field(default_factory=dict)

    def __post_init__(self, undo: ExitStack) -> None:
        self._undo = weakref.finalize(self, undo.close)

    def run(
        self,
        model: ActiveModel,
        *,
        progress: Progress | None = None,
        on_engine: Callable[[EngineChoice], None] = lambda _: None,
    ) -> LmEvalOutcome:
        """Score a loaded model.

        Log-probabilities are taken in float32 whatever the model's dtype. Python's, numpy's and
        torch's generators are seeded, and the shots are drawn, with the suite's seed.

        Args:
            model: The model as one variant.
            progress: Called with (requests done, requests in all).
            on_engine: Called with the engine that will answer log-likelihoods, if any are asked.

        Returns:
            Scores of every leaf task, subgroup and group, with per-example statistics.

        Raises:
            HarnessError: A request does not fit the model.
        """
        task, loaded = self.task, self.loaded
        if loaded is None:
            raise TypeError(f"{self.task_id} was closed")
        with quiet() as warnings, templates_compiled_once(template_environment):
            repeat(self.warnings)
            lm = model.lm_eval_model(
                batch_size=task.batch_size,
                engine=task.engine,
                batch_tokens=task.batch_tokens,
                shared=self.shared,
                progress=progress,
                turn_end=self.turn_end,
            )
            asks = any(leaf.OUTPUT_TYPE != "generate_until" for leaf in loaded.leaves.values())
            if asks:  # an engine matters to log-likelihoods only
                on_engine(lm.choice)
            seed_generators(self.seed)
            results = evaluate(
                lm=lm,
                task_dict=loaded.by_kind,
                limit=task.limit,
                system_instruction=task.system_instruction,
                apply_chat_template=task.apply_chat_template,
                fewshot_as_multiturn=task.fewshot_as_multiturn,
            )
            noticed = LmEvalFacts(
                task=self.task_id,
                scored=len(loaded.leaves),
                missing=loaded.missing,
                truncated=lm.truncated,
                warnings=texts(warnings),
                asked=task.engine,
                engine=(lm.choice.engine, lm.choice.why) if asks else None,
                turn_end=self.turn_end,
            )
            facts = _run_facts(results, loaded, noticed, self.seed)
        return outcome_of(task, facts)

    def close(self) -> None:
        """Let go of the rows and remove the folder they are in; ``run`` is over then."""
        self.loaded = None
        self._undo()


def _turn_end(task: LmEvalTask, loaded: LoadedTasks, tokenizer: Any) -> str | None:
    """The token that ends a chat's turn, where texts are written and lm-eval does not know it."""
    writes = any(leaf.OUTPUT_TYPE == "generate_until" for leaf in loaded.leaves.values())
    end = ChatTurns(tokenizer).end() if task.apply_chat_template and writes else None
    return None if end == tokenizer.eos_token else end


def _run_facts(results: Any, loaded: LoadedTasks, noticed: LmEvalFacts, seed: int) -> RunFacts:
    """What scores are made of: lm-eval's results, and what its tasks say of themselves."""
    return RunFacts(
        results=results,
        root=loaded.name if loaded.name in {*loaded.leaves, *loaded.groups} else None,
        means={
            name: frozenset(m for m, f in leaf.aggregation().items() if f in _MEANS)
            for name, leaf in loaded.leaves.items()
        },
        groups={
            group.name: GroupFacts(
                tuple(leaf.task_name for leaf in group.get_all_tasks()),
                frozenset(
                    entry.metric
                    for entry in group.aggregate_metric_list or ()
                    if entry.weight_by_size and entry.aggregation == "mean"
                ),
            )
            for group in loaded.groups.values()
        },
        seed=seed,
        lm_eval=lm_eval_version,
        facts=noticed,
        datasets={
            name: data
            for name, leaf in loaded.leaves.items()
            if (data := hub_data(name, leaf)) is not None
        },
    )


def _configure(leaf: Any, task: LmEvalTask) -> None:
    """What lm-eval's ``simple_evaluate`` sets on each task before it is run, and our checks."""
    name, config = leaf.task_name, leaf.config
    if getattr(leaf, "UNSAFE_CODE", False) or getattr(leaf, "MULTIMODAL", False):
        raise UsageError(
            f"The lm-eval task {name!r} runs code that the model writes, or needs images or sound; "
            "neither is supported.",
            hint="Run it with lm-eval itself.",
        )
    if config.process_results is None:
        for metric, function in getattr(leaf, "_metric_fn_list", {}).items():
            if function is None:
                raise MetricError(
                    f"The metric {metric!r} of the lm-eval task {name!r} is not lm-eval's own; it "
                    "comes from the Hugging Face Hub and could not be loaded.",
                    hint="Connect to the network, or use a task with lm-eval's own metrics.",
                )
    if task.gen_kwargs and config.output_type == "generate_until":
        leaf.set_config("generation_kwargs", copy.deepcopy(task.gen_kwargs), update=True)
    shots = effective_num_fewshot({"num_fewshot": config.num_fewshot}, task.num_fewshot)
    leaf.set_config("num_fewshot", shots)
    pool = getattr(getattr(leaf, "sampler", None), "df", None)
    if shots and pool is not None and len(pool) < shots:
        raise DataError(
            f"The lm-eval task {name!r} is to be given {shots} shots, and there are only "
            f"{len(pool)} to draw from.",
            hint="Lower num_fewshot.",
        )
