"""The door of checks: what is noticed about a suite, an adapter, a task's run or a measurement.

A check looks at one kind of facts and yields findings, each with what was noticed, why it matters
and what can be done. It never raises for what it notices: what must not go on is refused elsewhere.
The classes of facts stand beside the checks that look at them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from harness.doors import CHECKS
from harness.schema import Finding
from harness.suite.spec import Suite


class Check(Protocol):
    """Something that is looked for.

    Attributes:
        about: The class of the facts it looks at, such as ``AdapterFacts``; a ``Suite`` stands for
            what can be told before anything is computed.
    """

    about: type[Any]

    def findings(self, facts: Any) -> Iterator[Finding]:
        """What it notices about facts of its class; nothing where all is well."""


def findings_about(facts: Any) -> list[Finding]:
    """What all checks notice about some facts, in the order of the checks.

    A check of another package that fails is a finding itself; the rest go on. Those that cannot be
    loaded are told with a suite's findings, once a run: others are kept with results.
    """
    checks, faults = CHECKS.all()
    noticed = [_unknown(str(fault)) for fault in faults] if isinstance(facts, Suite) else []
    for name, check in checks.items():
        try:
            if isinstance(facts, check.about):
                noticed += [Finding.model_validate(finding) for finding in check.findings(facts)]
        except Exception as error:
            if name in CHECKS.built_in:
                raise
            noticed.append(_unknown(str(CHECKS.failed(name, error))))
    return noticed


def _unknown(problem: str) -> Finding:
    return Finding(
        check="checks of other packages",
        severity="warning",
        what=problem,
        why="What it would have noticed is not known.",
        hint="Update or uninstall the package.",
    )
