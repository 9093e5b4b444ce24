"""Choosing again from stored results, and leaving the choice to ship, without any model."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.main import app
from harness.digests import file_digest
from harness.errors import DiskError, StoreError, UsageError
from harness.models.beside import TOKENIZER_PROBE
from harness.models.identity import adapter_digest
from harness.release.export import form_named, ship
from harness.release.select import RunSelection, describe, select_run
from harness.report.view.records import VariantProof
from harness.schema import Manifest, MergedModel, Proof
from harness.store.runs import Store
from tests.unit.conftest import SPEC, RunFactory
from tests.unit.suites import adapter

VARIANTS = ("base@nf4", "checkpoint-20", "checkpoint-40", "merged-40")
TASKS = {name: SPEC["tasks"][name] for name in ("summary", "smoke_hellaswag")}


def build(folder: Path, constraints: Any = (), **changes: Any) -> tuple[Store, Manifest]:
    """A stored run whose checkpoints and merged model are files, if no models."""
    spec = SPEC | {"tasks": TASKS, "select": {"constraints": list(constraints)}}
    run = RunFactory(Store(folder / "runs"), n=40, spec=spec, variants=VARIANTS, training=False)
    manifest = run.build()
    variants = []
    for variant in manifest.variants:
        update: dict[str, Any] = {}
        if variant.step is not None:
            path = folder / f"checkpoint-{variant.step}"
            if not path.exists():
                adapter(path, str(variant.step).encode())
                for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"):
                    (path / name).write_bytes(b"of the trainer")
                (path / "trainer_state.json").write_text("{}", "utf-8")
                (path / "tokenizer.json").write_text("{}", "utf-8")
            digests = variant.digests | {"adapter": adapter_digest(path)}
            update = {"adapter": str(path), "digests": digests}
        if variant.kind == "merged":
            update["digests"] |= _merged(run.store)
        variants.append(variant.model_copy(update=update))
    manifest = manifest.model_copy(update={"variants": tuple(variants), **changes})
    run.store.write_manifest(manifest)
    return run.store, manifest


def _merged(store: Store) -> dict[str, str]:
    with store.writing("merged", "m1", {"merged": 1}) as folder:
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            (folder / name).write_text(f"merged {name}", "utf-8")
        files = {path.name: file_digest(path) for path in folder.iterdir()}
        proof = Proof(probe="merged is the adapter", outcome="holds", words="It is.")
        record = MergedModel(merged_into="fp32", saved_as="fp32", files=files, proof=proof)
        store.write_record(folder, "merged", record)
    return {f"merged/{name}": digest for name, digest in files.items()}


def selected(folder: Path, **changes: Any) -> tuple[Store, RunSelection]:
    store, manifest = build(folder, **changes)
    return store, select_run(store, manifest)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_unchanged_choice_writes_its_record_alone(tmp_path: Path) -> None:
    """Manifest and report stay as they are."""
    store, found = selected(tmp_path)
    folder = store.run_dir("sample", found.manifest.run_id)
    assert not found.changed
    assert found.files == (folder / "selection.json",)
    record = json.loads(found.files[0].read_text("utf-8"))
    assert record["selection"]["chosen"] == "checkpoint-40"
    assert record["report"]["comparison"]["split"] == "report"
    assert record["report"]["comparison"]["n"] == 40
    assert record["report"]["mde"] > 0
    assert record["report"]["merged"][0]["second"] == "merged-40"
    assert record["run"] == f"sample/{found.manifest.run_id}"


def test_a_choice_that_changed_is_recorded_and_shown(tmp_path: Path) -> None:
    """As after an upgrade, or where the manifest was cut off before the choice."""
    store, found = selected(tmp_path, selection=None)
    assert found.changed
    again = store.read_manifest(store.run_dir("sample", found.manifest.run_id))
    assert again.selection == found.manifest.selection
    assert [path.name for path in found.files] == ["selection.json", "report.html"]
    assert not select_run(store, again).changed


def test_an_eval_that_goes_on_is_not_overwritten(tmp_path: Path) -> None:
    """What it wrote meanwhile is newer than what the choice was made on."""
    store, manifest = build(tmp_path, selection=None)
    newer = manifest.model_copy(update={"updated": "2099-01-01T00:00:00+00:00"})
    store.write_manifest(newer)
    found = select_run(store, manifest)
    assert [path.name for path in found.files] == ["selection.json"]
    assert store.read_manifest(store.run_dir("sample", manifest.run_id)) == newer


def test_the_terminal_shows_evidence_reason_and_claim(tmp_path: Path) -> None:
    """Candidates with their constraints, why, and figures of the report split with n and MDE."""
    constraint = {"task": "smoke_hellaswag", "metric": "acc", "max_drop": 90}
    text = describe(selected(tmp_path, constraints=[constraint])[1])
    assert "checkpoint-40 (the choice)" in text
    assert "C1: smoke_hellaswag acc: at most 90 points worse than base@nf4" in text
    assert "Chosen: checkpoint-40.\ncheckpoint-40 has the highest ROUGE-L of summary on" in text
    assert "On the report split checkpoint-40 has ROUGE-L" in text
    assert "(n = 40; a true difference of" in text
    assert "smoke_hellaswag acc against base@nf4 on the report half:" in text
    assert "merged-40 is" in text


def test_a_choice_that_is_not_merged_is_said(tmp_path: Path) -> None:
    """Where the merged model is of another checkpoint, the eval has to run again."""
    store, manifest = build(tmp_path)
    variants = tuple(v for v in manifest.variants if v.kind != "merged")
    found = select_run(store, manifest.model_copy(update={"variants": variants}))
    assert "checkpoint-40 is not merged yet: run harness eval again" in describe(found)


def test_an_adapter_is_copied_without_what_only_its_trainer_needs(tmp_path: Path) -> None:
    """Weights, configuration and tokenizer, with record and model card."""
    store, found = selected(tmp_path)
    folder = ship(store, found, tmp_path / "out" / "adapter")
    assert names_in(folder) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "harness-selection.json",
        "tokenizer.json",
    ]
    assert (folder / "adapter_model.safetensors").read_bytes() == b"40"
    record = json.loads((folder / "harness-selection.json").read_text("utf-8"))
    assert record["variant"]["id"] == "checkpoint-40"
    assert record["suite"]["name"] == "sample"
    assert record["selection"]["chosen"] == "checkpoint-40"
    assert record["report"]["comparison"]["split"] == "report"
    assert record["environment"]["versions"]["torch"] == "2.13.0"
    assert record["base_model"] == "smollm2-135m-instruct"
    assert record["files"] == {
        name: file_digest(folder / name)
        for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer.json")
    }
    assert names_in(tmp_path / "out") == ["adapter"]


@pytest.mark.parametrize(
    ("trained_on", "shipped"),
    [
        ("/root/.cache/models/smollm2-135m-instruct-856d2819c0e8", "smollm2-135m-instruct"),
        ("HuggingFaceTB/SmolLM2-135M", "HuggingFaceTB/SmolLM2-135M"),
    ],
)
def test_a_copied_adapter_names_no_folder_of_this_machine(
    tmp_path: Path, trained_on: str, shipped: str
) -> None:
    """Only the copy is changed, and says so; the adapter's digest stays what the run recorded."""
    source = adapter(tmp_path / "checkpoint-40", b"40")
    config = source / "adapter_config.json"
    settings = json.loads(config.read_text("utf-8")) | {"base_model_name_or_path": trained_on}
    config.write_text(json.dumps(settings), "utf-8")
    before = config.read_bytes()
    store, found = selected(tmp_path)
    folder = ship(store, found, tmp_path / "out")
    copied = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    assert copied == settings | {"base_model_name_or_path": shipped}
    assert config.read_bytes() == before
    record = json.loads((folder / "harness-selection.json").read_text("utf-8"))
    assert record["variant"]["digests"]["adapter"] == adapter_digest(folder)
    assert record["files"]["adapter_config.json"] == file_digest(folder / "adapter_config.json")
    assert ("changed_in_copy" in record) == (trained_on != shipped)
    readme = (folder / "README.md").read_text("utf-8")
    assert "base_model_name_or_path` in adapter_config.json), here smollm2" in readme


def test_a_tokenizer_that_it_was_not_evaluated_with_stays_behind(tmp_path: Path) -> None:
    """Whoever loads the copy then takes the base's; record and card say so."""
    store, choice = selected(tmp_path)
    chosen = str(choice.chosen)
    words = "Beside the adapter lies another chat template than it is evaluated with."
    for outcome, ships in (("fails", False), ("fallback", True)):
        proof = Proof(probe=TOKENIZER_PROBE, outcome=outcome, words=words)
        proofs = (VariantProof(variant=chosen, proof=proof, tasks=("summary",)),)
        view = choice.view.model_copy(update={"proofs": proofs})
        folder = ship(store, replace(choice, view=view), tmp_path / outcome)
        assert ("tokenizer.json" in names_in(folder)) == ships
        record = json.loads((folder / "harness-selection.json").read_text("utf-8"))
        assert ("tokenizer.json" in record["files"]) == ships
        assert record.get("left_out_of_copy") == (None if ships else {"tokenizer.json": words})
        text = (folder / "README.md").read_text("utf-8")
        assert ('AutoTokenizer.from_pretrained(".")' in text) == ships


def test_the_model_card_is_safe_and_says_how_to_load(tmp_path: Path) -> None:
    """A built-in base is named as the harness resolves it; no text in it is markup."""
    store, found = selected(tmp_path)
    text = (ship(store, found, tmp_path / "out") / "README.md").read_text("utf-8")
    assert text.startswith("---\nlibrary_name: peft\n")
    assert "resolve_model(BaseSpec(model='smollm2-135m-instruct'), Path())" in text
    assert "base\\@nf4" in text  # no user of that name is mentioned
    assert "bnb_4bit_quant_type='nf4'," in text
    assert "quantization_config=config" in text
    assert 'tokenizer = AutoTokenizer.from_pretrained(".")' in text
    block = text.split("```json\n")[1].split("\n```")[0]
    assert json.loads(block) == SPEC["prompt"]
    compile(text.split("```python\n")[1].split("```")[0], "card", "exec")
    assert "On the report split checkpoint-40 has ROUGE-L" in text


def test_the_merged_model_is_copied_where_asked_for(tmp_path: Path) -> None:
    """An empty folder of that name is no obstacle."""
    store, found = selected(tmp_path)
    (tmp_path / "out").mkdir()
    folder = ship(store, found, tmp_path / "out", "merged")
    assert "model.safetensors" in names_in(folder)
    assert "identity.json" not in names_in(folder)
    record = json.loads((folder / "harness-selection.json").read_text("utf-8"))
    assert record["variant"]["id"] == "merged-40"
    text = (folder / "README.md").read_text("utf-8")
    assert "library_name: transformers" in text
    assert f"stored as fp32, evaluated at {record['variant']['precision']}." in text


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """As below /proc, where making a folder fails as if its parent were not there."""
    store, found = selected(tmp_path)

    def refused(**_: Any) -> str:
        raise OSError(code, os.strerror(code), "x")

    monkeypatch.setattr("harness.release.export.tempfile.mkdtemp", refused)
    with pytest.raises(DiskError, match=r"out: .*Choose another folder with --copy-to\.") as caught:
        ship(store, found, tmp_path / "out")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("changes", [{}, {"selection": None}], ids=["same", "changed"])
def test_a_read_only_copy_still_tells_and_ships_the_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    """Only its record is left out, which is said; as on a share that others may not write.

    The system's refusals, which root never gets, are made up.
    """
    store, manifest = build(tmp_path, **changes)
    before = names_in(store.run_dir("sample", manifest.run_id))

    def refusing(real: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            place = str(options["dir"] if "dir" in options else args[0])
            mode = args[1] if len(args) > 1 else "r"
            if place.startswith(str(store.root)) and ("dir" in options or "a" in mode):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), place)
            return real(*args, **options)

        return call

    monkeypatch.setattr("harness.files.tempfile.mkstemp", refusing(tempfile.mkstemp))
    monkeypatch.setattr(Path, "open", refusing(Path.open))
    found = select_run(store, manifest)
    assert found.chosen == "checkpoint-40"
    assert found.files == ()
    assert "Read-only file system" in str(found.unwritten)
    options = ["--runs-dir", str(store.root), "--copy-to", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["select", f"sample/{manifest.run_id}", *options])
    assert done.exit_code == 0, done.output
    assert f"Run {manifest.name} (" in done.stdout.splitlines()[0]
    assert "Chosen: checkpoint-40." in done.stdout
    assert "note: selection.json was not written: " in done.stderr
    assert (tmp_path / "out" / "harness-selection.json").is_file()
    assert names_in(store.run_dir("sample", manifest.run_id)) == before


def test_the_run_is_named_and_others_of_the_name_are_warned_of(tmp_path: Path) -> None:
    """A suite's name stands for its run that was touched last, which may be another."""
    store, manifest = build(tmp_path)

    def select(name: str, *options: str) -> Any:
        done = CliRunner().invoke(app, ["select", name, *options, "--runs-dir", str(store.root)])
        assert done.exit_code == 0, done.output
        return done

    assert "warning" not in select("sample").stderr
    older = manifest.model_copy(update={"run_id": "older", "updated": "2001-01-01T00:00:00+00:00"})
    store.write_manifest(older)
    done = select("sample")
    assert done.stdout.startswith(f"Run {manifest.name} (complete)\n")
    assert f"warning: 2 runs are named sample. This is {manifest.name}, the one" in done.stderr
    assert "There is also: sample/older." in done.stderr
    assert "warning" not in select(manifest.name).stderr
    record = json.loads(select("sample/older", "--json").stdout)
    assert (record["run"], record["state"]) == ("sample/older", "complete")


def test_an_unfinished_run_ships_nothing_and_leaves_no_record(tmp_path: Path) -> None:
    """The checkpoint that has no score may be the best; the note comes first."""
    store, manifest = build(tmp_path)
    record = store.run_dir("sample", manifest.run_id) / "selection.json"
    select_run(store, manifest)
    assert record.exists()
    cells = tuple(c for c in manifest.cells if (c.variant, c.task) != ("checkpoint-20", "summary"))
    found = select_run(store, manifest.model_copy(update={"cells": cells, "complete": False}))
    assert found.chosen == "checkpoint-40"
    assert not record.exists()
    assert describe(found).startswith(
        "Note: checkpoint-20 has no score of summary yet. Run harness eval again to finish.\n\n"
    )
    with pytest.raises(StoreError, match=r"checkpoint-20 has no score.*eval again") as caught:
        ship(store, found, tmp_path / "out")
    assert caught.value.exit_code == 1


def test_a_constraint_that_nobody_could_be_checked_for_is_noted_first(tmp_path: Path) -> None:
    """A misspelled metric of lm-eval shows only when it has run."""
    constraint = {"task": "smoke_hellaswag", "metric": "accc", "max_drop": 2}
    text = describe(selected(tmp_path, constraints=[constraint])[1])
    assert text.startswith("Note: no checkpoint could be checked for “smoke_hellaswag accc")
    assert "Chosen: checkpoint-40; 1 constraint could not be checked." in text


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder that holds anything, or a file of that name, is refused."""
    store, found = selected(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine", "utf-8")
    (tmp_path / "file").write_text("mine", "utf-8")
    for name, words in (("full", "not empty"), ("file", "is a file")):
        with pytest.raises(UsageError, match=words):
            ship(store, found, tmp_path / name)
    assert names_in(tmp_path / "full") == ["mine"]


def test_merged_weights_without_a_proof_are_not_copied(tmp_path: Path) -> None:
    """An earlier version merged tied weights wrongly, and did not measure it."""
    store, found = selected(tmp_path)
    variants = [v.model_copy(update={"proof": None}) for v in found.manifest.variants]
    manifest = found.manifest.model_copy(update={"variants": tuple(variants)})
    found = dataclasses.replace(found, manifest=manifest)
    with pytest.raises(StoreError, match=r"merged-40 is not shown to be its adapter.*eval again"):
        ship(store, found, tmp_path / "out" / "model", "merged")


@pytest.mark.parametrize("form", ["adapter", "merged"])
def test_other_weights_than_those_evaluated_are_refused(tmp_path: Path, form: Any) -> None:
    """And no folder is left behind."""
    store, found = selected(tmp_path)
    weights = tmp_path / "checkpoint-40" / "adapter_model.safetensors"
    if form == "merged":
        weights = store.path("merged", "m1") / "model.safetensors"
    weights.write_bytes(b"others")
    with pytest.raises(StoreError, match="changed since they were evaluated"):
        ship(store, found, tmp_path / "out" / "model", form)
    assert names_in(tmp_path / "out") == []


def test_weights_that_are_gone_are_named(tmp_path: Path) -> None:
    """Merged ones are pruned first."""
    import shutil

    store, found = selected(tmp_path)
    shutil.rmtree(store.path("merged", "m1"))
    shutil.rmtree(tmp_path / "checkpoint-40")
    for form in ("merged", "adapter"):
        with pytest.raises(StoreError, match=r"not kept any more|are gone"):
            ship(store, found, tmp_path / "out", form)


def test_a_choice_without_merged_form_cannot_be_copied_merged(tmp_path: Path) -> None:
    """The message says what to do."""
    store, manifest = build(tmp_path)
    variants = tuple(v for v in manifest.variants if v.kind != "merged")
    found = select_run(store, manifest.model_copy(update={"variants": variants}))
    with pytest.raises(UsageError, match=r"no merged form of checkpoint-40.*matrix\.merged: best"):
        ship(store, found, tmp_path / "out", "merged")


def test_no_choice_ships_nothing(tmp_path: Path) -> None:
    """Where every checkpoint breaks a constraint."""
    store, found = selected(
        tmp_path, constraints=[{"measurement": "decode_tokens_per_s", "min": 1000}]
    )
    assert found.chosen is None
    assert describe(found).count("No checkpoint") == 2
    with pytest.raises(UsageError, match="nothing to copy"):
        ship(store, found, tmp_path / "out")


def test_forms_that_make_no_sense_are_refused() -> None:
    """Another name, or a form without a copy."""
    assert form_named(None, None) is None
    assert form_named("merged", Path("x")) == "merged"
    with pytest.raises(UsageError, match="adapter or merged"):
        form_named("gguf", Path("x"))
    with pytest.raises(UsageError, match="--copy-to"):
        form_named("merged", None)
