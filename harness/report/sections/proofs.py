"""What was measured of each model before its answers were relied on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.render.numbers import number
from harness.render.table import Cell, Side, Table, data_table, table_of, to_markdown
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import VariantProof, View
from harness.report.view.repeats import of_variants
from harness.schema import Proof

_ORDER = ("fails", "fallback", "isolated", "holds")
_WORDS: dict[str, tuple[str, Side]] = {
    "holds": ("holds", "better"),
    "isolated": ("isolated", "open"),
    "fallback": ("done otherwise", "open"),
    "fails": ("fails", "worse"),
}


class ProofsSection(ReportSection):
    """Probes, what they measured, and what followed."""

    name, title, label = "proofs", "What was proved first", "Proofs"

    def build(self, run: RunContents) -> dict[str, Any]:
        return {"proofs": run.proofs}

    def html(self, view: View, page: PageContext) -> str:
        return page.table(_table(view)) if view.proofs else ""

    def markdown(self, view: View) -> str:
        return to_markdown(_table(view), caption=False) if view.proofs else ""

    def tables(self, view: View) -> dict[str, Table]:
        return {"proofs": _csv(view.proofs)} if view.proofs else {}


SECTION = ProofsSection()


@dataclass(frozen=True)
class _Row:
    """Proofs that say the same; of measured ones that hold, the one with the largest difference."""

    proof: Proof
    variants: Sequence[str]


def _rows(proofs: Iterable[VariantProof]) -> list[_Row]:
    """One row for each probe that held with a figure, with all its variants; one for the rest."""
    alike: dict[tuple[str, ...], list[VariantProof]] = {}
    for item in proofs:
        proof = item.proof
        held = proof.outcome == "holds" and proof.difference is not None
        said = () if held else (proof.words,)
        alike.setdefault((proof.probe, proof.outcome, *said), []).append(item)
    rows = [
        _Row(
            max((item.proof for item in own), key=lambda proof: proof.difference or 0.0),
            list(dict.fromkeys(item.variant for item in own)),
        )
        for own in alike.values()
    ]
    return sorted(rows, key=lambda row: _ORDER.index(row.proof.outcome))


def _table(view: View) -> Table:
    def outcome(row: _Row) -> Cell:
        words, side = _WORDS[row.proof.outcome]
        return Cell(words, side=side, words=words)

    def measured(row: _Row) -> Cell:
        proof = row.proof
        limit = "" if proof.limit is None else f"at most {_amount(proof.limit, proof.unit)}"
        return Cell(_amount(proof.difference, proof.unit), more=(limit,) if limit else ())

    return table_of(
        "Probes, and what they measured",
        _rows(view.proofs),
        {
            "Probe": lambda row: row.proof.probe,
            "Outcome": outcome,
            "Variants": lambda row: of_variants(row.variants, len(view.variants)),
            "Largest difference": measured,
            "What was compared": lambda row: Cell(
                " ".join(filter(None, (row.proof.words, row.proof.hint))), style="wrapped"
            ),
        },
    )


def _amount(value: float | None, unit: str) -> str:
    shown = "0" if value == 0 else f"{value:.2g}" if value and value < 0.1 else number(value)
    return f"{shown} {unit}".strip() if value is not None else number(None)


def _csv(proofs: Sequence[VariantProof]) -> Table:
    names = ("probe", "outcome", "difference", "limit", "unit", "words")
    lines = (
        (p.variant, " ".join(p.tasks), *(getattr(p.proof, name) for name in names)) for p in proofs
    )
    return data_table("Proofs", ("variant", "tasks", *names), lines)
