"""A check: that no task is limited to very few examples."""

from __future__ import annotations

from collections.abc import Iterator

from harness.schema import Finding
from harness.suite.spec import Suite


class ShortLimit:
    about = Suite

    def findings(self, facts: Suite) -> Iterator[Finding]:
        for name, task in facts.tasks.items():
            if task.limit is not None and task.limit < 10:
                yield Finding(
                    check="short limit",
                    severity="info",
                    what=f"{name} is limited to {task.limit} examples.",
                    hint="Raise its limit.",
                )


CHECK = ShortLimit()
