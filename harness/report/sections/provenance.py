"""Everything needed to repeat the run."""

from typing import Any

import yaml

from harness.render.markdown import code, plain
from harness.render.numbers import duration, size
from harness.render.table import Cell, Table, table_of
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import Provenance, View
from harness.schema import CellResult, Variant

_KEYS = ("predictions", "scores", "measurements")


class ProvenanceSection(ReportSection):
    """Command, machine, versions, digests, and the suite as resolved."""

    name, title, label = "provenance", "Provenance", "Provenance"

    def build(self, run: RunContents) -> dict[str, Any]:
        known = run.manifest.model_dump(include=Provenance.model_fields.keys() - {"seed"})
        return {"provenance": Provenance(**known, seed=run.suite.seed)}

    def html(self, view: View, page: PageContext) -> str:
        spec = view.provenance.spec
        return page.render(
            "provenance.html.j2",
            origin=view.provenance,
            variants=_variants_table(view.variants),
            cells=_cells_table(view.cells),
            suite_yaml=yaml.safe_dump(spec, sort_keys=False, allow_unicode=True),
        )

    def markdown(self, view: View) -> str:
        origin = view.provenance
        lines = [f"run {plain(origin.run_id)}, suite digest {plain(origin.suite_digest)}"]
        if origin.command:
            lines.append(f"command: {code(origin.command)}")
        if origin.environment is not None:
            place = origin.environment
            versions = ", ".join(f"{name} {v}" for name, v in sorted(place.versions.items()))
            memory = size(place.memory_bytes)
            lines.append(f"{plain(place.device_name)}, {memory}, {code(versions)}")
        return "\n".join(f"- {line}" for line in lines)


def _variants_table(variants: tuple[Variant, ...]) -> Table:
    return table_of(
        "Variants and the digests of their weights",
        variants,
        {
            "Variant": lambda v: Cell(v.id, style="id"),
            "Kind": lambda v: v.kind,
            "Base model": lambda v: " @ ".join(filter(None, (v.base_model, v.base_revision))),
            "Precision": lambda v: ", merged into ".join(
                filter(None, (v.precision, v.merged_into))
            ),
            "Step": lambda v: v.step,
            "Digests (sha256)": lambda v: Cell(_digests(v, 16), code=True, note=_digests(v)),
        },
    )


def _digests(variant: Variant, most: int | None = None) -> str:
    return ", ".join(f"{name} {digest[:most]}" for name, digest in sorted(variant.digests.items()))


def _cells_table(cells: tuple[CellResult, ...]) -> Table:
    return table_of(
        "Cells and their keys in the store",
        cells,
        {
            "Variant": lambda cell: Cell(cell.variant, style="id"),
            "Task": lambda cell: cell.task,
            "Status": lambda cell: cell.status,
            "Time": lambda cell: Cell(duration(cell.seconds), raw=cell.seconds),
            "Keys": lambda cell: Cell(", ".join(_keys(cell)), code=True),
        },
    )


def _keys(cell: CellResult) -> list[str]:
    keys = {name: getattr(cell, f"{name}_key") for name in _KEYS}
    return [f"{name} {key}" for name, key in keys.items() if key]


SECTION = ProvenanceSection()
