"""Writes a run's report to files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import render_csv, render_json
from harness.report.view import View
from harness.store import write_atomic

_RENDERERS: dict[str, tuple[str, Callable[[View], str]]] = {
    "html": ("report.html", render_html),
    "markdown": ("report.md", render_markdown),
    "json": ("report.json", render_json),
    "csv": ("report.csv", render_csv),
}


def write_report(view: View, folder: Path, format_: str = "html") -> list[Path]:
    """Render a view into a folder, replacing earlier renderings of the same format.

    Args:
        view: What to show.
        folder: Where ``report.html``, ``report.md``, ``report.json`` or ``report.csv`` go.
        format_: One of these formats, or ``all``.

    Returns:
        The files written.

    Raises:
        UsageError: There is no such format.
    """
    if format_ != "all" and format_ not in _RENDERERS:
        raise UsageError(
            f"There is no format {format_!r}.",
            where="--format",
            mend=f"Use one of {', '.join([*_RENDERERS, 'all'])}.",
        )
    wanted = list(_RENDERERS) if format_ == "all" else [format_]
    paths = []
    for name in wanted:
        file, render = _RENDERERS[name]
        path = folder / file
        write_atomic(path, render(view))
        paths.append(path)
    return paths
