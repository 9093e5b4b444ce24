"""Which outputs are rated: the examples drawn for raters, with what every variant wrote."""

from __future__ import annotations

from collections import defaultdict
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
from harness.schema import Example, Manifest, Prediction, Split
from harness.store.runs import Store
from harness.suite.ratings import REFERENCES, HumanSpec
from harness.suite.record import suite_of


@dataclass(frozen=True)
class Chosen:
    """What is rated.

    Attributes:
        task: The generation task whose outputs these are.
        variants: In the run's order, ``references`` last.
        baseline: The run's baseline where it is among them.
        predictions: Variant -> key of its predictions; none for references.
        items: The examples with every variant's output, split by split.
        notes: What was asked for and could not be had, and what raters should not be misled by.
    """

    task: str
    variants: tuple[str, ...]
    baseline: str | None
    predictions: dict[str, str]
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()


def same_text(first: str, second: str) -> bool:
    """Whether two outputs look the same: blanks around a text cannot be seen."""
    return first.strip() == second.strip()


def choose_items(store: Store, manifest: Manifest, spec: HumanSpec) -> Chosen:
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
    task = rated_task(manifest, spec)
    variants = rated_variants(manifest, spec)
    baseline = manifest.baseline if manifest.baseline in variants else None
    check_comparable(spec, variants, baseline)
    predictions = {v: predictions_key(manifest, v, task) for v in variants if v != REFERENCES}
    pool = _Pool.read(store, manifest, task, variants, predictions)
    notes = list(pool.notes(spec.splits))
    items: list[Item] = []
    for place, split in enumerate(spec.splits):
        size, more = divmod(spec.items, len(spec.splits))
        wanted = size + (place < more)
        there = pool.of_split(split)
        if not there and wanted:
            raise _no_outputs(manifest, task, split, pool)
        drawn = draw(there, suite_of(manifest).seed)[:wanted]
        items += [pool.item(example) for example in drawn]
        notes += _shortfall(drawn, wanted, split)
    notes += _remarks(items, variants, spec, pool)
    return Chosen(task, variants, baseline, predictions, tuple(items), tuple(notes))


def draw(examples: Sequence[Example], seed: int) -> list[Example]:
    """All examples by seeded hash, those that repeat a cluster behind the first of each.

    Where an example stands depends on the seed and on the members of its own cluster alone.
    """
    point = {example.id: hash_point(seed, "rating", example.id) for example in examples}
    ranks: dict[str, int] = defaultdict(int)
    rank: dict[str, int] = {}
    by_hash = sorted(examples, key=lambda example: (point[example.id], example.id))
    for example in by_hash:
        rank[example.id] = ranks[example.cluster]
        ranks[example.cluster] += 1
    return sorted(by_hash, key=lambda example: rank[example.id])


# -- examples and outputs -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pool:
    """Examples that can be rated, and every variant's output for them."""

    examples: tuple[Example, ...]
    outputs: dict[str, dict[str, Prediction]]  # variant -> example id -> what it wrote
    variants: tuple[str, ...]
    partial: dict[str, dict[Split, int]]  # why examples cannot be rated -> how many, by split

    @classmethod
    def read(
        cls,
        store: Store,
        manifest: Manifest,
        task: str,
        variants: tuple[str, ...],
        predictions: Mapping[str, str],
    ) -> _Pool:
        """Read a task's examples and outputs, and keep those that every variant wrote for."""
        key = manifest.examples.get(task)
        if key is None:
            raise StoreError(
                f"The run does not say where the examples of {task} lie.",
                where=manifest.name,
                hint="Run the eval again with the same suite; finished results are reused.",
            )
        outputs = {
            variant: {
                made.example_id: made
                for made in store.read_records("predictions", found, "predictions", Prediction)
            }
            for variant, found in predictions.items()
        }
        kept: list[Example] = []
        partial: dict[str, dict[Split, int]] = {}
        for example in store.read_records("examples", key, "examples", Example):
            made = [example.id in texts for texts in outputs.values()]
            if made and not any(made):
                continue  # of a split, or beyond a limit, that the task does not reach
            if not all(made):
                reason = "not every variant has an output"
            elif REFERENCES in variants and not example.references:
                reason = "there is no reference"
            else:
                kept.append(example)
                continue
            counts = partial.setdefault(reason, {})
            counts[example.split] = counts.get(example.split, 0) + 1
        return cls(tuple(kept), outputs, variants, partial)

    def of_split(self, split: Split) -> list[Example]:
        return [example for example in self.examples if example.split == split]

    def item(self, example: Example) -> Item:
        texts = {name: made[example.id].text for name, made in self.outputs.items()}
        if REFERENCES in self.variants:
            texts[REFERENCES] = example.references[0]
        return Item(
            id=example.id,
            cluster=example.cluster,
            split=example.split,
            prompt=example.prompt,
            reference=example.references[0] if example.references else None,
            outputs=texts,
        )

    def cut_prompts(self, items: Sequence[Item]) -> int:
        """Items of whose prompt some variant was not given all."""
        return sum(
            any(made[item.id].truncated_prompt_tokens > 0 for made in self.outputs.values())
            for item in items
        )

    def notes(self, splits: Sequence[Split]) -> Iterator[str]:
        """Examples that were passed over, counted."""
        for reason, counts in self.partial.items():
            count = sum(counts.get(split, 0) for split in splits)
            if count:
                yield f"{_count(count, 'example')} could not be drawn: {reason}."


def _shortfall(drawn: Sequence[Example], wanted: int, split: Split) -> Iterator[str]:
    """That there were fewer examples than asked for, or fewer independent ones."""
    if len(drawn) < wanted:
        have = f"{_count(len(drawn), 'item')} instead of {wanted:,}"
        yield f"{have} from the {split} split: it has no more examples with outputs."
    repeated = len(drawn) - len({example.cluster for example in drawn})
    if repeated:
        yield (
            f"{_count(repeated, 'item')} from the {split} split "
            f"{'shares' if repeated == 1 else 'share'} a cluster of near-identical examples with "
            "another: it has too few clusters."
        )


def _remarks(
    items: Sequence[Item], variants: Sequence[str], spec: HumanSpec, pool: _Pool
) -> Iterator[str]:
    """What should be known before raters' time is spent."""
    if len(variants) == 1 and spec.preference != "none":
        yield f"There is one variant, {variants[0]}: nothing is compared."
    if len(variants) > 1 and all(_all_same(item) for item in items):
        yield "The variants wrote the same text for every item: raters cannot tell them apart."
    if REFERENCES in variants and spec.show_reference:
        yield "References are rated like outputs while raters see them: they will recognise them."
    cut = pool.cut_prompts(items)
    if cut:
        yield (
            f"{_count(cut, 'item')}: raters see the whole prompt, of which some variant was given "
            "only the end (max_prompt_tokens)."
        )


def _all_same(item: Item) -> bool:
    first, *others = item.outputs.values()
    return all(same_text(first, other) for other in others)


# -- words ----------------------------------------------------------------------------------------


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _no_outputs(manifest: Manifest, task: str, split: Split, pool: _Pool) -> UsageError:
    there = list(dict.fromkeys(example.split for example in pool.examples))
    return UsageError(
        f"human.splits names {split}, of which there is no example of {task} with outputs of all "
        "variants.",
        where=manifest.name,
        hint=f"Name splits that have some ({', '.join(there) or 'there are none'}), or add {split} "
        f"to tasks.{task}.splits and run the eval again.",
    )
