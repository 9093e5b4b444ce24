"""Returned files against the export: what is taken, what is refused, and in which words."""

from __future__ import annotations

import datetime
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from harness.ratings.records import Rating, SheetPlan, SheetRow
from harness.ratings.returns.checking import Checked, check_returns
from harness.ratings.returns.mistakes import Mistake, summed_up
from harness.ratings.returns.returned import Returned
from harness.ratings.returns.returns import read_return
from harness.ratings.store import StoredRatings
from harness.suite.ratings import CRITERIA
from tests.unit.ratings.human_records import sheets_of

NOW = "2026-01-02T03:04:05Z"

PLAN = SheetPlan(
    id="bcdfgh",
    run="demo/run-1",
    task="summaries",
    variants=("base", "tuned"),
    baseline="base",
    predictions={"base": "k1", "tuned": "k2"},
    raters=("anna", "ben"),
    criteria=(CRITERIA["fluency"], CRITERIA["relevance"]),
    pairs=(("base", "tuned"),),
    splits=("report",),
    seed=1,
)


def _rows(rater: str, letter: str) -> list[SheetRow]:
    """Three ratings and two preferences; the second of these shows the second variant as A."""
    pair = ("base", "tuned")
    scale = [
        SheetRow(
            token=f"{letter}scl{end}",
            rater=rater,
            position=position,
            kind="scale",
            item=f"item-{position}",
            variants=("base",),
        )
        for position, end in enumerate("xyz", 1)
    ]
    pairs = [
        SheetRow(
            token=f"{letter}pr{end}",
            rater=rater,
            position=position,
            kind="pair",
            item=f"item-{position}",
            variants=pair,
            swapped=position == 2,
        )
        for position, end in enumerate("xy", 1)
    ]
    return [*scale, *pairs]


ROWS = [*_rows("anna", "b"), *_rows("ben", "c")]

Table = Sequence[Sequence[Any]]
SCALE = ["row", "prompt", "output", "fluency", "relevance", "comment", "minutes"]
PAIR = ["row", "output A", "output B", "preference", "comment", "minutes"]
ANNA: Table = [
    SCALE,
    ["bsclx", "p", "o", "5", "4", "well put", "1.5"],
    ["bscly", "p", "o", "cannot judge", "2", "", ""],
    ["bsclz", "p", "o", "", "", "", ""],
]


class Folder:
    """Files that were sent back."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def csv(self, table: Table, name: str = "anna.csv") -> Returned:
        path = self.path / name
        lines = (";".join(map(str, row)) for row in table)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_return(path)

    def page(self, rows: Sequence[dict[str, Any]], sheet: str = PLAN.id) -> Returned:
        path = self.path / "anna.json"
        saved = {"format": "qlora-harness ratings", "version": 1, "sheet": sheet, "rows": rows}
        path.write_text(json.dumps(saved), encoding="utf-8")
        return read_return(path)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def check(*files: Returned, known: StoredRatings | None = None, **options: Any) -> Checked:
    known = known or StoredRatings()
    return check_returns(files, sheets_of(PLAN, rows=ROWS), known, NOW, **options)


def kept(checked: Checked) -> StoredRatings:
    return StoredRatings(checked.ratings, checked.files)


def counts_of(checked: Checked, rater: str, before: Checked | None = None) -> dict[str, int]:
    """A rater's rows: answered for the first time, otherwise than before, as before, or not yet."""
    earlier = by_token(before) if before is not None else {}
    own = {token: rating for token, rating in by_token(checked).items() if rating.rater == rater}
    states = Counter(
        "new" if token not in earlier else "same" if earlier[token] == rating else "changed"
        for token, rating in own.items()
    )
    asked = sum(row.rater == rater for row in ROWS)
    return dict(states + Counter(unanswered=asked - len(own)))


def by_token(checked: Checked) -> dict[str, Rating]:
    return {rating.token: rating for rating in checked.ratings}


def the_problem(checked: Checked) -> str:
    """The only problem, without folders; nothing was taken because of it."""
    (problem,) = checked.problems
    assert checked.blobs == {}
    return re.sub(r"\S*/(?=[^/]*\.(?:csv|json))", "", problem)


# -- what is taken --------------------------------------------------------------------------------


def test_answers_become_ratings(folder: Folder) -> None:
    """Points, "cannot judge", comments and minutes are kept; rows without an answer are not."""
    file = folder.csv(ANNA)
    checked = check(file)
    assert checked.problems == ()
    first, second = checked.ratings
    assert first == Rating(
        token=str(ANNA[1][0]),
        rater="anna",
        kind="scale",
        purpose="main",
        item="item-1",
        variants=("base",),
        position=1,
        scores={"fluency": 5, "relevance": 4},
        comment="well put",
        minutes=1.5,
        file=file.digest,
    )
    assert second.scores == {"fluency": None, "relevance": 2}
    assert (second.comment, second.minutes, second.judged) == ("", None, True)
    (kept_file,) = checked.files
    assert kept_file.model_dump(exclude={"schema_version"}) == {
        "name": "anna.csv",
        "digest": file.digest,
        "rater": "anna",
        "format": "csv",
        "rows": 2,
        "imported": NOW,
    }
    assert checked.blobs == {file.digest: file.path.read_bytes()}
    assert counts_of(checked, "anna") == {"new": 2, "unanswered": 3}
    assert counts_of(checked, "ben") == {"unanswered": 5}
    assert "anna: 2 of 5 rows are answered." in checked.notes


@pytest.mark.parametrize(
    ("answer", "straight", "swapped"),
    [
        ("A", "first", "second"),
        ("B is better", "second", "first"),
        ("tie", "tie", "tie"),
        ("cannot judge", None, None),
    ],
)
def test_preferences_are_told_by_variant(
    folder: Folder, answer: str, straight: str | None, swapped: str | None
) -> None:
    """Sides are turned back: ``first`` is the first variant, whichever side showed it."""
    table = [PAIR, ["bprx", "", "", answer], ["bpry", "", "", answer]]
    ratings = by_token(check(folder.csv(table)))
    assert ratings["bprx"].preferred == straight
    assert ratings["bpry"].preferred == swapped
    assert ratings["bprx"].judged == ratings["bpry"].judged == (straight is not None)
    assert ratings["bpry"].swapped


def test_rows_may_be_sorted_and_tokens_written_large(folder: Folder) -> None:
    """Tokens are all that matters; ratings come in the order of the sheet."""
    table = [SCALE, ["BSCLZ ", "", "", 1, 1], ["'bsclx", "", "", 5, 5]]
    assert list(by_token(check(folder.csv(table)))) == ["bsclx", "bsclz"]


def test_partly_answered_rows_keep_what_was_answered(folder: Folder) -> None:
    """Scores hold answered criteria only, and such rows are counted."""
    checked = check(folder.csv([SCALE, ["bsclx", "", "", "", 3]]))
    assert checked.ratings[0].scores == {"relevance": 3}
    assert "anna: 1 of 5 rows are answered, 1 of them in part." in checked.notes


def test_comment_alone_is_no_answer(folder: Folder) -> None:
    """A row with a comment or minutes only is left out, and said."""
    table = [PAIR, ["bprx", "", "", "", "odd", ""], ["bpry", "", "", "A", "", ""]]
    checked = check(folder.csv(table))
    assert list(by_token(checked)) == ["bpry"]
    assert any("left out 1 rows with a comment or minutes" in note for note in checked.notes)


def test_page_file_and_csv_give_the_same_ratings(folder: Folder) -> None:
    """The page's file says the same as a sheet."""
    rows = [
        {"row": "bsclx", "fluency": 5, "relevance": 4, "comment": "well put", "minutes": 1.5},
        {"row": "bscly", "fluency": "cannot judge", "relevance": 2},
        {"row": "bprx", "preference": "A", "minutes": 0.25},
    ]
    checked = check(folder.page(rows))
    assert checked.problems == ()
    ratings = by_token(checked)
    sheet = by_token(check(folder.csv(ANNA)))
    for token in ("bsclx", "bscly"):
        assert ratings[token].model_dump(exclude={"file"}) == sheet[token].model_dump(
            exclude={"file"}
        )
    assert (ratings["bprx"].preferred, ratings["bprx"].minutes) == ("first", 0.25)


def test_files_of_several_raters(folder: Folder) -> None:
    """Files are taken together, and ratings sorted by rater, kind and position."""
    ben = [PAIR, ["cprx", "", "", "tie"]]
    checked = check(
        folder.csv(ben, "ben-preferences.csv"),
        folder.csv(ANNA),
        folder.csv([PAIR, ["bpry", "", "", "B"]], "anna-preferences.csv"),
    )
    assert checked.problems == ()
    assert list(by_token(checked)) == ["bpry", "bsclx", "bscly", "cprx"]
    assert [file.rater for file in checked.files] == ["ben", "anna", "anna"]
    assert counts_of(checked, "anna") == {"new": 3, "unanswered": 2}


# -- once more ------------------------------------------------------------------------------------


def test_the_same_file_again_changes_nothing(folder: Folder) -> None:
    """Importing is idempotent: by bytes, under another name, and twice in one call."""
    before = check(folder.csv(ANNA))
    again = check(folder.csv(ANNA, "copy of anna.csv"), known=kept(before))
    assert again.ratings == before.ratings
    assert again.files == before.files
    assert again.blobs == {}
    assert again.problems == ()
    assert any("already imported, as anna.csv" in note for note in again.notes)
    twice = check(folder.csv(ANNA), folder.csv(ANNA, "copy.csv"))
    assert twice.ratings == before.ratings
    assert any("the same file as" in note for note in twice.notes)


def test_the_same_answers_again_change_nothing(folder: Folder) -> None:
    """A file saved anew with the same answers adds no ratings, and need not be kept."""
    before = check(folder.csv(ANNA))
    resaved = folder.csv([*ANNA, [""] * 7], "resaved.csv")
    again = check(resaved, known=kept(before))
    assert again.ratings == before.ratings
    assert again.files == before.files
    assert any("all of its answers were already imported" in note for note in again.notes)
    assert counts_of(again, "anna", before) == {"same": 2, "unanswered": 3}


def test_fuller_file_adds_and_takes_nothing_away(folder: Folder) -> None:
    """What is empty in a later file stays as it was; comments and minutes are updated."""
    before = check(folder.csv([SCALE, ["bsclx", "", "", 5, "", "hm", 1], ANNA[2]]))
    later = folder.csv(
        [SCALE, ["bsclx", "", "", "", 3, "better", 2], ["bsclz", "", "", 1, 1, "", ""]],
        "later.csv",
    )
    checked = check(later, known=kept(before))
    assert checked.problems == ()
    ratings = by_token(checked)
    assert ratings["bsclx"].scores == {"fluency": 5, "relevance": 3}
    assert (ratings["bsclx"].comment, ratings["bsclx"].minutes) == ("better", 2)
    assert ratings["bsclx"].file == later.digest
    assert ratings["bscly"] == by_token(before)["bscly"]
    assert [file.name for file in checked.files] == ["anna.csv", "later.csv"]
    changed = {"new": 1, "changed": 1, "same": 1, "unanswered": 2}
    assert counts_of(checked, "anna", before) == changed


OTHER: Table = [SCALE, ["bsclx", "", "", 1, 4], ["bsclz", "", "", 2, 2]]


def test_second_rater_with_a_copy_is_refused(folder: Folder) -> None:
    """Other answers to rows that were answered are a mistake, with both files and the cell."""
    before = check(folder.csv(ANNA))
    checked = check(folder.csv(OTHER, "ben.csv"), known=kept(before))
    problem = the_problem(checked)
    assert problem.startswith(
        "ben.csv: found other answers than in anna.csv to the same rows: row 2, column fluency "
        "(“1”, there “5”); needed is one file per rater"
    )
    assert "--replace" in problem
    assert checked.ratings == before.ratings
    assert checked.files == before.files


def test_second_rater_in_the_same_call_is_refused(folder: Folder) -> None:
    """The same between two files of one call: nothing is taken of either."""
    checked = check(folder.csv(ANNA), folder.csv(OTHER, "ben.csv"))
    assert "there row 2, column fluency “5”" in the_problem(checked)
    assert checked.ratings == ()


def test_second_rater_is_left_out_whole(folder: Folder) -> None:
    """With the rest asked for, a copy adds nothing, not even to rows that were unanswered."""
    checked = check(folder.csv(ANNA), folder.csv(OTHER, "ben.csv"), skip_invalid=True)
    assert list(by_token(checked)) == ["bsclx", "bscly"]
    assert len(checked.problems) == 1


def test_many_other_answers_are_one_problem(folder: Folder) -> None:
    """A copied sheet gives one message with the first cells, not one per cell."""
    rows = [f"b{number}" for number in range(9)]
    plan_rows = [ROWS[0].model_copy(update={"token": t, "position": n}) for n, t in enumerate(rows)]
    ones = folder.csv([SCALE, *([token, "", "", 1] for token in rows)], "a.csv")
    twos = folder.csv([SCALE, *([token, "", "", 2] for token in rows)], "b.csv")
    checked = check_returns([ones, twos], sheets_of(PLAN, rows=plan_rows), StoredRatings(), NOW)
    (problem,) = checked.problems
    assert problem.count("“2”") == 5
    assert "and 4 more; needed" in problem
    assert checked.left_out == 9


def test_a_correction_is_not_undone_by_the_file_that_it_corrects(folder: Folder) -> None:
    """Both lie in one folder, and names sort as they like: what was imported does not count again.

    Two new files that differ are a mistake, announced or not: nobody knows which one is later.
    """
    first, corrected = folder.csv(ANNA), folder.csv(OTHER, "anna 2.csv")
    known = kept(check(first))
    for files in ([corrected, first], [first, corrected]):
        checked = check_returns(files, sheets_of(PLAN, rows=ROWS), known, NOW, replace=True)
        assert checked.problems == ()
        assert by_token(checked)["bsclx"].scores == {"fluency": 1, "relevance": 4}
        assert any("already imported" in note for note in checked.notes)
    unknown = check_returns(
        [first, corrected], sheets_of(PLAN, rows=ROWS), StoredRatings(), NOW, replace=True
    )
    (problem,) = unknown.problems
    assert "imported by the same command" in problem


def test_a_sheet_that_was_replaced_by_another_export_says_so(folder: Folder) -> None:
    """The hint is not to import it where it was just refused."""
    strange = [["row", "fluency"], ["zzzzz", 3]]
    problem = the_problem(check(folder.csv(strange), elsewhere=lambda _: PLAN.run))
    assert "earlier export of this run" in problem


def test_correction_replaces_where_it_was_announced(folder: Folder) -> None:
    """With ``replace`` the later answer counts, and how many were replaced is said."""
    before = check(folder.csv(ANNA))
    checked = check(folder.csv(OTHER, "anna 2.csv"), known=kept(before), replace=True)
    assert checked.problems == ()
    assert by_token(checked)["bsclx"].scores == {"fluency": 1, "relevance": 4}
    assert any("replaced 1 earlier answers" in note for note in checked.notes)
    changed = {"new": 1, "changed": 1, "same": 1, "unanswered": 2}
    assert counts_of(checked, "anna", before) == changed
    back = check(folder.csv(ANNA), known=kept(checked), replace=True)
    assert by_token(back)["bsclx"].scores == {"fluency": 5, "relevance": 4}
    assert len(back.files) == 2
    votes = [check(folder.csv([PAIR, ["bpry", "", "", side]], f"{side}.csv")) for side in "AB"]
    other = folder.csv([PAIR, ["bpry", "", "", "tie"]], "tie.csv")
    for before, side in zip(votes, "AB", strict=True):
        assert f"(“tie”, there “{side}”)" in the_problem(check(other, known=kept(before)))
    unsure = check(folder.csv([SCALE, ["bsclx", "", "", "cannot judge", ""]], "?.csv"))
    assert "there “cannot judge”" in the_problem(check(folder.csv(ANNA), known=kept(unsure)))


# -- what is refused ------------------------------------------------------------------------------


def test_all_bad_answers_are_told_at_once(folder: Folder) -> None:
    """Every bad cell of every file has its own message with file and cell; nothing is taken."""
    anna = [SCALE, ["bsclx", "", "", 6, "3,5", "ok", "1:30"], ["bscly", "", "", 1, 2, "", ""]]
    ben = [PAIR, ["cprx", "", "", "both"]]
    checked = check(folder.csv(anna), folder.csv(ben, "ben.csv"))
    assert [problem.rsplit("/", 1)[-1].split(": ")[0] for problem in checked.problems] == [
        "anna.csv, row 2, column fluency",
        "anna.csv, row 2, column relevance",
        "anna.csv, row 2, column minutes",
        "ben.csv, row 2, column preference",
    ]
    assert "found “6”, which is not on the scale of fluency; needed is" in checked.problems[0]
    assert checked.ratings == ()
    assert checked.files == ()
    assert checked.left_out == 4


def test_what_is_right_can_be_taken(folder: Folder) -> None:
    """With ``skip_invalid`` bad cells are left out and still told; good ones of the row stay."""
    anna = [SCALE, ["bsclx", "", "", 6, 3, "ok", "1:30"], ["bscly", "", "", 1, 2, "", ""]]
    checked = check(folder.csv(anna), skip_invalid=True)
    assert len(checked.problems) == checked.left_out == 2
    ratings = by_token(checked)
    assert ratings["bsclx"].scores == {"relevance": 3}
    assert (ratings["bsclx"].comment, ratings["bsclx"].minutes) == ("ok", None)
    assert ratings["bscly"].scores == {"fluency": 1, "relevance": 2}
    assert len(checked.blobs) == 1


def test_unknown_row_id_with_a_guess(folder: Folder) -> None:
    """A token with a slip is refused, and the one that was probably meant is named."""
    for slip in ("bscx", "bsclxx", "bslcx", "bsclc"):
        checked = check(folder.csv([*ANNA, [slip, "", "", 1, 1]]))
        problem = the_problem(checked)
        assert problem.startswith(f"anna.csv, row 5, column row: found the row id “{slip}”")
        assert "of anna's sheet; was it “bscl" in problem
    problem = the_problem(check(folder.csv([*ANNA, ["zzz", "", "", 1, 1]])))
    assert "copy the id from the sheet" in problem


def test_answers_without_a_row_id(folder: Folder) -> None:
    """Answers that belong to no row are told with their place."""
    problem = the_problem(check(folder.csv([*ANNA, ["", "", "", 1, 1]])))
    assert problem.startswith("anna.csv, row 5, column row: found entries in a row without an id")


def test_further_rows_without_answers_are_passed_over(folder: Folder) -> None:
    """A rater's remark below the table is no mistake, but is noted."""
    checked = check(folder.csv([*ANNA, ["Thank you!"]]))
    assert checked.problems == ()
    assert any("passed over 1 further rows" in note for note in checked.notes)


def test_the_same_row_twice(folder: Folder) -> None:
    """A row twice with the same answers counts once; with others it is refused."""
    checked = check(folder.csv([*ANNA, ANNA[1]]))
    assert checked.problems == ()
    assert len(checked.ratings) == 2
    assert any("1 rows a second time" in note for note in checked.notes)
    problem = the_problem(check(folder.csv([*ANNA, ["bsclx", "", "", 4, 4]])))
    assert problem.startswith(
        "anna.csv, row 5, column fluency: found row “bsclx” a second time, with “4” here and “5” "
        "in row 2, column fluency"
    )
    rest = check(folder.csv([*ANNA, ["bsclx", "", "", 4, 4]]), skip_invalid=True)
    assert list(by_token(rest)) == ["bscly"]


def test_rows_of_two_raters_in_one_file(folder: Folder) -> None:
    """A file with two raters' rows is refused as a whole, with a cell of each."""
    table = [*ANNA, ["csclx", "", "", 4, 4]]
    checked = check(folder.csv(table))
    assert the_problem(checked).startswith(
        "anna.csv: found rows of anna (row 2, column row) and ben (row 5, column row); needed is "
        "one file per rater"
    )
    assert check(folder.csv(table), skip_invalid=True).ratings == ()


def test_sheet_of_another_run(folder: Folder) -> None:
    """A file without any known token is another export's; its run is named where it is known."""
    table = [SCALE, ["zzz", "", "", 4, 4], ["yyy", "", "", 4, 4]]
    problem = the_problem(check(folder.csv(table)))
    assert "another export or run (none of its 2 row ids was given out here)" in problem
    assert "needed is a sheet of demo/run-1" in problem
    homes: Callable[[str], str | None] = {"yyy": "demo/run-2"}.get
    problem = the_problem(check(folder.csv(table), elsewhere=homes))
    assert problem.endswith("import it into demo/run-2.")


def test_id_on_the_sheet_is_compared(folder: Folder) -> None:
    """Where the file shows its export's id, the message has both."""
    problem = the_problem(check(folder.page([{"row": "zzz", "fluency": 1}], sheet="zyxwvt")))
    assert "its id is “zyxwvt”, this run's is “bcdfgh”" in problem
    assert check(folder.page([{"row": "bsclx", "fluency": 1}], sheet="zyxwvt")).problems


def test_unreadable_files_are_among_the_problems(folder: Folder) -> None:
    """Files that could not be read hold back the others, and are told with them."""
    checked = check(folder.csv(ANNA), unreadable=["ben.pdf: a PDF"])
    assert checked.problems == ("ben.pdf: a PDF",)
    assert checked.ratings == ()


def test_dates_made_by_a_spreadsheet_are_told(folder: Folder) -> None:
    """What a spreadsheet turned into a date is refused as that; as a comment it is fine."""
    path = folder.path / "anna.xlsx"
    book = xlsxwriter.Workbook(str(path))
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    for name, table in (("Ratings", [SCALE, ["bsclx"]]), ("Preferences", [PAIR, ["bprx"]])):
        page = book.add_worksheet(name)
        for number, row in enumerate(table):
            page.write_row(number, 0, row)
        for column in range(3, len(table[0])):
            page.write_datetime(1, column, datetime.date(2026, 5, 4), day)
    book.close()
    checked = check(read_return(path), skip_invalid=True)
    assert [problem.rsplit("/", 1)[-1].split("; ")[0] for problem in checked.problems] == [
        f"anna.xlsx, {cell}: found a date, 2026-05-04: the spreadsheet turned the entry into it"
        for cell in ("Ratings!D2", "Ratings!E2", "Ratings!G2", "Preferences!D2", "Preferences!F2")
    ]
    assert checked.ratings == ()
    row = read_return(path).rows[0]
    assert row.cells["comment"] == "2026-05-04"


def test_answer_in_the_wrong_column(folder: Folder) -> None:
    """An answer where that row is asked something else is not dropped without a word."""
    table = [["row", "fluency", "relevance", "preference"], ["bsclx", 5, 5, "A"]]
    problem = the_problem(check(folder.csv(table)))
    assert problem.startswith(
        "anna.csv, row 2, column preference: found “A” in a row of “Ratings”; needed is an empty"
    )


def test_renamed_column_is_refused(folder: Folder) -> None:
    """A column under another name would be lost: its old name is asked back."""
    table = [["row", "fluency", "relevance (1-5)", "comment"], ["bsclx", 5, 4, ""]]
    problem = the_problem(check(folder.csv(table)))
    assert problem.startswith(
        "anna.csv, row 1, column row: found no column called “relevance”, but “relevance (1-5)”"
    )


def test_missing_and_additional_columns_are_noted(folder: Folder) -> None:
    """A column that was deleted leaves its criterion unanswered; one that was added is ignored."""
    checked = check(folder.csv([["row", "fluency"], ["bsclx", 5]]))
    assert checked.problems == ()
    assert checked.ratings[0].scores == {"fluency": 5}
    assert any("has no column “relevance” any more" in note for note in checked.notes)
    checked = check(folder.csv([[*SCALE, "My Notes"], [*ANNA[1], "x"]]))
    assert checked.problems == ()
    assert any("passed over “my notes”" in note for note in checked.notes)


def test_column_twice_is_refused(folder: Folder) -> None:
    """Two columns of one name are told; two of a name that nobody asked for do no harm."""
    table = [["row", "fluency", "relevance", "fluency"], ["bsclx", 1, 2, 3]]
    assert "columns 2 and 4 both called “fluency”" in the_problem(check(folder.csv(table)))
    table = [["row", "fluency", "relevance", "x", "x"], ["bsclx", 1, 2, 3, 4]]
    assert check(folder.csv(table)).problems == ()


def test_blank_sheet_says_so(folder: Folder) -> None:
    """A sheet in which nothing was answered is no mistake, and is not kept."""
    checked = check(folder.csv([SCALE, ["bsclx", "p", "o"]]), folder.page([]))
    assert checked.problems == ()
    assert sum("holds no answers" in note for note in checked.notes) == 2
    assert checked.files == ()


def test_comments_of_many_lines(folder: Folder) -> None:
    """Line breaks of comments are the same on all systems; a date is a fine comment."""
    rows = [{"row": "bsclx", "fluency": 1, "comment": " a\r\nb\rc\n"}]
    assert check(folder.page(rows)).ratings[0].comment == "a\nb\nc"


def test_order_of_files_does_not_matter(folder: Folder) -> None:
    """Files that do not contradict each other give the same ratings in any order."""
    files = [
        folder.csv(ANNA[:2], "1.csv"),
        folder.csv([SCALE, ANNA[2]], "2.csv"),
        folder.csv([PAIR, ["bprx", "", "", "A"]], "3.csv"),
    ]
    assert check(*files).ratings == check(*reversed(files)).ratings


# -- many of one kind -----------------------------------------------------------------------------


def test_many_equal_mistakes_are_named_and_then_counted() -> None:
    """300 cells of a column off the scale: the first five with their cells, then how many more."""
    kind = ("ben.xlsx", "Ratings", "fluency", "1 to 5")
    column = "column F of Ratings"
    many = [
        Mistake(f"ben.xlsx, Ratings!F{n}: found “7”.", kind, "ben.xlsx", column)
        for n in range(2, 302)
    ]
    alone = [Mistake("anna.csv: a PDF."), Mistake("anna.csv: a PDF.")]
    assert summed_up([alone[0], *many, alone[1]]) == (
        "anna.csv: a PDF.",
        *(f"ben.xlsx, Ratings!F{n}: found “7”." for n in range(2, 7)),
        "ben.xlsx: and 295 more like it in column F of Ratings.",
        "anna.csv: a PDF.",
    )
    assert len(summed_up(many[:6])) == 6


def test_mistakes_are_alike_by_column_and_by_what_is_needed(tmp_path: Path) -> None:
    """Wrong points of two criteria are two kinds, whatever stands in their cells; all are kept."""
    rows = [
        SheetRow(
            token=f"b{letter}{other}",
            rater="anna",
            position=place + 1,
            kind="scale",
            item=f"item-{place}",
            variants=("base",),
        )
        for place, (letter, other) in enumerate(itertools.product("bcdfghjklm", "bcdfghjklm"))
    ]
    path = tmp_path / "anna.xlsx"
    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet("Ratings")
        sheet.write_row(0, 0, SCALE)
        for place, row in enumerate(rows, 1):
            sheet.write_row(place, 0, [row.token, "p", "o", 6 + place, 9 if place < 4 else 3])
    checked = check_returns([read_return(path)], sheets_of(PLAN, rows=rows), StoredRatings(), NOW)
    assert len(checked.problems) == checked.left_out == 103
    lines = summed_up(checked.mistakes)
    assert len(lines) == 5 + 1 + 3
    assert lines[0].startswith(f"{path}, Ratings!D2: found “7”")
    assert f"{path}: and 95 more like it in column D of Ratings." in lines
    assert [line for line in lines if "Ratings!E" in line] == [
        problem for problem in checked.problems if "Ratings!E" in problem
    ]


def test_columns_without_letters_have_their_names(folder: Folder) -> None:
    """A CSV file and a page's file have headings only."""
    (table,) = folder.csv(ANNA).tables
    assert table.column_words("fluency") == "column fluency"
    (table,) = folder.page([{"row": "bsclx", "fluency": 5}]).tables
    assert table.column_words("fluency") == "column fluency"
