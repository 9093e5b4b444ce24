from __future__ import annotations

import doctest

import pytest

from harness.render import numbers as fmt


def test_the_examples_in_the_docstrings_hold() -> None:
    """Docstring examples are run."""
    assert doctest.testmod(fmt).failed == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.1234, 0.1012, 0.1462, 1.0), ("+12.3", "[+10.1, +14.6]")),
        ((-0.003, -0.012, 0.006, 1.0), ("−0.3", "[−1.2, +0.6]")),
        ((12.34, 10.1, 14.6, 100.0), ("+12.3", "[+10.1, +14.6]")),
        ((-0.5, -0.539, -0.462, None), ("−0.500", "[−0.539, −0.462]")),
        ((0.19, 0.05, 0.32, 1.0), ("+19.0", "[+5.0, +32.0]")),
        ((0.001, 0.0004, 0.0016, 1.0), ("+0.100", "[+0.040, +0.160]")),
        ((0.25, None, None, 1.0), ("+25.0", "")),
        ((0.25, 0.25, 0.25, 1.0), ("+25.0", "[+25.0, +25.0]")),
        ((None, None, None, 1.0), ("—", "")),
    ],
)
def test_values_are_rounded_by_their_uncertainty(
    arguments: tuple[float | None, ...], expected: tuple[str, str]
) -> None:
    """Two significant digits of half the interval's width decide; scales become 100."""
    assert fmt.estimate(*arguments, signed=True) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-0.04, "0.0"), (0.0, "0.0"), (1234.5, "1,234.5"), (-3.0, "−3.0")],
)
def test_numbers_have_true_minus_signs_and_no_negative_zero(value: float, expected: str) -> None:
    """A rounded zero has no sign; thousands are separated."""
    assert fmt.number(value, 1, signed=True).removeprefix("+") == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (999_700_000.0, "bytes", "1.00 GB"),
        (0.0, "s", "0 s"),
        (59.97, "s", "1 min 0 s"),
        (7_265.0, "s", "2 h 1 min"),
        (17.456, "tok/s", "17.5 tok/s"),
        (None, "s", "—"),
    ],
)
def test_units(value: float | None, unit: str, expected: str) -> None:
    """Bytes and seconds get the unit that fits, also at the edges of rounding."""
    assert fmt.quantity(value, unit) == expected
