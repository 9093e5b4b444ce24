"""Whether the parts of a suite fit each other, and what they name exists.

These are the checks that need more than the file itself; they cost next to nothing, so that a
mistake shows before anything long.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from harness.errors import MetricError, PromptError, UsageError
from harness.models.identity import base_identity
from harness.suite.errors import SuiteErrors, gathered, refuse
from harness.suite.file import SuiteFile, SuiteFileErrors, load_suite
from harness.validate.base import base_checks
from harness.validate.limits import limit_checks
from harness.validate.parts import part_checks, row_checks
from harness.validate.rules import rule_checks
from harness.validate.trial import check_training


@dataclass(frozen=True)
class CheckedSuite(SuiteFile):
    """A suite that passed all checks; made by ``read_suite`` and ``check_suite`` only."""

    @cached_property
    def base(self) -> dict[str, Any]:
        """Identity of the base, looked up once; a Hub model must have been fetched before."""
        return base_identity(self.suite.base, self.base_dir)


def read_suite(
    name: str, overrides: Sequence[str] = (), limit: int | None = None, *, rows: bool = False
) -> CheckedSuite:
    """Read a suite and check it, so that all that is wrong with it is told at once.

    Args:
        name: A path, or the name of a built-in suite.
        overrides: ``dotted.key=value`` settings applied over the file; values are YAML.
        limit: At most this many examples per task and split, over what the tasks say.
        rows: Whether to look at the first rows of the data, too.

    Raises:
        UsageError: A line per error, each with file and line, or the ``--set`` it came from.
    """
    try:
        file = load_suite(name, overrides, limit)
    except SuiteFileErrors as found:
        rest = [] if found.rest is None else _of_rest(found.rest, rows=rows)
        raise SuiteErrors([*found.errors, *rest]) from found
    return check_suite(file, rows=rows)


def check_suite(file: SuiteFile, *, rows: bool = False) -> CheckedSuite:
    """Check what needs more than the file itself: arguments of TRL, metrics, what decides.

    Raises:
        UsageError: Something is wrong; with a line for everything that is.
    """
    refuse(_problems(file, rows=rows))
    return CheckedSuite(file.suite, file.path, file.base_dir, file.limit, file.places)


def _problems(file: SuiteFile, *, rows: bool) -> list[UsageError]:
    found = _of_parts(file, rows=rows)
    between = gathered([*rule_checks(file), *limit_checks(file)])
    if any(isinstance(error, MetricError) for error in found):
        # what the rules say of such a metric is only refused again
        between = [error for error in between if not isinstance(error, MetricError)]
    return found + between


def _of_rest(file: SuiteFile, *, rows: bool) -> list[UsageError]:
    """What else is wrong with a suite of which parts were left out.

    What one part says of another is looked at where no section and no task is among those.
    """
    content = file.places.content if file.places is not None else {}
    sections = set(content) & set(type(file.suite).model_fields)
    whole = sections <= file.suite.model_fields_set
    if whole and set(content.get("tasks", ())) == set(file.suite.tasks):
        return _problems(file, rows=rows)
    return _of_parts(file, rows=rows)


def _of_parts(file: SuiteFile, *, rows: bool) -> list[UsageError]:
    found = gathered([*part_checks(file), *base_checks(file)])
    if rows and not any(isinstance(error, PromptError) for error in found):
        found += gathered(row_checks(file))
    if rows:
        found += gathered([partial(check_training, file)])
    return found
