"""Take the pictures of docs/report-design.md anew, from reports of real runs.

``python -m tests.browser.screenshots runs/demo/3536894dd4 [MORE ...]`` takes all of them from the
first run, and the first screen of each further one. A run is its folder or its ``report.html``;
``harness report`` writes that again first if the report's design has changed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "img"
MOST_BYTES = 200_000
DESKTOP, PHONE, PAPER = (1280, 800), (390, 844), (720, 1018)  # paper: A4 without its margins


def main() -> None:
    """Write the pictures and say which."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", nargs="+", type=Path, help="a run's folder, or its report.html")
    given: list[Path] = parser.parse_args().run
    paths = [path if path.is_file() else path / "report.html" for path in given]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for place, path in enumerate(paths):
            for name, picture in pictures(browser, path, all_of_them=place == 0):
                target = FOLDER / (f"report-{name}.png" if place == 0 else f"{path_name(path)}.png")
                if len(picture) > MOST_BYTES:
                    sys.exit(f"{target.name} has {len(picture):,} bytes; {MOST_BYTES:,} at most.")
                target.write_bytes(picture)
                sys.stdout.write(f"{target}: {len(picture):,} bytes\n")


def path_name(path: Path) -> str:
    """The suite's name, which is that of the folder above the run's."""
    return f"report-of-{path.resolve().parent.parent.name}"


@contextmanager
def chromium() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def pictures(browser: Any, path: Path, *, all_of_them: bool) -> Iterator[tuple[str, bytes]]:
    """Name and bytes (PNG) of each picture of a report."""
    with opened(browser, path, DESKTOP) as page:
        yield "light", page.screenshot()
        if not all_of_them:
            return
        for name in ("matrix", "charts"):
            page.locator(f"#{name} h2").scroll_into_view_if_needed()
            box = page.locator(f"#{name}").bounding_box()
            top = box["y"] + page.evaluate("scrollY")
            clip = {"x": 0, "y": top, "width": DESKTOP[0], "height": min(box["height"], 900)}
            yield name, page.screenshot(full_page=True, clip=clip)
    with opened(browser, path, DESKTOP, color_scheme="dark") as page:
        yield "dark", page.screenshot()
    with opened(browser, path, PHONE) as page:
        yield "phone", page.screenshot()
    with opened(browser, path, PAPER) as page:
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print")
        yield "print", page.screenshot()


@contextmanager
def opened(browser: Any, path: Path, size: tuple[int, int], **options: Any) -> Iterator[Any]:
    """A report in a window of this size."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
    page = context.new_page()
    page.goto(path.resolve().as_uri())
    yield page
    context.close()


if __name__ == "__main__":
    main()
