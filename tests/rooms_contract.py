"""An import-linter contract: which rooms each room may import, said once for all of them."""

from __future__ import annotations

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class RoomsContract(Contract):
    """Every import between rooms is one that the contract allows, and every allowed one exists.

    Configuration options:
        package: The package whose direct children are the rooms.
        may_reach: A line per room, ``room: other other ...``; a room without arrows has no others.
    """

    type_name = "rooms"

    package = fields.StringField()
    may_reach = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Compare the arrows that are drawn with those that are there."""
        allowed = dict(_row(line) for line in self.may_reach)
        drawn = {room: self._arrows(graph, room) for room in self._rooms(graph)}
        faults = [f"{room} is not in the list" for room in sorted(drawn.keys() - allowed.keys())]
        faults += [f"there is no room {room}" for room in sorted(allowed.keys() - drawn.keys())]
        for room in sorted(drawn.keys() & allowed.keys()):
            for other, examples in sorted(drawn[room].items()):
                if other not in allowed[room]:
                    faults.append(f"{room} may not reach {other}: {', '.join(examples[:3])}")
            faults += [
                f"{room} does not reach {other}: take it out of the list"
                for other in sorted(allowed[room] - drawn[room].keys())
            ]
        return ContractCheck(kept=not faults, metadata={"faults": faults})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each arrow that differs."""
        for fault in check.metadata["faults"]:
            output.print_error(fault)

    def _rooms(self, graph: ImportGraph) -> list[str]:
        children = graph.find_children(str(self.package))
        return [name.rpartition(".")[2] for name in children]

    def _arrows(self, graph: ImportGraph, room: str) -> dict[str, list[str]]:
        """Rooms that a room imports, each with the imports."""
        top = f"{self.package}.{room}"
        arrows: dict[str, list[str]] = {}
        for module in {top} | graph.find_descendants(top):
            for imported in graph.find_modules_directly_imported_by(module):
                parts = imported.split(".")
                if parts[0] == str(self.package) and len(parts) > 1 and parts[1] != room:
                    arrows.setdefault(parts[1], []).append(f"{module} -> {imported}")
        return arrows


def _row(line: str) -> tuple[str, set[str]]:
    room, _, others = line.partition(":")
    return room.strip(), set(others.split())
