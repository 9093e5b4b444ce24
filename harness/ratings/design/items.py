"""Which outputs are rated: the examples drawn for raters, with what every variant wrote."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.data.splits import hash_point
from harness.errors import StoreError, UsageError
from harness.ratings.design.subjects import (
    check_comparable,
    predictions_key,
    rated_task,
    rated_variants,
)
from harness.ratings.records import Item
from harness.render.numbers import count
from harness.schema import Example, Manifest, Prediction, Split
from harness.store.runs import Store
from harness.suite.ratings import REFERENCES, HumanSpec
from harness.suite.record import suite_of

_Outputs = Mapping[str, Mapping[str, Prediction]]
"""Variant -> example id -> what it wrote."""


@dataclass(frozen=True)
class ItemSelection:
    """What is rated."""

    task: str  # the generation task whose outputs these are
    variants: tuple[str, ...]  # in the run's order, ``references`` last
    baseline: str | None  # the run's baseline where it is among them
    predictions: dict[str, str]  # variant -> key of its predictions; none for references
    items: tuple[Item, ...]  # the examples with every variant's output, split by split
    # what was asked for and could not be had, and what raters should not be misled by
    notes: tuple[str, ...] = ()


def same_text(first: str, second: str) -> bool:
    """Whether two outputs look the same: blanks around a text cannot be seen."""
    return first.strip() == second.strip()


def choose_items(store: Store, manifest: Manifest, spec: HumanSpec) -> ItemSelection:
    """Draw the examples whose outputs are rated.

    Every split of ``spec.splits`` gives an equal part (the first ones one more where that does not
    divide), in an order by seeded hash: first one example of each cluster, then further ones. So
    more items of the same run are the same ones and some more.

    Args:
        store: Where examples and predictions lie.
        manifest: The run.
        spec: What the suite says about raters.

    Raises:
        UsageError: The run has no such task or variant, or has not finished its outputs.
        StoreError: Examples or predictions are missing or unreadable.
    """
    task, variants = rated_task(manifest, spec), rated_variants(manifest, spec)
    baseline = manifest.baseline if manifest.baseline in variants else None
    check_comparable(spec, variants, baseline)
    predictions = {v: predictions_key(manifest, v, task) for v in variants if v != REFERENCES}
    outputs: _Outputs = {
        variant: {
            made.example_id: made
            for made in store.read_records("predictions", key, "predictions", Prediction)
        }
        for variant, key in predictions.items()
    }
    pool, partial = _pool(store, manifest, task, outputs, REFERENCES in variants)
    notes = list(_partial_notes(partial, spec.splits))
    items: list[Item] = []
    size, more = divmod(spec.items, len(spec.splits))
    for place, split in enumerate(spec.splits):
        wanted = size + (place < more)
        there = [example for example in pool if example.split == split]
        if not there and wanted:
            have = ", ".join(dict.fromkeys(example.split for example in pool)) or "there are none"
            raise UsageError(
                f"human.splits names {split}, of which there is no example of {task} with outputs "
                "of all variants.",
                where=manifest.name,
                hint=f"Name splits that have some ({have}), or add {split} to tasks.{task}.splits "
                "and run the eval again.",
            )
        drawn = draw(there, suite_of(manifest).seed)[:wanted]
        items += [_item(example, outputs, REFERENCES in variants) for example in drawn]
        notes += _shortfall(drawn, wanted, split)
    notes += _remarks(items, variants, spec, outputs)
    return ItemSelection(task, variants, baseline, predictions, tuple(items), tuple(notes))


def draw(examples: Sequence[Example], seed: int) -> list[Example]:
    """All examples by seeded hash, those that repeat a cluster behind the first of each.

    Where an example stands depends on the seed and on the members of its own cluster alone.
    """
    point = {example.id: hash_point(seed, "rating", example.id) for example in examples}
    ranks: Counter[str] = Counter()
    rank: dict[str, int] = {}
    by_hash = sorted(examples, key=lambda example: (point[example.id], example.id))
    for example in by_hash:
        rank[example.id] = ranks[example.cluster]
        ranks[example.cluster] += 1
    return sorted(by_hash, key=lambda example: rank[example.id])


def _pool(
    store: Store, manifest: Manifest, task: str, outputs: _Outputs, references: bool
) -> tuple[list[Example], Counter[tuple[str, Split]]]:
    """Examples that every variant wrote for; why others cannot be rated, by split, counted."""
    key = manifest.examples.get(task)
    if key is None:
        raise StoreError(
            f"The run does not say where the examples of {task} lie.",
            where=manifest.name,
            hint="Run the eval again with the same suite; finished results are reused.",
        )
    pool: list[Example] = []
    partial: Counter[tuple[str, Split]] = Counter()
    for example in store.read_records("examples", key, "examples", Example):
        made = [example.id in texts for texts in outputs.values()]
        if made and not any(made):
            continue  # of a split, or beyond a limit, that the task does not reach
        if not all(made):
            partial["not every variant has an output", example.split] += 1
        elif references and not example.references:
            partial["there is no reference", example.split] += 1
        else:
            pool.append(example)
    return pool, partial


def _item(example: Example, outputs: _Outputs, references: bool) -> Item:
    texts = {name: made[example.id].text for name, made in outputs.items()}
    if references:
        texts[REFERENCES] = example.references[0]
    return Item(
        **example.model_dump(include={"id", "cluster", "split", "prompt"}),
        reference=example.references[0] if example.references else None,
        outputs=texts,
    )


def _partial_notes(partial: Counter[tuple[str, Split]], splits: Sequence[Split]) -> Iterator[str]:
    """Examples that were passed over, counted."""
    for reason in dict.fromkeys(reason for reason, _ in partial):
        if n := sum(partial[reason, split] for split in splits):
            yield f"{count(n, 'example')} could not be drawn: {reason}."


def _shortfall(drawn: Sequence[Example], wanted: int, split: Split) -> Iterator[str]:
    """That there were fewer examples than asked for, or fewer independent ones."""
    if len(drawn) < wanted:
        have = f"{count(len(drawn), 'item')} instead of {wanted:,}"
        yield f"{have} from the {split} split: it has no more examples with outputs."
    repeated = len(drawn) - len({example.cluster for example in drawn})
    if repeated:
        yield (
            f"{count(repeated, 'item')} from the {split} split "
            f"{'shares' if repeated == 1 else 'share'} a cluster of near-identical examples with "
            "another: it has too few clusters."
        )


def _remarks(
    items: Sequence[Item], variants: Sequence[str], spec: HumanSpec, outputs: _Outputs
) -> Iterator[str]:
    """What should be known before raters' time is spent."""
    if len(variants) == 1 and spec.preference != "none":
        yield f"There is one variant, {variants[0]}: nothing is compared."
    texts = ([text.strip() for text in item.outputs.values()] for item in items)
    if len(variants) > 1 and all(len(set(own)) == 1 for own in texts):
        yield "The variants wrote the same text for every item: raters cannot tell them apart."
    if REFERENCES in variants and spec.show_reference:
        yield "References are rated like outputs while raters see them: they will recognise them."
    cut = sum(
        any(made[item.id].truncated_prompt_tokens > 0 for made in outputs.values())
        for item in items
    )
    if cut:
        yield (
            f"{count(cut, 'item')}: raters see the whole prompt, of which some variant was given "
            "only the end (max_prompt_tokens)."
        )
