"""What was tried on a model or a task before it was relied on, and did not hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from harness.schema import Finding, Proof

_SEVERITY: dict[str, Literal["info", "warning", "error"]] = {
    "isolated": "info",
    "fallback": "warning",
    "fails": "error",
}


class ProofsHold:
    """That what the harness relies on holds; where it had to do otherwise, that it did."""

    about = Proof

    def findings(self, facts: Proof) -> Iterator[Finding]:
        """A note of an isolation, a warning of a fallback, an error of what fails."""
        if facts.outcome != "holds":
            yield Finding(
                check=facts.probe,
                severity=_SEVERITY[facts.outcome],
                what=facts.words,
                hint=facts.hint,
            )


CHECK = ProofsHold()
