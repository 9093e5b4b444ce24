"""Tokenizers: loading, chat templates, and the one way in which prompts become tokens.

Training and evaluation both encode through ``encode_prompt`` and ``encode_pair``: prompt and
completion are encoded apart and joined, so the tokens a model sees before it must write are the
same in both, whatever merges a tokenizer would make across the border.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from harness.bounds import bounded
from harness.errors import ModelError, told_as
from harness.files import local_path
from harness.models.builtin import resolve_model
from harness.models.identity import tokenizer_digest
from harness.schema import FinishReason
from harness.suite.spec import BaseSpec

# Some templates print today's date. Equal keys must mean equal prompts, whatever the day, so they
# print what Llama 3.1's has by default; a macro takes the place of what transformers gives.
_SAME_DAY = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}"
_SECONDS = 1.0  # that a conversation may take, which is tried more than once and takes milliseconds


def load_tokenizer(base: BaseSpec, base_dir: Path) -> Any:
    """Load a base's tokenizer, with a pad token.

    Without one of its own, EOS pads: embeddings are never resized, since that would change the
    model that is evaluated.

    Raises:
        ModelError: There is no tokenizer, or it has neither pad nor EOS token.
    """
    from transformers import AutoTokenizer
    from transformers.utils import logging

    location: Path | str
    if base.tokenizer is not None:
        location, revision = local_path(base.tokenizer, base_dir, ModelError), None
        tokenizer_digest(location)  # refuses a folder that has none
    else:
        location, revision = resolve_model(base, base_dir), base.revision
    logging.set_verbosity_error()
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            location, revision=revision, trust_remote_code=base.trust_remote_code
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"No tokenizer can be loaded: {error}",
            where=str(location),
            hint="Save the tokenizer beside the model (tokenizer.save_pretrained).",
        ) from error
    require_padding(tokenizer, where=str(location))
    return tokenizer


def require_padding(tokenizer: Any, *, where: str) -> None:
    """Give a tokenizer a token to pad with: EOS, where it has none of its own.

    Raises:
        ModelError: It has no EOS token either.
    """
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ModelError(
                "The tokenizer has neither a pad nor an EOS token, so batches cannot be padded.",
                where=where,
                hint="Set pad_token in its tokenizer_config.json to a token it already has.",
            )
        tokenizer.pad_token = tokenizer.eos_token


def render_chat(tokenizer: Any) -> Callable[[list[dict[str, str]], bool], str]:
    """The tokenizer's chat template as a function of (messages, add_generation_prompt).

    Raises:
        ModelError: The tokenizer has no chat template; later, when the template refuses messages.
    """
    if not tokenizer.chat_template:
        raise ModelError(
            "The prompt is a chat, but this model's tokenizer has no chat template.",
            where=str(tokenizer.name_or_path),
            hint="Use prompt and completion (or text) instead of messages, or an instruct model.",
        )

    own = tokenizer.chat_template
    if isinstance(own, str):
        _refuse_powers(own, str(tokenizer.name_or_path))
    dated = isinstance(own, str) and "strftime_now" in own
    template = f"{_SAME_DAY}{own}" if dated else None

    def render(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        with (
            told_as(
                ModelError,
                "The tokenizer's chat template refuses the messages",
                where=str(tokenizer.name_or_path),
                hint="Some templates take no system message, or want user and assistant in turn.",
            ),
            bounded(),
        ):
            text = tokenizer.apply_chat_template(
                messages,
                chat_template=template,
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
            )
        return cast("str", text)

    return render


def _refuse_powers(source: str, where: str) -> None:
    """Refuse a chat template that raises to a power: no signal ends that before it is done."""
    import jinja2

    try:
        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(source)  # noqa: S701
    except Exception:  # of whatever it holds; rendering says what is wrong with it
        return
    if any(tree.find_all(jinja2.nodes.Pow)):
        raise ModelError("The chat template raises numbers to a power.", where=where)


def encode_prompt(tokenizer: Any, text: str, *, chat: bool) -> list[int]:
    """Tokens of a prompt.

    Args:
        tokenizer: As ``load_tokenizer`` gives it.
        text: The rendered prompt.
        chat: Whether the chat template rendered it; it then brings its own special tokens.

    Returns:
        Token ids: BOS in front where the tokenizer adds it and the text does not begin with it,
        never EOS at the end unless the text ends so. Never empty: a model needs one token to
        start from, so an empty prompt is BOS, or EOS for tokenizers without one.
    """
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    ids: list[int] = tokenizer.encode(text, add_special_tokens=not chat)
    if not chat:
        if len(ids) > 1 and ids[0] == ids[1] == bos:
            del ids[0]
        if ids and ids[-1] == eos and not text.endswith(tokenizer.eos_token):
            del ids[-1]
    return ids or [bos if bos is not None else eos]


def encode_pair(
    tokenizer: Any, prompt: str, completion: str, *, chat: bool
) -> tuple[list[int], list[int]]:
    """Tokens of a prompt and of the completion that follows it, in training as in evaluation.

    Args:
        tokenizer: As ``load_tokenizer`` gives it.
        prompt: The rendered prompt.
        completion: The rendered completion.
        chat: Whether the chat template rendered both; its own end-of-turn then ends them.

    Returns:
        Prompt ids as ``encode_prompt`` gives them, and completion ids with EOS at the end.
    """
    ids: list[int] = tokenizer.encode(completion, add_special_tokens=False)
    eos = tokenizer.eos_token_id
    if not chat and eos is not None and (not ids or ids[-1] != eos):
        ids.append(eos)
    return encode_prompt(tokenizer, prompt, chat=chat), ids


class ChatTurns:
    """Where a rendered answer ends, and what is printed of it once it is a model's output.

    Args:
        tokenizer: As ``load_tokenizer`` gives it, with a chat template.

    Attributes:
        hidden: Token inside an answer of which nothing is printed -> answers that held it.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.hidden: Counter[str] = Counter()
        self._marks = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        asking = {"role": "user", "content": "a"}
        answers = [{"role": "assistant", "content": content} for content in "ab"]
        try:
            render = render_chat(tokenizer)
            self._shortest = [render([asking, answer], False) for answer in answers]
        except ModelError:  # some templates want more than that
            self._shortest = []

    def end(self, completions: Sequence[str] = ()) -> str | None:
        """The token or the text that ends a turn, as the chat template writes it.

        It need not be EOS: many a base keeps EOS for the end of a document, and a model that
        learnt its turns from the template would write on.

        Args:
            completions: Rendered completions, if there are any.

        Returns:
            The first special or added token in what all completions have in common at their end,
            and answers of one letter have, too; without one there all of its text; None where
            nothing ends a turn.
        """
        if not completions and not self._shortest:
            return None
        ending = _common_end([*completions, *self._shortest])
        ids = self._tokenizer.encode(ending, add_special_tokens=False)
        first = next((token for token in ids if token in self._marks), None)
        if first is None:  # some write tokens that the tokenizer does not have
            return (ending.strip() or None) if self._shortest else None
        return str(self._tokenizer.convert_ids_to_tokens(first))

    def printed(self, completion: str) -> str:
        """What a perfect model is seen to say, when its tokens are decoded like any output.

        A template may leave out a part of the answer, or add one, and of special tokens nothing is
        printed: so it is this, and no field of a row, that an output can be equal to.
        """
        end = self.end([completion])
        text = completion if end is None else completion.partition(end)[0]
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        marks = [str(self._tokenizer.convert_ids_to_tokens(i)) for i in self._marks & set(ids)]
        self.hidden.update(mark for mark in marks if unprinted(self._tokenizer, [mark]))
        return decode_output(self._tokenizer, ids)


def _common_end(texts: Sequence[str]) -> str:
    backwards = sorted(text[::-1] for text in texts)  # what these two share, all between share
    pairs = zip(backwards[0], backwards[-1], strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))[::-1]


def decode_output(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of generated tokens, without special ones."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text


def as_output(
    tokenizer: Any, ids: Sequence[int], stop: Sequence[str], most: int
) -> tuple[str, int, FinishReason]:
    """What is made of tokens when a model generates them, as the decoder does it.

    Args:
        tokenizer: As ``load_tokenizer`` gives it.
        ids: The tokens, in the order in which they are written.
        stop: Strings that end an output.
        most: Tokens that are generated at most.

    Returns:
        The text, how many tokens were generated for it, and what ended it.
    """
    hidden = unprinted(tokenizer, stop)
    ends = {tokenizer.eos_token_id, *hidden}
    count = next((at for at, token in enumerate(ids, 1) if token in ends), len(ids))
    ids = ids[: min(count, most)]
    text = decode_output(tokenizer, ids)
    cuts = [at for at in map(text.find, stop) if at >= 0]
    if cuts:
        return text[: min(cuts)], len(ids), "stop"
    if count > most or ids[-1:] == [] or ids[-1] not in ends:
        return text, len(ids), "length"
    return text, len(ids), "stop" if ids[-1] in hidden else "eos"


def unprinted(tokenizer: Any, strings: Iterable[str]) -> set[int]:
    """Ids of those strings that are tokens of which nothing is printed.

    The tokenizer's list of special tokens does not name all of them.
    """
    tokens = {tokenizer.convert_tokens_to_ids(string) for string in strings}
    known = tokens - {None, tokenizer.unk_token_id}
    return {token for token in known if not decode_output(tokenizer, [token])}


def truncate_left(ids: list[int], limit: int, bos: int | None) -> tuple[list[int], int]:
    """Cut tokens from the left to a limit, keeping BOS in front where there was one.

    Args:
        ids: Token ids.
        limit: Most tokens to keep, at least 1.
        bos: The tokenizer's BOS id.

    Returns:
        The tokens kept, and how many were cut.
    """
    excess = len(ids) - limit
    if excess <= 0:
        return ids, 0
    if ids[0] == bos and limit > 1:
        return [ids[0], *ids[excess + 1 :]], excess
    return ids[excess:], excess


def context_tokens(model: Any, tokenizer: Any) -> int | None:
    """The model's context length in tokens, or None where neither it nor the tokenizer says."""
    config = model.config.get_text_config()
    length = getattr(config, "max_position_embeddings", None)
    if length is None and tokenizer.model_max_length < 10**9:  # larger ones mean "unknown"
        length = tokenizer.model_max_length
    return int(length) if length else None
