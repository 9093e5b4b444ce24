"""Walks over the sections of a report, built in and from entry points."""

import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from harness.doors import SECTIONS
from harness.errors import PluginError, PluginWarning
from harness.report.sections.base import ReportSection

T = TypeVar("T")
_LAST = ("provenance", "glossary")  # of what is built in; what packages bring stands before them
LEFT_OUT = "Sections left out"


def sections() -> tuple[dict[str, ReportSection], list[PluginError]]:
    """All sections in the order of the report, and why others cannot be loaded."""
    loaded, faults = SECTIONS.all()
    last = {name: loaded.pop(name) for name in _LAST}
    return {**loaded, **last}, faults


def answers(
    ask: Callable[[str, ReportSection], T],
    refused: Callable[[str, T], str],
    left_out: Mapping[str, str] = MappingProxyType({}),
) -> tuple[list[tuple[str, ReportSection, T]], dict[str, str]]:
    """What each section answers; one that fails is left out, with a warning.

    Args:
        ask: Asks a section, which it gets with its name.
        refused: Why an answer is none that the door allows; empty where it is.
        left_out: Sections that failed before and are not asked again: where each is from, and why.

    Returns:
        Name, section and answer in the order of the report; and all that is left out.
    """
    loaded, errors = sections()
    faults = {str(error.where): error.problem for error in errors}
    given: list[tuple[str, ReportSection, T]] = []
    for name, section in loaded.items():
        if name in SECTIONS.built_in:
            given.append((name, section, ask(name, section)))
            continue
        origin = SECTIONS.origin(name)
        if origin in left_out:
            continue
        try:
            answer = ask(name, section)
            why = _no_texts(section) or refused(name, answer)
        except Exception as error:  # whatever other people's code raises: the rest goes on
            faults[origin] = SECTIONS.failed(name, error).problem
            continue
        if why:
            faults[origin] = SECTIONS.broken(name, why).problem
        else:
            given.append((name, section, answer))
    for where in faults.keys() - left_out.keys():
        warnings.warn(f"{where}: {faults[where]}", PluginWarning, stacklevel=2)
    return given, {**left_out, **faults}


def fault_words(left_out: Mapping[str, str]) -> list[str]:
    """Which sections are left out, with entry point and package, and why."""
    return [f"{where}: {problem}" for where, problem in left_out.items()]


def is_own(name: str) -> bool:
    """Whether a section is built in."""
    return name in SECTIONS.built_in


def _no_texts(section: ReportSection) -> str:
    """Why what a section is called cannot be shown."""
    called = {name: getattr(section, name) for name in ("name", "title", "label")}
    wrong = [name for name, value in called.items() if not isinstance(value, str)]
    return f"has something else than a text as its {wrong[0]}" if wrong else ""


def no_text(_: str, answer: object) -> str:
    """Why an answer is no text."""
    return "" if isinstance(answer, str) else f"answers with {_kind(answer)} where text is needed"


def no_mapping(_: str, answer: object) -> str:
    """Why an answer is no mapping by name."""
    if isinstance(answer, Mapping) and all(isinstance(key, str) for key in answer):
        return ""
    return f"answers with {_kind(answer)} where values by name are needed"


def _kind(answer: object) -> str:
    return type(answer).__name__
