"""The section that lists every example: what its template needs, its script, its data blocks."""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness.checks.outputs import DEFINITIONS
from harness.render.numbers import count
from harness.render.pages import asset
from harness.report.browser.packing import pack
from harness.report.browser.view import FINDINGS, MISSING, AllExamples

SCRIPTS = (
    *("page", "data", "state", "find", "text", "list"),
    *("detail", "address", "controls", "keys", "start"),
)
"""The files of the section's script in ``assets/browser``: what the page offers, the data, what is
chosen; then what follows from it; then what the reader does, and the beginning."""

_FOUND = (
    ("prompt", "Prompt cut"),
    ("cut", "Stopped by max_new_tokens"),
    ("empty", "Empty"),
    ("loop", "Repeats itself"),
    ("copy", "Copies the prompt"),
)


@dataclass(frozen=True)
class Toggle:
    """A filter that can be switched on: its name in links, its label, and what it means."""

    name: str
    label: str
    meaning: str
    bit: int = 0  # of an output's flags; 0 where it is about something else


TOGGLES = (
    Toggle("differ", "Outputs differ", "The variants shown did not all write the same."),
    Toggle("worse", "Worse", "The candidate's value is worse than the baseline's."),
    Toggle("better", "Better", "The candidate's value is better than the baseline's."),
    *(
        Toggle(name, label, f"Of a variant shown: {finding} ({DEFINITIONS[finding]}).", 1 << place)
        for place, ((name, label), finding) in enumerate(zip(_FOUND, FINDINGS, strict=True))
    ),
    Toggle("missing", "No output", "A variant shown has no output for the example.", MISSING),
)
"""Filters that combine."""


@dataclass(frozen=True)
class BrowserSection:
    """What the template shows, and the data it embeds."""

    lead: str  # how many examples there are, of how many variants
    left_out: str  # which texts had no room; empty where all are there
    blocks: tuple[tuple[str, Markup], ...]  # id and base64 of each data block
    toggles: tuple[Toggle, ...] = TOGGLES


def browser_section(examples: AllExamples | None) -> BrowserSection | None:
    """Pack all examples for the page; None where nothing was generated."""
    if examples is None or not examples.tasks:
        return None
    packed = pack(examples)
    tasks = examples.tasks
    total = sum(len(task.examples) for task in tasks)
    where = " and ".join(task.task for task in tasks) if len(tasks) < 3 else f"{len(tasks)} tasks"
    missing = sum(packed.left_out.values())
    left_out = ""
    if missing:
        left_out = (
            f"The texts of {count(missing, 'example')} of {total:,} had no room in this page: "
            "those whose difference between candidate and baseline is nearest to the middle. They "
            "are listed, sorted and filtered like the others, but not searched or shown here."
        )
    return BrowserSection(
        lead=f"{count(total, 'example')} of {where}, with what "
        f"{count(len(tasks[0].variants), 'variant')} wrote.",
        left_out=left_out,
        blocks=tuple((name, Markup(text)) for name, text in packed.blocks),  # noqa: S704  # base64
    )


def browser_script(assets: Path) -> str:
    """The section's script: its files, in one scope that nothing else on the page sees.

    A page that is opened from a file cannot import modules, and every further script would need a
    hash of its own.
    """
    parts = "\n".join(asset(assets / "browser" / f"{name}.js") for name in SCRIPTS)
    return f"(() => {{\n{parts}\n}})();"
