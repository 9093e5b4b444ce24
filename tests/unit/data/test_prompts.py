"""Prompts: the three forms, references, and what is refused."""

import re

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.prompts import RowError, Template, strip_stops, template_identity
from harness.errors import PromptError
from harness.suite.spec import MessageSpec, PromptSpec

COMBINED = PromptSpec(
    text="### Instruct\n{{ question }}\n\n### Output\n{{ answer }}\n\n### End\n",
    response_marker="### Output\n",
    stop=("### End",),
)
SEPARATED = PromptSpec(prompt="Q: {{ question }}\nA:", completion=" {{ answer }}")
CHAT = PromptSpec(
    messages=(
        MessageSpec(role="system", content="Be brief."),
        MessageSpec(role="user", content="{{ question }}"),
        MessageSpec(role="assistant", content="{{ answer }}"),
    )
)


def chatml(messages, add_generation_prompt):
    """OpenAI's ChatML, as SmolLM2 and Qwen2 use it."""
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return text + ("<|im_start|>assistant\n" if add_generation_prompt else "")


def test_separated_form():
    """Prompt and completion are rendered as written, line breaks at their ends included."""
    spec = PromptSpec(prompt="Q: {{ question }}\n", completion="{{ answer }}\n")
    found = Template(spec).render({"question": "Why?", "answer": "So."})
    assert (found.prompt, found.completion) == ("Q: Why?\n", "So.\n")
    assert found.references == ("So.",)


def test_combined_form():
    """The prompt ends with the marker; the completion keeps the stop string, the reference not."""
    found = Template(COMBINED).render({"question": "Why?", "answer": "So."})
    assert found.prompt == "### Instruct\nWhy?\n\n### Output\n"
    assert found.completion == "So.\n\n### End\n"
    assert found.references == ("So.",)


def test_a_marker_inside_a_row_does_not_move_the_split():
    """The split is that of the template, whatever the row's own text holds."""
    row = {"question": "Explain '### Output\n'.", "answer": "It is\n### Output\na marker."}
    found = Template(COMBINED).render(row)
    assert found.prompt == "### Instruct\nExplain '### Output\n'.\n\n### Output\n"
    assert found.references == ("It is\n### Output\na marker.",)


@given(question=st.text(st.characters(exclude_characters="\0")), answer=st.text())
def test_combined_and_separated_forms_agree(question, answer):
    """Both forms of one template render every row alike, and nothing is lost between the parts."""
    separated = PromptSpec(
        prompt="### Instruct\n{{ question }}\n\n### Output\n",
        completion="{{ answer }}\n\n### End\n",
        stop=("### End",),
    )
    row = {"question": question, "answer": answer.replace("\0", "")}
    assert Template(COMBINED).render(row) == Template(separated).render(row)


def test_the_last_marker_of_the_template_counts():
    """A marker that also introduces an example in the prompt does not end it there."""
    spec = PromptSpec(text="Q: 1+1\nA: 2\nQ: {{ q }}\nA: {{ a }}", response_marker="A:")
    found = Template(spec).render({"q": "2+2", "a": "4"})
    assert (found.prompt, found.completion) == ("Q: 1+1\nA: 2\nQ: 2+2\nA:", " 4")


def test_a_variable_set_in_the_prompt_is_known_in_the_completion():
    """Both halves are rendered in one context."""
    spec = PromptSpec(text="{% set n = q | length %}{{ q }} => {{ n }}", response_marker="=>")
    assert Template(spec).render({"q": "four"}).completion == " 4"


def test_a_marker_in_a_branch_not_taken_is_refused():
    """A row for which the template has no marker has no completion, and the message says so."""
    spec = PromptSpec(text="{{ q }}{% if a %} => {{ a }}{% endif %}", response_marker="=>")
    assert Template(spec).render({"q": "x", "a": "y"}).completion == " y"
    with pytest.raises(PromptError, match="left out for this row"):
        Template(spec).render({"q": "x", "a": ""})


def test_a_marker_that_is_not_in_the_template_is_refused():
    """A column that brings its own marker is divided as the message says, and loses nothing."""
    with pytest.raises(PromptError, match="does not occur in text") as refused:
        Template(PromptSpec(text="{{ text }}", response_marker="### Assistant:"))
    prompt, completion = re.findall(r"(?:prompt|completion): '(.*?)'[ ;]", refused.value.hint)
    spec = PromptSpec(prompt=prompt, completion=completion, stop=("</s>",))
    text = "### Human: Why?### Assistant: So. ### Human: And?### Assistant: No. </s>"
    rendered = Template(spec).render({"text": text})
    assert rendered.prompt + rendered.completion == text
    assert rendered.references == ("No.",)


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (["One.", "Two."], "One. Two."),
        ([{"value": "One.", "from": "x"}, {"value": "Two.", "from": "y"}], "One. Two."),
        ({"n": 3, "text": "One."}, "One."),
    ],
)
@pytest.mark.parametrize("name", ["part", "a part"])
def test_what_is_no_text_is_printed_as_the_message_says(name, value, printed):
    """The advice names the row's own field and keys, and gives its text."""
    source = "{{ part }}" if name == "part" else '{{ row["a part"] }}'
    row = {name: value, "answer": "So."}
    with pytest.raises(PromptError, match="not a text") as refused:
        Template(PromptSpec(prompt=source, completion="{{ answer }}")).render(row)
    advised = re.search(r"(\{\{.*\}\})", refused.value.hint)[1]
    spec = PromptSpec(prompt=advised, completion="{{ answer }}")
    assert Template(spec).render(row).prompt == printed


def test_a_prompt_without_an_answer_is_mended_as_the_message_says():
    """By a completion, or by references."""
    with pytest.raises(PromptError, match="neither a completion") as refused:
        Template(PromptSpec(prompt="{{ question }}"))
    completion, references = re.search(
        'completion: "(.*?)", or references: (\\w+)', refused.value.hint
    ).groups()
    for mended in ({"completion": completion}, {"references": references}):
        rendered = Template(PromptSpec(prompt="{{ question }}", **mended)).render(
            {"question": "Why?", "answer": "So."}
        )
        assert rendered.references == ("So.",)


def test_chat_form():
    """The prompt asks for an answer; the completion is the rest, end-of-turn included."""
    found = Template(CHAT, chatml).render({"question": "Why?", "answer": " So. "})
    assert found.prompt == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert found.completion == " So. <|im_end|>\n"
    assert found.references == ("So.",)


def test_messages_field():
    """A field with messages is rendered whole; keys other than role and content are left out."""
    row = {
        "chat": [
            {"role": "user", "content": "Hi", "name": None},
            {"role": "assistant", "content": "Hello"},
        ]
    }
    template = Template(PromptSpec(messages_field="chat"), chatml)
    found = template.render(row)
    assert found.prompt == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert found.references == ("Hello",)
    assert template.fields == {"chat"}
    assert template.input_text(row) == "Hi"


@pytest.mark.parametrize(
    ("chat", "reason"),
    [
        (None, "field 'chat' is null"),
        ([], "the last message is not the assistant's"),
        ([{"role": "user", "content": "Hi"}], "the last message is not the assistant's"),
        ([{"role": "assistant", "content": None}], "a message has no text"),
        ([{"content": "x"}, {"role": "assistant", "content": "y"}], "a message has no text"),
    ],
)
def test_conversations_that_cannot_be_used_are_for_dropping(chat, reason):
    """One odd conversation drops one row, with a reason to count."""
    with pytest.raises(RowError) as caught:
        Template(PromptSpec(messages_field="chat"), chatml).render({"chat": chat})
    assert caught.value.reason == reason


def test_messages_of_another_shape_are_refused():
    """A field that is no list of messages is a mistake in the suite, not in a row."""
    with pytest.raises(PromptError, match="must hold a list of messages") as caught:
        Template(PromptSpec(messages_field="chat"), chatml).render({"chat": "Hi"})
    assert not isinstance(caught.value, RowError)


def test_a_chat_template_that_rewrites_the_prompt_is_refused():
    """A template that adds a thought only to the generation prompt would train on another text."""

    def thinking(messages, add_generation_prompt):
        text = chatml(messages, add_generation_prompt)
        return text + ("<think>\n\n</think>\n\n" if add_generation_prompt else "")

    with pytest.raises(PromptError, match="differently from the prompt"):
        Template(CHAT, thinking).render({"question": "Why?", "answer": "So."})


def test_the_reference_of_a_chat_is_what_can_be_printed():
    """What the template leaves out no model learns to write; a turn of nothing is no answer."""
    template = Template(CHAT, chatml, lambda completion: completion.removesuffix("<|im_end|>\n"))
    assert template.render({"question": "Why?", "answer": "So."}).references == ("So.",)
    with pytest.raises(RowError, match="empty completion"):
        template.render({"question": "Why?", "answer": ""})


def test_chat_needs_a_chat_template():
    """Without a tokenizer's chat template a prompt of messages is refused at once."""
    with pytest.raises(PromptError, match=r"prompt\.messages: .*chat template"):
        Template(CHAT)


def test_references_field():
    """References come from a text, a list, or a path into a field; numbers become text."""
    row = {"q": "x", "one": " a ", "many": ["b", None, "c "], "n": 3, "squad": {"text": ["d"]}}

    def references(name):
        return Template(PromptSpec(prompt="{{ q }}", references=name)).render(row).references

    assert references("one") == ("a",)
    assert references("many") == ("b", "", "c")
    assert references("n") == ("3",)
    assert references("squad.text") == ("d",)
    with pytest.raises(PromptError, match=r"'squad\.texts' is missing.*many, n, one, q, squad"):
        references("squad.texts")
    with pytest.raises(PromptError, match="must hold a text"):
        references("squad")


def test_missing_field_names_template_field_and_fields():
    """The message holds what is needed to correct the suite."""
    with pytest.raises(PromptError) as caught:
        Template(SEPARATED).render({"question": "Why?", "reply": "So."})
    assert str(caught.value) == (
        "prompt.completion: Field 'answer' is needed by the template and missing from a row. "
        "The row's fields are: question, reply. Correct the name in prompt.completion."
    )


def test_null_drops_the_row_unless_the_template_allows_for_it():
    """Python's None never reaches a prompt."""
    with pytest.raises(RowError, match="field 'question' is null"):
        Template(SEPARATED).render({"question": None, "answer": "So."})
    spec = PromptSpec(
        prompt="{{ q }}{% if ctx %} ({{ ctx }}){% endif %}", completion="{{ a or 'none' }}"
    )
    found = Template(spec).render({"q": "x", "ctx": None, "a": None})
    assert (found.prompt, found.completion) == ("x", "none")


def test_lists_are_not_printed_as_python_lists():
    """A list must be joined by the template, and the message shows how."""
    spec = PromptSpec(prompt="{{ source }}", completion="{{ target }}")
    with pytest.raises(PromptError, match=r"field 'source', which holds a list.*join"):
        Template(spec).render({"source": ["A.", "B."], "target": "C."})
    joined = PromptSpec(prompt='{{ source | join(" ") }}', completion="{{ target[0] }}")
    found = Template(joined).render({"source": ["A.", "B."], "target": ["C."]})
    assert (found.prompt, found.completion) == ("A. B.", "C.")


def test_rows_are_not_templates():
    """Braces, HTML and template code in a row are text."""
    row = {"question": "{{ answer }} <b> & {% raw %}", "answer": "{{ 7 * 7 }}"}
    found = Template(SEPARATED).render(row)
    assert found.prompt == "Q: {{ answer }} <b> & {% raw %}\nA:"
    assert found.references == ("{{ 7 * 7 }}",)


@pytest.mark.parametrize(
    "source",
    [
        "{{ question.__class__.__mro__ }}",
        "{{ ''.__class__.__subclasses__() }}",
        "{{ tags.append('x') }}",
        "{{ lipsum }}",
    ],
)
def test_templates_are_sandboxed(source):
    """A template cannot reach Python's internals or change a row."""
    row = {"question": "Why?", "tags": []}
    with pytest.raises(PromptError):
        Template(PromptSpec(prompt=source, completion="x")).render(row)
    assert row["tags"] == []


def test_template_errors_say_where():
    """A syntax error names the part and the line; a failing filter names the part."""
    with pytest.raises(PromptError, match=r"prompt\.completion: .*\(line 2\)"):
        Template(PromptSpec(prompt="x", completion="a\n{{ b"))
    spec = PromptSpec(prompt="{{ 1 / n }}", completion="x")
    with pytest.raises(PromptError, match=r"prompt\.prompt: .*ZeroDivisionError"):
        Template(spec).render({"n": 0})


def test_fields():
    """The fields a template needs are known without a row, and those of its prompt apart."""
    template = Template(COMBINED)
    assert template.fields == {"question", "answer"}
    assert template.prompt_fields == {"question"}
    spec = PromptSpec(
        prompt="{% for s in source %}{{ s }}{{ loop.index }}{% endfor %}"
        '{{ row["a b"] }}{{ row.c }}',
        completion="{{ target }}",
        references="answers.text",
    )
    assert Template(spec).fields == {"source", "a b", "c", "target", "answers"}
    assert Template(spec).prompt_fields == {"source", "a b", "c"}
    assert Template(CHAT, chatml).prompt_fields == {"question"}
    branch = PromptSpec(
        text="{% if c %}{{ c }}{% endif %}{{ row['d e'] }}>{{ a }}", response_marker=">"
    )
    assert Template(branch).prompt_fields == {"c", "d e"}


def test_fields_whose_names_are_not_identifiers():
    """`row` reaches any field, and a field of the same name wins over it."""
    spec = PromptSpec(prompt='{{ row["Report text"] }}', completion="{{ dict }}")
    found = Template(spec).render({"Report text": "abc", "dict": "d"})
    assert (found.prompt, found.completion) == ("abc", "d")


def test_input_text_leaves_the_boilerplate_out():
    """Near-duplicates are looked for in what a row says, not in the words of the template."""
    assert Template(COMBINED).input_text({"question": "Why?", "answer": "So."}) == "Why?"
    spec = PromptSpec(prompt='{{ s | join(" ") }}{{ o.k }}', completion="x")
    assert Template(spec).input_text({"s": ["a", ["b"]], "o": {"k": 1, "j": None}}) == "1\na\nb"
    constant = PromptSpec(prompt="Say something.", completion="{{ a }}")
    assert Template(constant).input_text({"a": "x"}) == "Say something."


def test_a_prompt_without_completion_needs_references():
    """Evaluation alone needs no completion, but something to score against."""
    with pytest.raises(PromptError, match="neither a completion nor a references field"):
        Template(PromptSpec(prompt="{{ q }}"))
    template = Template(PromptSpec(prompt="{{ q }}", references="a"))
    assert not template.has_completion
    assert template.render({"q": "x", "a": "y"}).completion == ""


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        (" a \n", (), "a"),
        ("a\n### End\n", ("### End",), "a"),
        ("a\n\n### End\n", ("\n### End\n",), "a"),
        ("a</s></s>", ("</s>",), "a"),
        ("a <|im_end|> </s>", ("</s>", "<|im_end|>"), "a"),
        ("### End", ("### End",), ""),
        ("a ### End b", ("### End",), "a ### End b"),
        ("a\n", ("\n", ""), "a"),
    ],
)
def test_strip_stops(text, stops, expected):
    """Stop strings are cut off the end, again and again, and nowhere else."""
    assert strip_stops(text, stops) == expected


def test_template_identity_holds_what_was_set():
    """A changed template has another identity; an option at its default has no part in it."""
    assert template_identity(SEPARATED) == {
        "prompt": "Q: {{ question }}\nA:",
        "completion": " {{ answer }}",
    }
    assert template_identity(CHAT)["messages"][0] == {"role": "system", "content": "Be brief."}
    assert template_identity(COMBINED)["stop"] == ["### End"]


def test_a_chat_template_that_refuses_is_a_prompt_error():
    """What a chat template raises about its messages (no system role, say) reaches the user."""

    def refusing(messages, add_generation_prompt):
        raise jinja2.TemplateError("System role not supported")

    with pytest.raises(PromptError, match="System role not supported"):
        Template(CHAT, refusing).render({"question": "Why?", "answer": "So."})
