"""Records of ratings, of which there are very many."""

from __future__ import annotations

from harness.ratings.records import SheetRow, lean


def row(token: str, **more: str) -> SheetRow:
    return SheetRow(
        token=token, rater="ada", position=1, kind="scale", item="e1", variants=("a",), **more
    )


def test_lean_records_are_the_same_records() -> None:
    """Equal sets of given fields are shared; what a record says and its copies do not change."""
    before = [row("b"), row("c"), row("d", repeats="b")]
    said = [record.model_dump_json() for record in before]
    after = list(lean(before))
    assert [record.model_dump_json() for record in after] == said
    assert after == [row("b"), row("c"), row("d", repeats="b")]
    assert after[0].model_fields_set is after[1].model_fields_set
    assert after[2].model_fields_set == {*after[0].model_fields_set, "repeats"}
    copy = after[0].model_copy(update={"spoilt": "x"})
    assert "spoilt" in copy.model_fields_set
    assert "spoilt" not in after[1].model_fields_set
