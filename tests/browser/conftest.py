"""A real Chromium for pages, and pages in it that notice what they must not do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SUITE, Finished, harness, write_suite


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running browser; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that it should not: requests, and complaints of the browser."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@dataclass
class Opener:
    """Opens files in windows that are watched; all windows of an opener share their storage."""

    context: Any
    watch: Watch

    def __call__(self, path: Path) -> Any:
        """Open a file as a user does, by a double click."""
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.watch.complaints.append(str(error)))
        page.on("console", self._console)
        page.on("dialog", self._dialog)
        page.goto(path.as_uri())
        return page

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.watch.complaints.append(message.text)

    def _dialog(self, dialog: Any) -> None:
        if dialog.type != "beforeunload":
            self.watch.complaints.append(f"{dialog.type}: {dialog.message}")
        dialog.accept()


@pytest.fixture
def new_browser(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Opener]]:
    """Start browsers without a past: ``new_browser(viewport=..., color_scheme=...)``.

    When the test is over, no page of theirs may have asked for anything but its own file, and none
    may have made the browser complain.
    """
    openers: list[Opener] = []

    def start(**options: Any) -> Opener:
        options = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **options}
        context = chromium.new_context(**options)
        watch = Watch()

        def only_files(route: Any) -> None:
            url = route.request.url
            if url.startswith("file:") and route.request.resource_type == "document":
                route.continue_()
            else:
                watch.requests.append(url)
                route.abort()

        context.route("**/*", only_files)
        openers.append(Opener(context, watch))
        return openers[-1]

    yield start
    for opener in openers:
        opener.context.close()
    assert [opener.watch for opener in openers] == [Watch()] * len(openers)


@pytest.fixture(scope="session")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A small run with everything in it, made through the command line: trained, measured, priced.

    Half a minute; the data and the model are so small that figures mean nothing.
    """
    folder = tmp_path_factory.mktemp("real-run")
    measure = {
        "prompt_tokens": [32],
        "new_tokens": [8],
        "repeats": 2,
        "price_per_hour": 0.8,
        "currency": "EUR",
    }
    suite = write_suite(
        folder,
        SUITE | {"name": "browser", "matrix": {"merged": "best"}},
        measure=measure,
    )
    result = harness("eval", str(suite), cwd=folder, runs=folder / "runs")
    assert result.code == 0, result.err
    return Finished(folder, suite, folder / "runs", result)


@pytest.fixture(scope="session")
def report_page(real_run: Finished) -> Path:
    """The report of that run."""
    return next(real_run.runs.glob("*/*/report.html"))
