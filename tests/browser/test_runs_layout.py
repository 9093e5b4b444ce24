"""What a reader of a comparison of runs sees, in a real browser, with scripts off and on."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.compare.build import build_comparison
from harness.compare.write import render_runs_html
from harness.metrics.base import FloatArray
from harness.store.runs import Store
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
from tests.unit.compare.test_view import CHOSEN, better, named, run, trained
from tests.unit.gate.gate_runs import ENVIRONMENT, N

if TYPE_CHECKING:
    from tests.browser.conftest import Opener

pytestmark = pytest.mark.slow

Start = Callable[..., "Opener"]
LONG = "docstrings-smollm2-360m-r16-alpha32"
OTHER_PLACE = ENVIRONMENT.model_copy(
    update={"versions": {"torch": "2.14.0"}, "fingerprint": "b" * 20, "device_name": "NVIDIA H100"}
)


def suite(name: str, **changes: Any) -> dict[str, Any]:
    priced = {"measure__price_per_hour": 0.8, "measure__currency": "EUR"}
    return named(name, "answers", "held_out", "mmlu", **priced, **changes)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and a better one with another learning rate."""
    folder = tmp_path_factory.mktemp("two")
    store = Store(folder / "runs")
    changed = suite("docstrings", train__args__learning_rate=0.01)
    found = [
        run(
            store,
            "20260101-a1b2c3",
            trained(store, "t1", [3.0, 2.0]),
            spec=suite("docstrings"),
            measured=True,
        ),
        better(
            store,
            "20260102-d4e5f6",
            manifest=trained(store, "t2", [3.0, 1.5, 1.0]),
            spec=changed,
            measured=True,
            speed=1.3,
        ),
    ]
    return written(folder, found)


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten runs with long names: better, worse, failed, not measured, and on other hardware."""
    folder = tmp_path_factory.mktemp("ten")
    store = Store(folder / "runs")

    def shifted(place: int) -> Callable[[FloatArray], FloatArray]:
        noise = np.random.default_rng(place).normal(0.04 * (place - 4), 0.1, N)
        return lambda values: values + noise

    return written(
        folder,
        [
            run(
                store,
                f"202601{place:02d}-a1b2c3",
                trained(store, f"t{place}", [3.0, 2.0 + place / 10]),
                spec=suite(LONG if place % 2 else "docstrings", seed=place),
                measured=place != 4,
                environment=OTHER_PLACE if place > 6 else ENVIRONMENT,
                changed={(CHOSEN, "answers", "rougeL"): shifted(place)} if place else {},
                failed={(CHOSEN, "answers"): "RuntimeError: out of memory"} if place == 5 else {},
            )
            for place in range(10)
        ],
    )


def written(folder: Path, found: list[Any]) -> Path:
    path = folder / "comparison.html"
    path.write_text(render_runs_html(build_comparison(found)), "utf-8")
    return path


@pytest.fixture(params=["two", "ten"])
def comparison(request: pytest.FixtureRequest) -> Path:
    """Of two runs and of ten."""
    path: Path = request.getfixturevalue(request.param)
    return path


@SIZES
def test_the_verdict_is_in_the_first_viewport_without_scripts(
    new_browser: Start, comparison: Path, viewport: dict[str, int]
) -> None:
    """Which run is better, by how much and with which interval needs no scrolling."""
    page = new_browser(viewport=viewport, java_script_enabled=False)(comparison)
    heading = page.locator("#verdict h1")
    assert re.search(r"ROUGE-L:? \+[\d.]+\s\[\+[\d.]+,\s\+[\d.]+\]", heading.inner_text())
    assert_in_view(heading, viewport)


def test_the_headline_is_one_sentence_of_one_size(new_browser: Start, comparison: Path) -> None:
    """What keeps a name such as ROUGE-L on one line makes it neither smaller nor a block."""
    page = new_browser()(comparison)
    styles = page.locator("#verdict h1, #verdict h1 .together").evaluate_all(
        "all => all.map(item => [getComputedStyle(item).fontSize, getComputedStyle(item).display])"
    )
    (size, _), *kept = styles
    assert kept
    assert all(found == [size, "inline"] for found in kept)


@SIZES
def test_nothing_reaches_beyond_the_page(
    new_browser: Start, comparison: Path, viewport: dict[str, int]
) -> None:
    """Wide tables scroll by themselves; the page never does sideways."""
    assert_no_sideways_scrolling(new_browser(viewport=viewport)(comparison), viewport)


def test_the_table_of_runs_comes_before_the_sentences_on_many(
    new_browser: Start, two: Path, ten: Path
) -> None:
    """Two runs have their sentences below the verdict; of ten they are folded, and can be had."""
    start = new_browser(java_script_enabled=False)
    assert start(two).locator("#verdict .support").is_visible()
    page = start(ten)
    assert not page.locator("#verdict .support").is_visible()
    page.get_by_text("Run by run, in words").click()
    assert page.locator("#verdict .support li").count() > 9


@SIZES
@THEMES
def test_axe_finds_nothing_serious(
    new_browser: Start, ten: Path, viewport: dict[str, int], theme: str
) -> None:
    """axe-core's rules (WCAG 2 A and AA among them), with everything unfolded."""
    source = axe_source()
    page = new_browser(viewport=viewport, color_scheme=theme, bypass_csp=True)(ten)
    unfold(page)
    assert violations(page, source) == []


@THEMES
def test_every_run_has_its_colour(new_browser: Start, ten: Path, theme: str) -> None:
    """The reference is grey; eight colours differ, and the ninth run's is the first's, dashed."""
    page = new_browser(color_scheme=theme)(ten)
    colours = page.locator("#runs tbody .swatch").evaluate_all(
        """all => all.map(item => [
            getComputedStyle(item).getPropertyValue("--own"),
            item.classList.contains("dashed") ? "dashed"
                : getComputedStyle(item).backgroundColor])"""
    )
    grey = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--v0')")
    own, ground = zip(*colours, strict=True)
    assert own[0] == grey
    assert len(set(own[:8])) == len(set(ground[:8])) == 8
    assert own[8:] == own[:2]
    assert list(ground[8:]) == ["dashed"] * 2


def test_it_can_be_read_by_keyboard(new_browser: Start, ten: Path) -> None:
    """The first stop leads past the bar; each stop is visible, and wide tables can be scrolled."""
    seen = keyboard_stops(new_browser(viewport=PHONE)(ten), tabs=18)
    assert {"SUMMARY", "scroll", "sort"} <= seen


def test_runs_can_be_sorted(new_browser: Start, ten: Path) -> None:
    """By the difference, for one; the sorted column says so, and runs without one come last."""
    page = new_browser()(ten)
    table = page.locator("#runs table")
    table.get_by_role("button", name="Against the reference").click()
    assert table.locator("th[aria-sort]").count() == 1
    assert table.locator("th[aria-sort=ascending]").inner_text().startswith("Against the reference")
    texts = table.locator("tbody td:nth-child(4)").all_inner_texts()
    shown = [re.search(r"[+−][\d.]+", text) for text in texts]
    values = [float(found[0].replace("−", "-")) for found in shown if found]
    assert len(values) == 8
    assert values == sorted(values)
    assert shown[8:] == [None, None]


def test_headings_are_in_order(new_browser: Start, comparison: Path) -> None:
    """One h1; no level is left out on the way down."""
    assert_headings_in_order(new_browser(java_script_enabled=False)(comparison))


def test_paper_has_all_of_it(new_browser: Start, comparison: Path) -> None:
    """In print nothing is folded, sticky, cut off or beyond the edge, in black on white."""
    page = new_browser(viewport=PAPER, color_scheme="dark")(comparison)
    assert_whole_on_paper(page, folded="details:not([open])", clipped=".scroll, .canvas")
    beyond = """() => [...document.querySelectorAll("table")]
        .filter(item => item.getBoundingClientRect().right > innerWidth + 1)
        .map(item => item.caption?.textContent)"""
    assert page.evaluate(beyond) == []
