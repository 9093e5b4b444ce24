"""Fields of the installed TRL's SFTConfig and PEFT's configurations, without importing them here.

The classes are read at run time, so that it does not matter where or how they are written down.
Importing them takes seconds (and torch), so a process of its own does it, once per installation;
what it read is kept in the cache folder.
"""

import json
import subprocess
import sys
import types
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from harness.errors import DiskError
from harness.files import write_atomic
from harness.hints import did_you_mean
from harness.resources import cache_dir
from harness.suite.elsewhere import answer_of

ConfigClass = str  # "trl:SFTConfig", or of PEFT such as "peft:LoraConfig"
Kinds = tuple[str, ...]

_PLAIN = {"int": int, "float": float, "bool": bool, "str": str, "None": type(None)}
_MADE_WITH = ("trl", "peft", "transformers", "torch")  # packages that decide what fields there are


@dataclass(frozen=True)
class Fields:
    """What a configuration class takes."""

    # field -> names of the plain types it takes (``int``, ``None``, ...); none of them where it
    # takes others too
    kinds: Mapping[str, Kinds] = field(default_factory=dict)
    unknown: str | None = None  # why the fields are not known; None where they are


@cache
def installed_fields(config: ConfigClass) -> Fields:
    """The fields of a class as it is installed, or why they are not known."""
    package = config.partition(":")[0]
    if package in sys.modules:
        return _guarded(lambda: read_fields(config))
    if find_spec(package) is None:
        return Fields(unknown=f"{package} is not installed")
    file = cache_dir() / "fields" / f"{config.replace(':', '-')}.json"
    installed = installation()
    with suppress(OSError, ValueError, AttributeError, TypeError, KeyError):
        kept = json.loads(file.read_text("utf-8"))
        if kept["installation"] == installed:
            return Fields(_as_kinds(kept["kinds"]))
    read = _guarded(lambda: _read_elsewhere(config))
    if read.unknown is None:
        with suppress(DiskError, OSError):  # an unusable cache costs time, never a result
            write_atomic(file, json.dumps({"installation": installed, "kinds": read.kinds}))
    return read


def mended(config: ConfigClass, name: str, value: Any) -> Any:
    """A value for a field of a class, read as a number where YAML read a text."""
    kinds = _plain_types(config, name)
    if isinstance(value, str) and float in kinds and str not in kinds:
        with suppress(ValueError):
            return float(value)
    return value


def _plain_types(config: ConfigClass, name: str) -> tuple[type, ...]:
    """Types a field takes, where they are all plain ones; else none."""
    return tuple(_PLAIN[kind] for kind in installed_fields(config).kinds.get(name, ()))


def wrong_type(config: ConfigClass, name: str, value: Any) -> str | None:
    """What is wrong with the type of a field's value; None where it is right, or not known."""
    kinds = _plain_types(config, name)
    if not kinds or (type(value) is int and float in kinds):
        return None
    if type(value) in kinds:  # not isinstance: true is an int to Python
        return None
    return f"must be {' or '.join(installed_fields(config).kinds[name])}, found {value!r}."


def near(name: str, known: Collection[str]) -> str:
    """What could have been meant by a name, after a space; nothing where no name is near."""
    return f" {did_you_mean(name, known)}".rstrip()


def read_fields(config: str) -> dict[str, Kinds]:
    """Import a dataclass, and read its fields.

    Args:
        config: ``module:class``.
    """
    module, _, name = config.partition(":")
    cls = getattr(import_module(module), name)
    hints = get_type_hints(cls)
    return {entry.name: _kinds(hints[entry.name]) for entry in fields(cls) if entry.init}


def _kinds(hint: Any) -> Kinds:
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if any(part not in _PLAIN.values() for part in parts):
        return ()
    return tuple("None" if part is type(None) else part.__name__ for part in parts)


def _as_kinds(content: Mapping[str, list[str]]) -> dict[str, Kinds]:
    return {name: tuple(kinds) for name, kinds in content.items()}


def _guarded(read: Callable[[], dict[str, Kinds]]) -> Fields:
    """Whatever a library does when it is imported, the suite can be checked without its fields."""
    try:
        return Fields(read())
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().splitlines()[-1:] or [f"exit code {error.returncode}"]
        return Fields(unknown=f"its fields cannot be read: {last[0]}")
    except Exception as error:
        return Fields(unknown=f"its fields cannot be read: {type(error).__name__}: {error}")


def _read_elsewhere(config: str) -> dict[str, Kinds]:
    about = f"Reading the fields of {config.replace(':', '.')}"
    return _as_kinds(answer_of(__name__, config, about=about))


def installation() -> list[list[str | int]]:
    """Version, place and time of the packages that make the classes what they are."""
    return [
        [package, _version(package), str(file), file.stat().st_mtime_ns]
        for package in _MADE_WITH
        if (spec := find_spec(package)) is not None
        and spec.origin is not None
        and (file := Path(spec.origin)).is_file()
    ]


def _version(package: str) -> str:
    with suppress(PackageNotFoundError):
        return version(package)
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read_fields(sys.argv[1])) + "\n")
