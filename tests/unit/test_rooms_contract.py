"""The contract that says what each room may reach: it fails for every arrow that differs."""

from __future__ import annotations

import grimp
import pytest

from tests.rooms_contract import RoomsContract


def check(*rows: str) -> list[str]:
    """What is wrong with a list of arrows, of a package in which ``above`` imports ``below``."""
    graph = grimp.ImportGraph()
    for name in ("p", "p.above", "p.above.file", "p.below", "p.alone"):
        graph.add_module(name)
    graph.add_import(importer="p.above.file", imported="p.below")
    contract = RoomsContract(
        name="rooms", session_options={}, contract_options={"package": "p", "may_reach": rows}
    )
    outcome = contract.check(graph, verbose=False)
    faults: list[str] = outcome.metadata["faults"]
    assert outcome.kept == (not faults)
    return faults


def test_arrows_that_are_drawn_are_kept() -> None:
    """Those between rooms; what happens inside one is its own."""
    assert check("above: below", "below:", "alone:") == []


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        (("above:", "below:", "alone:"), "above may not reach below: p.above.file -> p.below"),
        (("above: below", "below: alone", "alone:"), "below does not reach alone"),
        (("above: below", "below:"), "alone is not in the list"),
        (("above: below", "below:", "alone:", "gone:"), "there is no room gone"),
    ],
)
def test_every_other_arrow_or_room_is_a_fault(rows: tuple[str, ...], fault: str) -> None:
    """Undrawn, gone, or not named."""
    (told,) = check(*rows)
    assert told.startswith(fault)
