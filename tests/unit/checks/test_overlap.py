"""Training rows among scored examples are told, and never more than that."""

import pytest

from harness.checks.base import findings_about
from harness.checks.overlap import OverlapFacts
from harness.schema import Overlap


def overlap(n: int, level: str) -> Overlap:
    return Overlap(
        example_id=f"s{n}", split="report", level=level, train_id=f"t{n}", share=0.5, span="a b c"
    )


@pytest.mark.parametrize(("scored", "severity"), [(100, "warning"), (4, "error")])
def test_copies_are_counted_by_kind_with_an_example(scored: int, severity: str) -> None:
    """It is an error where half of a task's examples are copies: it measures memory."""
    own = [overlap(0, "near"), overlap(1, "exact"), overlap(2, "contained")]
    first, second = findings_about(OverlapFacts("sum", scored, 50, own))
    assert first.severity == severity
    assert f"sum: 2 of {scored} scored examples are training rows" in first.what
    assert "1 with an equal input, 1 near copies" in first.what
    assert "s0 and t0, “a b c”" in first.what
    assert second.severity == "info"
    assert "1 of" in second.what


def test_nothing_in_common_is_not_told() -> None:
    """Nor is anything that was not looked for."""
    assert findings_about(OverlapFacts("sum", 10, 50, [])) == []
