"""What the Python beside lm-eval's tasks imports, told without running it.

lm-eval imports that code when a task is loaded, which may be hours after a suite was written.
lm_eval itself is not imported.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from harness.errors import UsageError
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval.identity import find_task_file, task_files, task_values

_SOURCES = {".py", ".pyi", ".so", ".pyd"}
_MOST_BYTES = 20 * 2**20  # of a file that is read for a name
_CATCHES_IT = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def check_code(task: LmEvalTask, suite_dir: Path) -> None:
    """Refuse a task whose own code needs a package that is not installed.

    Args:
        task: The task as the suite states it.
        suite_dir: What relative paths of it are relative to.

    Raises:
        UsageError: Names the packages, the file that imports them, and what to install.
    """
    tasks = _shipped_tasks()
    if tasks is None:
        return  # plans can be made where tasks cannot be run
    own = find_task_file(task.task, suite_dir)
    files = [own] if own is not None else _files_defining(task.task, tasks)
    code = {file for yaml in files for file in task_files(yaml) if file.suffix == ".py"}
    missing = {
        needed.module: (needed, file)
        for file in sorted(code, reverse=True)
        for needed in _missing(file, tasks, set())
    }
    if missing:
        needed, file = next(iter(missing.values()))
        same = [name for name, other in missing.items() if other[0].is_module is needed.is_module]
        what = "module" if needed.is_module else "name"
        raise not_importable(task.task, same, what=what, where=str(file), told=needed.told)


def own_code(task: LmEvalTask, suite_dir: Path) -> list[Path]:
    """The Python files that a task YAML of the suite's own runs when it is loaded.

    Args:
        task: The task as the suite states it; those of lm-eval itself have none.
        suite_dir: What relative paths of it are relative to.
    """
    own = find_task_file(task.task, suite_dir)
    files = task_files(own) if own is not None else ()
    return sorted(file for file in files if file.suffix == ".py")


def not_importable(
    task: str,
    names: Sequence[str],
    *,
    what: str = "module",
    where: str | None = None,
    told: str = "",
) -> UsageError:
    """That a task's own code needs packages, and how to install them; it may say so itself."""
    return UsageError(
        f"The code of the lm-eval task {task!r} cannot be imported: there is no {what} "
        f"{', '.join(map(repr, names))}.",
        where=where,
        hint=told or f"Install with: pip install {' '.join(_to_install(names))}",
    )


def _to_install(modules: Iterable[str]) -> list[str]:
    """What brings modules: lm-eval's own extra where it has one for them."""
    extras = {_extra_with(module) or module for module in modules}
    return sorted(extras)


def _extra_with(module: str) -> str | None:
    try:
        lines = requires("lm_eval") or []
    except PackageNotFoundError:
        return None
    for line in lines:
        name, _, marker = line.partition(";")
        plain = re.split(r"[^\w.-]", name.strip())[0]
        extra = re.search(r"extra == [\"']([\w.-]+)[\"']", marker)
        if extra and extra[1] != "dev" and plain.replace("-", "_") == module.replace("-", "_"):
            return f"'lm-eval[{extra[1]}]'"
    return None


def _shipped_tasks() -> Path | None:
    """Folder of the tasks that lm-eval ships; None where it is not installed."""
    package = importlib.util.find_spec("lm_eval")
    origin = package.origin if package is not None else None
    return Path(origin).parent / "tasks" if origin else None


@cache
def _files_defining(name: str, tasks: Path) -> tuple[Path, ...]:
    """lm-eval's YAML files of a task, group or tag.

    A second for 14,000 files, of which lm-eval's own index takes ten.
    """
    found = []
    for path in sorted(tasks.rglob("*.yaml")):
        if name.encode() not in path.read_bytes():
            continue
        values = task_values(path)
        tags = values.get("tag") or ()
        if name in (values.get("task"), values.get("group"), tags) or name in list(tags):
            found.append(path)
    return tuple(found)


@dataclass(frozen=True)
class _Needed:
    """A module that is imported, and what the code says where that fails."""

    module: str
    told: str = ""
    is_module: bool = True  # and no name in a module


def _missing(file: Path, tasks: Path, seen: set[Path]) -> Iterator[_Needed]:
    """Top-level modules that a file, or what it draws in beside itself, imports in vain."""
    if file in seen:
        return
    seen.add(file)
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError):
        return  # told when the task is loaded
    for needed in _imports(tree.body):
        beside = _file_of(needed.module, file, tasks)
        top = needed.module.lstrip(".").partition(".")[0]
        if beside is not None:
            yield from _missing(beside, tasks, seen)
        elif not needed.module.startswith("."):
            if not _is_there(top, file.parent):
                yield replace(needed, module=top, is_module=True)
            elif _is_gone(needed):
                yield replace(needed, told=f"Another version of {top} may have {needed.module}.")


def _imports(body: Iterable[ast.stmt]) -> Iterator[_Needed]:
    """Modules that are imported when a file is, and without which it cannot be."""
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (_Needed(alias.name) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            module = "." * statement.level + (statement.module or "")
            yield _Needed(module)
            if not statement.level:
                names = (f"{module}.{alias.name}" for alias in statement.names)
                yield from (_Needed(name, is_module=False) for name in names)
            if module.startswith(("lm_eval.tasks", ".")):  # a name may be a file of its own
                dot = "" if module.endswith(".") else "."
                names = (f"{module}{dot}{alias.name}" for alias in statement.names)
                yield from (_Needed(name, is_module=False) for name in names)
        elif isinstance(statement, ast.Try) and not any(map(_lets_go_on, statement.handlers)):
            told = _told(statement.handlers)
            yield from (replace(needed, told=told) for needed in _imports(statement.body))


def _told(handlers: Iterable[ast.ExceptHandler]) -> str:
    """The text of the error that handlers raise, where it is one."""
    for raised in (part for handler in handlers for part in ast.walk(handler)):
        if isinstance(raised, ast.Raise) and isinstance(raised.exc, ast.Call):
            for text in raised.exc.args:
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    return " ".join(text.value.split())
    return ""


def _lets_go_on(handler: ast.ExceptHandler) -> bool:
    """Whether a handler takes a failed import and raises nothing."""
    kinds = ast.walk(handler.type) if handler.type is not None else ()
    names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
    catches = handler.type is None or bool(names & _CATCHES_IT)
    raises = any(isinstance(part, ast.Raise) for each in handler.body for part in ast.walk(each))
    return catches and not raises


def _file_of(name: str, file: Path, tasks: Path) -> Path | None:
    """The file of a module that is one of lm-eval's tasks', or lies beside a file."""
    level = len(name) - len(name.lstrip("."))
    parts = [part for part in name.lstrip(".").split(".") if part]
    if level:
        folder = file.parents[level - 1] if level <= len(file.parents) else file.parent
    elif parts[:2] == ["lm_eval", "tasks"]:
        folder, parts = tasks, parts[2:]
    else:
        folder = file.parent
    path = folder.joinpath(*parts)
    candidates = [path.with_suffix(".py"), path / "__init__.py"]
    candidates += [path.parent.with_suffix(".py")] if len(parts) > 1 else []
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _is_gone(needed: _Needed) -> bool:
    """Whether an installed package has no such module, or nothing of such a name."""
    if needed.is_module:
        return _lacks(needed.module)
    module, _, name = needed.module.rpartition(".")
    return name != "*" and not _lacks(module) and _lacks_name(module.partition(".")[0], name)


@cache
def _lacks_name(package: str, name: str) -> bool:
    """Whether a name stands nowhere in a package, so that nothing can be imported by it."""
    spec = importlib.util.find_spec(package)
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    if package in sys.stdlib_module_names or not folders:
        return False
    first = [folder / "__init__.py" for folder in folders]
    for file in (*first, *(file for folder in folders for file in folder.rglob("*"))):
        if file.suffix in _SOURCES and file.is_file():
            if file.stat().st_size > _MOST_BYTES or name.encode() in file.read_bytes():
                return False
            if any(part == name for part in file.with_suffix("").parts[-2:]):
                return False
    return True


def _lacks(module: str) -> bool:
    """Whether an installed package has no such submodule, as far as its files tell."""
    top, *parts = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    for part in parts:
        if not folders:
            return False
        if not any(list(folder.glob(f"{part}.*")) + list(folder.glob(part)) for folder in folders):
            return not any(part in _text(folder / "__init__.py") for folder in folders)
        folders = [folder / part for folder in folders if (folder / part).is_dir()]
    return False


def _text(file: Path) -> str:
    return file.read_text("utf-8", errors="replace") if file.is_file() else ""


def _is_there(module: str, folder: Path) -> bool:
    """Whether a module of that name can be imported, or lies beside the file."""
    if not module or module in sys.stdlib_module_names or (folder / module).is_dir():
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return module in sys.modules
