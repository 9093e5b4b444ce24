from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.ratings.layout import RaterSheet, ShownRow
from harness.ratings.returns.returns import read_return
from harness.ratings.sheets.page import render_page
from harness.suite.ratings import CRITERIA

if TYPE_CHECKING:
    from tests.browser.conftest import Opener

pytestmark = pytest.mark.slow

HOSTILE = (
    "</script><script>window.bad = 1</script>",
    "<img src=x onerror='window.bad = 1'>",
    "<svg onload='window.bad = 1'><style>*{display:none}</style>",
    "javascript:window.bad=1 {{ 7 * 7 }} \u202egnp.exe \x00 \u2028 \ud800",
)
LETTERS = "bcdfghjklmnpqrstvwxz"
SCALE_ROWS, PAIR_ROWS = 14, 6
ROWS = SCALE_ROWS + PAIR_ROWS
POINTS = [(1 + place % 5, 1 + (place + 1) % 5, 5 - place % 5) for place in range(SCALE_ROWS)]
SIDES = ["a", "b", "t", "x", "a", "b"]
ANSWERS = {"a": "A", "b": "B", "t": "tie", "x": "cannot judge"}

Start = Callable[..., "Opener"]


def make_sheet(**changes: Any) -> RaterSheet:
    """A sheet of fourteen texts and six pairs."""
    values: dict[str, Any] = {
        "id": "kdfg",
        "rater": "ann",
        "criteria": tuple(CRITERIA.values()),
        "instructions": "",
        "scale": tuple(
            ShownRow(f"s{letter}", f"Summarise {letter}.", "The reference.", (f"Output {letter}.",))
            for letter in LETTERS[:SCALE_ROWS]
        ),
        "pair": tuple(
            ShownRow(f"p{letter}", f"Summarise {letter}.", None, (f"One {letter}.", "Another."))
            for letter in LETTERS[:PAIR_ROWS]
        ),
    }
    return RaterSheet(**(values | changes))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The page of a sheet, as a file."""
    return write(tmp_path, make_sheet())


def write(folder: Path, sheet: RaterSheet) -> Path:
    path = folder / f"{sheet.rater}-{sheet.id}.html"
    path.write_text(render_page(sheet), "utf-8")
    return path


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def title(page: Any) -> str:
    """The heading in view, without what is added to it in small."""
    return str(page.locator("main h1:visible").inner_text()).split("row ")[0].strip()


def counted(page: Any) -> str:
    return str(page.locator("#count").inner_text())


def rate(page: Any, places: range) -> None:
    for place in places:
        press(page, *map(str, POINTS[place]), "Enter")


def choose(page: Any, label: str) -> None:
    """Answer the page's question; the page acts on it in a later task than the click's own."""
    page.evaluate(
        """() => { window.answered = new Promise((done) => document.querySelector("#ask")
        .addEventListener("close", () => setTimeout(done), { once: true })); }"""
    )
    page.locator("#ask").get_by_role("button", name=label, exact=True).click()
    page.evaluate("() => window.answered")


def save(page: Any, folder: Path, *, partial: bool = False) -> Path:
    """Save the file as a rater does."""
    with page.expect_download() as download:
        page.locator("header .save").click()
        if partial:
            choose(page, "Save what there is")
    path = folder / str(download.value.suggested_filename)
    download.value.save_as(path)
    return path


def load(page: Any, path: Path) -> None:
    page.locator("#file").set_input_files(path)


def test_twenty_rows_by_keyboard(path: Path, tmp_path: Path, new_browser: Start) -> None:
    """Rows are filled by keys alone, survive a reload in the middle, and come out as answered."""
    page = new_browser()(path)
    press(page, "Enter", "Enter")
    assert title(page) == "Rating 1 of 14"
    rate(page, range(9))
    press(page, "4", "x")  # the tenth in part
    page.reload()
    assert title(page) == "Rating 10 of 14"
    assert counted(page) == "9 of 20 answered"
    assert page.locator(".question.active legend b").inner_text().startswith("Correctness")
    press(page, "2", "c")
    page.keyboard.type("Needs 3 reasons: naïve 😀")
    press(page, "Escape", "Enter")
    rate(page, range(10, SCALE_ROWS))
    assert title(page) == "Preferences"
    press(page, "Enter")
    for key in SIDES:
        press(page, key, "n")
    assert title(page) == "The end"
    assert counted(page) == "20 of 20 answered"
    with page.expect_download() as download:
        page.locator("#finish .save").focus()
        press(page, "Enter")
    assert download.value.suggested_filename == "ann-kdfg.json"
    file = tmp_path / "ann-kdfg.json"
    download.value.save_as(file)
    check_saved(file)


def check_saved(file: Path) -> None:
    """The file holds what was pressed, in the order of the sheet, and the importer reads it."""
    saved = json.loads(file.read_text("utf-8"))
    rows = saved.pop("rows")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", saved.pop("saved"))
    assert saved == {
        "format": "qlora-harness ratings",
        "version": 1,
        "sheet": "kdfg",
        "rater": "ann",
    }
    for row in rows:
        assert 0 < row.pop("minutes", 0.01) < 1
    scales = [
        {"row": row.token, **dict(zip(CRITERIA, points, strict=True))}
        for row, points in zip(make_sheet().scale, POINTS, strict=True)
    ]
    scales[9] |= {
        "fluency": 4,
        "relevance": "cannot judge",
        "correctness": 2,
        "comment": "Needs 3 reasons: naïve 😀",
    }
    pairs = [
        {"row": row.token, "preference": ANSWERS[key]}
        for row, key in zip(make_sheet().pair, SIDES, strict=True)
    ]
    assert rows == [*scales, *pairs]
    returned = read_return(file)
    assert returned.format == "json"
    assert len(returned.rows) == ROWS


def test_a_saved_file_goes_on_in_another_browser(
    path: Path, tmp_path: Path, new_browser: Start
) -> None:
    """What one browser saved, another loads; both may then be saved to the same answers."""
    first = new_browser()(path)
    press(first, "Enter", "Enter")
    rate(first, range(3))
    file = save(first, tmp_path, partial=True)
    second = new_browser()(path)
    load(second, file)
    second.locator("#notice-loaded").wait_for()
    assert counted(second) == "3 of 20 answered"
    again = save(second, tmp_path / "again", partial=True)
    assert json.loads(again.read_text())["rows"] == json.loads(file.read_text())["rows"]
    second.get_by_role("button", name="Go on").first.click()
    assert title(second) == "Rating 4 of 14"


def test_loading_asks_where_answers_differ(path: Path, tmp_path: Path, new_browser: Start) -> None:
    """Nothing that was answered is overwritten without a question."""
    first, second = new_browser()(path), new_browser()(path)
    press(first, "Enter", "Enter", "1", "1")
    press(second, "Enter", "Enter", "5", "1", "5")
    file = save(first, tmp_path, partial=True)
    load(second, file)
    choose(second, "Keep those here")
    assert second.locator("input:checked").count() == 3
    assert second.locator("[data-question='0'] [data-option='4']").is_checked()
    load(second, file)
    choose(second, "Use the file's")
    second.locator("[data-question='0'] [data-option='0']:checked").wait_for()
    assert second.locator("[data-question='2'] [data-option='4']").is_checked()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sheet": "zzz"}, "another sheet: zzz"),
        ({"rater": "bob"}, "another rater: bob"),
        ({"version": 2}, "another version"),
        ({"format": "x"}, "not saved by a page like this"),
        ({"rows": [{"row": "nope"}]}, "does not have: nope"),
        ({"rows": [{"row": "sb", "fluency": 9}]}, "“fluency” cannot be 9"),
        ({"rows": [{"row": "sb", "fluency": 1}, {"row": "sc", "tone": 1}]}, "“tone” cannot be"),
    ],
)
def test_a_file_that_does_not_belong_is_refused(
    path: Path, tmp_path: Path, new_browser: Start, changes: dict[str, Any], words: str
) -> None:
    """A file of another sheet, rater or program changes nothing, and the page says why."""
    page = new_browser()(path)
    saved = {"format": "qlora-harness ratings", "version": 1, "sheet": "kdfg", "rater": "ann"}
    file = tmp_path / "other.json"
    file.write_text(json.dumps({**saved, "rows": [], **changes}))
    load(page, file)
    page.locator("#notice-loaded").wait_for()
    assert words in page.locator("#notice-loaded").inner_text()
    assert counted(page) == "0 of 20 answered"


def test_saving_early_offers_the_first_open_row(path: Path, new_browser: Start) -> None:
    """With rows open, saving says how many, and can go to the first instead."""
    page = new_browser()(path)
    page.locator("header .save").click()
    assert "nothing to save" in page.locator("#notice-saved").inner_text()
    press(page, "n", "n", "n")
    rate(page, range(1, 3))
    page.locator("header .save").click()
    assert "18 of 20 rows" in page.locator("#ask-words").inner_text()
    choose(page, "Go to the first open row")
    assert title(page) == "Rating 1 of 14"
    press(page, "u")
    assert title(page) == "Rating 4 of 14"


def test_hostile_texts_run_nothing(tmp_path: Path, new_browser: Start) -> None:
    """Texts that look like markup are shown as they are, and no script of theirs runs."""
    rows = tuple(
        ShownRow(f"s{letter}", text, text, (text,))
        for letter, text in zip(LETTERS, HOSTILE, strict=False)
    )
    pairs = (ShownRow("pb", HOSTILE[0], None, (HOSTILE[1], HOSTILE[2])),)
    sheet = make_sheet(scale=rows, pair=pairs, instructions=" ".join(HOSTILE[:3]))
    page = new_browser()(write(tmp_path, sheet))
    press(page, "n", "n")
    for text in HOSTILE:
        shown = page.locator(".judged .text").inner_text()
        assert shown == text.translate(
            {0x202E: "\\u202e", 0: "\\x00", 0x2028: "\\u2028", 0xD800: "\\ud800"}
        )
        press(page, "n")
    press(page, "n")
    assert page.locator(".judged .text").all_inner_texts() == list(HOSTILE[1:3])
    assert page.evaluate("window.bad") is None
    assert page.locator("img, svg").count() == 0


def test_mouse_and_touch_do_all_of_it(path: Path, new_browser: Start) -> None:
    """A click answers and marks the next question, and leaves arrow keys to scrolling."""
    page = new_browser()(path)
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="Go on").click()
    page.locator("#card").get_by_text("readable, with several errors or odd phrases").click()
    press(page, "ArrowDown")
    assert page.locator("[data-question='0'] [data-option='2']").is_checked()
    assert "active" in str(page.locator("[data-question='1']").get_attribute("class"))
    page.get_by_role("button", name="Clear Fluency").click()
    assert page.locator("input:checked").count() == 0
    page.get_by_role("button", name="Overview").click()
    page.get_by_role("button", name="Preference 2, open").click()
    assert title(page) == "Preference 2 of 6"
    page.locator("#card").get_by_text("B is better").click()
    assert page.locator(".won .side").inner_text() == "B"
    page.get_by_role("button", name="Previous").click()
    assert title(page) == "Preference 1 of 6"


def test_radios_work_as_radios(path: Path, new_browser: Start) -> None:
    """Tab reaches a question, arrows choose within it, and digits go on to the next."""
    page = new_browser()(path)
    press(page, "n", "n")
    first = page.get_by_role("group", name="Fluency").get_by_role("radio").first
    first.focus()
    press(page, "Space", "ArrowDown")
    assert page.get_by_role("radio", name="2 hard to read").is_checked()
    press(page, "5")
    assert page.evaluate("document.activeElement.name") == "question-1"
    press(page, "Backspace")
    assert page.locator("input:checked").count() == 0


def test_letters_of_other_keyboards_count_by_their_place(path: Path, new_browser: Start) -> None:
    """On a Cyrillic or a French keyboard, the keys of A and 1 still mean A and 1."""
    page = new_browser()(path)
    event = """([key, code]) => document.body.dispatchEvent(
      new KeyboardEvent("keydown", {key, code, bubbles: true}))"""
    press(page, "n", "n")
    page.evaluate(event, ["&", "Digit1"])
    assert page.locator("[data-question='0'] [data-option='0']").is_checked()
    page.keyboard.press("o")
    page.get_by_role("button", name="Preference 1, open").click()
    page.evaluate(event, ["ф", "KeyA"])
    assert page.locator(".won .side").inner_text() == "A"


def test_a_browser_that_keeps_nothing_is_named(path: Path, new_browser: Start) -> None:
    """Where storage fails, the page says so and asks before it is left."""
    opener = new_browser()
    opener.context.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full') }"
    )
    page = opener(path)
    assert "does not keep your answers" in page.locator("#notice-storage").inner_text()
    press(page, "n", "n", "1")
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type))  # the fixture answers it
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


def test_two_tabs_know_of_each_other(path: Path, new_browser: Start) -> None:
    """Both tabs warn, and an answer in one shows in the other instead of being undone by it."""
    opener = new_browser()
    first, second = opener(path), opener(path)
    for page in (first, second):
        page.locator("#notice-tabs").wait_for()
        press(page, "n", "n")
    press(first, "4")
    second.locator("[data-question='0'] [data-option='3']:checked").wait_for()
    press(second, "2", "3")
    first.get_by_text("1 of 20 answered").wait_for()
    first.reload()
    assert first.locator("input:checked").count() == 3


def test_sheets_do_not_share_answers(path: Path, tmp_path: Path, new_browser: Start) -> None:
    """Another sheet or rater in the same browser starts with nothing."""
    opener = new_browser()
    page = opener(path)
    press(page, "n", "n")
    rate(page, range(1))
    for other in (make_sheet(id="zzz"), make_sheet(rater="bob")):
        assert counted(opener(write(tmp_path, other))) == "0 of 20 answered"


def test_minutes_count_what_was_looked_at(path: Path, tmp_path: Path, new_browser: Start) -> None:
    """A row's time runs while it is in view, for two minutes without input and no longer."""
    opener = new_browser()
    page = opener.context.new_page()
    page.clock.install()
    page.goto(path.as_uri())
    press(page, "n", "n")
    page.clock.run_for(30_000)
    press(page, "1", "1", "1")
    page.clock.run_for(45_000)
    press(page, "n")
    page.clock.run_for(3_600_000)
    press(page, "2", "2", "2", "n")
    rows = json.loads(save(page, tmp_path, partial=True).read_text())["rows"]
    assert [row["minutes"] for row in rows] == pytest.approx([1.25, 2.0], abs=0.02)


def test_everything_can_be_cleared(path: Path, new_browser: Start) -> None:
    """Clearing asks first, and then the browser keeps nothing of the sheet's answers."""
    page = new_browser()(path)
    press(page, "n", "n")
    rate(page, range(2))
    page.get_by_role("button", name="Instructions").click()
    page.locator("#clear").click()
    choose(page, "Cancel")
    assert counted(page) == "2 of 20 answered"
    page.locator("#clear").click()
    choose(page, "Clear everything")
    page.get_by_text("0 of 20 answered").wait_for()
    page.reload()
    assert counted(page) == "0 of 20 answered"


def test_without_javascript_the_page_explains_itself(path: Path, new_browser: Start) -> None:
    """Instructions are read, controls that would do nothing are not there."""
    page = new_browser(java_script_enabled=False)(path)
    assert "needs JavaScript" in page.locator("noscript").inner_text()
    assert "You will see texts" in page.locator("#start").inner_text()
    assert page.get_by_role("button").count() == 0


# Contrast as WCAG 2.2 computes it (relative luminance), of every element with text of its own.
LOW_CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const words = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!words || !node.checkVisibility() || node.disabled) continue;
    const light = [luminance(channels(getComputedStyle(node).color)), luminance(behind(node))];
    const ratio = (Math.max(...light) + 0.05) / (Math.min(...light) + 0.05);
    if (ratio < 4.5) found.push(`${node.tagName}.${node.className}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
def test_every_screen_is_legible(
    path: Path, new_browser: Start, scheme: str, width: int, height: int
) -> None:
    """On desk and phone, light and dark: contrast of WCAG AA, and nothing wider than the screen."""
    page = new_browser(color_scheme=scheme, viewport={"width": width, "height": height})(path)

    def check() -> None:
        assert page.evaluate(LOW_CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    check()
    press(page, "n")
    check()
    press(page, "n", "4")
    check()
    press(page, "o")
    check()
    page.get_by_role("button", name="Preference 1, open").click()
    press(page, "a")
    check()
    press(page, "?")
    check()


def test_twenty_thousand_rows(tmp_path: Path, new_browser: Start) -> None:
    """A page of 20,000 rows opens, and goes from row to row, within what a browser test waits."""
    letters = "bcdfghjklmnpqrstvwxz"
    tokens = [
        a + b + c + d for a in letters for b in letters for c in letters[:10] for d in letters[:5]
    ]
    rows = tuple(
        ShownRow(token, f"Summarise: {token * 200}", None, (f"Text {token}. " * 20,))
        for token in tokens
    )
    path = write(tmp_path, make_sheet(scale=rows, pair=()))
    page = new_browser()(path)
    press(page, "n", "n")
    assert title(page) == "Rating 1 of 20000"
    rate(page, range(10))
    press(page, "o")
    page.locator("#overview input").fill("19999")
    press(page, "Enter")
    assert title(page) == "Rating 19999 of 20000"
    page.reload()
    assert counted(page) == "10 of 20000 answered"
