"""Everything needed to repeat the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from harness.render.markdown import code, plain
from harness.render.numbers import duration, size
from harness.render.table import Cell, Head, Table, make_table, texts
from harness.report.parts.contents import RunContents
from harness.report.sections.base import PageContext, ReportSection
from harness.report.view.records import Provenance, View
from harness.schema import CellResult, Variant

_KEYS = ("predictions_key", "scores_key", "measurements_key")


class ProvenanceSection(ReportSection):
    """Command, machine, versions, digests, and the suite as resolved."""

    name, title, label = "provenance", "Provenance", "Provenance"

    def build(self, run: RunContents) -> dict[str, Any]:
        manifest = run.manifest
        provenance = Provenance(
            run_id=manifest.run_id,
            suite=manifest.suite,
            suite_digest=manifest.suite_digest,
            spec=manifest.spec,
            command=manifest.command,
            created=manifest.created,
            updated=manifest.updated,
            complete=manifest.complete,
            seed=run.suite.seed,
            training_key=manifest.training_key,
            environment=manifest.environment,
        )
        return {"provenance": provenance}

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
    return make_table(
        "Variants and the digests of their weights",
        (
            *texts("Variant", "Kind", "Base model", "Precision"),
            Head("Step"),
            *texts("Digests (sha256)"),
        ),
        (
            (
                *(Cell(variant.id, style="id"), variant.kind),
                " @ ".join(filter(None, (variant.base_model, variant.base_revision))),
                ", merged into ".join(filter(None, (variant.precision, variant.merged_into))),
                "—" if variant.step is None else str(variant.step),
                Cell(
                    ", ".join(f"{name} {hash_[:16]}" for name, hash_ in _sorted(variant)),
                    code=True,
                    note=", ".join(f"{name} {hash_}" for name, hash_ in _sorted(variant)),
                ),
            )
            for variant in variants
        ),
    )


def _sorted(variant: Variant) -> list[tuple[str, str]]:
    return sorted(variant.digests.items())


def _cells_table(cells: tuple[CellResult, ...]) -> Table:
    return make_table(
        "Cells and their keys in the store",
        (*texts("Variant", "Task", "Status"), Head("Time"), *texts("Keys")),
        (
            (
                *(Cell(cell.variant, style="id"), cell.task, cell.status),
                Cell(duration(cell.seconds), raw=cell.seconds),
                Cell(", ".join(_keys(cell)), code=True),
            )
            for cell in cells
        ),
    )


def _keys(cell: CellResult) -> Iterator[str]:
    for name in _KEYS:
        if key := getattr(cell, name):
            yield f"{name.removesuffix('_key')} {key}"


SECTION = ProvenanceSection()
