"""The model card of a checkpoint that is shipped: README.md, and .eval_results beside it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from harness.release.card import results as card_results
from harness.release.card import sections as card_sections
from harness.release.card.data import Card
from harness.release.card.limits import limits
from harness.release.card.training import training
from harness.release.card.use import prompt, use
from harness.render.markdown import code, plain
from harness.report.words.selection import how_chosen
from harness.schema import Variant
from harness.suite.record import suite_of

README = "README.md"
TO_FILL_IN = "TO FILL IN"
_MARK = re.compile(r"(?:<!-- |# )Written by qlora-harness; sha256 of all above: ([0-9a-f]{64})")


@dataclass(frozen=True)
class CardFiles:
    """A card as files."""

    # path within the model's folder -> text: ``README.md`` and ``.eval_results/*.yaml``
    files: Mapping[str, str]
    scores: int | None  # how many scores the ``model-index`` has; None where it could not be made
    # task -> why ``.eval_results`` has no entry for it
    left_out: Mapping[str, str] = field(default_factory=dict)
    to_fill_in: tuple[str, ...] = ()  # what only its author can say


def card_files(card: Card) -> CardFiles:
    """Write a card, its results through huggingface_hub's classes where that is installed.

    Args:
        card: What it is of.
    """
    body, missing = _body(card), tuple(name for name, _ in _missing(card))
    if not card_results.hub_installed():
        text = f"{_front_matter(card)}\n{body}"
        return CardFiles({README: _marked(text, "<!-- ", " -->")}, None, {}, missing)
    items = card_results.scored(card)
    data = card_results.metadata(card, items).to_yaml()
    text = card_results.normalised(f"---\n{data}\n---\n\n{body}")
    files = {README: _marked(text, "<!-- ", " -->")}
    for path, entries in card_results.result_files(card, items).items():
        files[path] = _marked(entries, "# ", "")
    return CardFiles(files, len(items), card_results.left_out(items), missing)


def is_untouched(text: str) -> bool:
    """Whether a file was written by :func:`card_files` and not changed since."""
    above, _, last = text.removesuffix("\n").rpartition("\n")
    mark = _MARK.match(last)
    return mark is not None and mark[1] == _digest(f"{above}\n")


def _marked(text: str, start: str, end: str) -> str:
    """The text with a last line by which it is known again, unless it was changed."""
    text = f"{text.rstrip()}\n"
    return f"{text}{start}Written by qlora-harness; sha256 of all above: {_digest(text)}{end}\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _front_matter(card: Card) -> str:
    """The metadata that need no library to be written; JSON strings are YAML strings."""
    lines = [f"library_name: {card_results.library(card)}"]
    if card.base.hub:
        lines.insert(0, f"base_model: {json.dumps(card.base.name)}")
    return "\n".join(["---", *lines, "---\n"])


def _body(card: Card) -> str:
    parts = [
        f"# {plain(card.title)}",
        _what(card),
        *_why(card),
        *card_sections.results(card),
        *card_sections.ratings(card),
        *card_sections.cost(card),
        "## Use",
        f"```python\n{use(card)}```",
        *prompt(card),
        *training(card),
        *limits(card),
        *_provenance(card),
        *_to_fill_in(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(card: Card) -> str:
    variant, base = card.variant, card.base
    name = plain(f"{base.name}{f' at revision {base.revision}' if base.revision else ''}")
    if variant.kind == "adapter":
        return f"A PEFT adapter for {name}, evaluated at {variant.precision}."
    if variant.kind == "merged":
        stored = f"stored as {card.saved_as}, " if card.saved_as else ""
        into = f"{name} with the adapter {plain(card.checkpoint.id)} merged into it"
        return f"{into}, {stored}evaluated at {variant.precision}."
    return f"A full fine-tuning of {name}, evaluated at {variant.precision}."


def _why(card: Card) -> Iterator[str]:
    selection = card.manifest.selection
    yield "## Why this checkpoint"
    if selection is None:
        yield "No choice was made in this run; the checkpoint was named by hand."
    elif not card.chosen:
        own = f"chose {plain(selection.chosen)}" if selection.chosen else "chose none"
        yield f"It was named by hand: the run itself {own}. {plain(selection.reason)}"
    else:
        yield plain(how_chosen(selection))
        yield plain(selection.reason)


def _provenance(card: Card) -> Iterator[str]:
    manifest, variant = card.manifest, card.variant
    environment = manifest.environment
    yield "## Provenance"
    lines = [
        f"run {plain(f'{manifest.name}')}, last updated {manifest.updated}; "
        f"suite digest {manifest.suite_digest}, seed {suite_of(manifest).seed}",
        f"command: {code(manifest.command)}" if manifest.command else "",
        _digests(variant),
    ]
    if environment is not None:
        versions = ", ".join(f"{name} {v}" for name, v in sorted(environment.versions.items()))
        lines += [
            f"evaluated on {plain(card_sections.hardware(card))}; {plain(environment.platform)}, "
            f"Python {plain(environment.python)}",
            f"versions: {code(versions)}",
        ]
    if card.record:
        lines.append(f"the whole record (suite, selection, digests of all files): `{card.record}`")
    yield "\n".join(f"- {line}" for line in lines if line)
    yield (
        "To repeat it, install these versions and run the command on the suite of this digest and "
        "its data; `harness card` then writes this card again."
    )


def _digests(variant: Variant) -> str:
    digests = {name: digest for name, digest in variant.digests.items() if "/" not in name}
    words = ", ".join(f"{name} {code(digest)}" for name, digest in sorted(digests.items()))
    return f"digests: {words}" if words else ""


def _missing(card: Card) -> Iterator[tuple[str, str]]:
    """What only the author of the model can say: its name, and a line of Markdown."""
    yield "license", "license (`license` in the metadata; the base's own binds it too)"
    yield "language", "language (`language` in the metadata)"
    if not card.base.hub:
        name = plain(card.base.name)
        where = "`base_model` in the metadata"
        if card.variant.kind == "adapter":
            where += ", `base_model_name_or_path` in adapter_config.json"
        yield "base model", f"Hub id of the base ({where}), here {name}"
    data = card.training_data
    if data is None:
        yield "training data", "what it was trained on (`datasets` in the metadata)"
    elif data.hub is None:
        yield "training data", f"origin and terms of the training data, {plain(data.name)}"


def _to_fill_in(card: Card) -> Iterator[str]:
    lines = [f"- {TO_FILL_IN}: {line}" for _, line in _missing(card)]
    yield "## To fill in"
    yield "\n".join(lines)
    yield f"{len(lines)} lines of this card are to be filled in before it is published."
