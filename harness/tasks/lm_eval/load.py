"""Finds a task of lm-evaluation-harness by name or file, and loads it with its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import DataError, HarnessError, MissingExtraError, OutOfReachError, UsageError
from harness.hints import did_you_mean
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.code import not_importable
from harness.tasks.lm_eval.identity import find_task_file, shipped_tasks_dir
from harness.tasks.lm_eval.local import LocalData
from harness.tasks.lm_eval.members import IndexRewriter
from harness.tasks.lm_eval.requests import templates_compiled_once
from harness.tasks.lm_eval.targets import check_targets

try:
    import datasets
    from lm_eval import __version__ as lm_eval_version
    from lm_eval.config.group import GroupConfig
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._index import TaskIndex
    from lm_eval.tasks._yaml_loader import load_yaml
    from lm_eval.utils import env as template_environment
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "lm-eval", "lm-eval") from error

FOLDER_PREFIX = "harness-lm-eval-"  # of temporary folders


@dataclasses.dataclass(frozen=True)
class LoadedTasks:
    """What lm-eval made of a name, with its data.

    Attributes:
        name: lm-eval's name of what was asked for.
        missing: Leaf task -> why it was left out.
        by_kind: ``tasks`` and ``groups`` by name, as lm-eval's ``evaluate`` takes them.
    """

    name: str
    missing: Mapping[str, str]
    by_kind: dict[str, dict[str, Any]]

    @property
    def leaves(self) -> Mapping[str, Any]:
        """Tasks without subtasks, by name."""
        return self.by_kind["tasks"]

    @property
    def groups(self) -> Mapping[str, Any]:
        """Groups by name, subgroups included."""
        return self.by_kind["groups"]


def load_tasks(task: LmEvalTask, suite_dir: Path, folder: Path) -> LoadedTasks:
    """Find a task, group or tag of lm-eval and load its data.

    Args:
        task: What the suite says.
        suite_dir: What relative paths of the task are relative to.
        folder: Where converted files go; it must live as long as the tasks, whose rows are read
            from there.

    Raises:
        UsageError: The task is unknown, or cannot be run here.
        DataError: Its data cannot be had or read.
    """
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
            hint="Check data.files and data.format.",
        )
    rewriter.check_shared_files()
    manager = TaskManager(include_defaults=False)
    manager.task_index.update(rewriter.entries)
    with _load_errors(task, name, rewriter):
        loaded: dict[str, Any] = manager.load([name])
    with templates_compiled_once(template_environment):
        for leaf in loaded["tasks"].values():
            check_targets(leaf, task.limit)
    return LoadedTasks(name, rewriter.missing, loaded)


@cache
def default_index() -> Mapping[str, Any]:
    """Every task, group and tag that lm-eval ships, by name; takes seconds for 13,000 files."""
    index: Mapping[str, Any] = TaskManager().task_index
    return index


def _own_index(file: Path | None, name: str) -> tuple[str, Mapping[str, Any]]:
    """lm-eval's name of what was asked for, and the tasks beside its YAML if it has one."""
    if file is None:
        if name not in default_index():
            known = [*default_index(), *(path.stem for path in shipped_tasks_dir().glob("*.yaml"))]
            raise UsageError(
                f"lm-eval {lm_eval_version} has no task, group or tag named {name!r}.",
                hint=f"{did_you_mean(name, known)} List them with: lm-eval ls tasks".lstrip(),
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
        if error.name is None:  # the task's own words, which say what to install
            problem = f"The code of the lm-eval task {name!r} cannot be imported: {error}"
            raise UsageError(problem) from error
        raise not_importable(name, [error.name.partition(".")[0]]) from error
    except (ConnectionError, datasets.exceptions.DatasetNotFoundError) as error:
        raise OutOfReachError(
            f"The lm-eval task {name!r} needs the data set {', '.join(sources)} from the Hugging "
            f"Face Hub, which cannot be reached: {error}.",
            hint="Give local files under data, or connect to the network (and unset "
            "HF_HUB_OFFLINE) once; the Hub's cache is used afterwards.",
        ) from error
    except HarnessError:
        raise
    except Exception as error:  # process_docs and templates fail in their own ways on wrong rows
        problem = f"The local files do not fit the lm-eval task {name!r}"
        hint = f"The files need the fields of the data set on the Hub ({', '.join(sources)}), or "
        hint += "another data.format."
        if task.data is None:
            problem = f"The lm-eval task {name!r} cannot be loaded with the data set "
            problem += ", ".join(sources)
            hint = "The data set on the Hub may have changed; give local files under data, or try "
            hint += "another version of lm-eval."
        raise DataError(f"{problem}: {type(error).__name__}: {error}.", hint=hint) from error
