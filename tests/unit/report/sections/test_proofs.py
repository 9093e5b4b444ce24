"""The section of proofs: what did not hold first, and what held in a row for each probe."""

from __future__ import annotations

from typing import Any

from harness.report.sections.proofs import SECTION
from harness.report.view.records import VariantProof
from harness.schema import Proof

STAYS = {"probe": "the base stays the base", "unit": "logits", "limit": 0.0}


def of(variant: str, **proof: Any) -> VariantProof:
    return VariantProof(variant=variant, proof=Proof(**proof), tasks=("summary",))


def shown(sample: Any, *proofs: VariantProof) -> list[list[str]]:
    """Rows of the Markdown table, cell by cell."""
    text = SECTION.markdown(sample.view.model_copy(update={"proofs": proofs}))
    lines = text.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_what_did_not_hold_comes_first(sample: Any) -> None:
    """An error stands above a fallback, a fallback above what holds; each with its own words."""
    rows = shown(
        sample,
        of("base@nf4", probe="precision", outcome="holds", words="All fp32."),
        of("base@nf4", probe="decoding", outcome="fallback", words="One prompt at a time."),
        of("checkpoint-40", probe="template", outcome="fails", words="Another one.", hint="Copy."),
    )
    assert [row[1].split(",")[0] for row in rows] == ["fails", "done otherwise", "holds"]
    assert rows[0][-1] == "Another one. Copy."


def test_measured_proofs_that_hold_share_a_row(sample: Any) -> None:
    """With the largest difference; what was read and not measured keeps its words per variant."""
    rows = shown(
        sample,
        of("base@nf4", outcome="holds", words="Small.", difference=0.0, **STAYS),
        of("checkpoint-40", outcome="holds", words="Larger.", difference=2e-6, **STAYS),
        of("base@nf4", probe="precision", outcome="holds", words="All nf4."),
        of("checkpoint-40", probe="precision", outcome="holds", words="All fp32."),
    )
    assert [row[-1] for row in rows] == ["Larger.", "All nf4.", "All fp32."]
    assert rows[0][3] == "2e-06 logits<br>at most 0 logits"
    assert rows[2][2:4] == ["checkpoint-40", "—"]


def test_results_of_before_there_were_probes(sample: Any) -> None:
    """Nothing was proved of them, so the section is left out."""
    view = sample.view.model_copy(update={"proofs": ()})
    assert (SECTION.markdown(view), SECTION.tables(view)) == ("", {})
