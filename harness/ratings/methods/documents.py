"""How the ratings were made: a methods paragraph, and the Human Evaluation Datasheet (HEDS 3.0).

Both are for the team's own paper or report. They name the variants, so neither may reach a rater.
Their texts are the templates ``methods.md.j2`` and ``heds.md.j2``, which share ``study.md.j2``.
"""

from collections.abc import Sequence
from typing import Any

import jinja2

from harness import __version__
from harness.ratings import layout
from harness.ratings.design.advice import ICC, SD, power_lines
from harness.ratings.methods.facts import facts
from harness.ratings.records import HumanResults, Item, SheetPlan, SheetRow
from harness.render.labels import listed
from harness.resources import resource_dir
from harness.suite.ratings import CRITERIA, PREFERENCE, REFERENCES
from harness.suite.spec import Suite

TO_FILL_IN = "TO FILL IN:"
"""Marks what the harness cannot know; the datasheet counts it at its top."""


def methods_paragraph(
    plan: SheetPlan,
    items: Sequence[Item],
    rows: Sequence[SheetRow],
    *,
    results: HumanResults | None = None,
) -> str:
    """One paragraph on how the ratings were made, to be pasted into a paper or report.

    Args:
        plan: The export's plan.
        items: Its items.
        rows: Rows of all raters.
        results: What the ratings say, once they are back: adds what came back and the agreement.

    Returns:
        Sentences in the past tense on one line, and a line end.
    """
    return _line(_render("methods.md.j2", plan, items, rows, results=results)) + "\n"


def heds_draft(
    plan: SheetPlan,
    items: Sequence[Item],
    rows: Sequence[SheetRow],
    suite: Suite,
    *,
    results: HumanResults | None = None,
) -> str:
    """Draft the Human Evaluation Datasheet 3.0 as Markdown, one answer per question number.

    Args:
        plan: The export's plan.
        items: Its items.
        rows: Rows of all raters.
        suite: The run's suite.
        results: What the ratings say, once they are back: fills in the agreement.

    Returns:
        Markdown with a warning not to send it, and the number of places still to fill in, on top.

    Source:
        Belz and Thomson (2024), HEDS 3.0: The Human Evaluation Data Sheet Version 3.0,
        arXiv:2412.07940: the numbers of its questions. Titles are our own short ones.
    """
    power = " ".join(power_lines(plan, items, rows))
    values = {"suite": suite, "power": power, "version": __version__, "results": results}
    return _render("heds.md.j2", plan, items, rows, **values).strip() + "\n"


def _render(
    name: str, plan: SheetPlan, items: Sequence[Item], rows: Sequence[SheetRow], **values: Any
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource_dir("reports") / "templates"),
        autoescape=False,  # noqa: S701  # Markdown for the team's own eyes
        trim_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {"listed": listed, "line": _line}
    environment.globals |= {
        "ICC": ICC,
        "SD": SD,
        "CRITERIA": CRITERIA,
        "PREFERENCE": PREFERENCE,
        "REFERENCES": REFERENCES,
        "TO_FILL_IN": TO_FILL_IN,
        "CANNOT_JUDGE": layout.CANNOT_JUDGE,
        "PREFERENCE_ANSWERS": layout.PREFERENCE_ANSWERS,
        "PREFERENCE_QUESTION": layout.PREFERENCE_QUESTION,
    }
    counts = facts(plan, items, rows)
    return environment.get_template(name).render(plan=plan, facts=counts, **values)


def _line(text: object) -> str:
    """On one line: a datasheet's answer is a paragraph."""
    return " ".join(str(text).split())
