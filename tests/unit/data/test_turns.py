"""Conversations that are held as one text."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.data.prompts import RowError, Template
from harness.data.turns import messages_of
from harness.errors import PromptError
from harness.suite.spec import PromptSpec, TurnsSpec

LLAMA2 = TurnsSpec(field="text")
GUANACO = TurnsSpec(field="text", user="### Human:", assistant="### Assistant:")
VICUNA = TurnsSpec(field="text", user="USER:", assistant="ASSISTANT:")
TWO_TURNS = "<s>[INST] Why? [/INST] So. </s><s>[INST] And? [/INST] No. </s>"


def written(text: str, marks: TurnsSpec = LLAMA2) -> tuple[str, str, tuple[str, ...]]:
    found = Template(PromptSpec(turns=marks)).render({"text": text})
    return found.prompt, found.completion, found.references


def llama2_chat(messages, add_generation_prompt):
    """Llama 2's own template, from the model's card; BOS is the tokenizer's."""
    text = ""
    for message in messages:
        content = message["content"].strip()
        asked = message["role"] == "user"
        text += f"[INST] {content} [/INST]" if asked else f" {content} </s>"
    return text


@pytest.mark.parametrize(
    ("text", "marks", "found"),
    [
        ("<s>[INST] Why? [/INST] So. </s>", LLAMA2, ("[INST] Why? [/INST]", " So. ", ("So.",))),
        (TWO_TURNS, LLAMA2,
         ("[INST] Why? [/INST] So. </s><s>[INST] And? [/INST]", " No. ", ("No.",))),
        ("<s>[INST] a [/INST] b</s>[INST] c [/INST] d</s>", LLAMA2,
         ("[INST] a [/INST] b</s>[INST] c [/INST]", " d", ("d",))),
        ("### Human: a### Assistant: b### Human: c### Assistant: d", GUANACO,
         ("### Human: a### Assistant: b### Human: c### Assistant:", " d", ("d",))),
        ("A chat. USER: a ASSISTANT: b</s>", VICUNA,
         ("A chat. USER: a ASSISTANT:", " b", ("b",))),
    ],
)  # fmt: skip
def test_the_last_answer_is_the_completion(text, marks, found):
    """Earlier turns stay as they are written; BOS and EOS are left to the tokenizer."""
    assert written(text, marks) == found


def test_messages_are_rendered_by_the_chat_template():
    """Every turn, and what the text says as the system."""
    text = TWO_TURNS.replace("Why?", "<<SYS>>\nBe brief.\n<</SYS>>\n\nWhy?")
    messages = messages_of(text, LLAMA2)
    assert [m["role"] for m in messages] == ["system", *["user", "assistant"] * 2]
    assert [m["content"] for m in messages] == ["Be brief.", "Why?", "So.", "And?", "No."]
    vicuna = messages_of("A chat. USER: a ASSISTANT: b</s>", VICUNA)
    assert vicuna[0] == {"role": "system", "content": "A chat."}
    chat = LLAMA2.model_copy(update={"chat": True})
    found = Template(PromptSpec(turns=chat), llama2_chat).render({"text": TWO_TURNS})
    assert found.prompt + found.completion == TWO_TURNS.replace("<s>", "")
    with pytest.raises(PromptError, match="chat template"):
        Template(PromptSpec(turns=chat))


_WORDS = st.text("ab \n?é", min_size=1).filter(str.strip)


@given(st.lists(st.tuples(_WORDS, _WORDS), min_size=1))
def test_no_turn_is_lost(turns):
    """A text made of turns has these messages, and its parts make up the text again."""
    text = "".join(f"<s>[INST] {q} [/INST] {a} </s>" for q, a in turns)
    assert [m["content"] for m in messages_of(text, LLAMA2)] == [
        part.strip() for turn in turns for part in turn
    ]
    prompt, completion, _ = written(text)
    assert f"<s>{prompt}{completion}</s>" == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Why? So.", r"has no \[INST\]"),
        ("[INST] Why?", r"has a turn with no \[/INST\]"),
        ("[INST] a [/INST] b [INST] c", "a turn with no"),
        ("[INST] a [/INST] b [/INST] c", "more than one"),
        (None, "is null"),
    ],
)
def test_rows_without_an_answer_are_left_out(text, reason):
    """Each is counted under its reason."""
    with pytest.raises(RowError, match=reason):
        written(text)


def test_a_field_that_is_no_text_is_refused():
    """A list of messages has a key of its own."""
    with pytest.raises(PromptError, match="messages_field"):
        written([{"role": "user", "content": "a"}])


def test_a_marker_inside_a_field_of_llama_2s_is_mended_as_the_message_says():
    """The suite that the message gives keeps every turn of real rows."""
    with pytest.raises(PromptError, match="does not occur in text") as refused:
        Template(PromptSpec(text="{{ text }}", response_marker="[/INST]"))
    advice = yaml.safe_load(re.search(r"prompt: \{.*\}", refused.value.hint)[0])
    spec = PromptSpec.model_validate(advice["prompt"])
    found = Template(spec).render({"text": TWO_TURNS})
    assert f"<s>{found.prompt}{found.completion}</s>" == TWO_TURNS
    assert found.references == ("No.",)
