"""Rows: generation against transformers' own ``generate``, and adapters mixed in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.engines.base import Decoding
from harness.engines.generation import generate, generate_together
from harness.models.adapters import AdapterSet
from tests.benchmarks.models import load, write_adapters
from tests.benchmarks.realdata import abstracts, titles
from tests.benchmarks.results import Goal, Result, Settings
from tests.benchmarks.timing import Timed, in_turn, shown_seconds

NEW_TOKENS = 64
ADAPTERS = 4


def generate_abstracts(settings: Settings) -> Result:
    """64 SciTLDR abstracts: the engine, against ``model.generate`` one prompt at a time."""
    model, tokenizer = load(settings.device)
    prompts = abstracts(3 if settings.quick else 64)
    decoding = Decoding(max_new_tokens=NEW_TOKENS, batch_size=64)

    def ours() -> list[str]:
        found = generate(model, tokenizer, prompts, decoding, chat=False)
        return [one.text for one in found]

    def reference() -> list[str]:
        return [_stock_generate(model, tokenizer, prompt) for prompt in prompts]

    generate(model, tokenizer, prompts[:1], decoding, chat=False)  # first calls
    _stock_generate(model, tokenizer, prompts[0])
    timed = in_turn(
        {"ours": lambda: ours, "generate": lambda: reference}, settings.repeats, settings.device
    )
    mine, theirs = timed["ours"], timed["generate"]
    goal = Goal(
        f"generation of {len(prompts)} abstracts against batch-1 `generate`",
        4.0,
        theirs.seconds / mine.seconds,
        ours=shown_seconds(mine.seconds),
        reference=shown_seconds(theirs.seconds),
        outputs=_same_texts(mine.result, theirs.result),
    )
    note = f"Generation: greedy, {NEW_TOKENS} new tokens at most, tokenization included."
    figures = {"ours": mine.figures(), "reference": theirs.figures()}
    return Result.of_goals([goal], [note], figures)


def mixed_adapters(settings: Settings) -> Result:
    """Base and four adapters on the same prompts: in one batch, against one after another."""
    model, tokenizer = load(settings.device)
    adapters = AdapterSet(model)
    names: list[str | None] = [None]
    for path in write_adapters(settings.folder, ADAPTERS):
        adapters.add(path.name, path)
        names.append(path.name)
    goals, figures = [], {}
    for count in (1,) if settings.quick else (1, 4, 16):
        timed = _mixed_and_one_by_one(adapters, names, tokenizer, count, settings)
        mine, theirs = timed["ours"], timed["one after another"]
        goal = Goal(
            f"mixed-adapter decode, base + {ADAPTERS} adapters, prompts of each: {count}",
            2.5 if count == 1 else None,
            theirs.seconds / mine.seconds,
            ours=shown_seconds(mine.seconds),
            reference=shown_seconds(theirs.seconds),
            outputs=_same_texts(mine.result, theirs.result),
        )
        goals.append(goal)
        figures[f"{count} prompts"] = {"ours": mine.figures(), "reference": theirs.figures()}
    note = (
        f"Mixed adapters: titles of some ten words for each of {len(names)} variants, 32 new "
        "tokens at most, against one variant after another; the prompts are short, since reading "
        "them is included on both sides. The more prompts there are, the smaller is the share of "
        "a step that reads weights, which is what mixing saves; so `harness eval` mixes on a CPU "
        "only where prompts are few."
    )
    return Result.of_goals(goals, [note], figures)


def _mixed_and_one_by_one(
    adapters: AdapterSet, names: list[str | None], tokenizer: Any, count: int, settings: Settings
) -> dict[str, Timed]:
    prompts = titles(count)
    decoding = Decoding(max_new_tokens=4 if settings.quick else 32, batch_size=16 * len(names))

    def ours() -> list[str]:
        with adapters.mixed(names) as mixture:
            found = generate_together(mixture, tokenizer, prompts, decoding, chat=False)
        return [one.text for name in names for one in found[name]]

    def reference() -> list[str]:
        found = []
        for name in names:
            with adapters.active(name) as active:
                found += generate(active, tokenizer, prompts, decoding, chat=False)
        return [one.text for one in found]

    ours(), reference()  # first calls
    return in_turn(
        {"ours": lambda: ours, "one after another": lambda: reference},
        settings.repeats,
        settings.device,
    )


def _stock_generate(model: Any, tokenizer: Any, prompt: str) -> str:
    given = tokenizer(prompt, return_tensors="pt").to(model.device)
    ids = model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False)
    text: str = tokenizer.decode(ids[0, given.input_ids.shape[1] :], skip_special_tokens=True)
    return text


def _same_texts(ours: Sequence[str], reference: Sequence[str]) -> str:
    same = sum(a == b for a, b in zip(ours, reference, strict=True))
    return f"{same} of {len(reference)} texts equal"
