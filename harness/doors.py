"""The five doors: what is built in, and what other packages bring through entry points.

A door has a name in the field's words, a ``Protocol`` that whatever comes in must satisfy, a table
of what is built in, and a group of entry points for what is not. A package that brings an
inference engine, say, declares in its ``pyproject.toml``::

    [project.entry-points."qlora_harness.engines"]
    fast = "my_package.engine:ENGINE"

Entries are names of objects, imported when they are first asked for, so that nothing heavy is
loaded for what a suite does not use. What cannot be loaded, or does not satisfy the protocol, is
named with its entry point and package; the rest goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from harness.errors import HarnessError, PluginError, UsageError
from harness.hints import choices

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Door(Generic[T]):
    """One kind of extension."""

    what: str  # what comes in, in words: ``inference engine``
    group: str  # of the entry points
    protocol: str  # ``module:class`` of the protocol
    built_in: Mapping[str, str]  # name -> ``module:attribute``
    _loaded: dict[str, T] = field(default_factory=dict, repr=False, compare=False)

    @property
    def names(self) -> list[str]:
        """Names of what is built in, then of what packages bring, as entry points declare them."""
        return [*self.built_in, *(name for name in self._foreign if name not in self.built_in)]

    def get(self, name: str, *, where: str | None = None) -> T:
        """What goes by a name, loaded when it is first asked for.

        Args:
            name: As the table or the entry point has it.
            where: Where it was named, for the message.

        Raises:
            UsageError: There is nothing of that name.
            PluginError: It cannot be loaded, or does not satisfy the protocol.
        """
        if name not in self._loaded:
            if name in self.built_in:
                self._loaded[name] = _attribute(self.built_in[name])
            elif name in self._foreign:
                self._loaded[name] = self._load(self._foreign[name])
            else:
                problem = f"There is no {self.what} {name!r}."
                raise UsageError(problem, where=where, hint=choices(name, self.names))
        return self._loaded[name]

    def all(self) -> tuple[dict[str, T], list[PluginError]]:
        """Everything that can be loaded by its name, and why the rest cannot."""
        there: dict[str, T] = {}
        faults = [
            PluginError(
                f"There is a built-in {self.what} {name!r}, which stays; this one is left out.",
                where=_origin(entry),
                hint="Give it a name of its own.",
            )
            for name, entries in self._foreign.items()
            for entry in entries
            if name in self.built_in
        ]
        for name in self.names:
            try:
                there[name] = self.get(name)
            except PluginError as fault:
                faults.append(fault)
        return there, faults

    def ask(self, name: str, call: Callable[[], R]) -> R:
        """Call what came in at this door; what a package's code raises is told as its fault.

        Raises:
            PluginError: It raised something that is not meant for the user.
        """
        try:
            return call()
        except HarnessError:
            raise
        except Exception as error:
            if name in self.built_in:
                raise
            raise self.failed(name, error) from error

    def failed(self, name: str, error: Exception) -> PluginError:
        """That what came in at this door raised an error."""
        return self.broken(name, f"failed: {type(error).__name__}: {error}")

    def broken(self, name: str, why: str) -> PluginError:
        """That what came in at this door does not do what the door asks for."""
        return PluginError(f"The {self.what} {name!r} {why}.", where=self.origin(name))

    def origin(self, name: str) -> str:
        """Where something comes from: ``entry point fast of my-package 1.0``, or built in."""
        built_in = name in self.built_in or name not in self._foreign
        if built_in:
            return "built in"
        return " and ".join(sorted({_origin(entry) for entry in self._foreign[name]}))

    @cached_property
    def _foreign(self) -> dict[str, list[EntryPoint]]:
        entries: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            entries.setdefault(entry.name, []).append(entry)
        return entries

    def _load(self, entries: list[EntryPoint]) -> T:
        entry = entries[0]
        if len({_origin(one) for one in entries}) > 1:
            raise self.broken(entry.name, "is brought by several packages; uninstall all but one")
        try:
            thing: T = entry.load()
        except Exception as error:  # whatever the package's own code raises
            why = f"cannot be loaded: {type(error).__name__}: {error}"
            raise self.broken(entry.name, why) from error
        own = vars(_attribute(self.protocol))
        members = {*own, *own.get("__annotations__", ())}
        lacking = sorted(n for n in members if not n.startswith("_") and not hasattr(thing, n))
        if lacking:
            why = f"lacks what every {self.what} has: {', '.join(lacking)}"
            raise self.broken(entry.name, why)
        return thing


def _attribute(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _origin(entry: EntryPoint) -> str:
    """Where something comes from: ``entry point fast of my-package 1.0``."""
    package = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return f"entry point {entry.name}{package}"


TASK_TYPES: Door[Any] = Door(
    "task type",
    "qlora_harness.task_types",
    "harness.tasks.base:TaskType",
    {
        "generation": "harness.tasks.generation:TASK_TYPE",
        "perplexity": "harness.tasks.perplexity:TASK_TYPE",
        "lm_eval": "harness.tasks.lm_eval.task_type:TASK_TYPE",
    },
)
ENGINES: Door[Any] = Door(
    "inference engine",
    "qlora_harness.engines",
    "harness.engines.base:Engine",
    {"transformers": "harness.engines.transformers:ENGINE"},
)
EXECUTORS: Door[Any] = Door(
    "executor",
    "qlora_harness.executors",
    "harness.run.executors:Executor",
    {"local": "harness.run.local:EXECUTOR"},
)
SECTIONS: Door[Any] = Door(
    "report section",
    "qlora_harness.report_sections",
    "harness.report.sections.base:ReportSection",
    {
        "verdict": "harness.report.sections.verdict:SECTION",
        "choice": "harness.report.sections.choice:SECTION",
        "matrix": "harness.report.sections.matrix:SECTION",
        "methods": "harness.report.sections.methods:SECTION",
        "charts": "harness.report.sections.charts:SECTION",
        "cost": "harness.report.sections.cost:SECTION",
        "losses": "harness.report.sections.losses:SECTION",
        "examples": "harness.report.sections.examples:SECTION",
        "browser": "harness.report.sections.browser:SECTION",
        "human": "harness.report.sections.human:SECTION",
        "data": "harness.report.sections.data:SECTION",
        "proofs": "harness.report.sections.proofs:SECTION",
        "unfinished": "harness.report.sections.unfinished:SECTION",
        "provenance": "harness.report.sections.provenance:SECTION",
        "glossary": "harness.report.sections.glossary:SECTION",
    },
)
CHECKS: Door[Any] = Door(
    "check",
    "qlora_harness.checks",
    "harness.checks.base:Check",
    {
        "precision": "harness.checks.precision:CHECK",
        "kept_checkpoints": "harness.checks.kept_checkpoints:CHECK",
        "proofs": "harness.checks.proofs:CHECK",
        "adapter_effect": "harness.checks.adapter_effect:CHECK",
        "truncation": "harness.checks.truncation:CHECK",
        "own_generate": "harness.checks.own_generate:CHECK",
        "same_prompt": "harness.checks.same_prompt:CHECK",
        "data_rows": "harness.checks.data_rows:CHECK",
        "overlap": "harness.checks.overlap:CHECK",
        "training_curve": "harness.checks.training_curve:CHECK",
        "training_rows": "harness.checks.training_rows:CHECK",
        "written": "harness.checks.written:CHECK",
        "forgetting": "harness.checks.forgetting:CHECK",
        "lm_eval_run": "harness.checks.lm_eval_run:CHECK",
        "unchosen_merge": "harness.checks.unchosen_merge:CHECK",
        "measurement": "harness.checks.measurement:CHECK",
        "blind_sheets": "harness.ratings.sheets.leaks:CHECK",
    },
)
