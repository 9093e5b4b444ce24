"""What holds for every page that is read: in which windows, by keyboard, on paper, its headings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PAPER = {"width": 720, "height": 1000}
SIZES = pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
THEMES = pytest.mark.parametrize("theme", ["light", "dark"])


def unfold(page: Any) -> None:
    """Open all that is folded."""
    page.evaluate("document.querySelectorAll('details').forEach(item => item.open = true)")


def assert_in_view(element: Any, viewport: dict[str, int]) -> None:
    """The whole of an element is seen without scrolling."""
    box = element.bounding_box()
    assert box["y"] >= 0
    assert box["x"] >= 0
    assert box["y"] + box["height"] <= viewport["height"]
    assert box["x"] + box["width"] <= viewport["width"]


def assert_no_sideways_scrolling(page: Any, viewport: dict[str, int]) -> None:
    """Wide tables scroll by themselves; the page never does, whatever is open."""
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def keyboard_stops(page: Any, tabs: int) -> set[str]:
    """Classes, or tags, of what the tab key reaches; each stop is to be seen.

    The first one leads past the bar, to the verdict.
    """
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#verdict"
    seen = set()
    for _ in range(tabs):
        page.keyboard.press("Tab")
        name, style, width = page.evaluate(
            """() => { const style = getComputedStyle(document.activeElement);
            return [document.activeElement.className || document.activeElement.tagName,
                    style.outlineStyle, parseFloat(style.outlineWidth)] }"""
        )
        seen.add(name)
        assert style != "none", name
        assert width >= 2, name
    return seen


def assert_headings_in_order(page: Any) -> None:
    """One h1; no level is left out on the way down."""
    names = page.locator("h1, h2, h3, h4, h5, h6").evaluate_all(
        "all => all.filter(item => item.checkVisibility()).map(item => item.tagName)"
    )
    levels = [int(name[1]) for name in names]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def assert_whole_on_paper(page: Any, *, folded: str, clipped: str) -> None:
    """In print nothing is folded, sticky or cut off, and it is black on white in any theme.

    Args:
        page: In a window as wide as paper.
        folded: Selector of what must not be there: closed details.
        clipped: Selector of what scrolls on screen.
    """
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    shown = """([folded, clipped]) => ({
        folded: document.querySelectorAll(folded).length,
        bar: getComputedStyle(document.querySelector(".bar")).position,
        nav: getComputedStyle(document.querySelector("nav")).display,
        ink: getComputedStyle(document.body).color,
        page: getComputedStyle(document.body).backgroundColor,
        cut: [...document.querySelectorAll(clipped)]
            .filter(item => getComputedStyle(item).overflowX !== "visible").length,
    })"""
    assert page.evaluate(shown, [folded, clipped]) == {
        "folded": 0,
        "bar": "static",
        "nav": "none",
        "ink": "rgb(0, 0, 0)",
        "page": "rgb(255, 255, 255)",
        "cut": 0,
    }
