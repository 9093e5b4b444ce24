"""The HTML report: one file that loads nothing, runs without JavaScript and trusts no text."""

import jinja2
from markupsafe import escape

from harness.render import numbers as fmt
from harness.render.pages import page_environment, render_page
from harness.render.text import marked
from harness.report.browser.html import browser_script, browser_section
from harness.report.browser.view import AllExamples
from harness.report.sections.base import PageContext, ReportSection
from harness.report.sections.markup import forbidden
from harness.report.sections.walk import LEFT_OUT, answers, fault_words, no_text
from harness.report.view.records import MatrixRow, View
from harness.report.view.repeats import of_variants
from harness.resources import resource_dir
from harness.suite.rules import in_points

_STYLES = ("report.css", "browser.css")
_OUTPUT_CHARS = 2_000
_PROMPT_CHARS = 3_000


def render_html(view: View, examples: AllExamples | None = None) -> str:
    """Write a report as one self-contained page, section by section.

    The page's content security policy allows its own style and script by their hashes and
    nothing else, so nothing a model wrote can run or load anything, escaped or not.

    Args:
        view: What to show.
        examples: All examples of the run, for the section that lists them; None: there is none.
    """
    browser = browser_section(examples)
    templates = report_environment()
    page = PageContext(view, templates, browser)

    def body(_: str, section: ReportSection) -> str:
        answer = section.html(view, page)
        return escape(answer) if isinstance(answer, str) else answer  # what is Markup stays

    bodies, left_out = answers(body, _refused, view.left_out)
    values = {
        "view": view,
        "sections": [(name, section, html) for name, section, html in bodies if html],
        "left_out_title": LEFT_OUT,
        "left_out": fault_words(left_out),
        "browser": browser,
    }
    script = browser_script(resource_dir("reports") / "assets") if browser is not None else ""
    return render_page(templates, "report.html.j2", values, styles=_STYLES, more_script=script)


def _refused(name: str, html: str) -> str:
    return no_text(name, html) or forbidden(name, html)


def report_environment() -> jinja2.Environment:
    """The shipped templates with the report's own filters."""
    environment = page_environment()
    environment.filters |= {
        "output": lambda text: marked(text, _OUTPUT_CHARS),
        "prompt": lambda text: marked(text, _PROMPT_CHARS),
    }
    environment.globals |= {
        "of_variants": of_variants,
        "example_value": _example_value,
        "scrolls": _scrolls,
    }
    return environment


def _example_value(value: float | None, row: MatrixRow | None, *, signed: bool = False) -> str:
    if value is None or row is None:
        return fmt.NONE
    return fmt.number(in_points(value, row.scale), 1 if row.scale else None, signed=signed)


def _scrolls(text: str) -> bool:
    """Whether a text may need more lines than its place has, and so be reached by keyboard."""
    return len(text) > 300 or text.count("\n") > 8
