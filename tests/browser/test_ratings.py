"""Tables of human ratings in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.ratings.records import Estimate
from harness.report.build import build_view
from harness.report.html import render_html
from harness.store.runs import Store
from tests.unit.conftest import RunFactory
from tests.unit.ratings.human_records import correlation_of, results

if TYPE_CHECKING:
    from tests.browser.conftest import Opener

pytestmark = pytest.mark.slow

WHY = "no variance: raters give all outputs the same value"


@pytest.mark.parametrize("width", [1280, 390])
def test_a_reason_in_a_cell_wraps(
    tmp_path: Path, new_browser: Callable[..., Opener], width: int
) -> None:
    """Why there is no correlation takes several lines, not the width of the page."""
    nothing = Estimate(value=None, n=100, reason=WHY)
    found = correlation_of("rougeL", "fluency", 0.3)
    found = found.model_copy(update={"kendall": nothing, "spearman": nothing})
    changed = results(correlations=(found, *results().correlations[1:]))
    store = Store(tmp_path / "runs")
    view = build_view(store, RunFactory(store, n=20).build())
    path = tmp_path / "report.html"
    path.write_text(render_html(view.model_copy(update={"human": changed})), "utf-8")
    page = new_browser(viewport={"width": width, "height": 900})(path)
    cell = page.locator("#human td", has_text=WHY)
    assert cell.count() == 1
    reason = cell.locator(".ci", has_text=WHY)
    page.locator("#human table.human").last.scroll_into_view_if_needed()
    box = reason.bounding_box()
    size = reason.evaluate("item => parseFloat(getComputedStyle(item).fontSize)")
    assert box["width"] < 20 * size  # the sentence alone is about 25 times its size
    assert box["height"] > 2 * size
    bounds = page.locator("#human td .ci", has_text=re.compile(r"^\["))
    heights = bounds.evaluate_all("items => items.map((item) => item.offsetHeight)")
    assert max(heights) < 2 * size  # an interval stays on its line
