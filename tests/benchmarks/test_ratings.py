"""Rating sheets of 10,000 items for five raters: written, read back, and summed up.

Every rater sees every item: both outputs to be judged, and the two compared, about 170,000 rows in
all with repeats and checks.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import xlsxwriter

from harness.ratings.design.design import make_plan
from harness.ratings.design.items import ItemSelection
from harness.ratings.layout import asked, rater_sheets
from harness.ratings.records import Agreement, Item, Sheets
from harness.ratings.returns.checking import Checked, check_returns
from harness.ratings.returns.returns import read_return
from harness.ratings.sheets.page import render_page
from harness.ratings.sheets.workbook import write_workbook
from harness.ratings.stats.agreement import agreement
from harness.ratings.store import StoredRatings
from harness.suite.ratings import HumanSpec
from tests.benchmarks.conftest import Measure
from tests.unit.conftest import WORDS

ITEMS, RATERS = 10_000, 5
VARIANTS = ("base@nf4", "checkpoint-20")


def chosen() -> ItemSelection:
    """Items with prompts of 60 words and outputs of 15."""
    draw = random.Random(0)

    def text(words: int) -> str:
        return " ".join(draw.choices(WORDS, k=words))

    items = tuple(
        Item(
            id=f"e{place:05d}",
            cluster=f"e{place:05d}",
            split="report",
            prompt=text(60),
            outputs={name: text(15) for name in VARIANTS},
        )
        for place in range(ITEMS)
    )
    keys = dict.fromkeys(VARIANTS, "key")
    return ItemSelection(
        task="summaries", variants=VARIANTS, baseline=VARIANTS[0], predictions=keys, items=items
    )


@pytest.fixture(scope="module")
def sheets() -> Sheets:
    return make_plan(chosen(), HumanSpec(raters=RATERS), seed=0, run="big/1")


@pytest.fixture(scope="module")
def returned(sheets: Sheets, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Workbooks as they come back, with an answer in every cell."""
    folder, draw = tmp_path_factory.mktemp("returned"), random.Random(1)
    paths = []
    for sheet in rater_sheets(sheets):
        path = folder / f"{sheet.rater}.xlsx"
        with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
            for kind in sheet.kinds:
                page = book.add_worksheet(kind)
                names = asked(sheet.criteria, kind)[:-2]  # all but comment and minutes
                page.write_row(0, 0, ["row", *names])
                for line, row in enumerate(sheet.rows(kind), start=1):
                    answers = [
                        draw.choice("AB") if kind == "pair" else draw.randint(1, 5) for _ in names
                    ]
                    page.write_row(line, 0, [row.token, *answers])
        paths.append(path)
    return paths


def test_laying_out_the_sheets(measure: Measure) -> None:
    """Who sees what, in which order, with all checks."""
    items = chosen()

    def planned() -> Sheets:
        return make_plan(items, HumanSpec(raters=RATERS), seed=0, run="big/1")

    found = measure(f"rating sheets: plan of {ITEMS:,} items × {RATERS} raters", planned)
    assert len(found.rows) > ITEMS * RATERS * 3


def test_writing_workbooks(measure: Measure, sheets: Sheets, tmp_path: Path) -> None:
    """One XLSX per rater, the texts cleaned and the answers guarded."""
    found = rater_sheets(sheets)

    def written() -> int:
        for sheet in found:
            write_workbook(sheet, tmp_path / f"{sheet.rater}.xlsx")
        return len(list(tmp_path.iterdir()))

    made = measure(f"rating sheets: XLSX of {ITEMS:,} items × {RATERS} raters", written)
    assert made == RATERS


def test_writing_pages(measure: Measure, sheets: Sheets) -> None:
    """One offline page per rater."""
    found = rater_sheets(sheets)
    what = f"rating sheets: pages of {ITEMS:,} items × {RATERS} raters"
    pages = measure(what, lambda: [render_page(sheet) for sheet in found])
    assert len(pages) == RATERS


def imported(sheets: Sheets, paths: list[Path]) -> Checked:
    files = [read_return(path) for path in paths]
    return check_returns(files, sheets, StoredRatings(), "2026-01-01T00:00:00+00:00")


def test_reading_returns(measure: Measure, sheets: Sheets, returned: list[Path]) -> None:
    """Filled workbooks to ratings."""
    what = f"rating sheets: import of {ITEMS:,} items × {RATERS} raters"
    checked = measure(what, lambda: imported(sheets, returned))
    assert checked.problems == ()
    assert len(checked.ratings) == len(sheets.rows)


def test_agreement(measure: Measure, sheets: Sheets, returned: list[Path]) -> None:
    """Alpha with interval, and kappa of every pair of raters, for criteria and preference."""
    ratings = imported(sheets, returned).ratings
    what = f"rating sheets: agreement of {ITEMS:,} items × {RATERS} raters"

    def agreed() -> tuple[Agreement, ...]:
        return agreement(sheets.plan, ratings)

    found = measure(what, agreed)
    assert len(found) == 4
    assert all(abs(entry.alpha.value or 0) < 0.02 for entry in found)  # they answered by chance
