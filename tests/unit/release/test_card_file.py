"""``harness card``: which weights, where to, and what is never overwritten."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from harness.errors import DiskError, MissingExtraError, UsageError
from harness.release.card_file import CardOutput, card_run, describe, shipped_variant
from harness.schema import Manifest, TrainingRun
from harness.store.runs import Store
from tests.unit.release.card_runs import put_on_hub, run_of

Run = tuple[Store, Manifest]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, some of whose data are on the Hub; not to be changed."""
    store, manifest = run_of(tmp_path_factory.mktemp("run"), "summary", "smoke_hellaswag")
    return store, put_on_hub(store, manifest)


def changed(run: Run, **fields: Any) -> Run:
    return run[0], run[1].model_copy(update=fields)


def test_the_choice_is_carded_in_the_run_s_own_folder(hub: Run) -> None:
    """Card first, then the results by data set."""
    carded = card_run(*hub)
    folder = hub[0].run_dir("sample", hub[1].run_id) / "card"
    names = [str(path.relative_to(folder)) for path in carded.paths]
    assert names == ["README.md", ".eval_results/Rowan--hellaswag.yaml"]
    assert carded.variant == "checkpoint-40"
    assert carded.scores == len(ModelCard.load(carded.paths[0]).data.eval_results) == 6


def test_two_cards_of_one_run_are_equal_byte_by_byte(hub: Run, tmp_path: Path) -> None:
    """No time of day is in them."""
    texts = []
    for name in ("a", "b"):
        carded = card_run(*hub, output=tmp_path / name)
        texts.append([path.read_bytes() for path in carded.paths])
    assert texts[0] == texts[1]


def test_the_terminal_says_what_is_where_and_what_is_left_to_do(hub: Run, tmp_path: Path) -> None:
    """Paths, counts, what is left out and why, what is to be filled in."""
    text = describe(card_run(*hub, output=tmp_path))
    assert text.startswith(f"{tmp_path}/README.md\n")
    assert "6 scores of checkpoint-40 in the model-index; 1 data set in .eval_results." in text
    assert "1 task left out of .eval_results: summary: its data are not on the Hub." in text
    assert text.endswith("2 lines TO FILL IN: license, language.")


def test_terminal_escapes_in_names_are_shown(tmp_path: Path) -> None:
    """A task's name may come from a file that somebody else wrote."""
    carded = CardOutput("x", (tmp_path,), 1, {"\x1b[2J": "\u202ewhy"}, ())
    assert "\x1b" not in describe(carded)
    assert "\\x1b[2J: \\u202ewhy" in describe(carded)


def test_a_card_is_written_again_while_nobody_has_changed_it(hub: Run, tmp_path: Path) -> None:
    """Results that the new card does not have go; files of others stay."""
    card_run(*hub, output=tmp_path)
    others = tmp_path / ".eval_results" / "theirs.yaml"
    others.write_text("[]\n", "utf-8")
    local = run_of(tmp_path / "local", "summary")
    carded = card_run(*local, output=tmp_path)
    assert [path.name for path in carded.paths] == ["README.md"]
    assert sorted((tmp_path / ".eval_results").iterdir()) == [others]


@pytest.mark.parametrize("name", ["README.md", ".eval_results/Rowan--hellaswag.yaml"])
def test_what_somebody_wrote_or_changed_is_kept(hub: Run, tmp_path: Path, name: str) -> None:
    """A line filled in is work; and nothing else is written either."""
    card_run(*hub, output=tmp_path)
    path = tmp_path / name
    edited = path.read_text("utf-8").replace("TO FILL IN: license", "MIT").replace("acc", "Acc")
    path.write_text(edited, "utf-8")
    with pytest.raises(UsageError, match=r"changed since.*--output, or replace it with --force"):
        card_run(*hub, output=tmp_path, variant="checkpoint-20")
    assert path.read_text("utf-8") == edited
    assert "checkpoint-40" in (tmp_path / "README.md").read_text("utf-8")
    card_run(*hub, output=tmp_path, force=True)
    assert path.read_text("utf-8") != edited


def test_a_foreign_card_is_kept(hub: Run, tmp_path: Path) -> None:
    """Such as the one that the model's repository has."""
    (tmp_path / "README.md").write_bytes(b"\xff# Mine\n")
    with pytest.raises(UsageError, match="not written by harness card"):
        card_run(*hub, output=tmp_path)
    assert (tmp_path / "README.md").read_bytes() == b"\xff# Mine\n"


def test_a_folder_that_cannot_be_written_is_named(hub: Run, tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(DiskError, match="--output"):
        card_run(*hub, output=tmp_path / "file" / "card")


def test_without_a_choice_a_variant_must_be_named(hub: Run, tmp_path: Path) -> None:
    """The message lists them; no base is among them."""
    for selection in (
        None,
        hub[1].selection and hub[1].selection.model_copy(update={"chosen": None}),
    ):
        run = changed(hub, selection=selection)
        with pytest.raises(UsageError, match=r"checkpoint-20, checkpoint-40, merged-40.*--variant"):
            card_run(*run, output=tmp_path)
        carded = card_run(*run, output=tmp_path, variant="checkpoint-20", force=True)
        assert carded.variant == "checkpoint-20"
        text = carded.paths[0].read_text("utf-8")
        assert "named by hand" in text


@pytest.mark.parametrize("name", ["base@nf4", "checkpoint-99"])
def test_what_was_not_trained_has_no_card(hub: Run, name: str) -> None:
    """The base has its own authors."""
    with pytest.raises(UsageError, match="no trained variant"):
        shipped_variant(hub[1], name, None)


def test_forms_of_a_checkpoint(hub: Run) -> None:
    """The checkpoint by default; merged where asked for, by form or by name."""
    manifest = hub[1]
    assert shipped_variant(manifest, None, None).id == "checkpoint-40"
    assert shipped_variant(manifest, None, "adapter").id == "checkpoint-40"
    assert shipped_variant(manifest, None, "merged").id == "merged-40"
    assert shipped_variant(manifest, "merged-40", "merged").id == "merged-40"
    with pytest.raises(UsageError, match="is a merged model"):
        shipped_variant(manifest, "merged-40", "adapter")
    with pytest.raises(UsageError, match="no merged form of checkpoint-20"):
        shipped_variant(manifest, "checkpoint-20", "merged")


def test_a_full_fine_tuning_is_a_model_of_its_own(hub: Run, tmp_path: Path) -> None:
    """No adapter, no rank, nothing to merge."""
    store, manifest = hub

    variants = [
        v.model_copy(update={"kind": "full"}) if v.kind == "adapter" else v
        for v in manifest.variants
        if v.kind != "merged"
    ]
    training = store.read_record("training", str(manifest.training_key), "training", TrainingRun)
    with store.writing("training", "full", {"method": "full"}) as folder:
        store.write_record(folder, "training", training.model_copy(update={"method": "full"}))
    run = changed(hub, variants=tuple(variants), training_key="full")
    with pytest.raises(UsageError, match="a whole model"):
        card_run(*run, output=tmp_path, form="merged")
    carded = card_run(*run, output=tmp_path)
    text, data = carded.paths[0].read_text("utf-8"), ModelCard.load(carded.paths[0]).data
    assert "A full fine-tuning of acme/small-1b" in text
    assert "- Full fine-tuning: 4,884,480 of 139,400,000 parameters trained." in text
    assert "rank" not in text.split("## Training")[1].split("##")[0]
    assert data.base_model_relation == "finetune"
    assert data.tags == ["full"]


def test_a_repository_names_the_model_and_the_code_that_loads_it(hub: Run, tmp_path: Path) -> None:
    """Else the code loads from the folder that the card is in."""
    carded = card_run(*hub, output=tmp_path, repo_id="acme/summaries")
    text = carded.paths[0].read_text("utf-8")
    assert ModelCard(text).data.model_name == "acme/summaries"
    assert "# acme/summaries\n" in text
    assert "PeftModel.from_pretrained(base, 'acme/summaries')" in text


@pytest.mark.parametrize("name", ["summaries", "a/b/c", "../x", "a b/c", "x/'y'", "a--b/c"])
def test_what_is_no_repository_is_refused(hub: Run, name: str) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match="OWNER/NAME"):
        card_run(*hub, repo_id=name)


def test_an_unfinished_run_is_carded_with_its_gaps(hub: Run, tmp_path: Path) -> None:
    """Failed cells with their reasons, and that the rest is missing."""
    failed = [
        cell.model_copy(update={"status": "failed", "reason": "out of memory", "scores_key": None})
        if (cell.variant, cell.task) == ("checkpoint-40", "smoke_hellaswag")
        else cell
        for cell in hub[1].cells
    ]
    run = changed(hub, cells=tuple(failed), complete=False)
    carded = card_run(*run, output=tmp_path)
    limits = carded.paths[0].read_text("utf-8").split("## Limitations")[1]
    assert "smoke\\_hellaswag failed: out of memory" in limits
    assert "The run is not complete" in limits
    assert carded.scores == 4


def test_without_huggingface_hub_the_extra_is_named(
    hub: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes with the extras hf and card."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"qlora-harness\[card\]"):
        card_run(*hub)


def test_everything_is_json(hub: Run, tmp_path: Path) -> None:
    """For scripts that publish the card."""
    carded = card_run(*hub, output=tmp_path)
    found = carded.as_json()
    assert found["paths"][0] == f"{tmp_path}/README.md"
    assert set(found) == {field.name for field in dataclasses.fields(CardOutput)}
