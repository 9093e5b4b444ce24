"""What the scores of an lm-eval task depend on, told without importing lm_eval or torch.

Also finds the YAML file of a task that is given by path or ships with the harness, and the files
that it draws in: includes, Python functions, data files, and for a group its sibling tasks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.digests import file_digest
from harness.errors import DataError, UsageError
from harness.models.hardware import installed_versions
from harness.resources import resource_dir
from harness.suite.spec import LmEvalData, LmEvalTask
from harness.tasks.lm_eval.local import PLACEHOLDER

YAML_SUFFIXES = (".yaml", ".yml")
LOCAL_LOADERS = ("json", "csv", "parquet", "arrow", "text")
# Raised when conversion of local files, or the way of running tasks, changes what comes out
_CONVERSION = 1
_HOW_ASKED = (
    "num_fewshot", "limit", "apply_chat_template", "fewshot_as_multiturn", "system_instruction",
    "gen_kwargs", "engine", "batch_tokens", "batch_size",
)  # fmt: skip  # the last three can flip a near-tie in floating point


def shipped_tasks_dir() -> Path:
    """Folder of the task YAMLs that come with the harness."""
    return resource_dir("suites") / "tasks"


def find_task_file(task: str, suite_dir: Path) -> Path | None:
    """The YAML file that a task is given by, or None for a task of lm-eval's own.

    A path is looked for beside the suite, then among the shipped suites and tasks. A name without
    suffix is a shipped task if there is one of that name.

    Raises:
        UsageError: A path to a YAML file leads nowhere.
    """
    if not task.endswith(YAML_SUFFIXES):
        shipped = shipped_tasks_dir() / f"{task}.yaml"
        return shipped if Path(task).name == task and shipped.is_file() else None
    folders = (suite_dir, resource_dir("suites"), shipped_tasks_dir())
    for folder in folders:
        if (folder / task).is_file():
            return (folder / task).absolute()
    raise UsageError(
        f"The task file {task!r} does not exist; looked in {', '.join(map(str, folders))}.",
        hint="Give a path relative to the suite file, or the name of a task of lm-eval.",
    )


def lm_eval_identity(task: LmEvalTask, suite_dir: Path) -> dict[str, Any]:
    """Everything in an lm-eval task that can change its scores.

    The model, its tokenizer and the suite's seed (shots are drawn with it) are not in it. Of data
    on the Hub, only the name is known (through the version of lm-eval), not the revision.

    Args:
        task: The task as the suite states it.
        suite_dir: What relative paths are relative to.

    Returns:
        JSON values only; digests are sha256, and files are named relative to the YAML or suite.

    Raises:
        UsageError: A file that the task names does not exist or is not valid YAML.
    """
    file = find_task_file(task.task, suite_dir)
    return {
        "task": task.task if file is None else file.name,
        "files": {} if file is None else _digests(task_files(file), file.parent),
        "data": None if task.data is None else _data_identity(task.data, suite_dir),
        **{name: getattr(task, name) for name in _HOW_ASKED},
        # plans can be made where tasks cannot be run
        "lm_eval": installed_versions(["lm_eval"]).get("lm_eval"),
        "conversion": _CONVERSION,
    }


def task_files(path: Path) -> set[Path]:
    """A task YAML and all files it draws in: includes, functions, data and sibling tasks."""
    files: set[Path] = set()
    config = _collect(path, files)
    if "group" in config:  # its members are looked up by name among the YAMLs beside it
        for sibling in sorted(path.parent.rglob("*.yaml")):
            try:
                is_task = bool({"task", "group"} & _read_yaml(sibling)[0].keys())
            except UsageError:  # lm-eval passes over what it cannot read, too
                continue
            if is_task:
                _collect(sibling, files)
    return files


def task_values(path: Path) -> dict[str, Any]:
    """What a task YAML says by itself; nothing where it cannot be read."""
    try:
        return _read_yaml(path)[0]
    except UsageError:
        return {}


def resolve_data_files(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Make the data files of a task YAML absolute: they are relative to the YAML itself.

    (lm-eval takes them as relative to the folder the process happens to run in.)

    Args:
        config: The task's configuration.
        folder: The folder of its YAML file.

    Returns:
        The ``dataset_kwargs`` to use, or an empty dict for a task without local data files.

    Raises:
        DataError: A data file does not exist.
    """
    kwargs = config.get("dataset_kwargs") or {}
    if config.get("dataset_path") not in LOCAL_LOADERS or "data_files" not in kwargs:
        return {}

    def absolute(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: absolute(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [absolute(part) for part in value]
        if "://" in str(value):
            return value
        path = folder / str(value)
        if "*" not in str(value) and not path.is_file():
            raise DataError(
                f"The data file of task {config.get('task')!r} does not exist.",
                where=str(path),
                hint="data_files are relative to the task's YAML file.",
            )
        return os.path.normpath(path)

    return {**kwargs, "data_files": absolute(kwargs["data_files"])}


def _digests(files: set[Path], base: Path) -> dict[str, str]:
    return {
        Path(os.path.relpath(file, base)).as_posix(): file_digest(file) for file in sorted(files)
    }


def _data_identity(data: LmEvalData, suite_dir: Path) -> dict[str, Any]:
    """Format, and the digest of every file that the splits could draw on."""
    splits = {}
    for split, name in data.files.items():
        path = suite_dir / name
        if data.format == "mmlu_csv":
            files, base = set(path.glob("*.csv")), path
        elif PLACEHOLDER in name:
            files, base = set(suite_dir.glob(name.replace(PLACEHOLDER, "*"))), suite_dir
        else:
            files, base = ({path} if path.is_file() else set()), path.parent
        if not files:
            raise DataError(
                f"There is no file for the split {split!r} of the lm-eval task's data.",
                where=str(path),
                hint="Paths under data.files are relative to the suite file.",
            )
        digests = _digests(files, base)
        # one file is known by its content; of several the names matter, they hold the subjects
        splits[split] = digests if len(digests) > 1 else next(iter(digests.values()))
    return {"format": data.format, "files": splits}


def _read_yaml(path: Path) -> tuple[dict[str, Any], list[str]]:
    """A task YAML's values, and the names after its ``!function`` tags."""
    functions: list[str] = []

    class Loader(yaml.SafeLoader):
        """Takes lm-eval's ``!function module.name`` for a name and imports nothing."""

    def function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
        name = str(loader.construct_scalar(node))
        functions.append(name)
        return name

    Loader.add_constructor("!function", function)
    try:
        with path.open("rb") as stream:
            values = yaml.load(stream, Loader=Loader)  # noqa: S506  # a SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"Not a readable YAML file: {error}.", where=str(path)) from error
    return (values if isinstance(values, dict) else {}), functions


def _collect(path: Path, files: set[Path], trail: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Add a YAML file and what it draws in; return its values, includes merged.

    Data files are relative to the task's own YAML, also where an included file names them.
    """
    path = path.absolute()
    if path in trail:
        raise UsageError("The file includes itself.", where=str(path))
    files.add(path)
    own, functions = _read_yaml(path)
    values: dict[str, Any] = {}
    includes = own.get("include", [])
    for include in includes if isinstance(includes, list) else [includes]:
        included_path = Path(os.path.normpath(path.parent / str(include)))
        values |= _collect(included_path, files, (*trail, path))
    values |= own
    for name in functions:
        module = path.parent / (name.rpartition(".")[0].replace(".", "/") + ".py")
        if module.is_file():  # else it is an importable module, known by its package's version
            files.add(module)
    named = [] if trail else resolve_data_files(values, path.parent).get("data_files", [])
    files |= _named_files(named)
    return values


def _named_files(value: Any) -> set[Path]:
    """Files on this machine that data_files name, however they are nested."""
    if isinstance(value, Mapping | list):
        parts = value.values() if isinstance(value, Mapping) else value
        return set().union(*map(_named_files, parts))
    path = Path(str(value))
    if "://" in str(value):
        return set()
    return set(path.parent.glob(path.name)) if "*" in str(value) else {path}
