"""Rating sheets of a finished run: out, filled in, back, and into report, choice and gate."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from python_calamine import CalamineWorkbook

from harness.ratings.collect import import_returns, sheet_status
from harness.schema import Manifest
from harness.store.runs import Store
from tests.e2e.conftest import Finished, Result, harness
from tests.e2e.test_readers import light

HUMAN = "human={items: 12, splits: [select, report], raters: 3, overlap: 2}"
CONSTRAINT = "select.constraints=[{task: human, metric: preference, max_drop: 10}]"
GATE = "gate.metrics=[{task: human, metric: relevance, margin: 1}]"
SETS = tuple(word for item in (HUMAN, CONSTRAINT, GATE) for word in ("--set", item))


@dataclass(frozen=True)
class Sheets:
    """Exported sheets of a run."""

    runs: Path
    folder: Path
    result: Result

    @property
    def manifest(self) -> Manifest:
        return max(Store(self.runs).manifests(), key=lambda m: m.human is not None)

    @property
    def name(self) -> str:
        return f"small/{self.manifest.run_id}"

    @property
    def key(self) -> dict[str, dict[str, str]]:
        """Rows of key.csv by token."""
        with (self.folder / "keep" / "key.csv").open(encoding="utf-8", newline="") as stream:
            return {row["row"]: row for row in csv.DictReader(stream)}

    def sent(self, rater: str, ending: str) -> Path:
        return self.folder / "send" / rater / f"{rater}{ending}"

    def copy(self, folder: Path) -> Sheets:
        """The same in a folder of its own, to import into."""
        shutil.copytree(self.runs, folder / "runs")
        return Sheets(folder / "runs", self.folder, self.result)


def export(finished: Finished, folder: Path, *more: str) -> Sheets:
    """Ask for ratings in the suite (which computes nothing anew), and export the sheets."""
    runs = folder / "runs"
    shutil.copytree(finished.runs, runs)
    ran = harness("eval", str(finished.suite), *SETS, *more, cwd=folder, runs=runs)
    assert ran.code == 0, ran.err
    done = light(folder, "sheet", "export", "small", "-o", str(folder / "out"), runs=runs)
    assert done.code == 0, done.err
    return Sheets(runs, folder / "out", done)


@pytest.fixture(scope="session")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Sheets:
    return export(finished, tmp_path_factory.mktemp("sheets"))


def verdict(row: dict[str, str]) -> dict[str, str]:
    """What a rater says who always prefers the tuned model, and sees through every check."""
    if row["kind"] == "scale":
        text = row["output (A)"]
        points = "1" if "spoilt" in text else "2" if text.startswith("base") else "4"
        return dict.fromkeys(("fluency", "relevance", "correctness"), points)
    a, b = row["output (A)"], row["output B"]
    if a == b:
        return {"preference": "tie"}
    a_wins = "spoilt" in b or (a.startswith("checkpoint") and "spoilt" not in a)
    return {"preference": "A" if a_wins else "B"}


def fill_page(sheets: Sheets, rater: str, folder: Path) -> list[Path]:
    """The file that the page of a rater saves."""
    rows = [
        {"row": token, **{k: int(v) if v.isdigit() else v for k, v in verdict(row).items()}}
        for token, row in sheets.key.items()
        if row["rater"] == rater
    ]
    page = sheets.sent(rater, ".html").read_text("utf-8")
    manifest = sheets.manifest
    assert manifest.human is not None
    plan = json.loads(
        (sheets.runs / ".store" / "sheets" / manifest.human.sheets / "plan.json").read_text("utf-8")
    )
    assert plan["id"] in page
    record = {
        "format": "qlora-harness ratings",
        "version": 1,
        "sheet": plan["id"],
        "rater": rater,
        "saved": "2026-11-22T12:00:00Z",
        "rows": rows,
    }
    path = folder / f"{rater}.json"
    path.write_text(json.dumps(record), "utf-8")
    return [path]


def fill_csv(sheets: Sheets, rater: str, folder: Path) -> list[Path]:
    """A rater's CSV files, filled in and saved with semicolons, as a German Excel does."""
    paths = []
    for path in sorted(sheets.sent(rater, "").parent.glob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = [{**row, **verdict(sheets.key[row["row"]])} for row in reader]
        target = folder / path.name
        with target.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
        paths.append(target)
    return paths


def fill_workbook(
    sheets: Sheets,
    rater: str,
    folder: Path,
    say: Callable[[dict[str, str]], dict[str, str]] = verdict,
) -> list[Path]:
    """A rater's workbook, filled in and saved by another program."""
    before = CalamineWorkbook.from_path(str(sheets.sent(rater, ".xlsx")))
    path = folder / f"{rater}.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        for name in before.sheet_names:
            table: list[list[Any]] = before.get_sheet_by_name(name).to_python()
            target = book.add_worksheet(name)
            head = next((r for r in table if r and r[0] == "row"), [])
            for line, cells in enumerate(table):
                key = sheets.key.get(str(cells[0])) if cells else None
                answers = say(key) if key else {}
                for column, value in enumerate(cells):
                    title = str(head[column]) if column < len(head) else ""
                    target.write(line, column, answers.get(title, value))
    return [path]


def fill_all(sheets: Sheets, folder: Path) -> list[Path]:
    return [
        *fill_page(sheets, "rater-1", folder),
        *fill_csv(sheets, "rater-2", folder),
        *fill_workbook(sheets, "rater-3", folder),
    ]


@pytest.fixture(scope="session")
def rated(exported: Sheets, tmp_path_factory: pytest.TempPathFactory) -> Sheets:
    """All three raters have returned their sheets, each in another format."""
    folder = tmp_path_factory.mktemp("rated")
    sheets = exported.copy(folder)
    files = [str(path) for path in fill_all(sheets, folder)]
    done = light(folder, "sheet", "import", sheets.name, *files, runs=sheets.runs)
    assert done.code == 0, done.err
    assert "100%" in done.out
    return Sheets(sheets.runs, sheets.folder, done)


def test_each_rater_gets_every_format_and_the_team_the_key(exported: Sheets) -> None:
    """One folder per rater, and what must not be sent in another."""
    for rater in ("rater-1", "rater-2", "rater-3"):
        names = {path.name for path in exported.sent(rater, "").parent.iterdir()}
        assert {f"{rater}.xlsx", f"{rater}.html"} <= names
        assert any(name.endswith(".csv") for name in names)
    kept = {path.name for path in (exported.folder / "keep").iterdir()}
    assert kept == {"key.csv", "heds.md", "methods.md", "advice.md"}
    assert "Keep to yourself" in exported.result.out


def test_nothing_that_is_sent_names_a_variant(exported: Sheets) -> None:
    """Not in any byte of any file, unzipped ones included, nor in a file's name."""
    names = [v.id for v in exported.manifest.variants] + ["tiny:llama", exported.manifest.run_id]
    checked = 0
    for path in (exported.folder / "send").rglob("*"):
        if path.is_dir():
            continue
        parts = {path.name: path.read_bytes()}
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as archive:
                parts |= {name: archive.read(name) for name in archive.namelist()}
                parts["comment"] = archive.comment
        for name, data in parts.items():
            for secret in names:
                assert secret.encode() not in data, (path.name, name, secret)
                assert secret not in name
            checked += 1
    assert checked > 30


def test_exporting_again_gives_the_same_bytes(exported: Sheets, tmp_path: Path) -> None:
    """Raters may lose a file: what they get anew is what they had."""
    args = ("sheet", "export", exported.name, "-o", str(tmp_path / "again"))
    assert light(tmp_path, *args, runs=exported.runs).code == 0
    first = {p.relative_to(exported.folder): p for p in exported.folder.rglob("*") if p.is_file()}
    for name, path in first.items():
        assert (tmp_path / "again" / name).read_bytes() == path.read_bytes(), name


def test_ratings_are_in_the_report(rated: Sheets, tmp_path: Path) -> None:
    """Every rater preferred the tuned model; all agree, which the report says."""
    done = light(tmp_path, "report", rated.name, "--json", runs=rated.runs)
    view = json.loads(done.out)
    human = view["human"]
    assert {entry["rater"] for entry in human["raters"]} == {"rater-1", "rater-2", "rater-3"}
    assert all(entry["attention_failed"] == 0 for entry in human["raters"])
    (wins,) = human["preference"]["wins"]
    assert wins["first_wins"] == 0
    assert wins["second_wins"] > 0
    rows = {(r["task"], r["metric"], r["split"]): r for r in view["rows"]}
    assert rows["human", "relevance", "report"]["n"] == 6
    shares = {c["variant"]: c["figure"] for c in rows["human", "preference", "report"]["cells"]}
    assert shares["base@nf4"]["value"] == 0.5
    page = next(rated.runs.glob(f"{rated.name}/report.html")).read_text("utf-8")
    assert "Human ratings" in page


def test_a_choice_can_be_bound_to_what_people_prefer(rated: Sheets, tmp_path: Path) -> None:
    """The constraint reads the ratings of the select split."""
    done = light(tmp_path, "select", rated.name, "--json", runs=rated.runs)
    checks = json.loads(done.out)["selection"]["constraints"]
    (kept,) = [check for check in checks if check["status"] != "unknown"]
    assert kept["status"] == "kept"
    assert kept["data"] == "select split"
    assert kept["n"] == 6


def test_ratings_can_be_gated(rated: Sheets, tmp_path: Path) -> None:
    """Accepted as a baseline, the same ratings pass; a run without any fails closed."""
    sheets = rated.copy(tmp_path)
    baseline = str(tmp_path / "baseline.json")
    args = ("gate", "accept", sheets.name, "--baseline", baseline, "--reason", "first")
    done = light(tmp_path, *args, runs=sheets.runs)
    assert done.code == 0, done.err
    again = light(tmp_path, "gate", sheets.name, "--baseline", baseline, runs=sheets.runs)
    assert again.code == 0, again.out
    manifest = sheets.manifest
    cells = tuple(cell for cell in manifest.cells if cell.kind != "human")
    Store(sheets.runs).write_manifest(manifest.model_copy(update={"cells": cells, "human": None}))
    bare = light(tmp_path, "gate", sheets.name, "--baseline", baseline, runs=sheets.runs)
    assert bare.code == 5
    assert "no ratings of checkpoint-" in bare.out


def test_evaluating_again_keeps_the_ratings(
    rated: Sheets, finished: Finished, tmp_path: Path
) -> None:
    """Nothing that people made is lost by a command that computes nothing."""
    sheets = rated.copy(tmp_path)
    before = sheets.manifest
    ran = harness("eval", str(finished.suite), *SETS, cwd=tmp_path, runs=sheets.runs)
    assert ran.code == 0, ran.err
    after = sheets.manifest
    assert after.human == before.human
    assert [c for c in after.cells if c.kind == "human"] == [
        c for c in before.cells if c.kind == "human"
    ]


def test_a_file_twice_changes_nothing(rated: Sheets, tmp_path: Path) -> None:
    """Raters send things twice; so do those who import them."""
    sheets = rated.copy(tmp_path)
    files = [str(path) for path in fill_all(sheets, tmp_path)]
    done = light(tmp_path, "sheet", "import", sheets.name, *files, runs=sheets.runs)
    assert done.code == 0, done.err
    assert sheets.manifest.human == rated.manifest.human


def test_every_mistake_is_named_with_its_cell(exported: Sheets, tmp_path: Path) -> None:
    """All at once; nothing is imported, unless the rest is asked for."""
    sheets = exported.copy(tmp_path)
    scales = [row for row in sheets.key.values() if row["rater"] == "rater-3"]
    wrong = {row["row"] for row in scales if row["kind"] == "scale" and int(row["position"]) <= 2}

    def careless(row: dict[str, str]) -> dict[str, str]:
        return {"fluency": "7"} if row["row"] in wrong else verdict(row)

    (path,) = fill_workbook(sheets, "rater-3", tmp_path, careless)
    done = light(tmp_path, "sheet", "import", sheets.name, str(path), runs=sheets.runs)
    assert done.code == 1
    assert done.err.count("rater-3.xlsx, Ratings!") == 2
    assert "Nothing was imported: 2 mistakes" in done.err
    assert sheets.manifest.human is not None
    assert sheets.manifest.human.ratings is None
    args = ("sheet", "import", sheets.name, str(path), "--skip-invalid")
    partly = light(tmp_path, *args, runs=sheets.runs)
    assert partly.code == 1
    assert sheets.manifest.human.ratings is not None
    status = light(tmp_path, "sheet", "status", sheets.name, "--json", runs=sheets.runs)
    states = {state["rater"]: state for state in json.loads(status.out)["raters"]}
    assert states["rater-3"]["asked"] - states["rater-3"]["answered"] == 2
    assert states["rater-1"]["answered"] == 0


def test_a_sheet_of_another_run_is_refused_by_name(
    exported: Sheets, finished: Finished, tmp_path: Path
) -> None:
    """Told which run it belongs to, where the store knows."""
    (tmp_path / "other").mkdir()
    (path,) = fill_page(exported, "rater-1", tmp_path)
    theirs = exported.copy(tmp_path / "mixed")
    args = ("eval", str(finished.suite), *SETS, "--set", "human.items=4")
    ran = harness(*args, cwd=tmp_path, runs=theirs.runs)
    assert ran.code == 0, ran.err
    made = light(tmp_path, "sheet", "export", "small", "-o", "out", runs=theirs.runs)
    assert made.code == 0, made.err
    done = light(tmp_path, "sheet", "import", "small", str(path), runs=theirs.runs)
    assert done.code == 1
    assert exported.name in done.err


def test_without_sheets_the_mend_is_named(finished: Finished, tmp_path: Path) -> None:
    """Importing or asking before exporting."""
    done = light(tmp_path, "sheet", "status", "small", runs=finished.runs)
    assert done.code == 2
    assert "harness sheet export" in done.err


def test_what_lies_beside_returns_is_passed_over(exported: Sheets, tmp_path: Path) -> None:
    """Instructions and the marks of files that are open stop nothing; each has a line."""
    sheets = exported.copy(tmp_path)
    files = fill_csv(sheets, "rater-1", tmp_path)
    locks = [tmp_path / name for name in ("~$rater-1.xlsx", ".~lock.rater-1.ods#")]
    for lock in locks:
        lock.write_bytes(b"\x03Ada" + bytes(161))
    instructions = next(sheets.folder.rglob("rater-1-instructions.txt"))
    paths = [*files, *locks, instructions]
    checked = import_returns(Store(sheets.runs), sheets.manifest, paths).checked
    assert not checked.problems
    assert checked.ratings
    passed = [note for note in checked.notes if "passed over" in note]
    assert ["only marks a file that is open" in note for note in passed] == [True, True, False]


def test_two_imports_at_the_same_moment_lose_nothing(exported: Sheets, tmp_path: Path) -> None:
    """Whoever comes second waits, and adds to what the first one brought."""
    sheets = exported.copy(tmp_path)
    files = {name: fill_page(sheets, name, tmp_path) for name in ("rater-1", "rater-2", "rater-3")}
    store, manifest = Store(sheets.runs), sheets.manifest
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda paths: import_returns(store, manifest, paths), files.values()))
    _, states = sheet_status(store, sheets.manifest)
    assert [state.answered for state in states] == [state.asked for state in states]


def test_another_run_of_the_same_results_takes_the_ratings_over(
    rated: Sheets, finished: Finished, tmp_path: Path
) -> None:
    """Other rules of choosing make another run; nobody has to rate anything again."""
    sheets = rated.copy(tmp_path)
    other = ("eval", str(finished.suite), "--set", HUMAN, "--set", "select.rule=best")
    ran = harness(*other, cwd=tmp_path, runs=sheets.runs)
    assert ran.code == 0, ran.err
    run = Store(sheets.runs).manifests()[0]
    assert run.run_id != sheets.manifest.run_id
    name = f"small/{run.run_id}"
    done = light(tmp_path, "sheet", "export", name, "-o", "again", "--json", runs=sheets.runs)
    assert done.code == 0, done.err
    if json.loads(done.out)["id"] in rated.result.out:  # the rule chose the same checkpoint
        assert json.loads(done.out)["taken_over"] > 0
        status = light(tmp_path, "sheet", "status", name, runs=sheets.runs)
        assert status.out.count("100%") == 3


def test_a_folder_of_another_export_is_not_mixed_with_this_one(
    exported: Sheets, finished: Finished, tmp_path: Path
) -> None:
    """Stale sheets beside a new key would look sendable."""
    sheets = exported.copy(tmp_path)
    args = ("eval", str(finished.suite), "--set", "human={items: 4}")
    assert harness(*args, cwd=tmp_path, runs=sheets.runs).code == 0
    name = f"small/{Store(sheets.runs).manifests()[0].run_id}"
    folder = tmp_path / "out"
    shutil.copytree(sheets.folder, folder)
    done = light(tmp_path, "sheet", "export", name, "-o", str(folder), runs=sheets.runs)
    assert done.code == 2
    assert "another export" in done.err
