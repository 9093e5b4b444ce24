"""Rows become tokens and labels, and none is cut or left out uncounted."""

from __future__ import annotations

import copy

import datasets
import pytest

from harness.errors import SuiteError
from harness.models.tokens import encode_pair
from harness.schema import Example
from harness.train.rows import (
    IGNORED,
    EncodedRows,
    Encoding,
    count_lost,
    encode_rows,
    sequence_lengths,
    sequence_statistics,
)


def example(prompt: str, completion: str) -> Example:
    return Example(
        id=prompt,
        prompt=prompt,
        completion=completion,
        references=("x",),
        cluster="c",
        split="eval",
    )


def encoding(max_length: int | None = None, **options: bool) -> Encoding:
    return Encoding(
        **{"chat": False, "completion_only_loss": True, **options}, max_length=max_length
    )


PAIR = ("def area(r): the circle\n=>", " the area of a circle")


@pytest.fixture(scope="module")
def tokens(tiny_tokenizer) -> tuple[list[int], list[int]]:
    return encode_pair(tiny_tokenizer, *PAIR, chat=False)


def test_the_loss_is_on_the_completion_only(tiny_tokenizer, tokens):
    """Prompt tokens carry the label that PyTorch ignores; EOS is learned."""
    prompt, completion = tokens
    (row,) = encode_rows([example(*PAIR)], tiny_tokenizer, encoding()).rows
    assert row["input_ids"] == prompt + completion
    assert row["labels"] == [-100] * len(prompt) + completion
    assert row["labels"][-1] == tiny_tokenizer.eos_token_id


def test_the_loss_can_be_on_the_whole_row(tiny_tokenizer, tokens):
    """Without completion_only_loss every token is learned."""
    how = encoding(completion_only_loss=False)
    (row,) = encode_rows([example(*PAIR)], tiny_tokenizer, how).rows
    assert row["labels"] == row["input_ids"] == [*tokens[0], *tokens[1]]


def test_what_is_trained_is_what_evaluation_shows_the_model(tiny_tokenizer):
    """The tokens before the first learned one are those that generation starts from."""
    from harness.models.tokens import encode_prompt

    (row,) = encode_rows([example(*PAIR)], tiny_tokenizer, encoding()).rows
    learned = next(i for i, label in enumerate(row["labels"]) if label != IGNORED)
    assert row["input_ids"][:learned] == encode_prompt(tiny_tokenizer, PAIR[0], chat=False)


def test_a_row_over_max_length_is_cut_at_its_end_and_counted(tiny_tokenizer, tokens):
    """One token of the completion is enough to keep a row."""
    prompt, completion = tokens
    limit = len(prompt) + 1
    encoded = encode_rows([example(*PAIR)], tiny_tokenizer, encoding(limit))
    assert encoded.rows == [
        {"input_ids": [*prompt, completion[0]], "labels": [-100] * len(prompt) + completion[:1]}
    ]
    assert (encoded.truncated, encoded.dropped) == (1, {})


def test_a_row_of_exactly_max_length_is_whole(tiny_tokenizer, tokens):
    """The limit itself is allowed."""
    limit = len(tokens[0]) + len(tokens[1])
    encoded = encode_rows([example(*PAIR)], tiny_tokenizer, encoding(limit))
    assert encoded.truncated == 0
    assert encoded.lengths == [limit]


@pytest.mark.parametrize("less", [0, 1, 5])
def test_a_prompt_that_reaches_max_length_drops_the_row(tiny_tokenizer, tokens, less):
    """Nothing would be left to learn; TRL would drop the row without a word."""
    limit = len(tokens[0]) - less
    encoded = encode_rows([example(*PAIR)] * 2, tiny_tokenizer, encoding(limit))
    assert encoded.rows == []
    assert encoded.truncated == 0
    assert encoded.dropped == {f"prompt alone reaches max_length ({limit} tokens)": 2}


@pytest.mark.parametrize("less", [0, 5])
def test_a_row_without_its_answer_is_dropped_whatever_is_learned(tiny_tokenizer, tokens, less):
    """Learning the prompt alone would teach the model to stop before the answer."""
    prompt, completion = tokens
    how = encoding(len(prompt) - less, completion_only_loss=False)
    encoded = encode_rows([example(*PAIR)], tiny_tokenizer, how)
    assert encoded.rows == []
    assert encoded.dropped == {f"prompt alone reaches max_length ({len(prompt) - less} tokens)": 1}
    (row,) = encode_rows(
        [example(*PAIR)], tiny_tokenizer, encoding(len(prompt) + 1, completion_only_loss=False)
    ).rows
    assert row["labels"] == [*prompt, completion[0]]


def test_rows_that_are_too_long_can_be_left_out_instead_of_cut(tiny_tokenizer, tokens):
    """Each is counted, with its reason; what fits is kept whole."""
    limit = len(tokens[0]) + len(tokens[1]) - 1
    rows = [example(*PAIR), example("a", " b")]
    encoded = encode_rows(rows, tiny_tokenizer, encoding(limit, drop_long=True))
    assert (len(encoded.rows), encoded.truncated) == (1, 0)
    assert encoded.dropped == {f"longer than max_length ({limit} tokens)": 1}


@pytest.mark.parametrize("completion_only", [True, False])
def test_rows_that_lose_a_part_of_their_answer_are_counted(tiny_tokenizer, tokens, completion_only):
    """Cut at its end a row always does; cut at its beginning only where the answer is longer."""
    prompt, completion = tokens
    for limit, keep_end, lost in [
        (len(prompt) + 1, False, 1),
        (len(prompt) + len(completion) - 1, False, 1),
        (len(completion), True, 0),
        (len(completion) - 1, True, 1),
    ]:
        how = encoding(limit, keep_end=keep_end, completion_only_loss=completion_only)
        encoded = encode_rows([example(*PAIR)], tiny_tokenizer, how)
        assert (encoded.truncated, encoded.answers_truncated) == (1, lost)


def test_a_chat_template_that_never_ends_a_turn_is_refused(tiny_tokenizer):
    """No model would learn from it when to stop; one whose turns end is learned with that end."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    rows, how = [example("Human: Hi\n\nAssistant:", " Hello")], encoding(chat=True)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n\n{% endfor %}"
    with pytest.raises(SuiteError, match="nothing teaches the model to stop"):
        encode_rows(rows, tokenizer, how)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<pad>\n{% endfor %}"
    (row,) = encode_rows([example("Human: Hi", " Hello<pad>\n")], tokenizer, how).rows
    assert tokenizer.pad_token_id in row["labels"]


def test_keep_end_cuts_the_beginning(tiny_tokenizer, tokens):
    """TRL's truncation_mode decides which end is cut."""
    limit = len(tokens[1]) + 2
    encoded = encode_rows([example(*PAIR)], tiny_tokenizer, encoding(limit, keep_end=True))
    assert encoded.rows == [
        {"input_ids": [*tokens[0][-2:], *tokens[1]], "labels": [-100] * 2 + tokens[1]}
    ]
    assert encoded.truncated == 1


def test_a_completion_without_tokens_drops_the_row(tiny_tokenizer):
    """In a chat nothing adds EOS, so an empty completion has nothing to learn."""
    encoded = encode_rows([example("a prompt", "")], tiny_tokenizer, encoding(chat=True))
    assert encoded.rows == []
    assert encoded.dropped == {"completion has no tokens": 1}


def test_rows_trl_leaves_out_are_counted():
    """Were its preparation to drop rows by itself, the record would say so."""
    rows = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]} for _ in range(3)]
    encoded = EncodedRows(rows=rows, dropped={"left out by TRL": 1})
    lost = count_lost(encoded, datasets.Dataset.from_list(rows[:1]), packed=False)
    assert lost == 6
    assert encoded.dropped == {"left out by TRL": 3}


def test_packed_rows_are_compared_by_tokens():
    """Fewer sequences than rows is what packing is for."""
    rows = [{"input_ids": [1, 2, 3], "labels": [1, 2, 3]} for _ in range(4)]
    encoded = EncodedRows(rows=rows)
    packed = datasets.Dataset.from_list([{"input_ids": [1] * 6}, {"input_ids": [1] * 5}])
    assert count_lost(encoded, packed, packed=True) == 1
    assert encoded.dropped == {}


def test_sequence_lengths_are_read_without_the_tokens():
    """One length per sequence, in order."""
    prepared = datasets.Dataset.from_list([{"input_ids": [5] * n} for n in (3, 1, 2)])
    assert sequence_lengths(prepared) == [3, 1, 2]


def test_sequence_statistics_by_hand():
    """Lengths 1 to 20: the middle is between 10 and 11, and the 19th of 20 is at 95 %."""
    assert sequence_statistics(range(20, 0, -1)) == {
        "min": 1.0,
        "median": 10.5,
        "mean": 10.5,
        "p95": 19.0,
        "max": 20.0,
    }
    assert sequence_statistics([7]) == dict.fromkeys(("min", "median", "mean", "p95", "max"), 7.0)


def test_the_95th_percentile_is_numpys_nearest_rank():
    """Numpy's inverted_cdf is the nearest-rank definition."""
    import numpy as np

    for n in range(1, 60):
        lengths = list(range(10, 10 + n))
        theirs = np.percentile(lengths, 95, method="inverted_cdf")
        assert sequence_statistics(lengths)["p95"] == theirs
