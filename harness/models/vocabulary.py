"""Tokens that a model has no embedding for: told before they are read, where torch fails on them.

A tokenizer of another folder than the model's may have more tokens than the model has rows. That is
no mistake as long as texts hold none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from harness.errors import UnknownTokenError

_NAMED = 3  # tokens in a message
_HINT = (
    "Use the tokenizer that belongs to the model (base.tokenizer), or a base with an embedding for "
    "each token (resize_token_embeddings and save_pretrained of transformers)."
)


def embedding_rows(model: Any) -> int:
    """Tokens that a model, or the base under an adapter, has an embedding for."""
    return int(model.get_input_embeddings().weight.shape[0])


def require_embeddings(model: Any, tokenizer: Any, texts: Iterable[Sequence[int]]) -> None:
    """Refuse texts of which the model cannot read a token.

    Args:
        model: A transformers or PEFT model.
        tokenizer: Names tokens in the message.
        texts: Tokens of each.

    Raises:
        UnknownTokenError: Names the tokens, and how many the model knows.
    """
    rows = embedding_rows(model)
    strange = (ids for ids in texts if max(ids, default=0) >= rows)
    unknown = sorted({token for ids in strange for token in ids if token >= rows})
    if unknown:
        names = ", ".join(
            f"{tokenizer.convert_ids_to_tokens(token)!r} ({token})" for token in unknown[:_NAMED]
        )
        more = f" and {len(unknown) - _NAMED:,} more" if unknown[_NAMED:] else ""
        raise UnknownTokenError(
            f"The model has embeddings for the tokens 0 to {rows - 1:,}, and what it is to read "
            f"holds {names}{more} of its tokenizer's {len(tokenizer):,}.",
            where=str(tokenizer.name_or_path),
            hint=_HINT,
        )


def pad_with_known(model: Any, tokenizer: Any) -> None:
    """Let a tokenizer pad with EOS where the model has no embedding for its own pad token.

    What is padded is masked, but it is read.

    Raises:
        UnknownTokenError: It has none for EOS either.
    """
    if tokenizer.pad_token_id < embedding_rows(model):
        return
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id < embedding_rows(model):
        tokenizer.pad_token = tokenizer.eos_token
    require_embeddings(model, tokenizer, [[tokenizer.pad_token_id]])
