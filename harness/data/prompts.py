"""One prompt template for training and evaluation: rows in, prompt, completion, references out.

A mismatch between the template of training and that of evaluation is the commonest silent error
of fine-tuning evaluations. Here both come from one rendering: the prompt is what the model reads
in both cases, the completion is what it is trained to write, and the references are the
completion without what only ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import jinja2

from harness.bounds import bounded
from harness.data import templates
from harness.data.turns import TurnsError, last_answer, messages_of
from harness.errors import PromptError, in_a_line, told_as
from harness.hints import near_names
from harness.suite.spec import PromptSpec, TurnsSpec

_Read = TypeVar("_Read")
RenderChat = Callable[[list[dict[str, str]], bool], str]
"""A tokenizer's chat template: (messages, add_generation_prompt) -> text."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What one row became.

    Attributes:
        prompt: What the model reads, in training and in evaluation.
        completion: What it is trained to write after it, stop string included.
        references: What a prediction is scored against, stripped of stop strings and whitespace.
    """

    prompt: str
    completion: str
    references: tuple[str, ...]


class RowError(PromptError):
    """One row cannot be rendered, though others can: it is to be dropped and counted.

    Args:
        reason: Why, in words that make a good heading of a count.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"This row cannot be rendered: {reason}.")
        self.reason = reason


class Template:
    """A suite's prompt, compiled.

    Templates are jinja2, sandboxed; the row's fields are its variables, and ``row`` is the whole
    row, for fields whose names are not identifiers (``row["Report text"]``). Fields that hold a
    list or an object must be turned into text by the template (``{{ sentences | join(" ") }}``),
    and null is refused: Python's own ``None`` and ``['a', 'b']`` never reach a prompt.

    Args:
        spec: The suite's prompt.
        render_chat: The tokenizer's chat template; needed where ``spec.is_chat``.
        printed: What is seen of a chat's rendered completion once it is an output; default: the
            last message as the row has it.

    Raises:
        PromptError: A template is not valid, or a part of the prompt is missing.
    """

    def __init__(
        self,
        spec: PromptSpec,
        render_chat: RenderChat | None = None,
        printed: Callable[[str], str] | None = None,
    ) -> None:
        self.spec = spec
        self._printed = printed
        self._render_chat = render_chat or plain_chat
        self._environment = templates.environment()
        self._sources = dict(templates.sources(spec))
        self._parts = {name: self._compile(name, text) for name, text in self._sources.items()}
        if spec.is_chat and render_chat is None:
            raise PromptError(
                "A prompt of chat messages needs the chat template of a model's tokenizer, and "
                "none was given.",
                where=f"prompt.{_chat_key(spec)}",
                hint="Use a base model whose tokenizer has a chat template, or write the prompt "
                "with prompt and completion.",
            )
        if spec.prompt is not None and spec.completion is None and spec.references is None:
            raise PromptError(
                "There is neither a completion nor a references field, so nothing says what the "
                "model should write.",
                where="prompt",
                hint='Add completion: "{{ answer }}", or references: answer, for a field answer.',
            )
        with told_as(PromptError, "Not a valid jinja2 template", where="prompt"):
            used = [templates.fields_of(self._environment, s) for s in self._sources.values()]
        listed = (spec.messages_field, spec.turns and spec.turns.field, spec.references)
        named = [name.split(".")[0] for name in listed if name]
        self.fields: frozenset[str] = frozenset().union(*used, named)
        """Fields the templates need."""
        if spec.text is not None:
            used = [templates.fields_before_split(self._environment, self._sources["prompt.text"])]
        elif spec.messages or spec.completion is not None:
            used = used[:-1]
        self.prompt_fields: frozenset[str] = frozenset().union(*used)
        """Fields that the prompt needs, as against the completion; used to find near-duplicates."""

    @property
    def has_completion(self) -> bool:
        """Whether the prompt says what to train on; without, it serves evaluation alone."""
        return self.spec.prompt is None or self.spec.completion is not None

    def render(self, row: Mapping[str, Any]) -> Rendered:
        """Render one row.

        Args:
            row: The row's fields, free of NUL characters.

        Raises:
            RowError: This row cannot be rendered (null in the prompt, a chat without an answer).
            PromptError: A field is missing, or the template fails on the row, or never ends.
        """
        where = next(iter(self._sources), "prompt")
        with told_as(PromptError, "The template fails on a row", where=where), bounded():
            return self._rendered(row)

    def _rendered(self, row: Mapping[str, Any]) -> Rendered:
        if self.spec.is_chat:
            prompt, completion, answer = self._chat(row)
        elif self.spec.turns is not None:
            prompt, completion = self._turns(row, last_answer)
            answer = completion
        elif self.spec.text is not None:
            prompt, completion = self._combined(row)
            answer = completion
        else:
            prompt = self._text("prompt.prompt", row)
            completion = self._text("prompt.completion", row) if self.has_completion else ""
            answer = completion
        answers = [answer] if self.spec.references is None else self._references(row)
        return Rendered(prompt, completion, tuple(strip_stops(a, self.spec.stop) for a in answers))

    def input_text(self, row: Mapping[str, Any]) -> str:
        """What the prompt says about this row: the values it uses, without the words around them.

        Near-duplicates are looked for in this text, because the boilerplate of a template would
        make every pair of short rows alike.
        """
        if self.spec.messages_field is not None or self.spec.turns is not None:
            return "\n".join(m["content"] for m in self._messages(row)[:-1])
        values = [row[name] for name in sorted(self.prompt_fields) if name in row]
        text = "\n".join(part for value in values for part in _leaves(value))
        return text or self.render(row).prompt

    # -- the three forms ----------------------------------------------------------------------

    def _combined(self, row: Mapping[str, Any]) -> tuple[str, str]:
        rendered = self._text("prompt.text", row)
        prompt, split, completion = rendered.rpartition(templates.SPLIT)
        if not split:
            raise PromptError(
                f"The response_marker {self.spec.response_marker!r} is in a part of the template "
                "that was left out for this row, so its completion has no beginning.",
                where="prompt.text",
                hint="Move the marker out of the {% if %} or comment.",
            )
        return prompt.replace(templates.SPLIT, ""), completion

    def _chat(self, row: Mapping[str, Any]) -> tuple[str, str, str]:
        messages, render = self._messages(row), self._render_chat
        with told_as(
            PromptError,
            "The tokenizer's chat template refuses the messages",
            where="prompt.messages",
            hint="Many templates want user and assistant in turn, some no system message.",
        ):
            prompt, full = render(messages[:-1], True), render(messages, False)
        if not full.startswith(prompt):
            raise PromptError(
                "The chat template renders the conversation with the answer differently from the "
                "prompt that asks for it, so training would see another prompt than evaluation. "
                f"The prompt ends {prompt[-60:]!r}, the conversation has "
                f"{full[max(0, len(prompt) - 60) : len(prompt)]!r} there.",
                where="prompt.messages",
                hint="Write the prompt with prompt and completion instead of messages.",
            )
        completion = full[len(prompt) :]
        if self._printed is None:
            return prompt, completion, messages[-1]["content"]
        answer = self._printed(completion)
        if not answer.strip():  # nothing is left but what ends the turn
            raise RowError("empty completion")
        return prompt, completion, answer

    def _turns(self, row: Mapping[str, Any], read: Callable[[str, TurnsSpec], _Read]) -> _Read:
        """What a reader makes of a conversation in one text."""
        marks = cast("TurnsSpec", self.spec.turns)
        value = self._field("prompt.turns.field", marks.field, row)
        if value is None:
            raise RowError(f"field {marks.field!r} is null")
        if not isinstance(value, str):
            raise PromptError(
                f"Field {marks.field!r} must hold a text, found {type(value).__name__}.",
                where="prompt.turns",
                hint="Lists of messages are read with messages_field.",
            )
        try:
            return read(value, marks)
        except TurnsError as error:
            raise RowError(f"field {marks.field!r} {error}") from error

    def _messages(self, row: Mapping[str, Any]) -> list[dict[str, str]]:
        if self.spec.turns is not None:
            return self._turns(row, messages_of)
        field = self.spec.messages_field
        if field is None:
            return [
                {"role": m.role, "content": self._text(f"prompt.messages[{i}]", row)}
                for i, m in enumerate(self.spec.messages)
            ]
        value = self._field("prompt.messages_field", field, row)
        if value is None:
            raise RowError(f"field {field!r} is null")
        if not isinstance(value, list | tuple) or not all(isinstance(m, Mapping) for m in value):
            raise PromptError(
                f"Field {field!r} must hold a list of messages with role and content, found "
                f"{type(value).__name__}.",
                where="prompt.messages_field",
            )
        messages = [{key: m.get(key) for key in ("role", "content")} for m in value]
        if not messages or messages[-1]["role"] != "assistant":
            raise RowError("the last message is not the assistant's")
        if not all(isinstance(text, str) for m in messages for text in m.values()):
            raise RowError("a message has no text")
        return messages

    def _references(self, row: Mapping[str, Any]) -> list[str]:
        name = str(self.spec.references)
        field = self._field("prompt.references", name, row)
        values = field if isinstance(field, list | tuple) else [field]
        if any(isinstance(value, Mapping | list | tuple) for value in values):
            raise PromptError(
                f"Field {name!r} must hold a text or a list of texts, found "
                f"{type(values[0]).__name__}.",
                where="prompt.references",
                hint="Name the texts inside it with dots, as in answers.text.",
            )
        return ["" if value is None else str(value) for value in values]

    # -- rendering ----------------------------------------------------------------------------

    def _text(self, name: str, row: Mapping[str, Any]) -> str:
        try:
            return self._parts[name].render({"row": row, **row})
        except jinja2.UndefinedError as error:
            missing = sorted(self._used(name) - set(row))
            what = f"Field {missing[0]!r}" if missing else f"A value ({error})"
            raise PromptError(
                f"{what} is needed by the template and missing from a row. "
                f"The row's fields are: {', '.join(sorted(row))}.",
                where=name,
                hint=_correct(missing[0] if missing else "", name, row),
            ) from error
        except templates.NotTextError as error:
            names = [f for f in sorted(self._used(name)) if type(row.get(f)) is type(error.value)]
            field = f"field {names[0]!r}" if names else "an expression"
            if error.value is None:
                raise RowError(f"{field} is null") from error
            kind = type(error.value).__name__
            raise PromptError(
                f"The template prints {field}, which holds a {kind}, not a text.",
                where=name,
                hint="Turn it into text, for example "
                f"{templates.as_text(names[0] if names else 'sentences', error.value)}.",
            ) from error
        except Exception as error:  # a filter or method called by the user's template
            raise PromptError(
                f"The template fails on a row: {type(error).__name__}: {in_a_line(error)}.",
                where=name,
            ) from error

    def _field(self, where: str, name: str, row: Mapping[str, Any]) -> Any:
        """The value of a field, or of a path into one (``answers.text``)."""
        if name in row:
            return row[name]
        value: Any = row
        for key in name.split("."):
            if not isinstance(value, Mapping) or key not in value:
                raise PromptError(
                    f"Field {name!r} is missing from a row. "
                    f"The row's fields are: {', '.join(sorted(row))}.",
                    where=where,
                    hint=_correct(key, where, value if isinstance(value, Mapping) else {}),
                )
            value = value[key]
        return value

    # -- compiling ----------------------------------------------------------------------------

    def _compile(self, name: str, source: str) -> jinja2.Template:
        try:
            with bounded(), told_as(PromptError, "Not a valid jinja2 template", where=name):
                return self._environment.from_string(source)
        except PromptError as error:
            cause = error.__cause__
            if isinstance(cause, jinja2.TemplateSyntaxError):
                problem = f"Not a valid jinja2 template (line {cause.lineno}): {cause.message}."
                raise PromptError(problem, where=name) from cause
            raise

    def _used(self, name: str) -> frozenset[str]:
        return templates.fields_of(self._environment, self._sources[name])


def _chat_key(spec: PromptSpec) -> str:
    """The key that asks for a chat template."""
    if spec.messages:
        return "messages"
    return "messages_field" if spec.messages_field is not None else "turns.chat"


def check_templates(spec: PromptSpec) -> None:
    """Refuse a prompt that could not be compiled, without any row and any tokenizer.

    Raises:
        PromptError: A template is not valid, or a part of the prompt is missing.
    """
    Template(spec, plain_chat if spec.is_chat else None)


def plain_chat(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:  # RenderChat
    """Stands for a tokenizer's chat template where only rows and templates are checked."""
    return "".join(f"{message['content']}\n" for message in messages)


def template_identity(spec: PromptSpec) -> dict[str, Any]:
    """What of a prompt can change a result: everything that was set."""
    return {
        key: value for key, value in spec.model_dump(mode="json").items() if value not in (None, [])
    }


def strip_stops(text: str, stops: Iterable[str]) -> str:
    """Cut stop strings off the end of a text, and whitespace off both ends."""
    endings = [stop.rstrip() for stop in stops if stop.strip()]
    text = text.rstrip()
    while ending := next((e for e in endings if text.endswith(e)), None):
        text = text[: -len(ending)].rstrip()
    return text.strip()


def _correct(name: str, where: str, known: Mapping[str, Any]) -> str:
    """What to do about a field that is not there."""
    near = " or ".join(map(repr, near_names(name, map(str, known))))
    return f"{f'Did you mean {near}? ' if near else ''}Correct the name in {where}."


def _leaves(value: Any) -> Iterable[str]:
    """Texts inside a field's value, in order; objects by key."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _leaves(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif value is not None:
        yield str(value)
