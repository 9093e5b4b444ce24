"""A section from outside stands in every form; one that fails is named, and the rest goes on."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from harness.doors import SECTIONS
from harness.errors import PluginWarning, UsageError
from harness.render.markdown import plain
from harness.render.table import Table, make_table, numbers, texts, to_markdown
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.sections.markup import forbidden
from harness.report.tables import render_csv, render_json
from harness.report.view.records import View
from harness.report.write import write_report
from tests.unit.report.page_parser import Page
from tests.unit.report.test_build import SMALL, TWO
from tests.unit.report.test_html import HOSTILE

NAME = "lengths"


class LengthsSection(ReportSection):
    """How long the outputs are, with a hostile word."""

    name, title, label = NAME, "Lengths", "Lengths"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"mean": {item.variant: item.mean_new_tokens for item in run.outputs}}

    def html(self, view: View, page: PageContext) -> str:
        source = '<p id="lengths-lead">{{ word }}</p>{{ table }}'
        return page.render_source(source, word=HOSTILE[0], table=page.table(_table(view)))

    def markdown(self, view: View) -> str:
        return f"{plain(HOSTILE[0])}\n\n{to_markdown(_table(view), caption=False)}"

    def tables(self, view: View) -> dict[str, Table]:
        return {"means": _table(view)}


def _table(view: View) -> Table:
    means: Any = view.sections[NAME]["mean"]
    lines = ((name, str(value)) for name, value in means.items())
    return make_table("Lengths", (*texts("variant"), *numbers("tokens")), lines)


class _Entry(EntryPoint):
    """An entry point that needs no installed package."""

    def load(self) -> Any:
        thing = _THINGS[self.name]
        if isinstance(thing, Exception):
            raise thing
        return thing


_THINGS: dict[str, Any] = {}
Bring = Callable[[Any], View]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch, make_run: Callable[..., Any]) -> Bring:
    """Brings a section by a fake entry point, and builds the view of a small run."""

    def brought(thing: Any, name: str = NAME) -> View:
        monkeypatch.setitem(_THINGS, name, thing)
        entry = _Entry(name, "my_package:SECTION", SECTIONS.group)
        monkeypatch.setitem(SECTIONS.__dict__, "_foreign", {name: [entry]})
        if name == NAME:
            SECTIONS._loaded.pop(name, None)
        run = make_run(spec=SMALL, variants=TWO)
        return build_view(run.store, run.build())

    yield brought
    SECTIONS._loaded.pop(NAME, None)


def failing(**methods: Any) -> Any:
    """A section some of whose methods answer otherwise."""
    made = {
        name: staticmethod(answer if callable(answer) else lambda *_, a=answer: a)
        for name, answer in methods.items()
    }
    return type("Failing", (LengthsSection,), made)()


def titled(title: Any) -> Any:
    """A section with this title."""
    return type("Titled", (LengthsSection,), {"title": title})()


def left_out(text: str) -> str:
    found = re.search(r"Sections left out\n*(.*?)(?:\n## |\Z)", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_it_stands_before_the_provenance_in_every_form(bring: Bring, tmp_path: Path) -> None:
    """HTML, Markdown, JSON, and CSV as a file of its own."""
    view = bring(LengthsSection())
    page, text = render_html(view), render_markdown(view)
    ids = re.findall(r'<section id="([\w-]+)"', page)
    assert ids[-3:] == [NAME, "provenance", "glossary"]
    assert f'<a href="#{NAME}">Lengths</a>' in page
    assert re.findall("^## (.*)$", text, re.MULTILINE)[-2:] == ["Lengths", "Provenance"]
    assert set(json.loads(render_json(view))["sections"][NAME]["mean"]) == set(TWO)
    assert View.model_validate_json(render_json(view)) == view
    paths = write_report(view, tmp_path, "csv")
    assert [path.name for path in paths] == ["report.csv", "report.lengths.means.csv"]
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text("utf-8"))))
    assert [row["variant"] for row in rows] == list(TWO)


def test_what_it_shows_is_escaped_and_the_policy_holds(bring: Bring) -> None:
    """By the environment of the page, in its own template as anywhere."""
    page = render_html(bring(LengthsSection()))
    found = Page(page)
    assert found.errors == []
    assert "&lt;script&gt;alert(1)" in page
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    assert "unsafe" not in page


def test_text_that_is_no_markup_is_escaped(bring: Bring) -> None:
    """Whatever it is."""
    page = render_html(bring(failing(html="<b>1 < 2</b>")))
    assert "&lt;b&gt;1 &lt; 2&lt;/b&gt;" in page


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("<script>alert(1)</script>", "has <script>"),
        ("<p onclick='x()'>a</p>", "has onclick on <p>"),
        ("<p style='color: red'>a</p>", "has style on <p>"),
        ("<img src='https://example.org/x.png'>", "has <img>"),
        ("<a href='https://example.org'>a</a>", "has href on <a>"),
        ("<a href='javascript:x()'>a</a>", "has href on <a>"),
        ("<p>a</section>", "closes <section>"),
        ("<div><p>a</p>", "leaves <div> open"),
        ("<p id='verdict'>a</p>", "names an element 'verdict'"),
    ],
)
@pytest.mark.filterwarnings("ignore::harness.errors.PluginWarning")
def test_markup_that_the_page_forbids_is_refused(bring: Bring, html: str, why: str) -> None:
    """With the section's entry point; the page is well formed without it."""
    page = render_html(bring(failing(html=Markup(html))))  # noqa: S704  # what is refused
    assert Page(page).errors == []
    assert html not in page
    words = "".join(Page(page).words)
    assert f"entry point {NAME}: The report section '{NAME}' answers with HTML that {why}" in words


def test_markup_that_the_page_allows_is_not_refused() -> None:
    """Tables, drawings, details, links within the page."""
    html = (
        '<p id="x-1">a<br>b</p><details><summary>s</summary><a href="#x-1">c</a></details>'
        '<svg role="img"><title id="x-t">t</title><circle cx="1" cy="1" r="1"/></svg>'
    )
    assert forbidden("x", html) == ""


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (ImportError("no module named torch"), "cannot be loaded: ImportError: no module"),
        (object(), "lacks what every report section has: build, html, label, markdown"),
        (failing(build=lambda *_: 1 / 0), "failed: ZeroDivisionError"),
        (titled(5), "has something else than a text as its title"),
        (failing(build=None), "answers with NoneType where values by name are needed"),
        (failing(build={"a": {"b": object()}}), "answers with values that are no JSON"),
    ],
)
def test_one_that_fails_is_named_everywhere(bring: Bring, thing: Any, why: str) -> None:
    """In a warning, on the page, in Markdown and JSON; the rest of the report is there."""
    with pytest.warns(PluginWarning, match=re.escape(why)):
        view = bring(thing)
    assert why in view.left_out[f"entry point {NAME}"]
    assert view.verdict.headline
    page, text = render_html(view), render_markdown(view)
    assert why in "".join(Page(page).words)
    assert 'id="glossary"' in page
    assert plain(why) in left_out(text)
    assert json.loads(render_json(view))["left_out"] == view.left_out


@pytest.mark.parametrize(
    ("methods", "render", "why"),
    [
        ({"html": lambda *_: 1 / 0}, render_html, "failed: ZeroDivisionError"),
        ({"html": 7}, render_html, "answers with int where text is needed"),
        ({"markdown": None}, render_markdown, "answers with NoneType where text is needed"),
        ({"tables": [1]}, render_csv, "answers with list where values by name are needed"),
        ({"tables": {"a": 1}}, render_csv, "answers with something else than tables"),
    ],
)
def test_one_that_fails_in_one_form_is_in_the_others(
    bring: Bring, methods: dict[str, Any], render: Any, why: str
) -> None:
    """Only that form is without it, and says so."""
    view = bring(failing(**methods))
    assert view.left_out == {}
    with pytest.warns(PluginWarning, match=re.escape(why)):
        text = render(view)
    if render is not render_csv:
        assert why in text.replace("&#39;", "'").replace("\\_", "_")
    if render is not render_markdown:
        assert "## Lengths" in render_markdown(view)


@pytest.mark.filterwarnings("ignore::harness.errors.PluginWarning")
def test_a_built_in_name_is_not_taken(bring: Any) -> None:
    """The built-in section stays."""
    view = bring(LengthsSection(), name="verdict")
    why = view.left_out["entry point verdict"]
    assert why.startswith("There is a built-in report section 'verdict', which stays")
    assert view.verdict.headline in render_markdown(view).replace("\\", "")


def test_an_unknown_table_is_an_error(sample: Any) -> None:
    """With the nearest name."""
    with pytest.raises(UsageError, match="Did you mean scores"):
        render_csv(sample.view, "score")
