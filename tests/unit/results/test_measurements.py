from __future__ import annotations

import pytest

from harness.results.measurements import doubts
from harness.schema import Measurement


def read(name: str, *values: float, device: str = "cpu") -> Measurement:
    return Measurement(name=name, unit="", values=values, device=device)


@pytest.mark.parametrize(
    ("load", "cores", "doubted"),
    [
        ((6.9, 8.5), 2, True),
        ((1.0, 4.0), 2, True),  # the others began while it was measured
        ((1.9, 2.1), 2, False),  # two threads of the harness itself
        ((6.9, 8.5), 16, False),
        ((6.9, 8.5), None, False),
    ],
)
def test_an_overloaded_machine_is_doubted(
    load: tuple[float, float], cores: int | None, doubted: bool
) -> None:
    """Where more wants to run than there are cores, the harness's own threads aside."""
    found = doubts([read("load_average", *load)], cores)
    assert bool(found) == doubted
    if doubted:
        assert f"{load[0]} before measuring and {load[1]} at the end on 2 cores" in found[0]


def test_a_gpu_is_not_doubted() -> None:
    """The load of the CPU hardly touches its times."""
    items = [
        read("load_average", 40.0, 40.0, device="cuda:0"),
        read("decode_tokens_per_s", 10.0, 20.0, 30.0, 40.0, device="cuda:0"),
    ]
    assert doubts(items, 2) == ()


def test_repeats_that_differ_are_doubted() -> None:
    """Quartiles 27.7 and 39.4 (NumPy's), 34 % of the median 34.7 apart; 5 % is steady."""
    wild = read("decode_tokens_per_s", 27.4, 27.7, 43.4, 34.7, 39.4)
    calm = read("decode_tokens_per_s", 51.1, 49.1, 46.6, 48.1, 30.4)
    assert doubts([calm], 2) == ()
    (found,) = doubts([calm, wild], 2)
    assert found.startswith("the repeats differ much: the quartiles of the decode speed")
    assert "34 % of the median apart" in found
    assert doubts([read("decode_tokens_per_s", 10.0, 20.0, 30.0)], 2) == ()  # too few to tell
