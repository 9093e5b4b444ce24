"""Runs with what a model card needs to know, beside what other reports need."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from harness.release.card.data import Card, card_of
from harness.report.build import build_view
from harness.schema import HubData, Manifest
from harness.store.runs import Store
from tests.stores import marked_anew
from tests.unit.conftest import SPEC, RunFactory

COMMIT = "218ec52e09a7e7462a5400043bb9a69a41d06b76"
BASE = {"kind": "hub", "model": "acme/small-1b", "revision": None, "commit": COMMIT}
VARIANTS = ("base@nf4", "checkpoint-20", "checkpoint-40", "merged-40")


def run_of(folder: Path, *tasks: str, **options: Any) -> tuple[Store, Manifest]:
    """A stored run of some of the sample's tasks; all of them where none is named."""
    spec = SPEC | {"select": {}}
    if tasks:
        spec["tasks"] = {name: SPEC["tasks"][name] for name in tasks}
    fields = {"n": 24, "variants": VARIANTS, "spec": spec} | options
    run = RunFactory(Store(folder / "runs"), **fields)
    manifest = run.build()
    run.store.write_manifest(manifest)
    return run.store, manifest


def put_on_hub(store: Store, manifest: Manifest) -> Manifest:
    """As if base, training data, HellaSwag, MMLU and the data of ``qa`` came from the Hub."""
    for cell in manifest.cells:
        if cell.status != "done" or cell.scores_key is None:
            continue
        marked_anew(store, "scores", cell.scores_key, weights={"base": BASE})
        if cell.task == "qa":
            data = {"kind": "hub", "id": "acme/qa", "split_map": {"test": "report"}}
            marked_anew(store, "scores", cell.scores_key, examples={"data": data}, limit=None)
        if cell.kind == "lm_eval":
            parts = [f"mmlu/{name}" for name in ("anatomy", "astronomy")]
            name = "cais/mmlu" if cell.task == "mmlu" else "Rowan/hellaswag"
            tasks = parts if cell.task == "mmlu" else [cell.task]
            found = [
                HubData(
                    task=task,
                    dataset=name,
                    config=task.partition("/")[2] or None,
                    split="test",
                    revision=COMMIT,
                )
                for task in tasks
            ]
            key = f"p-{cell.scores_key}"
            if not store.has("predictions", key):
                with store.writing("predictions", key, {"lm_eval": {"data": None}}) as made:
                    store.write_records(made, "datasets", found)
    cells = tuple(
        cell.model_copy(update={"predictions_key": f"p-{cell.scores_key}"})
        if cell.kind == "lm_eval"
        else cell
        for cell in manifest.cells
    )
    variants = tuple(
        variant.model_copy(update={"base_model": BASE["model"]}) for variant in manifest.variants
    )
    train = {"kind": "hub", "id": "acme/instructions", "name": "default", "revision": COMMIT}
    with store.writing("examples", "train-1", {"data": train}):
        pass
    examples = manifest.examples | {"train": "train-1"}
    changed = manifest.model_copy(
        update={"cells": cells, "variants": variants, "examples": examples}
    )
    store.write_manifest(changed)
    return changed


def card_for(store: Store, manifest: Manifest, variant: str = "checkpoint-40", **more: Any) -> Card:
    """The card of one variant."""
    view = build_view(store, manifest)
    found = view.variant(variant)
    assert found is not None
    return dataclasses.replace(card_of(store, manifest, view, found), **more)
