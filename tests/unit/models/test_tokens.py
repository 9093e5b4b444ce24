"""Prompts become tokens in one way only, in training as in evaluation."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, processors

from harness.errors import ModelError
from harness.models.tokens import (
    ChatTurns,
    context_tokens,
    encode_pair,
    encode_prompt,
    load_tokenizer,
    render_chat,
    truncate_left,
    unprinted,
)
from harness.suite.spec import BaseSpec


@pytest.fixture
def tokenizer(tiny_base, tiny_dir, tmp_path):
    return load_tokenizer(tiny_base, tmp_path)


def test_prompt_has_one_bos(tokenizer):
    """BOS is put in front, and not a second time where the text already begins with it."""
    bos = tokenizer.bos_token_id
    plain = encode_prompt(tokenizer, "Return it", chat=False)
    assert plain[0] == bos
    assert encode_prompt(tokenizer, "<s>Return it", chat=False) == plain


def test_chat_prompt_brings_its_own_special_tokens(tokenizer):
    """The template's BOS is the only one."""
    prompt = render_chat(tokenizer)([{"role": "user", "content": "Hello"}], True)
    ids = encode_prompt(tokenizer, prompt, chat=True)
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids == tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, return_dict=False
    )


def test_no_eos_after_a_prompt(tokenizer):
    """A tokenizer that ends every text with EOS would end the prompt before the answer."""
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    assert tokenizer.encode("Return it")[-1] == tokenizer.eos_token_id
    assert encode_prompt(tokenizer, "Return it", chat=False)[-1] != tokenizer.eos_token_id


def test_empty_prompt_is_one_token(tokenizer):
    """A model needs a token to start from."""
    assert encode_prompt(tokenizer, "", chat=False) == [tokenizer.bos_token_id]
    assert encode_prompt(tokenizer, "", chat=True) == [tokenizer.bos_token_id]


def test_completion_ends_with_one_eos(tokenizer):
    """EOS is added where it is missing; a chat template brings its own end of turn."""
    eos = tokenizer.eos_token_id
    assert encode_pair(tokenizer, "a", "b c", chat=False)[1].count(eos) == 1
    assert encode_pair(tokenizer, "a", "b c</s>", chat=False)[1].count(eos) == 1
    assert encode_pair(tokenizer, "a", "b c</s>\n", chat=True)[1][-1] != eos
    assert encode_pair(tokenizer, "a", "", chat=False)[1] == [eos]


@given(st.text(max_size=40), st.text(max_size=40))
def test_pair_is_prompt_then_completion(tiny_tokenizer, prompt, completion):
    """The prompt's tokens never depend on the completion, so evaluation sees training's prompt."""
    ids, completion_ids = encode_pair(tiny_tokenizer, prompt, completion, chat=False)
    assert ids == encode_prompt(tiny_tokenizer, prompt, chat=False)
    assert ids
    decoded = tiny_tokenizer.decode(
        completion_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    if "<" not in completion:  # special tokens written out in a text are tokens
        assert decoded == completion


def test_truncation_keeps_bos_and_the_end(tiny_tokenizer):
    """The left is cut, BOS stays, and what was cut is counted."""
    assert truncate_left([0, 5, 6, 7, 8], 3, bos=0) == ([0, 7, 8], 2)
    assert truncate_left([5, 6, 7, 8], 3, bos=0) == ([6, 7, 8], 1)
    assert truncate_left([0, 5], 2, bos=0) == ([0, 5], 0)
    assert truncate_left([0, 5, 6], 1, bos=0) == ([6], 2)


def test_pad_falls_back_to_eos(tiny_dir, tmp_path, tokenizer):
    """Without a pad token EOS pads, and the vocabulary does not grow."""
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path / "t")
    loaded = load_tokenizer(BaseSpec(model=str(_with_config(tiny_dir, tmp_path / "t"))), tmp_path)
    assert loaded.pad_token_id == loaded.eos_token_id
    assert len(loaded) == 2048


def test_neither_pad_nor_eos(tiny_dir, tmp_path, tokenizer):
    """A tokenizer with neither is refused with what to set."""
    tokenizer.pad_token = None
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "t")
    with pytest.raises(ModelError, match=r"neither a pad nor an EOS"):
        load_tokenizer(BaseSpec(model=str(_with_config(tiny_dir, tmp_path / "t"))), tmp_path)


def test_model_without_tokenizer(tiny_dir, tmp_path):
    """A folder without tokenizer files is one clear error."""
    (tmp_path / "m").mkdir()
    base = BaseSpec(model=str(_with_config(tiny_dir, tmp_path / "m")))
    with pytest.raises(ModelError, match="No tokenizer can be loaded"):
        load_tokenizer(base, tmp_path)


def test_no_chat_template(tokenizer):
    """A chat prompt on a base without a template says what to use instead."""
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match=r"no chat template.*prompt and completion"):
        render_chat(tokenizer)


def test_template_that_refuses(tokenizer):
    """What a template raises becomes one message."""
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    with pytest.raises(ModelError, match="no system role"):
        render_chat(tokenizer)([{"role": "system", "content": "x"}], False)


def test_context_length(tiny_model, tiny_tokenizer):
    """The model's own context length counts."""
    assert context_tokens(tiny_model, tiny_tokenizer) == 2048


def _with_config(tiny_dir, folder):
    (folder / "config.json").write_text((tiny_dir / "config.json").read_text())
    return folder


TURN = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
TEMPLATES = {  # after those of public models: template, a completion, its turn's end, what is seen
    "eos": ("{% for m in messages %}{{ m.content }}</s>{% endfor %}", "Yes.</s>", "</s>", "Yes."),
    "a token of its own": (TURN, "Yes. <|im_end|>\n", "<|im_end|>", "Yes. "),
    "and eos after it": (TURN + "</s>", "Yes.<|im_end|>\n</s>", "<|im_end|>", "Yes."),
    "a token that is printed": (
        TURN.replace("<|im_end|>", "<end>"),
        "Yes.<end>\n",
        "<end>",
        "Yes.",
    ),
    "a token that there is not": (
        TURN.replace("<|im_end|>", "<|end|>"),
        "Yes.<|end|>\n",
        "<|end|>",
        "Yes.",
    ),
    "the next header is always there": (
        TURN + "<|im_start|>assistant",
        "Yes.<|im_end|>\n<|im_start|>assistant",
        "<|im_end|>",
        "Yes.",
    ),
    "nothing": ("{% for m in messages %}\n\n{{ m.content }}{% endfor %}", "Yes.", None, "Yes."),
    "reasoning is put in": (
        TURN.replace("{{ m.content", "<think>\n\n</think>\n\n{{ m.content"),
        "<think>\n\n</think>\n\nYes.<|im_end|>\n",
        "<|im_end|>",
        "<think>\n\n</think>\n\nYes.",
    ),
    "no short chat": (
        "{{ raise_exception('no') if messages | length < 3 }}" + TURN,
        "Yes.<|im_end|>\n",
        "<|im_end|>",
        "Yes.",
    ),
}


@pytest.fixture
def chats(tokenizer):
    """A tokenizer with tokens of turns, of which its list of special tokens names only some."""
    chats = copy.deepcopy(tokenizer)
    tokens = [AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>", "<call>")]
    chats.add_tokens([*tokens, AddedToken("<end>", special=False)])
    return chats


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_answer_ends_where_its_turn_does(chats, name):
    """Whatever a template makes of an answer, its end is found, and what an output can be."""
    chats.chat_template, completion, end, seen = TEMPLATES[name]
    turns = ChatTurns(chats)
    assert turns.end([completion]) == end
    assert turns.printed(completion) == seen


def test_a_token_of_the_answer_does_not_end_it(chats):
    """Where all answers end in a call, it is the template's own token that ends the turn."""
    chats.chat_template = TURN
    turns = ChatTurns(chats)
    assert turns.end(["f()<call><|im_end|>\n", "g()<call><|im_end|>\n"]) == "<|im_end|>"
    assert turns.printed("f()<call><|im_end|>\n") == "f()"  # a special token is not printed
    assert turns.hidden == {"<call>": 1}


def test_tokens_that_are_not_printed(chats):
    """Special tokens are known by what decoding leaves out, whatever list names them."""
    assert "<|im_end|>" not in chats.all_special_tokens
    ids = unprinted(chats, ["<|im_end|>", "</s>", "<end>", "the", "no token at all"])
    assert chats.convert_ids_to_tokens(sorted(ids)) == ["</s>", "<|im_end|>"]


def test_the_day_changes_no_prompt(chats):
    """Templates that print today's date print one date, so that results of any day compare."""
    chats.chat_template = "Today: {{ strftime_now('%d %b %Y') }}\n" + TURN
    prompt = render_chat(chats)([{"role": "user", "content": "Hi"}], False)
    assert prompt.startswith("Today: 26 Jul 2024\n<|im_start|>user")
