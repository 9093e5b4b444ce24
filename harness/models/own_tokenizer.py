"""The tokenizer and chat template that lie beside an adapter, against those it is evaluated with.

Trainers leave both with each checkpoint. An adapter is evaluated with the base's, or with
``base.tokenizer``; whoever loads the adapter as it was shipped takes what lies beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from harness.digests import file_digest
from harness.errors import ModelError, in_a_line
from harness.files import read_json
from harness.models.beside import TOKENIZER_PROBE as PROBE
from harness.models.identity import TOKENIZER_PATTERNS, model_files
from harness.schema import Proof

TEMPLATE_FILE = "chat_template.jinja"
_Files = tuple[tuple[str, str], ...]  # names and digests
# checkpoints of one training have equal files, and loading a tokenizer takes its time
_compared: WeakKeyDictionary[Any, dict[_Files, Proof]] = WeakKeyDictionary()
_TEXTS = (
    "The capital of France is Paris.",
    "  two  spaces\n\n\tdef f(x):\n    return x ** 2  # 1,234.56",
    "naïve Zürich — “quoted” 日本語 🙂",
)
_USER = {"role": "user", "content": "What is 2 + 2?"}
_ANSWER = {"role": "assistant", "content": "<think>\nadd\n</think>\n\nFour."}
_CONVERSATIONS = (
    [_USER],
    [_USER, _ANSWER],
    [_USER, _ANSWER, _USER],
    [{"role": "system", "content": "Be brief."}, _USER, _ANSWER],
)


def tokenizer_proof(folder: Path, tokenizer: Any, *, given: str | None = None) -> Proof:
    """Compare what lies beside an adapter with what it is evaluated with.

    Args:
        folder: The adapter's folder.
        tokenizer: The one in use.
        given: ``base.tokenizer``, where the one in use is not the base's own.

    Returns:
        ``fails`` where texts become other tokens, chats other texts, or answers end elsewhere;
        ``fallback`` where tokens were only added, or where the files cannot be read.
    """
    files = model_files(folder, TOKENIZER_PATTERNS)
    if not files and given is not None:
        words = f"No tokenizer lies beside the adapter, and it is evaluated with that of {given}."
        hint = f"Ship {given} with it, or leave base.tokenizer out."
        return Proof(probe=PROBE, outcome="fallback", words=words, hint=hint)
    if not files:
        words = "No tokenizer and no chat template lie beside the adapter: it has the base's."
        return Proof(probe=PROBE, outcome="holds", words=words)
    known = _compared.setdefault(tokenizer, {})
    equal = tuple((file.name, file_digest(file)) for file in files)
    if equal not in known:
        try:
            known[equal] = _comparison(_beside(folder, files, tokenizer), tokenizer)
        except Exception as error:  # whatever a stranger's files make of a library
            names = ", ".join(file.name for file in files)
            words = f"What lies beside the adapter ({names}) cannot be read"
            words = f"{words}: {in_a_line(error, 200)}"
            return Proof(probe=PROBE, outcome="fallback", words=words, hint=_HINT)
    return known[equal]


def _comparison(theirs: Any, tokenizer: Any) -> Proof:
    differences = list(_differences(theirs, tokenizer))
    if differences:
        words = f"Beside the adapter lies {'; '.join(differences)} than it is evaluated with."
        return Proof(probe=PROBE, outcome="fails", words=words, hint=_HINT)
    own = theirs.get_vocab()
    extra = sorted(set(own) - set(tokenizer.get_vocab()), key=own.__getitem__)
    if extra:
        words = f"Beside the adapter lies a tokenizer with {len(extra):,} more tokens, such as "
        words += f"{extra[0]!r}. Plain texts and chats come out the same."
        return Proof(probe=PROBE, outcome="fallback", words=words, hint=_HINT)
    words = "Texts become the same tokens, and chats the same texts, by what lies beside it."
    return Proof(probe=PROBE, outcome="holds", words=words)


_HINT = (
    "Set base.tokenizer to the adapter's folder, so that all variants are evaluated with what "
    "ships; or ship the adapter without these files."
)


def _beside(folder: Path, files: Sequence[Path], tokenizer: Any) -> Any:
    """The tokenizer beside an adapter; where only a template is there, the one in use with it."""
    from transformers import AutoTokenizer

    config = folder / "tokenizer_config.json"
    names = {file.name for file in files}
    if config.is_file() and names - {config.name, TEMPLATE_FILE, "special_tokens_map.json"}:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    theirs = copy.copy(tokenizer)
    if (folder / TEMPLATE_FILE).is_file():
        theirs.chat_template = (folder / TEMPLATE_FILE).read_text("utf-8")
    elif config.is_file():
        settings = read_json(config, ModelError, "The tokenizer's settings")
        theirs.chat_template = settings.get("chat_template") if isinstance(settings, dict) else None
    return theirs


def _differences(theirs: Any, ours: Any) -> Iterator[str]:
    """What comes out otherwise, in words that go before *than it is evaluated with*."""
    own, known = theirs.get_vocab(), ours.get_vocab()
    moved = [token for token in known if own.get(token) != known[token]]
    if moved:
        yield f"a tokenizer in which {len(moved):,} tokens (such as {moved[0]!r}) are others"
    elif any(theirs.encode(text) != ours.encode(text) for text in _TEXTS):
        yield "a tokenizer that makes other tokens of the same text"
    if theirs.eos_token != ours.eos_token:
        yield f"another end of a text ({theirs.eos_token!r}, not {ours.eos_token!r})"
    if any(_rendered(theirs, c) != _rendered(ours, c) for c in _CONVERSATIONS):
        yield "another chat template" if ours.chat_template else "a chat template, rather"


def _rendered(tokenizer: Any, conversation: list[dict[str, str]]) -> list[str]:
    """A conversation by a tokenizer's template, with and without the start of an answer."""
    if not tokenizer.chat_template:
        return []
    texts = []
    for starts in (False, True):
        try:
            text = tokenizer.apply_chat_template(
                conversation, add_generation_prompt=starts, tokenize=False
            )
        except Exception as error:  # templates refuse with errors of many kinds
            text = type(error).__name__
        texts.append(str(text))
    return texts
