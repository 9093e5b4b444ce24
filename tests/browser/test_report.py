"""The report in a real browser: read without scripts, used with them, and fed with harmful texts.

Every page is watched: a request, an error, a warning or a dialog of any of them fails the test.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.compare.build import build_comparison
from harness.compare.write import render_runs_html
from harness.gate.html import render_gate_html
from harness.printable import visible
from harness.ratings.layout import RaterSheet, ShownRow
from harness.ratings.sheets.page import render_page
from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.html import render_html
from harness.store.runs import Store
from harness.suite.ratings import CRITERIA
from tests.browser.hostile import LONG_LINE, PAYLOADS, hostile_report, poisoned
from tests.unit.conftest import RunFactory
from tests.unit.gate.gate_records import mixed
from tests.unit.gate.gate_runs import Runs
from tests.unit.ratings.human_records import results

if TYPE_CHECKING:
    from tests.browser.conftest import Opener

pytestmark = pytest.mark.slow

Start = Callable[..., "Opener"]


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with everything in it and one failed cell."""
    folder = tmp_path_factory.mktemp("report")
    store = Store(folder / "runs")
    manifest = RunFactory(store, n=40, failed={("base@fp32", "mmlu"): "RuntimeError: bad"}).build()
    view = build_view(store, manifest).model_copy(update={"human": results()})
    path = folder / "report.html"
    path.write_text(render_html(view, AllExamples(store, manifest)), "utf-8")
    return path


def shows(page: Any, selector: str) -> int:
    """How many elements of a kind are on the page with some size, unfolded."""
    return int(
        page.locator(selector).evaluate_all(
            "items => items.filter((item) => item.checkVisibility({contentVisibilityAuto: true}) &&"
            " item.getBoundingClientRect().height > 0).length"
        )
    )


# -- without scripts ------------------------------------------------------------------------------


def test_without_scripts_everything_is_read(page_file: Path, new_browser: Start) -> None:
    """Verdict, tables, charts with their data, examples and glossary need no script."""
    page = new_browser(java_script_enabled=False)(page_file)
    assert page.locator("h1").inner_text().startswith("Ship checkpoint-40")
    facts = page.locator("#verdict .facts").inner_text()
    assert "ROUGE-L" in facts
    assert "tok/s" in facts
    assert shows(page, "#matrix table:first-of-type tbody tr:has(.tag) td") == 6
    drawings = page.locator("figure svg[role=img]")
    assert shows(page, "figure svg[role=img]") == drawings.count() > 8
    assert page.locator("#losses h2").is_visible()
    assert shows(page, "#examples .output") > 20
    assert shows(page, "#human table") > 2
    assert "RuntimeError: bad" in page.locator("#unfinished").inner_text()
    assert shows(page, "#glossary dt") > 10


def test_without_scripts_what_is_folded_opens(page_file: Path, new_browser: Start) -> None:
    """The table of every chart, and each other fold, opens by a click and shows its content."""
    page = new_browser(java_script_enabled=False)(page_file)
    folds = page.locator("main details:not([open]) > summary:visible")
    while folds.count():
        folds.first.click()
    assert page.locator("main figure details").count() > 8
    tables = page.locator("main table").count()
    assert shows(page, "main table") == tables > 25
    assert page.locator("figure details table td").first.inner_text().strip()


def test_without_scripts_nothing_is_dead(page_file: Path, new_browser: Start) -> None:
    """No control is shown that only a script would serve, and the list of examples says why."""
    page = new_browser(java_script_enabled=False)(page_file)
    assert shows(page, "button, input, select, [role=grid]") == 0
    assert "needs JavaScript" in page.locator("#browser-plain").inner_text()
    assert "examples.csv" in page.locator("#browser-plain").inner_text()


def test_without_scripts_links_lead_within_the_page(page_file: Path, new_browser: Start) -> None:
    """Every link of the navigation moves to its section."""
    playwright = pytest.importorskip("playwright.sync_api")
    page = new_browser(java_script_enabled=False)(page_file)
    links = page.locator("nav[aria-label=Sections] a:visible")
    assert links.count() > 8
    for link in links.all():
        link.click()
        target = page.locator(f"[id='{page.url.partition('#')[2]}'] h2").first
        playwright.expect(target).to_be_in_viewport()


# -- with scripts ---------------------------------------------------------------------------------


def column(page: Any, table: str, place: int) -> list[str]:
    """Texts of a column of a table."""
    cells = page.locator(f"{table} tbody tr > :nth-child({place})")
    return [str(text).strip() for text in cells.all_inner_texts()]


def test_tables_sort_by_click_and_by_key(page_file: Path, new_browser: Start) -> None:
    """A click or Enter on a heading sorts by numbers or by words, and says so to screen readers."""
    page = new_browser()(page_file)
    table = "#data table.sortable"
    head = page.locator(f"{table} thead th")
    before = column(page, table, 2)
    head.nth(3).get_by_role("button").click()
    assert head.nth(3).get_attribute("aria-sort") == "ascending"
    means = [float(text) for text in column(page, table, 4)]
    assert means == sorted(means)
    assert len(set(means)) > 1
    head.nth(3).get_by_role("button").click()
    assert head.nth(3).get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, table, 4)] == sorted(means, reverse=True)
    head.nth(1).get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.nth(1).get_attribute("aria-sort") == "ascending"
    assert head.nth(3).get_attribute("aria-sort") is None
    assert column(page, table, 2) == sorted(before, key=str.lower)
    page.keyboard.press("Space")
    assert head.nth(1).get_attribute("aria-sort") == "descending"
    assert column(page, table, 2) == sorted(before, key=str.lower, reverse=True)


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_theme_is_kept(page_file: Path, new_browser: Start, scheme: str, other: str) -> None:
    """The page follows the system until a theme is chosen, which a reload keeps."""
    page = new_browser(color_scheme=scheme)(page_file)

    def is_dark() -> bool:
        shade = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)")
        return sum(map(int, shade[:3])) < 200

    assert is_dark() == (scheme == "dark")
    button = page.get_by_role("button", name="Theme")
    while f"Theme: {other}" not in button.inner_text():
        button.click()
    assert is_dark() == (other == "dark")
    page.reload()
    assert is_dark() == (other == "dark")
    assert button.inner_text() == f"Theme: {other}"
    page.emulate_media(media="print")
    assert not is_dark()


def check_unfolded(page: Any) -> None:
    """Tables that are folded on screen are shown; those of charts are not, which are drawn."""
    folded = "main details:not(figure details) table"
    assert shows(page, folded) == page.locator(folded).count() > 3
    assert shows(page, "main figure svg") == page.locator("main figure").count()
    assert shows(page, "main figure table") == 0


def test_paper_shows_what_is_folded(page_file: Path, tmp_path: Path, new_browser: Start) -> None:
    """In print every fold is open, controls are gone, and the screen is as before afterwards."""
    page = new_browser()(page_file)
    page.locator("#browser.ready").wait_for()
    folded = page.locator("main details:not([open])").count()
    assert folded > 10
    page.evaluate(
        "addEventListener('beforeprint', () => {"
        " window.closed_in_print = document.querySelectorAll('details:not([open])').length })"
    )
    page.emulate_media(media="print")
    check_unfolded(page)
    assert shows(page, "nav, button:not(.sort)") == 0  # the others hold the words of headings
    page.pdf(path=tmp_path / "report.pdf", format="A4", margin=dict.fromkeys(SIDES, "12mm"))
    assert page.evaluate("window.closed_in_print") == 0
    assert page.locator("main details:not([open])").count() == folded


def test_paper_without_scripts(page_file: Path, new_browser: Start) -> None:
    """The style alone opens what is folded."""
    page = new_browser(java_script_enabled=False)(page_file)
    page.emulate_media(media="print")
    check_unfolded(page)


SIDES = ("top", "right", "bottom", "left")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "print": {"viewport": {"width": 794, "height": 1123}},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    "no-scripts": {"java_script_enabled": False},
}


@pytest.mark.parametrize("look", LOOKS)
def test_pictures_to_look_at(
    page_file: Path, tmp_path: Path, new_browser: Start, look: str
) -> None:
    """Pictures of the whole page go to $HARNESS_SCREENSHOTS; nothing is wider than its window."""
    folder = Path(os.environ.get("HARNESS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page = new_browser(**LOOKS[look])(page_file)
    if look == "print":
        page.emulate_media(media="print")
        page.pdf(path=folder / "report.pdf", format="A4", margin=dict.fromkeys(SIDES, "12mm"))
        assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    elif look != "no-scripts":
        page.locator("#browser.ready").wait_for()
    picture = folder / f"report-{look}.png"
    page.screenshot(path=picture, full_page=True)
    assert picture.stat().st_size > 100_000
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0


# -- harmful texts --------------------------------------------------------------------------------

HARM = """() => {
  const found = "bad" in window ? ["a script ran"] : [];
  const never = "img,iframe,object,embed,link,base,form,textarea,audio,video,math,foreignObject";
  for (const item of document.querySelectorAll(never)) found.push(`<${item.localName}>`);
  const risky = ["src", "srcset", "srcdoc", "style", "action", "autofocus", "data"];
  for (const item of document.querySelectorAll("*"))
    for (const {name, value} of item.attributes) {
      const ours = name === "style" && item.closest("#browser"); // set by the script, not parsed
      if (name.startsWith("on") || (risky.includes(name) && !ours))
        found.push(`${item.localName} ${name}`);
      if (name.endsWith("href") && !value.startsWith("#")) found.push(`${name}=${value}`);
    }
  if (document.querySelectorAll("script:not([type])").length !== 1) found.push("scripts");
  if (document.querySelectorAll("style").length !== 1) found.push("styles");
  if (document.querySelector("svg script, svg style, script svg, head ~ * title:not(svg title)"))
    found.push("what stands where it does not belong");
  return found;
}"""
RAW = "\u202e\u2066\u2028\u2029\u200b\ufeff\x1b\x07\x85"


def check_harmless(page: Any) -> str:
    """Nothing ran, nothing of the texts became markup, and everything is still to be seen.

    Returns:
        All text of the page, as a program reads it.
    """
    assert page.evaluate(HARM) == []
    assert page.locator("h1").first.is_visible()
    words = str(page.evaluate("document.body.textContent"))
    assert not {*RAW} & {*words}
    assert page.evaluate("document.elementFromPoint(400, 300).closest('main') !== null")
    return words


@pytest.mark.parametrize("scripts", [True, False])
def test_a_hostile_report(tmp_path: Path, new_browser: Start, *, scripts: bool) -> None:
    """Names, findings, reasons, prompts, references and outputs are text, and all are there."""
    view, examples = hostile_report(tmp_path / "runs")
    path = tmp_path / "report.html"
    path.write_text(render_html(view, examples), "utf-8")
    page = new_browser(java_script_enabled=scripts)(path)
    if scripts:
        page.locator("#browser.ready").wait_for()
    words = check_harmless(page)
    assert [text for text in PAYLOADS if visible(text) not in words] == []
    for section in ("#verdict", "#matrix", "#charts", "#examples", "#data", "#human"):
        inside = str(page.locator(section).evaluate("item => item.textContent"))
        assert any(visible(text) in inside for text in PAYLOADS), section
    output = str(page.locator("#examples .output .text").nth(1).evaluate("t => t.textContent"))
    assert [text for text in PAYLOADS if visible(text) not in output] == []
    assert visible(view.provenance.suite) in words
    assert visible(view.description) in words


def test_a_hostile_list_of_examples(tmp_path: Path, new_browser: Start) -> None:
    """What the list of examples builds from its data is text too, in the list and in the detail."""
    view, examples = hostile_report(tmp_path / "runs")
    path = tmp_path / "report.html"
    path.write_text(render_html(view, examples), "utf-8")
    page = new_browser()(path)
    page.locator("#browser.ready").wait_for()
    grid, detail = (
        page.locator("#browser [data-part=grid]"),
        page.locator("#browser .browser-detail"),
    )
    grid.focus()
    for _ in range(12):
        page.keyboard.press("j")
        page.keyboard.press("d")
    detail.locator(".text").first.wait_for()
    check_harmless(page)
    inside = str(detail.evaluate("item => item.textContent"))
    assert [text for text in PAYLOADS if visible(text) not in inside] == []
    page.locator("#browser [data-part=search]").fill("</script><script>")
    page.locator("#browser mark.found").first.wait_for()
    check_harmless(page)
    page.reload()
    page.locator("#browser.ready").wait_for()
    check_harmless(page)


def test_a_line_of_a_million_characters(tmp_path: Path, new_browser: Start) -> None:
    """Its beginning is shown, the rest is counted, and it makes nothing wider."""
    view, examples = hostile_report(tmp_path / "runs")
    path = tmp_path / "report.html"
    path.write_text(render_html(view, examples), "utf-8")
    page = new_browser()(path)
    page.locator("#browser.ready").wait_for()
    task = examples.tasks[0]
    page.evaluate(
        "names => { location.hash = ['#example', ...names.map(encodeURIComponent)].join('/') }",
        [task.task, task.examples[0].id],
    )
    shown = page.locator("#browser .browser-detail .text", has_text="xxxxxxxxxx").first
    shown.wait_for()
    assert len(shown.inner_text()) < len(LONG_LINE) / 10
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_hostile_gate(tmp_path: Path, new_browser: Start) -> None:
    """The gate's page shows harmful texts as text."""
    path = tmp_path / "gate.html"
    result = mixed(problems=("a problem",), differences=("a difference",), hint="a command")
    path.write_text(render_gate_html(poisoned(result)), "utf-8")
    page = new_browser()(path)
    words = check_harmless(page)
    assert sum(visible(text) in words for text in PAYLOADS) > len(PAYLOADS) / 2
    assert visible(poisoned(result).headline) in words


def test_a_hostile_comparison_of_runs(tmp_path: Path, new_browser: Start) -> None:
    """The page that compares runs shows harmful texts as text."""
    store = Store(tmp_path / "runs")
    found = [(store, Runs(store, run_id=name).build()) for name in ("r1", "r2")]
    view = poisoned(build_comparison(found))
    path = tmp_path / "runs.html"
    path.write_text(render_runs_html(view), "utf-8")
    page = new_browser()(path)
    words = check_harmless(page)
    assert sum(visible(text) in words for text in PAYLOADS) > len(PAYLOADS) / 2
    assert all(visible(run.suite) in words for run in view.runs)


def test_a_hostile_rating_sheet(tmp_path: Path, new_browser: Start) -> None:
    """A rating sheet shows a harmful name, instructions, prompts and outputs as text."""
    texts = {"criteria": tuple(CRITERIA.values()), "instructions": " ".join(PAYLOADS)}
    rows = tuple(ShownRow(f"s{n}", text, text, (text,)) for n, text in enumerate(PAYLOADS))
    sheet = RaterSheet(id="kdfg", rater=PAYLOADS[0], scale=rows, pair=(), **texts)
    path = tmp_path / "sheet.html"
    path.write_text(render_page(sheet), "utf-8")
    page = new_browser()(path)
    page.keyboard.press("n")
    page.keyboard.press("n")
    for text in PAYLOADS:
        assert page.locator(".judged .text").evaluate("item => item.textContent") == visible(text)
        page.keyboard.press("n")
    assert page.evaluate("window.bad") is None
    assert page.locator("img, svg, iframe, base").count() == 0
