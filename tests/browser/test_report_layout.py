"""What a reader of the report sees, in a real browser, with scripts switched off and on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.axe import axe_source, violations
from tests.browser.layout import (
    PAPER,
    PHONE,
    SIZES,
    THEMES,
    assert_headings_in_order,
    assert_in_view,
    assert_no_sideways_scrolling,
    assert_whole_on_paper,
    keyboard_stops,
    unfold,
)

if TYPE_CHECKING:
    from tests.browser.conftest import Opener
    from tests.e2e.conftest import Finished

pytestmark = pytest.mark.slow

Start = Callable[..., "Opener"]


@SIZES
def test_the_decision_is_in_the_first_viewport_without_scripts(
    new_browser: Start, real_run: Finished, report_page: Path, viewport: dict[str, int]
) -> None:
    """Chosen variant, gain with interval, memory, tokens/s and cost need no scrolling."""
    page = new_browser(viewport=viewport, java_script_enabled=False)(report_page)
    chosen = real_run.manifest.selection.chosen  # type: ignore[union-attr]
    assert chosen
    heading = page.locator("#verdict h1")
    assert chosen in heading.inner_text()
    facts = {
        name: page.locator(".facts div", has=page.locator("dt", has_text=re.compile(name)))
        for name in ("against base", "memory", "speed", "per million new tokens")
    }
    gain = facts["against base"].inner_text()
    assert re.search(r"[+−]?\d.*\[[+−]?[\d.,]+,\s[+−]?[\d.,]+\]|identical", gain, re.DOTALL), gain
    assert re.search(r"\d [kMG]B", facts["memory"].inner_text())
    assert "tok/s" in facts["speed"].inner_text()
    assert "EUR" in facts["per million new tokens"].inner_text()
    for element in (heading, *facts.values()):
        assert_in_view(element, viewport)


@SIZES
def test_nothing_reaches_beyond_the_page(
    new_browser: Start, report_page: Path, viewport: dict[str, int]
) -> None:
    """Wide tables scroll by themselves; the page never does sideways."""
    assert_no_sideways_scrolling(new_browser(viewport=viewport)(report_page), viewport)


@SIZES
@THEMES
def test_axe_finds_nothing_serious(
    new_browser: Start, report_page: Path, viewport: dict[str, int], theme: str
) -> None:
    """axe-core's rules (WCAG 2 A and AA among them), with everything unfolded."""
    source = axe_source()
    page = new_browser(viewport=viewport, color_scheme=theme, bypass_csp=True)(report_page)
    unfold(page)
    assert violations(page, source) == []


@THEMES
def test_a_chosen_theme_is_the_same_as_the_systems(
    new_browser: Start, report_page: Path, theme: str
) -> None:
    """The button's themes and the system's setting give every colour the same value."""
    names = """() => {
        const style = getComputedStyle(document.documentElement);
        return [...document.styleSheets[0].cssRules[0].style].filter(n => n.startsWith("--"))
            .map(n => [n, style.getPropertyValue(n).trim()]);
    }"""
    system = new_browser(color_scheme=theme)(report_page).evaluate(names)
    other = new_browser(color_scheme="light" if theme == "dark" else "dark")(report_page)
    while other.evaluate("document.documentElement.dataset.theme") != theme:
        other.click("button.theme")
    assert other.evaluate(names) == system


def test_it_can_be_read_by_keyboard(new_browser: Start, report_page: Path) -> None:
    """The first stop leads past the bar; each stop is visible, and wide tables can be scrolled."""
    assert "scroll" in keyboard_stops(new_browser(viewport=PHONE)(report_page), tabs=12)


def test_sorting_says_so(new_browser: Start, report_page: Path) -> None:
    """A sorted column has aria-sort, and only that one."""
    page = new_browser()(report_page)
    table = page.locator("#data table.sortable")
    table.locator("button.sort").nth(3).click()
    assert table.locator("th[aria-sort]").count() == 1
    assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Mean new tokens")
    values = [float(text) for text in table.locator("tbody td:nth-child(4)").all_inner_texts()]
    assert values == sorted(values)


def test_headings_are_in_order(new_browser: Start, report_page: Path) -> None:
    """One h1; no level is left out on the way down."""
    page = new_browser(java_script_enabled=False)(report_page)
    assert_headings_in_order(page)
    assert page.locator("html").get_attribute("lang") == "en"


def test_paper_has_all_of_it(new_browser: Start, report_page: Path) -> None:
    """In print nothing is folded, sticky or cut off, and it is black on white in any theme."""
    page = new_browser(viewport=PAPER, color_scheme="dark")(report_page)
    closed = "details:not([open]):not(.browser-app *)"
    assert_whole_on_paper(page, folded=closed, clipped=".scroll, .canvas, .text")
    added = """() => [...document.querySelectorAll("a")]
        .filter(item => getComputedStyle(item, "::after").content !== "none").length"""
    assert page.evaluate(added) == 0
