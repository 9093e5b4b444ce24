from __future__ import annotations

from typing import Any

from harness.report.view.repeats import grouped_findings, grouped_notes, of_variants
from harness.schema import Finding


def test_findings_equal_but_for_the_variant_are_one(sample: Any) -> None:
    """Errors come first; a finding of the run itself is of no variant."""
    same = [
        Finding(check="lm-eval", severity="info", what=f"{variant.id}: hellaswag: engine tree.")
        for variant in sample.view.variants
    ]
    error = Finding(check="adapter effect", severity="error", what="checkpoint-20: no effect.")
    whole = Finding(check="chat", severity="warning", what="Note: no template.")
    view = sample.view.model_copy(update={"findings": (*same, whole, error)})
    found = [(finding.what, names) for finding, names in grouped_findings(view)]
    assert found == [
        ("no effect.", ("checkpoint-20",)),
        ("Note: no template.", ()),
        ("hellaswag: engine tree.", tuple(variant.id for variant in view.variants)),
    ]


def test_notes_are_said_once(sample: Any) -> None:
    """With all variants whose measurement they are of."""
    [(names, note)] = grouped_notes(sample.view)
    assert note == "2 threads, sdpa, float32"
    assert set(names) == {variant.id for variant in sample.view.variants}


def test_many_variants_are_counted() -> None:
    """Few are named; all of them are called all."""
    names = ["a", "b", "c", "d", "e", "f"]
    assert of_variants(names[:3], 6) == "a, b, c"
    assert of_variants(names[:5], 6) == "a, b and 3 other variants"
    assert of_variants(names, 6) == "all 6 variants"
    assert of_variants(["a"], 1) == "a"
