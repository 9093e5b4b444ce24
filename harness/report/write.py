"""Writes a run's report to files."""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.files import write_atomic
from harness.hints import choices
from harness.report.browser.csv import render_examples_csv
from harness.report.browser.view import AllExamples
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import foreign_csv, render_csv, render_json
from harness.report.view.records import View

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


def formats_of(format_: str, known: Sequence[str]) -> Sequence[str]:
    """The formats that ``--format`` asks for.

    Raises:
        UsageError: There is no such format.
    """
    if format_ == "all":
        return known
    if format_ in known:
        return [format_]
    hint = f"Use one of {', '.join([*known, 'all'])}."
    raise UsageError(f"There is no format {format_!r}.", where="--format", hint=hint)
