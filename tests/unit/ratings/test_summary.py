from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from harness.ratings.records import (
    AutoTie,
    HumanResults,
    Item,
    Rating,
    ReturnedFile,
    SheetPlan,
    SheetRow,
    Sheets,
)
from harness.ratings.store import write_ratings, write_sheets
from harness.ratings.summary import summarise, why_none
from harness.report.build import build_view
from harness.report.html import render_html
from harness.report.markdown import render_markdown
from harness.report.tables import render_json
from harness.report.view.records import View
from harness.results.scores import read_results
from harness.schema import HumanKeys, Manifest
from harness.store.runs import Store
from harness.suite.ratings import CRITERIA
from harness.suite.record import suite_of
from tests.unit.gate.gate_runs import Runs

BASE, CHOSEN = "base@nf4", "checkpoint-4"
RATERS = ("ada", "bob", "cyd")
REPORT, SELECT = 30, 10


class Rated:
    """A run of made-up scores whose outputs were rated by three raters, the choice as better."""

    def __init__(self, folder: Path, *, splits: tuple[str, ...] = ("report",)) -> None:
        self.store = Store(folder)
        self.run = Runs(self.store).build()
        self.plan = SheetPlan.model_validate(
            {
                "id": "s-1",
                "run": "small/r1",
                "task": "answers",
                "variants": (BASE, CHOSEN),
                "baseline": BASE,
                "predictions": {
                    cell.variant: cell.predictions_key
                    for cell in self.run.cells
                    if cell.task == "answers" and cell.variant in (BASE, CHOSEN)
                },
                "raters": RATERS,
                "criteria": (CRITERIA["fluency"], CRITERIA["correctness"]),
                "pairs": ((BASE, CHOSEN),),
                "splits": splits,
                "seed": 5,
                "notes": ("Only 30 of 50 items could be had.",),
            }
        )
        self.items = [self._item(f"answers-{n:03d}", "report") for n in range(REPORT)]
        if "select" in splits:
            self.items += [self._item(f"answers-s{n:03d}", "select") for n in range(SELECT)]
        self.quality = {
            reading.variant: dict(
                zip(reading.sample.ids.tolist(), reading.sample.stats[:, 0], strict=True)
            )
            for reading in read_results(self.store, self.run.cells, suite_of(self.run).tasks)
            if reading.key == ("answers", "rougeL", "report") and reading.sample is not None
        }
        self.rows: list[SheetRow] = []
        self.ratings: list[Rating] = []
        self._rate()
        self.ties = (AutoTie(item=self.items[0].id, variants=(BASE, CHOSEN)),)
        self.sheets = Sheets(
            "sheets-1", self.plan, tuple(self.items), tuple(self.rows), self.ties, {"made": "up"}
        )
        write_sheets(self.store, self.sheets)

    def _item(self, name: str, split: Any) -> Item:
        outputs = {BASE: f"{name} base", CHOSEN: f"{name} tuned"}
        return Item(id=name, cluster=name, split=split, prompt="p", outputs=outputs)

    def _rate(self) -> None:
        rng = random.Random(11)
        for rater in RATERS:
            for place, item in enumerate(self.items):
                for variant, shift in ((BASE, 0.0), (CHOSEN, 0.8)):
                    worth = 8 * self.quality[variant].get(item.id, 0.5) - 1.5 + shift
                    point = min(5, max(1, round(worth + rng.gauss(0, 0.4))))
                    scores = {"fluency": point, "correctness": rng.randint(1, 5)}
                    self._row(rater, item, "scale", (variant,), scores=scores)
                if place:  # the first item's texts are equal
                    winner = "second" if rng.random() < 0.75 else "first"
                    self._row(rater, item, "pair", (BASE, CHOSEN), preferred=winner)

    def _row(self, rater: str, item: Item, kind: Any, variants: Any, **said: Any) -> None:
        token = f"t{len(self.rows)}"
        about: dict[str, Any] = {
            "token": token,
            "rater": rater,
            "position": len(self.rows) + 1,
            "kind": kind,
            "item": item.id,
            "variants": variants,
        }
        self.rows.append(SheetRow(**about))
        comment = "too long" if len(self.rows) % 20 == 0 else ""
        digest = hashlib.sha256(rater.encode()).hexdigest()
        self.ratings.append(Rating(**about, purpose="main", comment=comment, file=digest, **said))

    def returned(self, *raters: str) -> Manifest:
        """The run's manifest once some raters' files are back."""
        blobs = {hashlib.sha256(name.encode()).hexdigest(): name.encode() for name in raters}
        files = [
            ReturnedFile(
                name=f"{name}.xlsx",
                digest=digest,
                rater=name,
                format="xlsx",
                rows=1,
                imported="2026-01-02T00:00:00+00:00",
            )
            for name, digest in zip(raters, blobs, strict=True)
        ]
        ratings = [found for found in self.ratings if found.rater in raters]
        key = write_ratings(self.store, "sheets-1", ratings, files, blobs)
        return self.exported(key)

    def exported(self, ratings: str | None = None) -> Manifest:
        """The run's manifest with its sheets."""
        keys = HumanKeys(sheets="sheets-1", ratings=ratings)
        return self.run.model_copy(update={"human": keys})


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Rated:
    return Rated(tmp_path_factory.mktemp("rated"))


@pytest.fixture(scope="module")
def results(rated: Rated) -> HumanResults:
    found = summarise(rated.store, rated.returned(*RATERS))
    assert found is not None
    return found


def test_nothing_without_ratings(rated: Rated) -> None:
    """A run without sheets has no results and no word of them; exported sheets have a word."""
    assert summarise(rated.store, rated.run) is None
    assert why_none(rated.store, rated.run) == ""
    assert summarise(rated.store, rated.exported()) is None
    assert "nothing has come back yet" in why_none(rated.store, rated.exported())


def test_counts_are_those_of_what_came_back(rated: Rated, results: HumanResults) -> None:
    """Items, rows, ratings, files and comments are counted."""
    assert results.items == REPORT
    assert results.asked == len(rated.rows) == results.ratings
    assert results.comments == len(rated.rows) // 20
    assert [file.rater for file in sorted(results.files, key=lambda f: f.name)] == list(RATERS)
    assert [found.answered for found in results.raters] == [3 * REPORT - 1] * 3
    assert "Only 30 of 50 items could be had." in results.notes


def test_every_part_is_there(results: HumanResults) -> None:
    """Agreement of each question, means of each criterion, wins, and each metric's trust."""
    assert [found.name for found in results.agreement] == ["fluency", "correctness", "preference"]
    assert [(item.criterion, item.variant) for item in results.means] == [
        (criterion, variant)
        for criterion in ("fluency", "correctness")
        for variant in (BASE, CHOSEN)
    ]
    assert results.preference is not None
    assert [found.metric for found in results.accuracies] == ["rougeL", "exact_match"]
    followed = {(item.metric, item.criterion): item.kendall for item in results.correlations}
    best = followed["rougeL", "fluency"]
    assert best.low is not None
    assert best.low > 0.3  # fluency was made from it


def test_wins_are_counted_by_hand(rated: Rated, results: HumanResults) -> None:
    """Wins of each side as the raters gave them, and an automatic tie per rater."""
    assert results.preference is not None
    [wins] = results.preference.wins
    given = [found.preferred for found in rated.ratings if found.kind == "pair"]
    assert (wins.first_wins, wins.second_wins) == (given.count("first"), given.count("second"))
    assert (wins.ties, wins.automatic) == (len(RATERS), len(RATERS))


def test_claims_are_from_the_report_split(tmp_path: Path) -> None:
    """Items of select count for agreement, not for means and preferences, which say so."""
    rated = Rated(tmp_path, splits=("select", "report"))
    found = summarise(rated.store, rated.returned(*RATERS))
    assert found is not None
    assert found.items == REPORT + SELECT
    assert {item.mean.n for item in found.means} == {REPORT}
    assert found.preference is not None
    assert found.preference.wins[0].share.n == REPORT
    assert found.agreement[0].units == 2 * (REPORT + SELECT)
    assert any("the other 10 served the choice" in note for note in found.notes)


def test_some_raters_are_enough(rated: Rated) -> None:
    """With one file back there are means, but no agreement; the others have answered nothing."""
    found = summarise(rated.store, rated.returned("bob"))
    assert found is not None
    assert [item.answered > 0 for item in found.raters] == [False, True, False]
    assert found.means[0].mean.value is not None
    assert found.agreement[0].alpha.value is None
    assert found.agreement[0].alpha.reason


def test_ratings_of_earlier_outputs_are_not_shown(rated: Rated) -> None:
    """Where a variant's outputs changed since, there are no results, and the reason names it."""
    manifest = rated.returned(*RATERS)
    cells = tuple(
        cell.model_copy(update={"predictions_key": "r1-checkpoint-2-answers"})
        if (cell.variant, cell.task) == (CHOSEN, "answers")
        else cell
        for cell in manifest.cells
    )
    changed = manifest.model_copy(update={"cells": cells})
    assert summarise(rated.store, changed) is None
    why = why_none(rated.store, changed)
    assert why.startswith("Ratings of earlier outputs are not shown: what checkpoint-4 wrote")
    assert BASE not in why
    gone = manifest.model_copy(
        update={"cells": tuple(cell for cell in cells if cell.variant != CHOSEN)}
    )
    assert summarise(rated.store, gone) is None
    page = render_html(build_view(rated.store, changed))
    assert "Ratings of earlier outputs are not shown" in page


def test_a_report_has_them(rated: Rated) -> None:
    """The run's report shows the section, in every form, and reads back from JSON."""
    view = build_view(rated.store, rated.returned(*RATERS))
    assert view.human is not None
    page = render_html(view)
    assert '<section id="human">' in page
    assert "checkpoint-4" in page[page.index('id="human"') :]
    assert "## Human ratings" in render_markdown(view)
    assert View.model_validate_json(render_json(view)) == view
    assert any("preferred by raters in" in line for line in view.verdict.support)


def test_the_same_ratings_give_the_same_results(rated: Rated, results: HumanResults) -> None:
    """Nothing depends on chance; readings that were read already give the same."""
    manifest = rated.returned(*RATERS)
    readings = read_results(rated.store, manifest.cells, suite_of(manifest).tasks)
    assert summarise(rated.store, manifest, readings) == results
