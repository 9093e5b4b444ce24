"""Runs tasks of EleutherAI's lm-evaluation-harness on a model that is already loaded.

The only module that imports lm_eval (besides ``engines/loglikelihood.py``). Prompts, shots,
filters, metrics, standard errors and group averages are lm-eval's own; what is done here is to
find the task, put local files in the place of Hub data, keep lm-eval quiet, and turn its results
into records.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from harness.engines.loglikelihood import PrefixSharingLM
from harness.errors import (
    DataError,
    HarnessError,
    MetricError,
    MissingExtraError,
    ModelError,
    UsageError,
)
from harness.spec import LmEvalTask
from harness.tasks.lm_eval_data import find_task_file, shipped_tasks_dir
from harness.tasks.lm_eval_local import LocalData, effective_num_fewshot
from harness.tasks.lm_eval_members import IndexRewriter
from harness.tasks.lm_eval_outcome import GroupFacts, LmEvalOutcome, RunFacts, outcome_of
from harness.tasks.lm_eval_quiet import quiet

try:
    import datasets
    import torch
    from lm_eval import __version__ as lm_eval_version
    from lm_eval.api.metrics import mean, nanmean
    from lm_eval.config.group import GroupConfig
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error

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
        MetricError: A metric of the task would have to be loaded from the Hub and cannot be.
        HarnessError: A request does not fit the model.
    """
    _check_chat(task, tokenizer)
    with quiet() as warnings, tempfile.TemporaryDirectory(prefix="harness-lm-eval-") as folder:
        name, missing, loaded = _load(task, suite_dir, Path(folder))
        tasks, groups = loaded["tasks"], loaded["groups"]
        for leaf in tasks.values():
            _configure(leaf, task, seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  # lm-eval's tasks use the global generator
        torch.manual_seed(seed)
        lm = PrefixSharingLM(
            model,
            tokenizer,
            batch_size=task.batch_size,
            device=device,
            engine=task.engine,
            batch_tokens=task.batch_tokens,
            progress=progress,
        )
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
            root=name if name in {*tasks, *groups} else None,
            means={leaf_name: _means(leaf) for leaf_name, leaf in tasks.items()},
            groups={group.name: _group_facts(group) for group in groups.values()},
            missing=missing,
            seed=seed,
            truncated=lm.truncated,
            warnings=warnings.texts(),
            lm_eval=lm_eval_version,
        )
        return outcome_of(task, task_id, run)


def check_lm_eval(task: LmEvalTask, suite_dir: Path) -> None:
    """Load a task and its data without running it, so that a mistake shows before a training.

    Raises:
        UsageError: What ``run_lm_eval`` would raise for the task itself or its data.
    """
    with quiet(), tempfile.TemporaryDirectory(prefix="harness-lm-eval-") as folder:
        _load(task, suite_dir, Path(folder))


@cache
def default_index() -> Mapping[str, Any]:
    """Every task, group and tag that lm-eval ships, by name; takes seconds for 13,000 files."""
    index: Mapping[str, Any] = TaskManager().task_index
    return index


def _check_chat(task: LmEvalTask, tokenizer: Any) -> None:
    if task.apply_chat_template and not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "apply_chat_template is set, and the tokenizer has no chat template.",
            mend="Leave it out for base models, or use the instruction-tuned model's tokenizer.",
        )
    if task.fewshot_as_multiturn and not task.apply_chat_template:
        raise UsageError(
            "fewshot_as_multiturn needs apply_chat_template: without it there are no turns.",
            mend="Set both, or leave both out.",
        )


def _load(
    task: LmEvalTask, suite_dir: Path, folder: Path
) -> tuple[str, dict[str, str], dict[str, Any]]:
    """lm-eval's name of the task, leaves that were left out and why, tasks and groups."""
    name, own = _own_index(find_task_file(task.task, suite_dir), task.task)
    rewriter = IndexRewriter(
        task,
        LocalData(task.data, suite_dir, folder) if task.data else None,
        cache_dir=folder / "cache",
        lookup=lambda member: own.get(member) or default_index().get(member),
        load_yaml=load_yaml,
        group_fields={field.name for field in dataclasses.fields(GroupConfig)},
    )
    if not rewriter.keep(name):
        raise DataError(
            f"None of the {len(rewriter.missing)} tasks of {name!r} has a local file; for example, "
            f"{next(iter(rewriter.missing.values()))}.",
            mend="Check data.files and data.format.",
        )
    rewriter.check_shared_files()
    manager = TaskManager(include_defaults=False)
    manager.task_index.update(rewriter.entries)
    with _load_errors(task, name, rewriter):
        loaded: dict[str, Any] = manager.load([name])
    return name, rewriter.missing, loaded


def _own_index(file: Path | None, name: str) -> tuple[str, Mapping[str, Any]]:
    """lm-eval's name of what was asked for, and the tasks beside its YAML if it has one."""
    if file is None:
        if name not in default_index():
            known = [*default_index(), *(path.stem for path in shipped_tasks_dir().glob("*.yaml"))]
            near = difflib.get_close_matches(name, known, n=5)
            raise UsageError(
                f"lm-eval {lm_eval_version} has no task, group or tag named {name!r}."
                + (f" Near it are: {', '.join(near)}." if near else ""),
                mend="List them with: lm-eval ls tasks",
            )
        return name, {}
    try:
        config = load_yaml(file, resolve_func=False)
        entry = TaskIndex.entry_from_path(file)
    except Exception as error:  # whatever a YAML or what it includes does wrong
        raise UsageError(f"Not a task of lm-eval: {error}.", where=str(file)) from error
    own_name = config.get("group", config.get("task"))
    if entry is None or not isinstance(own_name, str):
        raise UsageError("The YAML file names no task and no group.", where=str(file))
    entry = dataclasses.replace(entry, name=own_name)  # of a group, lm-eval takes its members
    siblings = TaskIndex.build([file.parent]) if entry.kind.name == "GROUP" else {}
    return own_name, {**siblings, own_name: entry}


@contextmanager
def _load_errors(task: LmEvalTask, name: str, rewriter: IndexRewriter) -> Iterator[None]:
    """Say what to do about what goes wrong while data sets are loaded."""
    sources = sorted({path for path, _ in rewriter.hub_sources.values()})
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"The lm-eval task {name!r} needs the package {error.name!r}, which is not installed.",
            mend=f"Install it with: pip install {error.name}",
        ) from error
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise DataError(
            f"The lm-eval task {name!r} needs the data set {', '.join(sources)} from the Hugging "
            f"Face Hub, which cannot be reached: {error}.",
            mend="Give local files under data, or connect to the network (and unset "
            "HF_HUB_OFFLINE) once; the Hub's cache is used afterwards.",
        ) from error
    except HarnessError:
        raise
    except Exception as error:  # process_docs and templates fail in their own ways on wrong rows
        if task.data is None:
            raise
        raise DataError(
            f"The local files do not fit the lm-eval task {name!r}: "
            f"{type(error).__name__}: {error}.",
            mend="The files need the fields of the data set on the Hub "
            f"({', '.join(sources)}), or another data.format.",
        ) from error


def _configure(leaf: Any, task: LmEvalTask, seed: int) -> None:
    """What lm-eval's ``simple_evaluate`` sets on each task before it is run, and our checks."""
    name, config = leaf.task_name, leaf.config
    if getattr(leaf, "UNSAFE_CODE", False) or getattr(leaf, "MULTIMODAL", False):
        raise UsageError(
            f"The lm-eval task {name!r} runs code that the model writes, or needs images or sound; "
            "neither is supported.",
            mend="Run it with lm-eval itself.",
        )
    if config.process_results is None:
        for metric, function in getattr(leaf, "_metric_fn_list", {}).items():
            if function is None:
                raise MetricError(
                    f"The metric {metric!r} of the lm-eval task {name!r} is not lm-eval's own; it "
                    "comes from the Hugging Face Hub and could not be loaded.",
                    mend="Connect to the network, or use a task with lm-eval's own metrics.",
                )
    if task.gen_kwargs and config.output_type == "generate_until":
        leaf.set_config("generation_kwargs", copy.deepcopy(task.gen_kwargs), update=True)
    shots = effective_num_fewshot({"num_fewshot": config.num_fewshot}, task.num_fewshot)
    leaf.set_config("num_fewshot", shots)
    leaf.set_fewshot_seed(seed)
    pool = getattr(getattr(leaf, "sampler", None), "df", None)
    if shots and pool is not None and len(pool) < shots:
        raise DataError(
            f"The lm-eval task {name!r} is to be given {shots} shots, and there are only "
            f"{len(pool)} to draw from.",
            mend="Lower num_fewshot.",
        )


def _means(leaf: Any) -> frozenset[str]:
    """Metrics of a task that are a mean over documents."""
    aggregation = leaf.aggregation()
    return frozenset(name for name, function in aggregation.items() if function in (mean, nanmean))


def _group_facts(group: Any) -> GroupFacts:
    return GroupFacts(
        leaves=tuple(leaf.task_name for leaf in group.get_all_tasks()),
        size_weighted=frozenset(
            entry.metric
            for entry in group.aggregate_metric_list or ()
            if entry.weight_by_size and entry.aggregation == "mean"
        ),
    )
