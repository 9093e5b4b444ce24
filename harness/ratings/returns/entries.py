"""What one returned file says about the rows of an export, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.ratings.design.tokens import LETTERS
from harness.ratings.layout import (
    CANNOT_JUDGE,
    COMMENT,
    MINUTES,
    ROW,
    SHEET_NAMES,
    TIE,
    A,
    B,
    asked,
)
from harness.ratings.records import RowKind, SheetPlan, SheetRow
from harness.ratings.returns.answers import (
    Problem,
    minutes_problem,
    parse_minutes,
    parse_point,
    parse_preference,
    point_problem,
    preference_problem,
    shown,
)
from harness.ratings.returns.mistakes import Mistake
from harness.ratings.returns.returned import Returned, ReturnedRow, Table
from harness.suite.ratings import PREFERENCE

Given = dict[str, Any]
"""Column -> what a rater said of a row: a point, ``first``, ``second`` or ``tie`` (of the row's
variants), None for "cannot judge"; comment and minutes. Nothing is there of empty cells."""

_SIDES: Mapping[bool, Mapping[str | None, str | None]] = {
    False: {A: "first", B: "second", TIE: "tie", None: None},
    True: {A: "second", B: "first", TIE: "tie", None: None},
}
"""Whether the second of the variants is shown as A -> side -> which of the variants."""


class Questions:
    """What was asked of whom, ready to look up.

    Args:
        plan: The export.
        rows: All of its rows.
        elsewhere: Tells which run a token belongs to that is not of this export.

    Attributes:
        rows: Token -> row.
        criteria: Name -> criterion.
        answers: Columns that hold an answer, of either kind of rows.
        columns: Kind of rows -> columns that raters fill in, comment and minutes included.
    """

    def __init__(
        self,
        plan: SheetPlan,
        rows: Sequence[SheetRow],
        elsewhere: Callable[[str], str | None] | None = None,
    ) -> None:
        self.plan = plan
        self.rows = {row.token: row for row in rows}
        self.elsewhere = elsewhere
        self.criteria = {criterion.name: criterion for criterion in plan.criteria}
        self.answers = frozenset((*self.criteria, PREFERENCE))
        self.columns = {kind: frozenset(asked(plan.criteria, kind)) for kind in SHEET_NAMES}
        self.known_columns = frozenset((ROW, *self.columns["scale"], *self.columns["pair"]))
        self._understood: dict[tuple[str, str], Any] = {}  # few entries differ

    def value(self, name: str, text: str, turned: str | None) -> Any:
        """What an entry says, or a :class:`Problem`.

        Args:
            name: The column, one of ``columns``.
            text: What stands in the cell.
            turned: What a spreadsheet made of the entry, such as a date.
        """
        if name == COMMENT:
            return text.replace("\r\n", "\n").replace("\r", "\n").strip()
        if turned:
            return self._refusal(name, turned)
        if (name, text) not in self._understood:
            self._understood[name, text] = self._parse(name, text)
        return self._understood[name, text]

    def _parse(self, name: str, text: str) -> int | float | str | Problem | None:
        if name == MINUTES:
            return parse_minutes(text)
        if name == PREFERENCE:
            return parse_preference(text)
        return parse_point(text, self.criteria[name])

    def _refusal(self, name: str, found: str) -> Problem:
        if name == MINUTES:
            return minutes_problem(found)
        if name == PREFERENCE:
            return preference_problem(found)
        return point_problem(found, self.criteria[name])


class Entries:
    """What one file says; everything is found out when it is made.

    Args:
        file: The file.
        questions: What was asked.

    Attributes:
        given: Token -> what its row says, and where it stands; empty where the file is refused.
        refused: Whether the file as a whole is of another export, or of several raters.
        mistakes: Each with file, place, what was found, what was needed, how to mend it.
        notes: What was passed over or taken as meant, in words.
        left_out: Entries that were not taken.
    """

    def __init__(self, file: Returned, questions: Questions) -> None:
        self.file = file
        self.questions = questions
        self.given: dict[str, tuple[Given, ReturnedRow]] = {}
        self.mistakes = [
            Mistake(words, (file.path, "unread"), str(file.path), "this file")
            for words in file.problems
        ]
        self.notes = list(file.notes)
        self.left_out = len(file.problems)
        rows = self._own_rows()
        self.refused = rows is None
        if rows is not None:
            for table in file.tables:
                self._check_columns(table)
            self._read(rows)

    def _wrong(self, place: tuple[Table, int, str], found: str, needed: str, hint: str) -> None:
        """Note a mistake in a cell: its table, its row, and the heading of its column."""
        self.left_out += 1
        table, number, column = place
        path = self.file.path
        self.mistakes.append(
            Mistake(
                f"{path}, {table.address(number, column)}: found {found}; needed is {needed}; "
                f"{hint}.",
                (path, table.name, column, needed),
                str(path),
                table.column_words(column),
            )
        )

    def _refuse(self, found: str, needed: str, hint: str) -> None:
        """Note why the whole file is refused."""
        words = f"{self.file.path}: found {found}; needed is {needed}; {hint}."
        self.mistakes.append(Mistake(words))

    def _note(self, words: str) -> None:
        self.notes.append(f"{self.file.path}: {words}.")

    # -- what belongs where -----------------------------------------------------------------------

    def _own_rows(self) -> list[tuple[ReturnedRow, SheetRow]] | None:
        """Rows of this export with what was asked in them; None where the file is refused."""
        file, rows = self.file, self.questions.rows
        pairs = [(row, rows[row.token]) for row in file.rows if row.token in rows]
        named = [row.token for row in file.rows if row.token]
        other = file.format == "json" and file.sheet != self.questions.plan.id
        if other or (named and not pairs):
            self._refuse_foreign(named)
            return None
        firsts: dict[str, ReturnedRow] = {}
        for row, wanted in pairs:
            firsts.setdefault(wanted.rater, row)
        if len(firsts) > 1:
            places = " and ".join(f"{name} ({row.address()})" for name, row in firsts.items())
            hint = "split it, or ask each of them for the sheet as it was sent"
            self._refuse(f"rows of {places}", "one file per rater", hint)
            return None
        if len(pairs) < len(file.rows):
            self._strangers(next(iter(firsts), None))
        return pairs

    def _refuse_foreign(self, named: Sequence[str]) -> None:
        plan, elsewhere = self.questions.plan, self.questions.elsewhere
        if self.file.sheet is not None and self.file.sheet.casefold() != plan.id:
            reason = f"its id is {shown(self.file.sheet)}, this run's is “{plan.id}”"
        else:
            reason = f"none of its {len(named):,} row ids was given out here"
        homes = map(elsewhere, named[:20]) if elsewhere else iter(())
        home = next(filter(None, homes), None)
        self._refuse(
            f"a sheet of another export or run ({reason})",
            f"a sheet of {plan.run}",
            _way_out(home, plan.run),
        )

    def _strangers(self, rater: str | None) -> None:
        """Report rows whose token is missing or not of this export."""
        idle = 0
        for row in self.file.rows:
            if row.token in self.questions.rows:
                continue
            if self.questions.known_columns.isdisjoint(row.cells):
                idle += 1
                continue
            found, hint = "entries in a row without an id", "copy the id from the sheet as sent"
            if row.token:
                found = f"the row id {shown(row.token)}, which was not given out"
                near = next((t for t in _near(row.token) if self._is_of(t, rater)), None)
                hint = f"was it “{near}”? If so, put that back" if near else hint
            needed = f"an id of {rater}'s sheet" if rater else "an id of this export"
            self._wrong((row.table, row.number, ROW), found, needed, f"{hint}, or empty the row")
        if idle:
            self._note(f"passed over {idle} further rows without answers")

    def _is_of(self, token: str, rater: str | None) -> bool:
        row = self.questions.rows.get(token)
        return row is not None and row.rater == rater

    def _check_columns(self, table: Table) -> None:
        questions = self.questions
        for name, letters in table.doubled.items():
            if name in questions.known_columns:
                place = (table, table.heading, name)
                found = f"columns {letters} both called “{name}”"
                self._wrong(place, found, "one of each name", "delete or rename the other")
        kind: RowKind = "pair" if PREFERENCE in table.columns else "scale"
        extra = [shown(name) for name in table.columns if name not in questions.known_columns]
        missing = [
            f"“{name}”"
            for name in asked(questions.plan.criteria, kind)
            if name in questions.answers and name not in table.columns
        ]
        if self.file.format == "json":  # its page names what was answered only
            missing = []
        if missing and extra:
            self._wrong(
                (table, table.heading, ROW),
                f"no column called {' or '.join(missing)}, but {' and '.join(extra)}",
                "every name as it was",
                "give the columns their names back",
            )
        elif missing:
            self._note(f"has no column {' or '.join(missing)} any more")
        elif extra:
            self._note(f"passed over {' and '.join(extra)}, columns that nobody asked for")

    # -- what the rows say ------------------------------------------------------------------------

    def _read(self, rows: Sequence[tuple[ReturnedRow, SheetRow]]) -> None:
        torn, again = set(), 0
        for row, wanted in rows:
            given = dict(self._said(row, wanted)) if row.cells else {}
            if row.token not in self.given:
                self.given[row.token] = given, row
                continue
            first, there = self.given[row.token]
            name = next((n for n in given if n in first and first[n] != given[n]), None)
            if name is None:
                first.update(given)
                again += 1
                continue
            torn.add(row.token)
            self._wrong(
                (row.table, row.number, name),
                f"row “{row.token}” a second time, with {shown(row.cells[name])} here and "
                f"{shown(as_shown(first[name], wanted))} in {there.address(name)}",
                "one answer to each row",
                "delete one of the two rows",
            )
        for token in torn:
            del self.given[token]
        if again:
            self._note(f"holds {again} rows a second time with the same answers")

    def _said(self, row: ReturnedRow, wanted: SheetRow) -> Iterator[tuple[str, Any]]:
        """Columns and what they say, as far as it can be understood."""
        mine, answers = self.questions.columns[wanted.kind], self.questions.answers
        for name, text in row.cells.items():
            if name in mine:
                value = self.questions.value(name, text, row.turned.get(name))
            elif name in answers:
                value = Problem(
                    f"{shown(text)} in a row of “{SHEET_NAMES[wanted.kind]}”",
                    "an empty cell: this is not asked of such rows",
                    "move the entry to the row that it is meant for, or delete it",
                )
            else:
                continue
            if isinstance(value, Problem):
                place = (row.table, row.number, name)
                self._wrong(place, value.found, value.needed, value.hint)
            else:
                yield name, _SIDES[wanted.swapped][value] if name == PREFERENCE else value


def as_shown(answer: Any, row: SheetRow) -> str:
    """An answer as the rater saw it."""
    if answer is None:
        return CANNOT_JUDGE
    sides = {meant: side for side, meant in _SIDES[row.swapped].items()}
    return str(sides.get(answer, answer) if row.kind == "pair" else answer)


def _way_out(home: str | None, run: str) -> str:
    """What to do with a sheet of another export."""
    if home is None:
        return "import it into the run that it was made for"
    if home == run:
        return (
            "it is of an earlier export of this run, which was replaced: ask the rater for the "
            "new sheet, or export once more with the human section as it was then"
        )
    return f"import it into {home}"


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
