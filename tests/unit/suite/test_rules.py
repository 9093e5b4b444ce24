"""What margins are counted in."""

import pytest

from harness.suite.rules import Margins, margin_for, margin_in_own_unit, margin_unit


@pytest.mark.parametrize(
    ("rule", "scale", "unit", "expected"),
    [
        (2, 1.0, "%", 0.02),
        (2, 100.0, "", 2.0),
        (2, None, "nats/token", 0.02),  # a number is in points, and a loss has none
        (2, None, "", 0.05),  # 2 % of 2.5
        ("4%", 1.0, "", 0.1),
        ("4%", None, "nats/token", 0.1),
        (Margins(nats=0.05), None, "nats/token", 0.05),
        (Margins(nats=0.05), 1.0, "", 0.02),
        (Margins(nats="1%"), None, "nats/token", 0.025),
        (Margins(other=0.3), None, "points", 0.3),  # of a rating's scale
    ],
)
def test_a_margin_is_of_a_kind_of_metric(rule, scale, unit, expected):
    """Of a value of 2.5."""
    margin = margin_for(rule, margin_unit(scale, unit))
    assert margin_in_own_unit(margin, 2.5, scale) == pytest.approx(expected)
