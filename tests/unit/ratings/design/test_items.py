"""Which outputs are rated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StoreError, UsageError
from harness.ratings.design.items import choose_items, draw
from harness.schema import CellResult, Example, Manifest, Prediction, Selection, Split, Variant
from harness.store.runs import Store
from harness.suite.ratings import HumanSpec

SPEC: dict[str, Any] = {
    "seed": 7,
    "tasks": {
        "mmlu": {"type": "lm_eval", "task": "mmlu"},
        "titles": {"type": "generation", "splits": ["report"], "metrics": ["rouge1"]},
        "summaries": {"type": "generation", "splits": ["select", "report"], "metrics": ["rougeL"]},
    },
    "select": {"task": "summaries"},
}
ADAPTER = {"base": "b", "adapter": "a4"}


def _variant(name: str, kind: Any, **fields: Any) -> Variant:
    return Variant(id=name, kind=kind, base_model="tiny:llama", precision="nf4", **fields)


VARIANTS = (
    _variant("base@nf4", "base"),
    _variant("checkpoint-2", "adapter", step=2, adapter="c2", digests={"adapter": "a2"}),
    _variant("checkpoint-4", "adapter", step=4, adapter="c4", digests=ADAPTER),
    _variant("merged-2", "merged", step=2, adapter="c2", digests={"adapter": "a2"}),
    _variant("merged-4", "merged", step=4, adapter="c4", digests=ADAPTER),
)


def _example(place: int, split: Split = "report", cluster: str | None = None) -> Example:
    return Example(
        id=f"e{place}",
        prompt=f"Summarise {place}",
        completion=f" reference {place}",
        references=(f"reference {place}", "another"),
        cluster=cluster or f"c{place}",
        split=split,
    )


EXAMPLES = (
    *(_example(n) for n in range(60)),
    *(_example(n, "select") for n in range(60, 100)),
    *(_example(n, "train") for n in range(100, 120)),
)


def _text(variant: str, example: Example) -> str:
    return f"{variant} on {example.id}"


class Run:
    """A finished run in a store of its own; what it holds can be changed before it is read."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.spec = SPEC
        self.examples: Sequence[Example] = EXAMPLES
        self.text: Callable[[str, Example], str] = _text
        self.without: set[tuple[str, str]] = set()  # variant and example
        self.cells: dict[tuple[str, str], dict[str, Any]] = {}  # fields that are other
        self.fields: dict[str, Any] = {}
        self.cut = 0  # tokens of the first example's prompt that were cut

    def manifest(self) -> Manifest:
        """Write examples and predictions, and name them."""
        with self.store.writing("examples", "examples-key", {}) as folder:
            self.store.write_records(folder, "examples", self.examples)
        cells = []
        for task in ("titles", "summaries"):
            for variant in VARIANTS:
                key = f"{task}-{variant.id}"
                with self.store.writing("predictions", key, {}) as folder:
                    self.store.write_records(folder, "predictions", self._made(variant.id, task))
                cell = CellResult(
                    variant=variant.id,
                    task=task,
                    kind="generation",
                    status="done",
                    predictions_key=key,
                )
                cells.append(cell.model_copy(update=self.cells.get((variant.id, task), {})))
        fields: dict[str, Any] = {
            "run_id": "run",
            "suite": "small",
            "suite_digest": "d",
            "spec": self.spec,
            "command": "harness eval",
            "created": "2025-01-01T00:00:00+00:00",
            "updated": "2025-01-01T00:00:00+00:00",
            "complete": True,
            "variants": VARIANTS,
            "baseline": "base@nf4",
            "cells": tuple(cells),
            "examples": {"titles": "examples-key", "summaries": "examples-key"},
            "selection": Selection(
                task="summaries",
                metric="rougeL",
                split="select",
                chosen="checkpoint-4",
                reason="best",
            ),
        }
        return Manifest(**{**fields, **self.fields})

    def _made(self, variant: str, task: str) -> list[Prediction]:
        splits = self.spec["tasks"].get(task, {}).get("splits", ())
        return [
            Prediction(
                example_id=example.id,
                text=self.text(variant, example),
                prompt_tokens=3,
                new_tokens=3,
                finish_reason="eos",
                truncated_prompt_tokens=self.cut if example.id == "e0" else 0,
            )
            for example in self.examples
            if example.split in splits and (variant, example.id) not in self.without
        ]

    def choose(self, **spec: Any) -> Any:
        return choose_items(self.store, self.manifest(), HumanSpec(**spec))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


# -- task and variants ----------------------------------------------------------------------------


def test_the_default_is_the_choice_against_the_baseline_on_the_deciding_task(run: Run) -> None:
    """38 items of the report split, with every variant's text and the first reference."""
    chosen = run.choose()
    assert chosen.task == "summaries"
    assert chosen.variants == ("base@nf4", "checkpoint-4")
    assert chosen.baseline == "base@nf4"
    assert chosen.predictions == {
        "base@nf4": "summaries-base@nf4",
        "checkpoint-4": "summaries-checkpoint-4",
    }
    assert len(chosen.items) == 38
    assert chosen.notes == ()
    item = chosen.items[0]
    place = item.id.removeprefix("e")
    assert (item.prompt, item.reference) == (f"Summarise {place}", f"reference {place}")
    assert (item.split, item.cluster) == ("report", f"c{place}")
    assert item.outputs == {
        "base@nf4": f"base@nf4 on {item.id}",
        "checkpoint-4": f"checkpoint-4 on {item.id}",
    }


def test_a_task_can_be_named(run: Run) -> None:
    """Also one that does not decide; its own outputs are rated."""
    chosen = run.choose(task="titles", items=5)
    assert chosen.task == "titles"
    assert chosen.predictions["base@nf4"] == "titles-base@nf4"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("merged", "chosen"), ("checkpoint-4", "merged-4")),
        (("checkpoints",), ("checkpoint-2", "checkpoint-4")),
        (("references", "baseline"), ("base@nf4", "references")),
        (("checkpoint-2", "checkpoints", "chosen"), ("checkpoint-2", "checkpoint-4")),
        (("merged-2",), ("merged-2",)),
        (("references",), ("references",)),
    ],
)
def test_names_stand_for_variants(
    run: Run, names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """In the order of the run, each once, references last."""
    chosen = run.choose(variants=names)
    assert chosen.variants == expected
    assert all(tuple(item.outputs) == expected for item in chosen.items)
    assert set(chosen.predictions) == set(expected) - {"references"}
    assert chosen.baseline == ("base@nf4" if "base@nf4" in expected else None)


def test_the_reference_is_rated_like_an_output(run: Run) -> None:
    """The first one; where there is none, the example cannot be drawn, which is counted."""
    first, *others = EXAMPLES
    run.examples = (first.model_copy(update={"references": ()}), *others)
    chosen = run.choose(variants=("chosen", "references"), items=60)
    assert {item.outputs["references"] for item in chosen.items} == {
        f"reference {n}" for n in range(1, 60)
    }
    assert chosen.notes == (
        "1 example could not be drawn: there is no reference.",
        "59 items instead of 60 from the report split: it has no more examples with outputs.",
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"variants": ["checkpoint-3"]}, r"did you mean checkpoint-[24].*it has: base@nf4, "),
        ({"variants": ["refrences"]}, "did you mean references"),
        ({"task": "summary"}, "human.task names 'summary', unknown. Did you mean summaries"),
        ({"task": "mmlu"}, "which generates no text.*titles, summaries"),
        ({"variants": ["chosen"], "criteria": []}, "there is one variant, checkpoint-4"),
        ({"variants": ["checkpoints"], "preference": "baseline"}, "which is not among them"),
        ({"splits": ["eval"]}, r"splits names eval.*\(report, select\)"),
    ],
)
def test_what_is_not_there_is_refused(run: Run, spec: dict[str, Any], message: str) -> None:
    """With what was found and what there is instead."""
    with pytest.raises(UsageError, match=message):
        run.choose(**spec)


def test_without_a_choice_variants_must_be_named(run: Run) -> None:
    """The error says why nothing was chosen, and which variants there are."""
    selection = Selection(
        task="", metric="", split="select", chosen=None, reason="There is no checkpoint."
    )
    run.fields = {"selection": selection}
    with pytest.raises(UsageError, match=r"There is no checkpoint\. Name variants .* base@nf4"):
        run.choose()
    run.fields = {"selection": None}
    with pytest.raises(UsageError, match="nothing to choose from"):
        run.choose(variants=["merged"])


def test_a_choice_that_was_not_merged_has_no_merged_form(run: Run) -> None:
    """A merged model of other weights, even of the same step, is not taken for it."""
    other = VARIANTS[4].model_copy(update={"digests": {"adapter": "other"}})
    run.fields = {"variants": (*VARIANTS[:4], other)}
    with pytest.raises(UsageError, match="checkpoint-4 was not merged"):
        run.choose(variants=["merged"])


def test_runs_without_what_is_named_say_so(run: Run) -> None:
    """A baseline that was not evaluated, checkpoints that there are none of."""
    run.fields = {"variants": VARIANTS[3:]}
    with pytest.raises(UsageError, match="lacks its baseline base@nf4"):
        run.choose(variants=["baseline"])
    with pytest.raises(UsageError, match="has no checkpoints"):
        run.choose(variants=["checkpoints"])


def test_without_a_generation_task_there_is_nothing_to_rate(run: Run) -> None:
    """Loss and multiple choice give no text."""
    run.spec = {"seed": 7, "tasks": {"mmlu": {"type": "lm_eval", "task": "mmlu"}}}
    with pytest.raises(UsageError, match="no generation task; it has mmlu"):
        run.choose()


def test_where_a_loss_decides_the_first_generation_task_is_rated(run: Run) -> None:
    """Raters cannot judge a loss."""
    tasks = {**SPEC["tasks"], "held_out": {"type": "perplexity", "splits": ["select"]}}
    run.spec = {**SPEC, "tasks": tasks, "select": {"task": "held_out"}}
    assert run.choose().task == "titles"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "failed", "reason": "out of memory"}, "is failed: out of memory"),
        ({"status": "skipped"}, "is skipped"),
        ({"predictions_key": None}, "holds no outputs"),
        ({"task": "elsewhere"}, "is not among the run's cells"),
    ],
)
def test_unfinished_cells_are_named(run: Run, change: dict[str, Any], message: str) -> None:
    """No sheet is made of half a run."""
    run.cells = {("checkpoint-4", "summaries"): change}
    with pytest.raises(UsageError, match=f"checkpoint-4/summaries {message}"):
        run.choose()


def test_a_run_must_say_where_its_examples_lie(run: Run) -> None:
    """Outputs without their prompts cannot be rated."""
    run.fields = {"examples": {}}
    with pytest.raises(StoreError, match="where the examples of summaries lie"):
        run.choose()


# -- items ----------------------------------------------------------------------------------------


def test_splits_give_equal_parts(run: Run) -> None:
    """Of 11 items the first split gives one more."""
    splits = [item.split for item in run.choose(splits=("select", "report"), items=11).items]
    assert splits == ["select"] * 6 + ["report"] * 5


def test_more_items_are_the_same_and_some_more(run: Run) -> None:
    """The order depends on seed and example alone, so that a study can be extended."""
    few = [item.id for item in run.choose(items=10).items]
    many = [item.id for item in run.choose(items=30).items]
    assert many[:10] == few
    run.spec = {**SPEC, "seed": 8}
    assert [item.id for item in run.choose(items=10).items] != few


def test_an_example_stands_where_it_stood_when_others_leave() -> None:
    """Removing other clusters does not change the order of the rest."""
    examples = [_example(n, cluster=f"c{n // 2}") for n in range(40)]
    order = [example.id for example in draw(examples, 7)]
    kept = examples[:20]
    left = {example.id for example in kept}
    assert [example.id for example in draw(kept, 7)] == [name for name in order if name in left]


def test_clusters_give_one_item_before_any_gives_two(run: Run) -> None:
    """Near-identical examples tell little more than one of them does."""
    run.examples = [_example(n, cluster=f"c{n % 20}") for n in range(60)]
    chosen = run.choose(items=20)
    assert len({item.cluster for item in chosen.items}) == 20
    assert chosen.notes == ()
    chosen = run.choose(items=21)
    assert chosen.notes == (
        "1 item from the report split shares a cluster of near-identical examples with another: "
        "it has too few clusters.",
    )


def test_examples_that_some_variant_lacks_are_passed_over_and_counted(run: Run) -> None:
    """Raters judge all variants on the same items."""
    run.without = {("checkpoint-4", f"e{n}") for n in range(30)}
    chosen = run.choose()
    assert len(chosen.items) == 30
    assert chosen.notes == (
        "30 examples could not be drawn: not every variant has an output.",
        "30 items instead of 38 from the report split: it has no more examples with outputs.",
    )


def test_what_a_task_did_not_reach_is_not_missed(run: Run) -> None:
    """With a limit, examples beyond it have no output of anybody, which is as it was meant."""
    every = [variant.id for variant in VARIANTS]
    run.without = {(variant, f"e{n}") for n in range(30) for variant in every}
    assert run.choose(items=30).notes == ()


def test_empty_outputs_are_kept(run: Run) -> None:
    """Saying nothing is an answer that raters judge."""
    run.text = lambda variant, example: "" if variant == "base@nf4" else _text(variant, example)
    chosen = run.choose()
    assert {item.outputs["base@nf4"] for item in chosen.items} == {""}


@pytest.mark.parametrize(
    ("spec", "note"),
    [
        ({"variants": ["chosen"]}, "There is one variant, checkpoint-4: nothing is compared."),
        (
            {"variants": ["chosen", "references"], "show_reference": True},
            "References are rated like outputs while raters see them: they will recognise them.",
        ),
    ],
)
def test_what_may_not_be_meant_is_noted(run: Run, spec: dict[str, Any], note: str) -> None:
    """Nothing is refused that might be wanted."""
    assert run.choose(**spec).notes == (note,)


def test_equal_outputs_everywhere_are_noted(run: Run) -> None:
    """An adapter that changes no text cannot be told from the base, blanks aside."""
    run.text = lambda variant, example: f"{example.id}{' ' if variant == 'base@nf4' else ''}"
    assert run.choose().notes == (
        "The variants wrote the same text for every item: raters cannot tell them apart.",
    )


def test_prompts_that_were_cut_are_counted(run: Run) -> None:
    """Raters see more of them than the model did."""
    run.cut = 5
    assert run.choose(items=60).notes == (
        "1 item: raters see the whole prompt, of which some variant was given only the end "
        "(max_prompt_tokens).",
    )
