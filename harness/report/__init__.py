"""The report of a run: view, HTML, Markdown, JSON and CSV."""
