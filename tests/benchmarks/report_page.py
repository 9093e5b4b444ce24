"""Rows: how fast a large report is made, how large it is, and how fast it is in a browser.

The run is made up (``tests/large_run.py``); the page is opened from its file in headless Chromium.
"""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.report.browser.view import AllExamples
from harness.report.build import build_view
from harness.report.html import render_html
from harness.store.runs import Store
from tests.benchmarks.main_jobs import run
from tests.benchmarks.results import ROOT, Goal, Result, Settings

HEADER = ("| goal | target | measured | | all of them |", "|---|---|---|---|---|")
_COLUMNS = 5
_SIZES, _QUICK = (10_000, 8), (400, 3)
_MB, _KB = 1e6, 1e3
_PASSES = ((300, 1.0), (100, 1.0), (300, 0.2))  # frames of a pass, and the share of the list

# Resolves when the list has rows and a key has brought another example into view.
_READY = """
window.ready = new Promise((resolve) => {
  const heading = () => document.querySelector(".browser-detail h3")?.textContent;
  const answered = (listed, before) => {
    if (heading() === before) requestAnimationFrame(() => answered(listed, before));
    else requestAnimationFrame(() => resolve([listed, performance.now()]));
  };
  const listed = () => {
    const row = document.querySelector(
      "#browser.ready [data-part=rows] [role=row][aria-selected=true]:not([hidden])");
    if (!row || !heading()) { requestAnimationFrame(listed); return; }
    const grid = row.closest("[role=grid]"), now = performance.now();
    grid.focus();
    const before = heading();
    grid.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowDown", bubbles: true}));
    answered(now, before);
  };
  requestAnimationFrame(listed);
});
"""
_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
_SCROLL = """async ([frames, share]) => {
  const grid = document.querySelector("#browser [role=grid]");
  const frame = () => new Promise(requestAnimationFrame);
  const end = share * (grid.scrollHeight - grid.clientHeight), deltas = [];
  for (const down of [true, false]) {
    let last = await frame();
    for (let i = 1; i <= frames; i++) {
      grid.scrollTop = end * (down ? i / frames : 1 - i / frames);
      const now = await frame();
      deltas.push(now - last);
      last = now;
    }
  }
  return deltas;
}"""
# Milliseconds from a click on a filter to the frame in which the list holds as many as it says.
_FILTER = """async () => {
  const status = document.querySelector("#browser [data-part=status]");
  const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const found = {};
  for (const chip of document.querySelectorAll("#browser [data-filter]:not(.none)")) {
    const wanted = chip.querySelector(".chip-count").textContent.trim();
    for (const step of ["on", "off"]) {
      const begun = performance.now();
      chip.click();
      if (step === "on") while (!status.textContent.startsWith(`${wanted} of`)) await painted();
      await painted();
      found[`${chip.dataset.filter} ${step}`] = performance.now() - begun;
    }
  }
  return found;
}"""
_SEARCH = """async (words) => {
  const status = document.querySelector("#browser [data-part=status]");
  const field = document.querySelector("#browser [data-part=search]");
  const before = status.textContent, begun = performance.now();
  field.value = words;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  do await new Promise(requestAnimationFrame);
  while (status.textContent === before || status.textContent.includes("Searching"));
  return performance.now() - begun;
}"""


def render(settings: Settings) -> Result:
    """Seconds from the records to the page, and the page's size."""
    store, manifest = large_run(settings)
    walls = []
    for _ in range(settings.repeats):
        started = time.perf_counter()
        page = render_html(build_view(store, manifest), AllExamples(store, manifest))
        walls.append(time.perf_counter() - started)
    file = _page_file(settings)
    file.write_text(page, "utf-8")
    size = file.stat().st_size / _MB
    goals = [
        Goal("build and render", 10, statistics.median(walls), True, unit=" s", ours=_all(walls)),
        Goal("size of the page", 25, size, True, unit=" MB"),
    ]
    examples, variants = _QUICK if settings.quick else _SIZES
    notes = [f"The page is of a made-up run with {examples:,} examples × {variants} variants."]
    return Result.of_goals(goals, notes, {"wall_s": walls, "bytes": size * _MB}, columns=_COLUMNS)


def browse(settings: Settings) -> Result:
    """First paint, the first key, scrolling, filters and search in headless Chromium."""
    if not _page_file(settings).is_file():
        render(Settings(1, settings.device, settings.quick, settings.folder))
    visits = []
    with _chromium() as browser:
        version = browser.version
        for _ in range(settings.repeats):
            visits.append(_visit(browser, _page_file(settings)))
    return browsed(visits, version, load=os.getloadavg()[0], niceness=os.nice(0))


def browsed(visits: list[dict[str, Any]], version: str, *, load: float, niceness: int) -> Result:
    """What visits to the page amount to, and how busy the machine was at their end."""

    def each(name: str) -> list[float]:
        return [visit[name] for visit in visits]

    frames = sorted(delta for visit in visits for delta in visit["frames"])
    longest = [max(visit["frames"]) for visit in visits]
    over = sum(delta > 50.5 for delta in frames)  # three frames of 60 Hz are 50 ms, give or take
    slowest = [max(visit["filters"].values()) for visit in visits]
    goals = [
        _seconds("first contentful paint", 1, each("paint")),
        _seconds("interactive: an example is listed and a key brings the next", 2, each("key")),
        Goal(
            "scrolling the list: longest frame of all visits",
            50,
            max(longest),
            at_most=True,
            unit=" ms",
            ours=f"longest of each {_all(longest, 'ms')}; 99th percentile of all {len(frames):,} "
            f"frames {frames[len(frames) * 99 // 100]:.1f} ms, {over} over 50 ms",
        ),
        Goal(
            "scrolling the list: work of the page's thread for a frame, mean",
            None,
            statistics.median(each("work")),
            unit=" ms",
            ours=_all(each("work"), "ms"),
        ),
        Goal(
            "filter: from the click to the frame with its rows, slowest filter",
            200,
            statistics.median(slowest),
            at_most=True,
            unit=" ms",
            ours=_all(slowest, "ms"),
        ),
        _seconds("search through all texts, to its end", None, each("search")),
    ]
    notes = [
        f"Chromium {version}, headless, a window of 1280×800, from `file://`; times begin with "
        f"the navigation. Medians of {len(visits)} visits, except the longest frame. Other work "
        f"on the machine makes frames longer; its load was {load:.1f} at the end, on "
        f"{os.cpu_count()} cores, at niceness {niceness}.",
        "The list is scrolled by script, down and up: wholly in 300 and in 100 frames, and a fifth "
        "of it in 300. Frames are told apart by the timestamps of requestAnimationFrame; with a "
        "screen of 60 Hz one takes 16.7 ms. Work is the processor time of the page's main thread.",
    ]
    return Result.of_goals(goals, notes, {"visits": visits}, columns=_COLUMNS)


def demo(settings: Settings) -> Result:
    """Size of the demo's report: of a finished run in the project's runs folder, or a new one.

    In quick mode of the suite ``tiny``.
    """
    suite = "tiny" if settings.quick else "demo"
    runs = next(
        (
            folder
            for folder in (ROOT / "runs", settings.folder.parent / f"jobs-{suite}")
            if any(folder.glob(f"{suite}/*/manifest.json"))
        ),
        None,
    )
    if runs is None:
        runs = settings.folder.parent / f"jobs-{suite}"
        run(("eval", suite), runs)
    store = Store(runs)
    manifest = store.manifests(suite)[0]
    page = render_html(build_view(store, manifest), AllExamples(store, manifest))
    counted = len(page.encode()) / _KB
    found = f"{len(manifest.variants)} variants, {len(manifest.cells)} cells"
    goal = Goal(f"size of the report of `{suite}`", 600, counted, True, unit=" kB", ours=found)
    return Result.of_goals([goal], (), {"bytes": counted * _KB}, columns=_COLUMNS)


def large_run(settings: Settings) -> Any:
    from tests.large_run import write_large_run

    return write_large_run(settings.folder / "runs", *(_QUICK if settings.quick else _SIZES))


def _page_file(settings: Settings) -> Path:
    """Where the rows of one command share the page."""
    return settings.folder.parent / "large-report.html"


def _visit(browser: Any, file: Path) -> dict[str, Any]:
    """Open the page in a fresh window and use it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.add_init_script(_READY)
    page.goto(file.as_uri())
    listed, key = page.evaluate("window.ready")
    page.locator("#browser [role=grid]").scroll_into_view_if_needed()
    metrics = context.new_cdp_session(page)
    metrics.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _worked(metrics)
    frames = [delta for way in _PASSES for delta in page.evaluate(_SCROLL, list(way))]
    found = {
        "paint": page.evaluate(_PAINT) / 1e3,
        "listed": listed / 1e3,
        "key": key / 1e3,
        "frames": frames,
        "work": 1e3 * (_worked(metrics) - before) / len(frames),
        "filters": page.evaluate(_FILTER),
        "search": page.evaluate(_SEARCH, "javascript:") / 1e3,
    }
    context.close()
    return found


def _worked(metrics: Any) -> float:
    """Seconds that the page's main thread has worked."""
    found = metrics.send("Performance.getMetrics")["metrics"]
    return next(float(item["value"]) for item in found if item["name"] == "TaskDuration")


@contextmanager
def _chromium() -> Iterator[Any]:
    """A running browser.

    Raises:
        HarnessError: There is no Chromium, or playwright is not installed.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise HarnessError("Chromium is not installed.", hint="apt-get install chromium")
    with import_module("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def _seconds(name: str, target: float | None, values: list[float]) -> Goal:
    return Goal(name, target, statistics.median(values), True, unit=" s", ours=_all(values))


def _all(values: list[float], unit: str = "s") -> str:
    """Single figures, in the order in which they were measured."""
    return f"{', '.join(f'{value:.2f}' for value in values)} {unit}"
