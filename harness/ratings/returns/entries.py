"""What one returned file says about the rows of an export, and what is wrong with it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.ratings import layout
from harness.ratings.design.tokens import LETTERS
from harness.ratings.records import RowKind, SheetRow
from harness.ratings.returns.answers import Problem, shown
from harness.ratings.returns.mistakes import Mistake
from harness.ratings.returns.questions import Questions
from harness.ratings.returns.returned import Returned, ReturnedRow, ReturnedTable
from harness.suite.ratings import PREFERENCE

Given = dict[str, Any]
"""Column -> what a rater said of a row: a point, ``first``, ``second`` or ``tie`` (of the row's
variants), None for "cannot judge"; comment and minutes. Nothing is there of empty cells."""

_SIDES: Mapping[bool, Mapping[str | None, str | None]] = {
    False: {layout.A: "first", layout.B: "second", layout.TIE: "tie", None: None},
    True: {layout.A: "second", layout.B: "first", layout.TIE: "tie", None: None},
}
"""Whether the second of the variants is shown as A -> side -> which of the variants."""

Entries = Mapping[str, tuple[Given, ReturnedRow]]
"""Token -> what its row says, and where it stands."""

Remark = Mistake | str
"""Something that is wrong with a file, or a note on it, in words."""


def entries_of(file: Returned, questions: Questions) -> tuple[Entries | None, list[Remark]]:
    """What a file says of the rows that were asked for, and what is remarkable about it.

    Nothing is said by a file that is refused as a whole: it is of another export, or of several
    raters.
    """
    unread = (file.path, "unread")
    remarks: list[Remark] = [
        *(Mistake(words, unread, str(file.path), "this file", 1) for words in file.problems),
        *file.notes,
    ]
    pairs = [(r, questions.rows[r.token]) for r in file.rows if r.token in questions.rows]
    given: Entries | None = None
    if refusal := _refusal(file, questions, pairs):
        remarks.append(refusal)
    else:
        rater = pairs[0][1].rater if pairs else None
        remarks += _strangers(file, questions, rater)
        for table in file.tables:
            remarks += _column_remarks(file, questions, table)
        given, more = _read(file, questions, pairs)
        remarks += more
    return given, remarks


def _wrong(file: Returned, place: tuple[ReturnedTable, int, str], problem: Problem) -> Mistake:
    """A mistake in a cell: its table, its row, and the heading of its column."""
    table, number, column = place
    return Mistake(
        f"{file.path}, {table.address(number, column)}: {problem}",
        (file.path, table.name, column, problem.needed),
        str(file.path),
        table.column_words(column),
        1,
    )


def _refusal(
    file: Returned, questions: Questions, pairs: Sequence[tuple[ReturnedRow, SheetRow]]
) -> Mistake | None:
    """Why the whole file is refused: it is of another export, or of several raters."""
    named = [row.token for row in file.rows if row.token]
    foreign = file.format == "json" and file.sheet != questions.plan.id
    if foreign or (named and not pairs):
        problem = _foreign(file, questions, named)
    else:
        firsts: dict[str, ReturnedRow] = {}
        for row, wanted in pairs:
            firsts.setdefault(wanted.rater, row)
        if len(firsts) < 2:
            return None
        places = " and ".join(f"{name} ({row.address()})" for name, row in firsts.items())
        hint = "split it, or ask each of them for the sheet as it was sent"
        problem = Problem(f"rows of {places}", "one file per rater", hint)
    return Mistake(f"{file.path}: {problem}")


def _foreign(file: Returned, questions: Questions, named: Sequence[str]) -> Problem:
    plan, elsewhere = questions.plan, questions.elsewhere
    reason = f"none of its {len(named):,} row ids was given out here"
    if file.sheet is not None and file.sheet.casefold() != plan.id:
        reason = f"its id is {shown(file.sheet)}, this run's is “{plan.id}”"
    home = next(filter(None, map(elsewhere, named[:20])), None) if elsewhere else None
    if home is None:
        way_out = "import it into the run that it was made for"
    elif home == plan.run:
        way_out = (
            "it is of an earlier export of this run, which was replaced: ask the rater for the "
            "new sheet, or export once more with the human section as it was then"
        )
    else:
        way_out = f"import it into {home}"
    return Problem(
        f"a sheet of another export or run ({reason})", f"a sheet of {plan.run}", way_out
    )


def _strangers(file: Returned, questions: Questions, rater: str | None) -> Iterator[Remark]:
    """Rows whose token is missing or not of this export."""
    rows = [row for row in file.rows if row.token not in questions.rows]
    filled = [row for row in rows if not questions.known_columns.isdisjoint(row.cells)]
    needed = f"an id of {rater}'s sheet" if rater else "an id of this export"
    mine = {token for token, row in questions.rows.items() if row.rater == rater}
    for row in filled:
        entry, hint = "entries in a row without an id", "copy the id from the sheet as sent"
        if row.token:
            entry = f"the row id {shown(row.token)}, which was not given out"
            near = next((token for token in _near(row.token) if token in mine), None)
            hint = f"was it “{near}”? If so, put that back" if near else hint
        problem = Problem(entry, needed, f"{hint}, or empty the row")
        yield _wrong(file, (row.table, row.number, layout.ROW), problem)
    if len(rows) > len(filled):
        idle = len(rows) - len(filled)
        yield f"{file.path}: passed over {idle} further rows without answers."


def _near(token: str) -> Iterator[str]:
    """Tokens that a slip makes into this one: a letter missing, added, changed, two swapped."""
    for place in range(len(token) + 1):
        head, tail = token[:place], token[place:]
        for letter in LETTERS:
            yield head + letter + tail
            yield head + letter + tail[1:]
        yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]


def _column_remarks(file: Returned, questions: Questions, table: ReturnedTable) -> Iterator[Remark]:
    for name, letters in table.doubled.items():
        if name in questions.known_columns:
            hint = "delete or rename the other"
            problem = Problem(f"columns {letters} both called “{name}”", "one of each name", hint)
            yield _wrong(file, (table, table.heading, name), problem)
    kind: RowKind = "pair" if PREFERENCE in table.columns else "scale"
    extra = [shown(name) for name in table.columns if name not in questions.known_columns]
    wanted = layout.asked(questions.plan.criteria, kind) if file.format != "json" else []
    missing = [  # a page's file names what was answered only
        f"“{name}”" for name in wanted if name in questions.answers and name not in table.columns
    ]
    if missing and extra:
        entry = f"no column called {' or '.join(missing)}, but {' and '.join(extra)}"
        problem = Problem(entry, "every name as it was", "give the columns their names back")
        yield _wrong(file, (table, table.heading, layout.ROW), problem)
    elif missing:
        yield f"{file.path}: has no column {' or '.join(missing)} any more."
    elif extra:
        yield f"{file.path}: passed over {' and '.join(extra)}, columns that nobody asked for."


def _read(
    file: Returned, questions: Questions, rows: Iterable[tuple[ReturnedRow, SheetRow]]
) -> tuple[Entries, list[Remark]]:
    """Token -> what its row says; rows that say two things are left out."""
    given: dict[str, tuple[Given, ReturnedRow]] = {}
    remarks: list[Remark] = []
    torn, again = set(), 0
    for row, wanted in rows:
        said: Given = {}
        for name, value in _said(questions, row, wanted):
            if isinstance(value, Problem):
                remarks.append(_wrong(file, (row.table, row.number, name), value))
            else:
                said[name] = _SIDES[wanted.swapped][value] if name == PREFERENCE else value
        if row.token not in given:
            given[row.token] = said, row
            continue
        first, there = given[row.token]
        name = next((n for n in said if n in first and first[n] != said[n]), "")
        if not name:
            first.update(said)
            again += 1
            continue
        torn.add(row.token)
        problem = Problem(
            f"row “{row.token}” a second time, with {shown(row.cells[name])} here and "
            f"{shown(as_shown(first[name], wanted))} in {there.address(name)}",
            "one answer to each row",
            "delete one of the two rows",
        )
        remarks.append(_wrong(file, (row.table, row.number, name), problem))
    if again:
        remarks.append(f"{file.path}: holds {again} rows a second time with the same answers.")
    return {token: row for token, row in given.items() if token not in torn}, remarks


def _said(questions: Questions, row: ReturnedRow, wanted: SheetRow) -> Iterator[tuple[str, Any]]:
    """Columns that were asked for and what they say, be it a problem."""
    for name, text in row.cells.items():
        if name in questions.columns[wanted.kind]:
            yield name, questions.value(name, text, row.turned.get(name))
        elif name in questions.answers:
            yield (
                name,
                Problem(
                    f"{shown(text)} in a row of “{layout.SHEET_NAMES[wanted.kind]}”",
                    "an empty cell: this is not asked of such rows",
                    "move the entry to the row that it is meant for, or delete it",
                ),
            )


def as_shown(answer: Any, row: SheetRow) -> str:
    """An answer as the rater saw it."""
    if answer is None:
        return layout.CANNOT_JUDGE
    sides = {meant: side for side, meant in _SIDES[row.swapped].items()}
    return str(sides.get(answer, answer) if row.kind == "pair" else answer)
