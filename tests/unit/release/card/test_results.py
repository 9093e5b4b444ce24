"""Results of a model card, written and read back by huggingface_hub's own classes."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.release.card.card import card_files
from harness.release.card.data import Card, TaskData
from harness.release.card.results import eval_results, left_out, metadata, result_files, scored
from harness.store.runs import Store
from tests.stores import marked_anew
from tests.unit.conftest import RunFactory
from tests.unit.release.card_runs import COMMIT, card_for, put_on_hub, run_of

HOSTILE = (
    "x\n---\nlicense: mit",
    '"}: {{ [!!python/object:os.system',
    "</script><img src=x onerror=alert(1)>",
    "\u202eevil\u2028\x1b[31m\x00",
    "---",
    "a|b`c`**d**[e](javascript:f)",
    "!!binary yes",
    "2025-01-01",
    "\ud800",
)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """A card of a run whose data are all local."""
    return card_for(*run_of(tmp_path_factory.mktemp("local")))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """A card of a run whose base and some of whose data are on the Hub."""
    store, manifest = run_of(tmp_path_factory.mktemp("hub"))
    return card_for(store, put_on_hub(store, manifest))


def read_back(card: Card, folder: Path) -> ModelCard:
    """A card written to disk and loaded by huggingface_hub."""
    path = folder / "README.md"
    path.write_bytes(card_files(card).files["README.md"].encode())
    return ModelCard.load(path)


@pytest.mark.parametrize("which", ["local", "hub"])
def test_the_model_index_reads_back_as_it_was_written(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every result, in the same order, in all its fields."""
    card = request.getfixturevalue(which)
    written = eval_results(scored(card))
    loaded = read_back(card, tmp_path)
    assert loaded.data.eval_results == written
    assert loaded.data.model_name == "sample-checkpoint-40"
    assert len(written) == 9  # 4 of summary, 2 of qa, 2 of HellaSwag, the average of MMLU
    assert {result.metric_type for result in written} >= {"rougeL", "bleu", "f1", "acc_norm"}


def test_values_are_of_100_where_there_is_a_best_value(local: Card) -> None:
    """ROUGE is a share in its own unit and BLEU is not; both read alike, as in the table."""
    for item in scored(local):
        value = item.figure.value
        assert value is not None
        assert item.value == pytest.approx(value * 100 / (item.row.scale or 100), abs=5e-5)
    card = card_files(local).files["README.md"]
    rouge = next(item for item in scored(local) if item.row.metric == "rougeL")
    assert f"| summary | ROUGE-L | {rouge.value:.1f} [" in card


def test_a_metric_without_best_value_keeps_its_unit(hub: Card) -> None:
    """Such as a loss: it is not multiplied, and not rounded."""
    row = next(row for row in hub.view.rows if row.metric == "eval_loss")
    view = hub.view.model_copy(update={"rows": (row.model_copy(update={"split": "report"}),)})
    card = dataclasses.replace(hub, view=view, data={"heldout": TaskData("rows.jsonl")})
    cell = row.cell("checkpoint-40")
    assert cell is not None
    assert cell.figure is not None
    assert [result.metric_value for result in eval_results(scored(card))] == [cell.figure.value]


def test_what_a_choice_read_is_no_result(local: Card) -> None:
    """Neither the select split nor the eval split; the card counts them."""
    splits = {item.row.split for item in scored(local)}
    assert splits == {"report", "all"}
    text = card_files(local).files["README.md"]
    assert "Not shown: 6 scores on eval, select" in text  # 4 of summary, loss and perplexity


def test_members_of_groups_are_in_the_text_alone(local: Card) -> None:
    """Where the group has an average; else they are all that there is."""
    assert "mmlu/anatomy" in card_files(local).files["README.md"]
    assert not any("anatomy" in item.row.task for item in scored(local))
    rows = tuple(row for row in local.view.rows if row.task != "mmlu")
    card = dataclasses.replace(local, view=local.view.model_copy(update={"rows": rows}))
    assert {i.row.task for i in scored(card)} >= {"mmlu/anatomy", "mmlu/astronomy"}


def test_entries_read_back_as_they_were_written(hub: Card) -> None:
    """One file per data set on the Hub, one entry per task, of its first metric."""
    items = scored(hub)
    files = result_files(hub, items)
    assert set(files) == {
        ".eval_results/Rowan--hellaswag.yaml",
        ".eval_results/cais--mmlu.yaml",
        ".eval_results/acme--qa.yaml",
    }
    entries = [
        e for text in files.values() for e in parse_eval_result_entries(yaml.safe_load(text))
    ]
    found = {entry.dataset_id: entry for entry in entries}
    assert len(entries) == 3
    values = {(item.row.task, item.row.metric): item.value for item in items}
    hellaswag = found["Rowan/hellaswag"]
    assert hellaswag.value == values["smoke_hellaswag", "acc"]
    assert hellaswag.task_id == "smoke_hellaswag"
    assert hellaswag.dataset_revision == COMMIT
    assert hellaswag.date == hub.manifest.updated
    assert re.search(
        r"^acc [\d.]+ of 100; 95 % interval \[.+\]; n = 24; 0-shot; split test; made by "
        r"qlora-harness as lm_eval:0\.4\.13\|task:smoke_hellaswag\|version:1\.0$",
        hellaswag.notes,
    )
    assert found["cais/mmlu"].value == values["mmlu", "acc"]
    assert found["acme/qa"].value == values["qa", "exact_match"]
    assert found["acme/qa"].task_id == "qa"
    assert found["acme/qa"].dataset_revision is None


def test_written_files_parse_with_the_line_that_marks_them(hub: Card) -> None:
    """A comment in YAML."""
    files = card_files(hub).files
    for name, text in files.items():
        if name != "README.md":
            assert text.splitlines()[-1].startswith("# Written by qlora-harness")
            assert len(parse_eval_result_entries(yaml.safe_load(text))) == 1


def test_tasks_on_local_data_are_left_out_of_the_entries_and_counted(
    hub: Card, local: Card
) -> None:
    """The format needs the id of a data set on the Hub."""
    assert left_out(scored(hub)) == {"summary": "its data are not on the Hub"}
    assert set(left_out(scored(local))) == {"summary", "qa", "smoke_hellaswag", "mmlu"}
    assert "did not record" in left_out(scored(local))["mmlu"]
    assert set(card_files(local).files) == {"README.md"}


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        ("|task:mmlu|limit:200|", "scored on the first 200 documents only"),
        ("|task:mmlu|limit:none|tasks:56of57", "scored on 56 of its 57 tasks"),
        ("|task:mmlu|limit:none|tasks:57", ""),
    ],
)
def test_a_part_of_a_benchmark_is_not_published_as_the_benchmark(
    tmp_path: Path, signature: str, why: str
) -> None:
    """It is in the model-index and the text, which says so, but in no leaderboard's entry."""
    from harness.schema import Score

    store, manifest = run_of(tmp_path, "summary", "mmlu")
    for cell in manifest.cells:
        if cell.task == "mmlu":
            scores = store.read_records("scores", str(cell.scores_key), "scores", Score)
            changed = [
                s.model_copy(update={"signature": signature}) if s.task == "mmlu" else s
                for s in scores
            ]
            store.write_records(store.path("scores", str(cell.scores_key)), "scores", changed)
            marked_anew(store, "scores", cell.scores_key)
    card = card_for(store, put_on_hub(store, manifest))
    assert left_out(scored(card)).get("mmlu", "") == why
    assert (".eval_results/cais--mmlu.yaml" in result_files(card, scored(card))) == (not why)
    assert (f"mmlu was {why}" in card_files(card).files["README.md"]) == bool(why)
    assert any(r.dataset_type == "cais/mmlu" for r in eval_results(scored(card)))


def test_interleaved_tasks_of_one_data_set_become_one_group(local: Card, tmp_path: Path) -> None:
    """model-index has one list of metrics per data set, so the order would change on the way."""
    names = dict.fromkeys(("summary", "smoke_hellaswag"), TaskData("one", "acme/one", split="a"))
    card = dataclasses.replace(local, data={**local.data, **names})
    types = [r.dataset_type for r in eval_results(scored(card))]
    assert types == sorted(types, key=types.index)
    assert read_back(card, tmp_path).data.eval_results == eval_results(scored(card))


def test_metadata_hold_what_is_known_and_nothing_else(hub: Card, local: Card) -> None:
    """A base and training data on the Hub; no licence and no language are made up."""
    known = metadata(hub, scored(hub)).to_dict()
    assert known["base_model"] == "acme/small-1b"
    assert known["base_model_relation"] == "adapter"
    assert known["datasets"] == ["acme/instructions"]
    assert known["library_name"] == "peft"
    assert known["tags"] == ["qlora"]
    assert not {"license", "language"} & set(known)
    bare = metadata(local, scored(local)).to_dict()
    assert not {"base_model", "base_model_relation", "datasets"} & set(bare)


def test_a_merged_adapter_is_a_fine_tuned_model(tmp_path: Path) -> None:
    """On the Hub "merge" is a mixture of several models."""
    store, manifest = run_of(tmp_path, "summary")
    card = card_for(store, put_on_hub(store, manifest), "merged-40", saved_as="bf16")
    known = metadata(card, scored(card)).to_dict()
    assert known["base_model_relation"] == "finetune"
    assert known["library_name"] == "transformers"
    text = card_files(card).files["README.md"]
    assert "with the adapter checkpoint-40 merged into it, stored as bf16, evaluated" in text
    assert text.count("# sample-merged-40") == 1


def test_a_card_without_scores_has_no_model_index(tmp_path: Path, local: Card) -> None:
    """An empty one is refused by the Hub."""
    view = local.view.model_copy(update={"rows": ()})
    loaded = read_back(dataclasses.replace(local, view=view), tmp_path)
    assert loaded.data.eval_results is None
    assert "model-index" not in loaded.data.to_dict()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_in_metadata_and_body(name: str, local: Card) -> None:
    """As names of task, metric, data set, run and command, of models and of repositories."""
    rows = tuple(
        row.model_copy(update={"metric": name, "signature": name, "unit": name})
        for row in local.view.rows
    )
    manifest = local.manifest.model_copy(update={"command": name, "suite": name})
    card = dataclasses.replace(
        local,
        manifest=manifest,
        view=local.view.model_copy(update={"rows": rows}),
        data=dict.fromkeys(local.data, TaskData(name, why_not=name)),
        base=dataclasses.replace(local.base, name=name),
        training_data=TaskData(name),
        variant=local.variant.model_copy(update={"id": "checkpoint-40", "base_model": name}),
    )
    text = card_files(card).files["README.md"]
    text.encode()
    loaded = ModelCard(text)
    assert set(loaded.data.to_dict()) == {"library_name", "pipeline_tag", "tags", "model-index"}
    assert loaded.data.eval_results == eval_results(scored(card))
    body = re.sub(r"```.*?```|(`+)[^`].*?\1", "", loaded.text, flags=re.DOTALL)  # code is shown
    assert not re.search(r"(?<!\\)<(?!br>|/?details|/?summary|!-- Written)", body)
    assert "\\[e\\](javascript:f)" in body or "[e](" not in body
    assert not re.search("[\u202e\u2028\x1b\x00\ud800]", text)
    compile(text.split("```python\n")[1].split("```")[0], "card", "exec")


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(metric=TEXT, name=TEXT, value=st.floats(0, 1e6), config=st.none() | TEXT)
def test_any_name_and_value_survives_the_way_through_yaml(
    local: Card, metric: str, name: str, value: float, config: str | None
) -> None:
    """Names keep their text (on one line, unseen characters escaped) and values every digit."""
    item = scored(local)[0]
    row = item.row.model_copy(update={"metric": metric, "scale": None, "signature": name})
    figure = item.figure.model_copy(update={"value": value})
    data = TaskData(name, config=config)
    changed: Any = [dataclasses.replace(item, row=row, figure=figure, data=data)]
    known = metadata(local, changed)
    loaded = ModelCard(f"---\n{known.to_yaml()}\n---\n\nbody\n")
    assert loaded.data.eval_results == known.eval_results
    assert loaded.data.eval_results[0].metric_value == value


def test_without_training_the_card_says_so(tmp_path: Path) -> None:
    """Adapters from elsewhere: no method is made up, and their data are to be filled in."""
    store, manifest = run_of(tmp_path, "summary", training=False)
    made = card_files(card_for(store, manifest))
    text = made.files["README.md"]
    assert "Trained elsewhere" in text
    assert "tags" not in ModelCard(text).data.to_dict() or not ModelCard(text).data.tags
    assert "training data" in made.to_fill_in


def test_every_line_to_fill_in_is_counted(hub: Card, local: Card) -> None:
    """At the end, in words, and as the verb prints them."""
    made = card_files(local)
    text = made.files["README.md"]
    assert made.to_fill_in == ("license", "language", "base model", "training data")
    assert text.count("TO FILL IN: ") == 4
    assert "4 lines of this card are to be filled in" in text
    assert card_files(hub).to_fill_in == ("license", "language")


def test_the_card_says_what_the_hub_cannot_know(hub: Card) -> None:
    """Reason, intervals, difference, cost, training, limits and provenance."""
    text = card_files(hub).files["README.md"]
    for words in (
        f"A PEFT adapter for acme/small-1b at revision {COMMIT}, evaluated at nf4.",
        "checkpoint-40 has the highest ROUGE-L of summary on select",
        "| task | metric | value | against base\\@nf4 | n | shots | split |",
        "| Peak resident memory | 640 MB | 610 MB |",
        "QLoRA on an nf4 base, double quantization; rank 16, alpha 32",
        f"480 rows of acme/instructions at revision {COMMIT} used, 3 dropped",
        "Step 40 of 60",
        "With n = 24, a true difference of",
        "24 examples on the report split is very few.",
        "command: `harness eval suites/sample.yaml`",
        "suite digest c0ffee00112233445566, seed 42",
        "torch 2.13.0",
        f"revision='{COMMIT}'",
    ):
        assert words in text, words


def test_raters_are_in_the_card_where_they_were_asked(local: Card) -> None:
    """Share of comparisons and alpha, in one sentence."""
    from tests.unit.ratings.human_records import results as results_of

    view = local.view.model_copy(update={"human": results_of()})
    text = card_files(dataclasses.replace(local, view=view)).files["README.md"]
    section = text.split("## Human ratings")[1].split("##")[0]
    assert re.search(r"preferred by raters in \d+ % \\\[.*alpha 0\.\d\d", section)
    assert "Human ratings" not in card_files(local).files["README.md"]


def test_without_huggingface_hub_the_same_text_has_plain_metadata(
    hub: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the results is missing."""
    whole = card_files(hub).files["README.md"]
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    made = card_files(hub)
    text = made.files["README.md"]
    assert made.scores is None
    assert set(made.files) == {"README.md"}
    assert text.startswith('---\nbase_model: "acme/small-1b"\nlibrary_name: peft\n---\n')
    assert text.split("\n# ")[1].split("<!--")[0] == whole.split("\n# ")[1].split("<!--")[0]


def test_a_variant_named_by_hand_is_not_called_the_choice(tmp_path: Path) -> None:
    """The run's own choice is named beside it, and nothing claimed for that is repeated."""
    run = RunFactory(Store(tmp_path / "runs"), n=24)
    manifest = run.build()
    text = card_files(card_for(run.store, manifest, "checkpoint-20")).files["README.md"]
    assert "It was named by hand: the run itself chose checkpoint-40." in text
    assert "On the report split checkpoint-40" not in text
