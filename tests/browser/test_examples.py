"""The browser of all examples, in a real Chromium: what it lists, finds, compares and links to."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.printable import split_unseen
from harness.report.browser.csv import render_examples_csv
from harness.report.browser.packing import pack
from harness.report.browser.view import AllExamples, TaskOutputs
from harness.report.build import build_view
from harness.report.html import render_html
from harness.store.runs import Store
from tests.large_run import HOSTILE, write_large_run
from tests.unit.conftest import SPEC, RunFactory

if TYPE_CHECKING:
    from tests.browser.conftest import Opener

pytestmark = pytest.mark.slow

Start = Callable[..., "Opener"]
EXAMPLES = 1_500
UNSEEN = "".join(map(chr, (0, 7, 27, 0x85, 0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x2028, 0x202E)))
UNSEEN += "\u2066\ufeff\ufffb\uffff\U000e0041"
TEXTS = (
    *HOSTILE[:5],
    f"seen {UNSEEN} unseen \u200c\u200d é",
    "x" * 1_000_000,
    'javascript:window.bad=1 " onmouseover=window.bad=1 <style>*{display:none}</style>',
    "# Hello, *World*! 50% off? (yes) [no] \\d+ $1 ",
    "",
)


@dataclass
class Report:
    """A page, and what it lists first."""

    path: Path
    task: TaskOutputs
    examples: AllExamples


def render(folder: Path, store: Store, manifest: Any) -> Report:
    examples = AllExamples(store, manifest)
    path = folder / "report.html"
    path.write_text(render_html(build_view(store, manifest), examples), "utf-8")
    return Report(path, examples.tasks[0], examples)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """1,500 examples of four variants."""
    folder = tmp_path_factory.mktemp("large")
    return render(folder, *write_large_run(folder / "runs", EXAMPLES, 4))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two tasks of six variants, which write what must not run."""
    folder = tmp_path_factory.mktemp("hostile")
    place = iter(range(1_000_000))
    tasks = {  # metrics that are quick on a million characters
        "summary": {"type": "generation", "metrics": ["exact_match"]},
        "qa": {"type": "generation", "metrics": ["exact_match", "f1"], "splits": ["report"]},
    }
    run = RunFactory(
        Store(folder / "runs"),
        n=10,
        spec=SPEC | {"tasks": tasks, "select": {}},
        text=lambda variant, reference: TEXTS[next(place) % len(TEXTS)],
        failed={("base@fp32", "summary"): "OutOfMemoryError: <b>CUDA</b>"},
    )
    return render(folder, run.store, run.build())


class Browser:
    """The section as a reader uses it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.wait_for_selector("#browser.ready", timeout=30_000)
        page.evaluate("document.getElementById('browser').scrollIntoView({behavior: 'instant'})")

    @property
    def status(self) -> str:
        return str(self.page.locator(".browser-status").inner_text())

    @property
    def listed(self) -> int:
        return int(self.page.get_attribute(".browser-grid", "aria-rowcount")) - 1

    @property
    def open(self) -> str:
        return str(self.page.locator(".browser-detail h3").inner_text())

    @property
    def hash(self) -> str:
        return str(self.page.evaluate("location.hash"))

    def rows(self) -> list[list[str]]:
        """Texts of the rows that exist, from the top."""
        found: list[list[str]] = self.page.evaluate(
            """() => [...document.querySelectorAll('.browser-rows [role=row]:not([hidden])')]
                .sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))
                .map((row) => [...row.children].map((cell) => cell.textContent))"""
        )
        return found

    def ids(self) -> list[str]:
        return [row[0].split()[0] for row in self.rows()]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def choose(self, part: str, value: str) -> None:
        self.page.select_option(f"[data-part={part}]", value)

    def toggle(self, name: str) -> None:
        self.page.click(f"[data-filter={name}]")

    def counted(self, name: str) -> int:
        text = self.page.locator(f"[data-filter={name}] .chip-count").inner_text()
        return int(text.replace(",", ""))

    def search(self, words: str) -> None:
        self.page.fill("[data-part=search]", words)
        self.page.wait_for_timeout(250)
        self.page.wait_for_function(
            "() => !document.querySelector('.browser-status').textContent.startsWith('Searching')"
        )

    def show_all(self) -> None:
        """List the examples of all splits, and open the first."""
        self.page.click("[data-part=reset]")
        self.page.wait_for_function(
            """() => document.querySelector('#browser-row-0') &&
                !document.querySelector('.browser-status').textContent.includes('split')"""
        )
        self.page.click("#browser-row-0")
        self.shown(self.ids()[0])

    def shown(self, name: str) -> None:
        """Wait until an example is the open one."""
        self.page.wait_for_function(
            "(name) => document.querySelector('.browser-detail h3')?.textContent === name", arg=name
        )


@pytest.fixture
def fresh(large: Report, new_browser: Start) -> Browser:
    """As the report opens."""
    return Browser(new_browser()(large.path))


@pytest.fixture
def browser(fresh: Browser) -> Browser:
    """With the examples of all splits."""
    fresh.show_all()
    return fresh


def reported(large: Report) -> list[str]:
    """Ids of the report split, which a report lists first."""
    return [item.id for item in large.task.examples if item.split == "report"]


def values(report: Report, variant: str) -> Any:
    return report.task.metrics[0].values[report.task.variants.index(variant)]


def ids_by(report: Report, keys: Any) -> list[str]:
    """Ids in the order of keys; equal ones in the order of the data."""
    return [report.task.examples[place].id for place in np.argsort(keys, kind="stable")]


# -- the list ---------------------------------------------------------------------------------


def test_only_rows_in_view_exist(large: Report, browser: Browser) -> None:
    """The list is as long as all examples, and holds a few dozen elements, wherever one scrolls."""
    assert browser.listed == EXAMPLES
    assert browser.status == "1,500 of 1,500 examples"
    for share in (0.5, 1, 0):
        browser.page.evaluate(
            f"""(g => g.scrollTop = {share} * g.scrollHeight)(
                document.querySelector('.browser-grid'))"""
        )
        browser.page.wait_for_timeout(150)
        assert len(browser.rows()) < 40
        top = round(share * (EXAMPLES - 10))
        assert f"doc-{min(top, EXAMPLES - 1):05d}" in browser.ids()


def test_a_row_says_what_the_records_say(large: Report, browser: Browser) -> None:
    """Id, split, the candidate's beginning, a value for each variant, and the difference."""
    row = browser.rows()[1]
    task = large.task
    assert row[0] == "doc-00001 report"
    place = task.variants.index(task.candidate)
    assert str(task.outputs[place][1].text).startswith(row[1][:40])  # type: ignore[union-attr]
    assert row[2:-1] == [f"{100 * values(large, name)[1]:.1f}" for name in task.variants]
    shown = f"{100 * task.deltas()[1]:+.1f}".replace("-", "−")
    assert row[-1] == shown


@pytest.mark.parametrize("down", [False, True])
def test_sorting_by_a_variants_value(large: Report, browser: Browser, *, down: bool) -> None:
    """Rows stand in the order of the values; the column says in which direction."""
    browser.choose("sort", "value:checkpoint-20")
    if down:
        browser.page.click("[data-part=direction]")
    keys = values(large, "checkpoint-20") * (-1 if down else 1)
    assert browser.ids()[:12] == ids_by(large, keys)[:12]
    head = browser.page.locator("[role=columnheader][aria-sort]")
    assert head.inner_text() == "checkpoint-20"
    assert head.get_attribute("aria-sort") == ("descending" if down else "ascending")


def test_differences_begin_with_the_worst(large: Report, browser: Browser) -> None:
    """A click on the column's head sorts by the difference, largest loss first, then turns it."""
    head = browser.page.locator("[role=columnheader] button", has_text="Difference")
    head.click()
    assert browser.ids()[:12] == ids_by(large, large.task.deltas())[:12]
    head.click()
    assert browser.ids()[:12] == ids_by(large, -large.task.deltas())[:12]


def test_sorting_by_length_and_id(large: Report, browser: Browser) -> None:
    """Lengths are characters of the output."""
    made = large.task.outputs[large.task.variants.index("merged-20")]
    browser.choose("sort", "length:merged-20")
    assert browser.ids()[:12] == ids_by(large, [len(item.text) for item in made if item])[:12]
    browser.choose("sort", "id")
    browser.page.click("[data-part=direction]")
    assert browser.ids()[0] == f"doc-{EXAMPLES - 1:05d}"


def test_filters_count_and_combine(large: Report, browser: Browser) -> None:
    """Counts are those of the records; two filters keep what fulfils both."""
    task = large.task
    flags = task.flags.astype(int)
    worse = task.deltas() < 0
    cut = (flags & 2).any(axis=0)
    assert browser.counted("worse") == worse.sum()
    assert browser.counted("cut") == cut.sum()
    assert browser.counted("empty") == (flags & 4).any(axis=0).sum()
    assert browser.counted("loop") == (flags & 8).any(axis=0).sum()
    assert browser.counted("prompt") == (flags & 1).any(axis=0).sum()
    assert browser.counted("differ") == (task.groups != task.groups[0]).any(axis=0).sum()
    browser.toggle("worse")
    assert browser.listed == worse.sum()
    browser.toggle("cut")
    assert browser.listed == (worse & cut).sum() > 0
    browser.choose("split", "0")
    select = np.array([example.split == "select" for example in task.examples])
    assert browser.listed == (worse & cut & select).sum()
    browser.page.click("[data-part=reset]")
    assert browser.listed == EXAMPLES


def test_hidden_variants_do_not_count(large: Report, browser: Browser) -> None:
    """Filters look at the variants that are shown: one alone differs from none."""
    chips = browser.page.locator("[data-part=variants] button")
    for place in range(1, len(large.task.variants)):
        chips.nth(place).click()
    assert browser.counted("differ") == 0
    assert len(browser.rows()[0]) == 4
    chips.first.click()
    assert len(browser.rows()[0]) == 4  # the last one stays


def test_another_metric(large: Report, browser: Browser) -> None:
    """Values and differences are of the metric that is chosen."""
    browser.choose("metric", "2")
    metric = large.task.metrics[2]
    expected = metric.values[0][:5] * 100 / (metric.scale or 100)
    assert [row[2] for row in browser.rows()[:5]] == [f"{value:.1f}" for value in expected]


# -- search -----------------------------------------------------------------------------------


def csv_lines(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render_examples_csv(report.examples), newline="")))


def test_search_finds_what_the_texts_hold(large: Report, browser: Browser) -> None:
    """Every example whose prompt, reference or outputs hold the words, in whatever case."""
    word = csv_lines(large)[700]["output checkpoint-20"].split()[3]
    texts = [" ".join(line.values()).lower() for line in csv_lines(large)]
    browser.search(word.upper())
    assert browser.listed == sum(word.lower() in text for text in texts) > 0
    longer = f"{word} "
    browser.search(longer)  # of the examples found before
    assert browser.listed == sum(longer in text for text in texts)
    browser.search("")
    assert browser.listed == EXAMPLES


def test_search_takes_every_character_as_itself(hostile: Report, new_browser: Start) -> None:
    """Nothing that is searched for is a pattern."""
    browser = Browser(new_browser()(hostile.path))
    for words in ("[no] \\d+ $1", "(yes)", "50% off?", "</script>", "*World*"):
        browser.search(words)
        assert 0 < browser.listed < 20 + 1
    browser.search(".*")
    assert browser.listed == 0
    assert browser.rows() == []


def test_search_by_id_and_marks(browser: Browser) -> None:
    """An id is found; in the open example the words are marked."""
    browser.search("doc-00042")
    assert browser.ids() == ["doc-00042"]
    browser.search("summarise in")
    browser.press("Enter", "Home")
    browser.page.wait_for_selector(".browser-detail mark.found")
    assert browser.page.locator("mark.found").first.inner_text() == "Summarise in"


# -- the open example -------------------------------------------------------------------------


def test_an_example_side_by_side(large: Report, browser: Browser) -> None:
    """Prompt, reference and the outputs of the variants shown, each with its facts."""
    browser.page.click("#browser-row-3")
    browser.shown("doc-00003")
    boxes = browser.page.locator(".browser-detail .output")
    assert boxes.count() == 1 + len(large.task.variants)
    example = large.task.examples[3]
    assert browser.page.locator(".browser-prompt .text").inner_text() == example.prompt
    assert boxes.first.locator(".text").inner_text() == example.references[0]
    for place, name in enumerate(large.task.variants):
        item = large.task.outputs[place][3]
        box = browser.page.locator(f".browser-detail .output[data-variant='{name}']")
        assert item is not None
        assert box.locator(".text").inner_text() == item.text
        assert "ROUGE-1" in box.inner_text()
        assert f"{item.new_tokens} tokens" in box.inner_text()
        assert "12 cut" in box.inner_text()
        assert "Prompt cut" in box.locator(".tag").all_inner_texts()


def test_words_are_compared(large: Report, browser: Browser) -> None:
    """Marked words are not in the reference; unmarked ones are all in it, in the same order."""
    browser.page.click("#browser-row-2")
    browser.shown("doc-00002")
    box = browser.page.locator(".browser-detail .output[data-variant='base@nf4'] .text")
    extra = box.locator("mark.extra").all_inner_texts()
    assert extra
    words = box.inner_text().lower().rstrip(".").split()
    reference = large.task.examples[2].references[0].lower().rstrip(".").split()
    kept = box.evaluate(
        """(box) => { const copy = box.cloneNode(true);
            copy.querySelectorAll('mark').forEach((mark) => mark.remove());
            return copy.textContent; }"""
    )
    unmarked = kept.lower().replace(".", " ").split()
    assert len(unmarked) + len(extra) == len(words)
    rest = iter(reference)
    assert all(word in rest for word in unmarked)
    assert len(unmarked) == longest_common(words, reference)
    marked = browser.page.locator(".browser-detail .output.reference mark")
    assert {name for name in marked.evaluate_all("(all) => all.map((m) => m.className)")} <= {
        *("lost", "won", "missing")
    }


def longest_common(first: list[str], second: list[str]) -> int:
    """Length of a longest common subsequence, by the textbook's recurrence."""
    row = [0] * (len(second) + 1)
    for word in first:
        before = row[:]
        for place, other in enumerate(second):
            row[place + 1] = (
                before[place] + 1 if word == other else max(row[place], before[place + 1])
            )
    return row[-1]


def test_comparing_with_another_variant(browser: Browser) -> None:
    """``d`` goes from the reference to the variants; equal texts have no marks."""
    browser.page.click("#browser-row-1")
    browser.shown("doc-00001")
    browser.press("d")
    browser.page.wait_for_function(
        "() => document.querySelector('.browser-legend').textContent.includes('base@nf4')"
    )
    assert browser.page.locator(".browser-detail .output.reference mark").count() == 0
    assert (
        browser.page.locator(".browser-detail .output[data-variant='base@nf4'] mark.extra").count()
        == 0
    )
    assert (
        browser.page.locator(".browser-detail .output[data-variant='merged-20'] mark.extra").count()
        > 0
    )
    assert "diff=base%40nf4" in browser.hash


def test_hostile_texts_are_shown_and_do_nothing(hostile: Report, new_browser: Start) -> None:
    """Every text is there as it was written, unseen characters as escapes; nothing ran."""
    page = new_browser()(hostile.path)
    browser = Browser(page)
    browser.show_all()
    seen = set()
    for _ in range(browser.listed):
        browser.press("j")
        name = page.locator("[aria-selected=true]").inner_text().split()[0]
        browser.shown(name)
        seen |= set(page.locator(".browser-detail .output[data-variant] .text").all_text_contents())
    for text in TEXTS:
        if text and len(text) < 1_000:
            assert "".join(split_unseen(text)) in seen
    assert any(text.endswith("Show 980,000 more characters") for text in seen)
    assert "(empty)" in seen
    assert page.evaluate("window.bad") is None
    assert page.locator("#browser img, #browser svg, #browser style").count() == 0


def test_all_of_a_huge_text_can_be_read(hostile: Report, new_browser: Start) -> None:
    """One million characters are cut at first, and shown in full when asked for."""
    page = new_browser()(hostile.path)
    browser = Browser(page)
    browser.search("x" * 200)
    browser.press("Enter", "Home")
    more = page.get_by_text("Show 980,000 more characters")
    more.first.wait_for()
    before = more.count()
    more.first.click()
    page.wait_for_function(
        """() => [...document.querySelectorAll('.output .text')]
            .some((box) => box.textContent.length === 1e6)"""
    )
    assert more.count() == before - 1


def test_every_unseen_character_is_escaped_as_in_the_rest_of_the_page(
    hostile: Report, new_browser: Start
) -> None:
    """The script's expression and that of ``render.pages`` are about the same characters."""
    source = Path("reports/assets/browser/text.js").read_text("utf-8")
    expression = re.search(r"const UNSEEN = new RegExp\((.*?), \"u\"\);", source, re.DOTALL)
    assert expression
    page = new_browser()(hostile.path)
    Browser(page)
    found = page.evaluate(
        f"""() => {{ const unseen = new RegExp({expression[1]}, "u"); const out = [];
            for (let p = 0; p < 0x110000; p++)
                if (unseen.test(String.fromCodePoint(p))) out.push(p);
            return out; }}"""
    )
    expected = [point for point in range(0x110000) if len(split_unseen(chr(point))) > 1]
    assert found == expected


def test_a_missing_output_says_why(hostile: Report, new_browser: Start) -> None:
    """A failed variant has its reason in place of a text, and a filter of its own."""
    page = new_browser()(hostile.path)
    browser = Browser(page)
    assert browser.counted("missing") == browser.listed
    browser.press("j")
    box = page.locator(".browser-detail .output[data-variant='base@fp32']")
    box.wait_for()
    assert "No output. failed: OutOfMemoryError: <b>CUDA</b>" in box.inner_text()


def test_tasks_can_be_changed(hostile: Report, new_browser: Start) -> None:
    """Another task brings its own metrics, splits and examples."""
    page = new_browser()(hostile.path)
    browser = Browser(page)
    browser.choose("task", "1")
    assert browser.listed == 10
    assert browser.ids()[0].startswith("qa-")
    assert page.locator("[data-part=metric] option").all_inner_texts() == ["exact match", "F1"]
    assert browser.hash.startswith("#example/qa/")


# -- links ------------------------------------------------------------------------------------


def test_a_link_survives_a_reload(browser: Browser) -> None:
    """The open example, order, filters, search and marks are in the address."""
    browser.toggle("worse")
    browser.choose("sort", "delta")
    browser.search("summarise")
    browser.page.click("#browser-row-4")
    name = browser.ids()[4]
    browser.shown(name)
    browser.press("d")
    before, listed, rows = browser.hash, browser.listed, browser.rows()[:10]
    assert before.startswith(f"#example/summary/{name}?")
    browser.page.reload()
    browser.page.wait_for_selector("#browser.ready")
    browser.page.wait_for_function(
        "() => !document.querySelector('.browser-status').textContent.startsWith('Searching')"
    )
    browser.shown(name)
    assert (browser.hash, browser.listed, browser.rows()[:10]) == (before, listed, rows)
    assert browser.page.input_value("[data-part=search]") == "summarise"


def test_a_link_scrolls_to_its_example_and_variant(large: Report, new_browser: Start) -> None:
    """``#example/<task>/<id>/<variant>`` opens the example, far down the list, at the variant."""
    opener = new_browser()
    page = opener.context.new_page()
    page.goto(f"{large.path.as_uri()}#example/summary/doc-01234/merged-20")
    page.wait_for_selector("#browser.ready", timeout=30_000)
    box = page.locator(".output.pointed")
    assert box.get_attribute("data-variant") == "merged-20"
    assert box.evaluate(
        "(b) => { const r = b.getBoundingClientRect(); return r.top >= 0 && r.top < innerHeight; }"
    )
    selected = page.locator("[aria-selected=true]").evaluate_all(
        "(rows) => rows.filter((r) => !r.hidden).map((r) => r.id)"
    )
    assert selected == [f"browser-row-{reported(large).index('doc-01234')}"]
    heads = page.locator(".browser-detail h3, .browser-prompt summary").evaluate_all(
        "(all) => all.map((item) => item.getBoundingClientRect().top)"
    )
    assert all(0 <= top < 800 for top in heads)  # its id and prompt are in view as well
    page.evaluate("location.hash = '#example/summary/doc-00007'")
    page.wait_for_function(
        "() => document.querySelector('.browser-detail h3').textContent === 'doc-00007'"
    )


def test_bad_links_are_harmless(large: Report, new_browser: Start) -> None:
    """An example that does not exist is named; nonsense shows the list as it is."""
    opener = new_browser()
    for tail in ("summary/nobody", "summary/%E0%A4%A?sort=-value:x&only=a|b&show=", "nothing/x"):
        page = opener.context.new_page()
        page.goto(f"{large.path.as_uri()}#example/{tail}")
        page.wait_for_selector("#browser.ready", timeout=30_000)
        assert page.get_attribute(".browser-grid", "aria-rowcount") == str(len(reported(large)) + 1)
        if tail.endswith("nobody"):
            assert "There is no example nobody" in page.inner_text(".browser-status")


def test_a_bad_link_leads_back_to_the_list(large: Report, new_browser: Start) -> None:
    """On a phone the example gives way to the list; the next good link takes the notice away."""
    page = new_browser(viewport={"width": 390, "height": 844})(large.path)
    Browser(page)
    page.evaluate("location.hash = '#example/summary/doc-00003'")
    page.wait_for_selector("#browser.reading")
    page.evaluate("location.hash = '#example/summary/nobody'")
    page.wait_for_selector("#browser:not(.reading)")
    assert page.locator(".browser-grid").is_visible()
    assert "There is no example nobody" in page.inner_text(".browser-status")
    page.evaluate("location.hash = '#example/summary/doc-00004'")
    page.wait_for_selector("#browser.reading")
    assert "nobody" not in page.text_content(".browser-status")


def test_a_link_ends_a_search_under_way(large: Report, browser: Browser) -> None:
    """Nothing goes on saying that it searches."""
    browser.page.evaluate(
        """() => new Promise((resolve) => {
            const status = document.querySelector(".browser-status");
            const field = document.querySelector("[data-part=search]");
            new MutationObserver((_, observer) => {
                if (!status.textContent.startsWith("Searching")) return;
                observer.disconnect();
                location.hash = "#example/summary/doc-00003";
                resolve();
            }).observe(status, {childList: true, characterData: true, subtree: true});
            field.value = "javascript:";
            field.dispatchEvent(new Event("input", {bubbles: true}));
        })"""
    )
    browser.shown("doc-00003")
    browser.page.wait_for_timeout(300)
    shown = len(reported(large))
    assert browser.status == f"{shown:,} of {EXAMPLES:,} examples, report split"


def test_the_address_stays_until_something_is_chosen(large: Report, fresh: Browser) -> None:
    """Opening a report does not change its address."""
    first, second = reported(large)[:2]
    assert fresh.hash == ""
    assert fresh.open == first
    fresh.press("j")
    fresh.page.wait_for_function(f"() => location.hash.startsWith('#example/summary/{second}')")


def test_it_begins_with_the_split_that_figures_are_of(large: Report, fresh: Browser) -> None:
    """All can be chosen, is in the address, and a link to an example of another split shows all."""
    page = fresh.page
    assert fresh.listed == len(reported(large)) < EXAMPLES
    fresh.choose("split", "-1")
    assert fresh.listed == EXAMPLES
    assert "split=all" in fresh.hash
    page.reload()
    page.wait_for_selector("#browser.ready")
    assert fresh.listed == EXAMPLES
    fresh.choose("split", "1")
    other = next(item.id for item in large.task.examples if item.split != "report")
    page.evaluate(f"location.hash = '#example/summary/{other}'")
    fresh.shown(other)
    assert fresh.listed == EXAMPLES


def test_the_first_hit_is_open(fresh: Browser) -> None:
    """What is open is in the list; the focus stays in the field, and nothing found is said so."""
    page = fresh.page
    page.focus("[data-part=search]")
    page.keyboard.type("doc-00042")
    fresh.shown("doc-00042")
    assert page.evaluate("document.activeElement.dataset.part") == "search"
    assert "/doc-00042" not in fresh.hash
    fresh.search("no such words anywhere")
    page.locator("[data-part=none]").wait_for()
    assert "Nothing found" in page.inner_text("[data-part=none]")
    assert not page.locator(".browser-grid").is_visible()
    page.wait_for_function("() => document.querySelector('.browser-detail').hidden")
    page.click("[data-part=again]")
    assert fresh.listed == EXAMPLES
    fresh.shown("doc-00000")


# -- keys and access --------------------------------------------------------------------------


def test_keys(browser: Browser) -> None:
    """Everything can be done without a mouse."""
    page = browser.page
    browser.press("j", "j", "k", "j")
    browser.shown("doc-00002")
    page.focus(".browser-grid")
    browser.press("ArrowDown")
    browser.shown("doc-00003")
    browser.press("End")
    browser.shown(f"doc-{EXAMPLES - 1:05d}")
    assert page.get_attribute(".browser-grid", "aria-activedescendant") == (
        f"browser-row-{EXAMPLES - 1}"
    )
    browser.press("Home", "PageDown")
    browser.press("Enter")
    assert page.evaluate("document.activeElement.className").startswith("browser-detail")
    browser.press("Escape")
    assert page.evaluate("document.activeElement.className") == "browser-grid"
    browser.press("/")
    page.keyboard.type("jkdf?/")
    assert page.input_value("[data-part=search]") == "jkdf?/"
    browser.press("Escape")
    page.wait_for_function(
        "() => document.querySelector('.browser-status').textContent.startsWith('1,500')"
    )
    assert page.input_value("[data-part=search]") == ""
    browser.press("f")
    assert page.evaluate("document.activeElement.dataset.filter") == "differ"
    browser.press("?")
    assert page.locator(".browser-help").is_visible()
    page.uncheck("[data-part=shortcuts]")
    browser.press("Escape")
    assert not page.locator(".browser-help").is_visible()
    before = browser.open
    browser.press("j")  # keys are off
    page.wait_for_timeout(100)
    assert browser.open == before


def test_keys_elsewhere_are_left_alone(fresh: Browser) -> None:
    """Where the section is out of view, its keys do nothing."""
    fresh.page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    fresh.press("j", "?")
    fresh.page.wait_for_timeout(100)
    assert fresh.hash == ""
    assert not fresh.page.locator(".browser-help").is_visible()


def test_roles(browser: Browser) -> None:
    """A grid says how many rows and columns it has, and which row is selected."""
    page = browser.page
    assert page.locator("[role=grid]").get_attribute("aria-colcount") == "7"
    assert (
        page.locator("[role=grid] > [role=rowgroup] > [role=row] > [role=columnheader]").count()
        == 7
    )
    browser.press("j")
    row = page.locator("[role=row][aria-selected=true]")
    assert row.get_attribute("aria-rowindex") == "3"
    assert row.locator("> [role=gridcell]").count() == 7
    assert page.locator(".browser-status").get_attribute("role") == "status"


# -- other media ------------------------------------------------------------------------------


def test_a_phone_shows_the_list_then_the_example(large: Report, new_browser: Start) -> None:
    """Nothing is wider than the screen; a tap opens an example, and a button leads back."""
    page = new_browser(viewport={"width": 390, "height": 844}, has_touch=True)(large.path)
    Browser(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not page.locator(".browser-detail").is_visible()
    page.tap("#browser-row-2")
    page.locator(".browser-detail").wait_for()
    assert not page.locator(".browser-grid").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".browser-back").tap()
    assert page.locator(".browser-grid").is_visible()
    assert page.locator("#browser-row-2").is_visible()


def test_print_holds_the_open_example_only(large: Report, fresh: Browser) -> None:
    """Nothing of the browser is printed until an example was chosen; then it alone is."""
    page = fresh.page
    page.emulate_media(media="print")
    assert not page.locator("#browser").is_visible()
    assert "In the list below" not in page.inner_text("body")
    page.emulate_media(media="screen")
    fresh.press("j")
    fresh.shown(reported(large)[1])
    page.emulate_media(media="print")
    assert page.locator(".browser-detail").is_visible()
    assert not page.locator(".browser-grid").is_visible()
    assert not page.locator("[data-part=search]").is_visible()
    assert "needs JavaScript" not in page.inner_text("body")


def test_without_javascript_it_says_where_to_look(large: Report, new_browser: Start) -> None:
    """The list is not there, and the page says what to do instead."""
    page = new_browser(java_script_enabled=False)(large.path)
    assert page.locator("#browser-plain").is_visible()
    assert "--format csv" in page.inner_text("#browser-plain")
    assert not page.locator(".browser-app").is_visible()


@pytest.fixture
def shortened(large: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page that had room for half of the texts."""
    size = sum(len(text) for _, text in pack(large.examples).blocks[1:])
    monkeypatch.setattr("harness.report.browser.packing.pack.__defaults__", (size // 2,))
    return render(tmp_path, large.examples._run.store, large.examples._run.manifest).path


def test_texts_that_had_no_room_are_named(shortened: Path, new_browser: Start) -> None:
    """Their examples are listed with values, and the page says that the texts are elsewhere."""
    page = new_browser()(shortened)
    browser = Browser(page)
    browser.show_all()
    assert browser.listed == EXAMPLES
    assert "had no room in this page" in page.inner_text("#browser .lead")
    missing = re.search(r"([\d,]+) of them without texts", browser.status)
    assert missing
    browser.choose("sort", "change")  # the least middling last
    browser.press("j")
    page.get_by_text("The texts of this example had no room").or_(
        page.locator(".browser-prompt")
    ).wait_for()
    browser.search("summarise")
    assert browser.listed == EXAMPLES - int(missing[1].replace(",", ""))
    assert "only texts in this page were searched" in browser.status


def test_picked_examples_lead_to_the_list(large: Report, browser: Browser) -> None:
    """From one of the ten above it is one click to the same example here."""
    article = browser.page.locator("#examples .example").first
    name = article.locator("h3").inner_text()
    article.get_by_text("In the list below").click()
    browser.shown(name)
    assert browser.hash == f"#example/summary/{name}"
    assert browser.page.locator(".browser-detail").is_visible()
