"""The report as data: JSON of everything, CSV of each table; values in the records' own units."""

from collections.abc import Mapping

from harness.errors import UsageError
from harness.hints import choices
from harness.render.table import Table, to_csv
from harness.report.sections.walk import answers, is_own, no_mapping
from harness.report.view.records import View


def render_json(view: View) -> str:
    """The whole view as JSON: the same view gives the same bytes."""
    return view.model_dump_json(indent=1) + "\n"


def render_csv(view: View, table: str = "scores") -> str:
    """One table as CSV with a header line.

    Args:
        view: The report.
        table: ``scores``: one line per variant, metric and split, with interval and paired
            difference; ``measurements``: one per quantity, grid point and measured shape;
            ``outputs``: how the outputs ended; ``candidates``: one per checkpoint with what the
            choice was made on, and one per constraint of it; ``rating_means``: one per criterion
            and variant; ``rating_wins``: one per pair of variants; ``rating_agreement``: one per
            question and, for every two raters, one more; ``raters``: one per rater;
            ``rating_metrics``: one per automatic metric and what it was held against;
            ``SECTION.TABLE`` of a section that a package brings.

    Raises:
        UsageError: There is no such table.
    """
    tables = _tables(view)
    if table not in tables:
        raise UsageError(f"There is no table {table!r}.", hint=choices(table, list(tables)))
    return to_csv(tables[table])


def foreign_csv(view: View) -> dict[str, str]:
    """CSV of every table of the sections that packages bring, by ``SECTION.TABLE``."""
    return {name: to_csv(table) for name, table in _tables(view).items() if "." in name}


def _tables(view: View) -> dict[str, Table]:
    given, _ = answers(lambda _, section: section.tables(view), _no_tables, view.left_out)
    return {
        name if is_own(section) else f"{section}.{name}": table
        for section, _, tables in given
        for name, table in tables.items()
    }


def _no_tables(name: str, answer: Mapping[str, Table]) -> str:
    """Why an answer is none of tables by name."""
    if why := no_mapping(name, answer):
        return why
    if all(isinstance(table, Table) for table in answer.values()):
        return ""
    return "answers with something else than tables"
