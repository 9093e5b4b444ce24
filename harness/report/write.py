"""Writes a run's report to files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from harness.errors import UsageError
from harness.files import write_atomic
from harness.hints import choices
from harness.report.browser.csv import render_examples_csv
from harness.report.browser.view import AllExamples
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import foreign_csv, render_csv, render_json
from harness.report.view.records import View

_View = TypeVar("_View")

_ELSEWHERE = "Choose another folder: --output of harness report, or --runs-dir."

_RENDERERS: dict[str, tuple[str, Callable[[View], str]]] = {
    "html": ("report.html", render_html),  # with the examples, where there are any
    "markdown": ("report.md", render_markdown),
    "json": ("report.json", render_json),
    "csv": ("report.csv", render_csv),
}


def write_report(
    view: View, folder: Path, format_: str = "html", examples: AllExamples | None = None
) -> list[Path]:
    """Render a view into a folder, replacing earlier renderings of the same format.

    Args:
        view: What to show.
        folder: Where ``report.html``, ``report.md``, ``report.json`` or ``report.csv`` go.
        format_: One of these formats, or ``all``.
        examples: All examples of the run, for HTML and CSV (``examples.csv``); read only there.

    Returns:
        The files written.

    Raises:
        UsageError: There is no such format.
    """
    if format_ != "all" and format_ not in _RENDERERS:
        raise UsageError(
            f"There is no format {format_!r}.",
            where="--format",
            hint=choices(format_, (*_RENDERERS, "all")),
        )
    wanted = list(_RENDERERS) if format_ == "all" else [format_]
    texts: dict[str, str] = {}
    for name in wanted:
        file, render = _RENDERERS[name]
        texts[file] = render_html(view, examples) if name == "html" else render(view)
        if name == "csv":
            texts |= {f"report.{table}.csv": text for table, text in foreign_csv(view).items()}
        if name == "csv" and examples is not None and examples.tasks:
            texts["examples.csv"] = render_examples_csv(examples)
    for file, text in texts.items():
        write_atomic(folder / file, text, hint=_ELSEWHERE)
    return [folder / file for file in texts]


def write_formats(
    renderers: Mapping[str, tuple[str, Callable[[_View], str]]],
    view: _View,
    folder: Path,
    format_: str,
) -> list[Path]:
    """Render a view into a folder, replacing earlier renderings of the same format.

    Args:
        renderers: By format the file's name, and what renders it.
        view: What to show.
        folder: Where the files go.
        format_: A format, or ``all``.

    Returns:
        The files written.

    Raises:
        UsageError: There is no such format.
    """
    if format_ != "all" and format_ not in renderers:
        hint = f"Use one of {', '.join([*renderers, 'all'])}."
        raise UsageError(f"There is no format {format_!r}.", where="--format", hint=hint)
    paths = []
    for file, render in renderers.values() if format_ == "all" else [renderers[format_]]:
        write_atomic(folder / file, render(view), hint="Choose another folder with --output.")
        paths.append(folder / file)
    return paths
