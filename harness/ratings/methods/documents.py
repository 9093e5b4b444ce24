"""How the ratings were made: a methods paragraph, and the Human Evaluation Datasheet (HEDS 3.0).

Both are for the team's own paper or report. They name the variants, so neither may reach a rater.
Their texts are the templates ``methods.md.j2`` and ``heds.md.j2``, which share ``study.md.j2``.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import jinja2

from harness import __version__
from harness.ratings import layout
from harness.ratings.design.advice import ICC, SD, power_lines, raters_per_item
from harness.ratings.records import HumanResults, RowKind, RowPurpose, Sheets
from harness.render.labels import listed
from harness.resources import resource_dir
from harness.suite.ratings import CRITERIA, PREFERENCE, REFERENCES
from harness.suite.spec import Suite

TO_FILL_IN = "TO FILL IN:"
"""Marks what the harness cannot know; the datasheet counts it at its top."""


def methods_paragraph(sheets: Sheets, *, results: HumanResults | None = None) -> str:
    """One paragraph on how the ratings were made, to be pasted into a paper or report.

    Args:
        sheets: The export.
        results: What the ratings say, once they are back: adds what came back and the agreement.

    Returns:
        Sentences in the past tense on one line, and a line end.
    """
    return _line(_render("methods.md.j2", sheets, results=results)) + "\n"


def heds_draft(sheets: Sheets, suite: Suite, *, results: HumanResults | None = None) -> str:
    """Draft the Human Evaluation Datasheet 3.0 as Markdown, one answer per question number.

    Args:
        sheets: The export.
        suite: The run's suite.
        results: What the ratings say, once they are back: fills in the agreement.

    Returns:
        Markdown with a warning not to send it, and the number of places still to fill in, on top.

    Source:
        Belz and Thomson (2024), HEDS 3.0: The Human Evaluation Data Sheet Version 3.0,
        arXiv:2412.07940: the numbers of its questions. Titles are our own short ones.
    """
    power = " ".join(power_lines(sheets))
    values = {"suite": suite, "power": power, "version": __version__, "results": results}
    return _render("heds.md.j2", sheets, **values).strip() + "\n"


def _render(name: str, sheets: Sheets, **values: Any) -> str:
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
    template = environment.get_template(name)
    return template.render(plan=sheets.plan, facts=facts(sheets), **values)


def _line(text: object) -> str:
    """On one line: a datasheet's answer is a paragraph."""
    return " ".join(str(text).split())


@dataclass(frozen=True)
class Facts:
    """Counts of an export."""

    rows: Counter[tuple[RowKind, RowPurpose]]  # rows of all raters by kind and purpose
    per_rater: tuple[int, int]  # fewest and most rows of one rater, of all kinds and purposes
    overlap: tuple[int, int]  # fewest and most raters of one judgement that counts
    # least distance, in rows, of a row and its repetition; None without repetitions
    apart: int | None
    turned: bool  # whether all repeated comparisons have their sides swapped
    equal: int  # items by pair whose two texts are equal, which nobody is asked to compare
    shared: int  # items with a text that several variants wrote, which is judged once
    items: int  # items there are
    clusters: int  # clusters that the items come from

    def of(self, purpose: RowPurpose) -> int:
        """Rows of a purpose, of both kinds."""
        return self.rows["scale", purpose] + self.rows["pair", purpose]


def facts(sheets: Sheets) -> Facts:
    """Count what an export asks for."""
    plan, items, rows = sheets.plan, sheets.items, sheets.rows
    loads = Counter({rater: 0 for rater in plan.raters})
    loads.update(row.rater for row in rows)
    by_token = {row.token: row for row in rows}
    again = [(row, by_token[row.repeats]) for row in rows if row.repeats in by_token]
    pairs = raters_per_item(rows, "pair")
    judged = (*pairs.values(), *raters_per_item(rows, "scale").values())
    overlaps = [count for by_item in judged for count in by_item.values()]
    return Facts(
        rows=Counter((row.kind, row.purpose) for row in rows),
        per_rater=(min(loads.values()), max(loads.values())),
        overlap=(min(overlaps, default=0), max(overlaps, default=0)),
        apart=min((abs(one.position - other.position) for one, other in again), default=None),
        turned=all(one.swapped != other.swapped for one, other in again if one.kind == "pair"),
        equal=sum(len(items) - len(pairs.get(pair, {})) for pair in plan.pairs),
        shared=len({r.item for r in rows if r.kind == "scale" and len(r.variants) > 1}),
        items=len(items),
        clusters=len(set(sheets.clusters.values())),
    )
