"""What was asked of whom, and what an entry in each of the columns says."""

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

from harness.ratings.layout import COMMENT, MINUTES, ROW, SHEET_NAMES, asked
from harness.ratings.records import Sheets
from harness.ratings.returns.answers import (
    minutes_problem,
    parse_minutes,
    parse_point,
    parse_preference,
    point_problem,
    preference_problem,
)
from harness.suite.ratings import PREFERENCE


class Questions:
    """What was asked of whom, ready to look up.

    Args:
        sheets: The export.
        elsewhere: Tells which run a token belongs to that is not of this export.

    Attributes:
        rows: Token -> row.
        criteria: Name -> criterion.
        answers: Columns that hold an answer, of either kind of rows.
        columns: Kind of rows -> columns that raters fill in, comment and minutes included.
    """

    def __init__(
        self, sheets: Sheets, elsewhere: Callable[[str], str | None] | None = None
    ) -> None:
        self.plan = plan = sheets.plan
        self.rows = {row.token: row for row in sheets.rows}
        self.elsewhere = elsewhere
        self.criteria = {criterion.name: criterion for criterion in plan.criteria}
        self.answers = frozenset((*self.criteria, PREFERENCE))
        self.columns = {kind: frozenset(asked(plan.criteria, kind)) for kind in SHEET_NAMES}
        self.known_columns = frozenset((ROW, *self.columns["scale"], *self.columns["pair"]))

    def value(self, name: str, text: str, turned: str | None) -> Any:
        """What an entry says, or a :class:`Problem`.

        Args:
            name: The column, one of ``columns``.
            text: What stands in the cell.
            turned: What a spreadsheet made of the entry, such as a date.
        """
        if name == COMMENT:
            return text.replace("\r\n", "\n").replace("\r", "\n").strip()
        return self._parsed(name, text, turned)

    @cached_property
    def _parsed(self) -> Callable[[str, str, str | None], Any]:
        return lru_cache(maxsize=None)(self._parse)  # few entries differ

    def _parse(self, name: str, text: str, turned: str | None) -> Any:
        if name == MINUTES:
            return minutes_problem(turned) if turned else parse_minutes(text)
        if name == PREFERENCE:
            return preference_problem(turned) if turned else parse_preference(text)
        criterion = self.criteria[name]
        return point_problem(turned, criterion) if turned else parse_point(text, criterion)
