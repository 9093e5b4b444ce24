"""The report: one view of a run, written as HTML, Markdown, JSON or CSV."""
