"""The report: one view of a run, written as HTML, Markdown, JSON or CSV."""

from harness.report.browser import AllExamples
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import render_csv, render_json
from harness.report.verdict import verdict_text
from harness.report.view import View
from harness.report.write import write_report

__all__ = [
    "AllExamples",
    "View",
    "build_view",
    "render_csv",
    "render_html",
    "render_json",
    "render_markdown",
    "verdict_text",
    "write_report",
]
