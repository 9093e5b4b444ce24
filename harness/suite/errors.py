"""What is wrong with a suite, all at once: each error with its file and line, or ``--set``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from harness.doors import TASK_TYPES
from harness.errors import SuiteError, UsageError, shown
from harness.hints import choices, did_you_mean, near_names
from harness.suite.places import Key, Places, dotted, inside
from harness.suite.rules import PATTERNS
from harness.suite.spec import suite_model

_HINTS = {
    "train.lora.r": "Typical values are 8 to 64.",
    "train.lora.lora_alpha": "Typical values are r to 2 r.",
    "train.lora.lora_dropout": "Typical values are 0 to 0.1.",
    "seed": "Any whole number from 0 on will do.",
}
_MARGIN_HINT = "It is how much worse something may get: points of 100 such as 2, or a share as 5%."
_KEY_HINTS = dict.fromkeys(
    ("margin", "unscaled_margin", "equivalence_margin", "max_drop", "points", "nats", "other"),
    _MARGIN_HINT,
)
_ELSEWHERE = {  # keys that are often looked for at the top of a suite -> where they are
    "lr": "train.args.learning_rate",
    "learning_rate": "train.args.learning_rate",
    "max_steps": "train.args.max_steps",
    "epochs": "train.args.num_train_epochs",
    "num_train_epochs": "train.args.num_train_epochs",
    "model": "base.model",
    "lora": "train.lora",
    "peft_type": "train.peft_type",
    "peft": "train.peft",
    "metrics": "tasks.<name>.metrics",
}
_WORDING = {  # pydantic's phrases, made to follow a dotted key
    "Input should be ": "must be ",
    "Input should ": "must ",
    "String should match": "must match",
    "Tuple should have at least 1 item after validation, not 0": "needs at least one item",
    "Dictionary should have at least 1 item after validation, not 0": "needs at least one entry",
}


_MOST_ERRORS = 30  # are told at once


class SuiteErrors(SuiteError):
    """Everything that is wrong with a suite, in the order of its lines.

    Args:
        errors: What is wrong, each with its place.
    """

    most = 60_000

    def __init__(self, errors: Sequence[UsageError]) -> None:
        self.errors = tuple(sorted(errors, key=_in_file))
        lines = list(dict.fromkeys(str(error) for error in self.errors))
        left = len(lines) - _MOST_ERRORS
        more = [f"… and {left} more."] if left > 0 else []
        super().__init__("\n".join([*lines[:_MOST_ERRORS], *more]))


def _in_file(error: UsageError) -> tuple[bool, int]:
    """By line; what was set on the command line comes last."""
    line = str(error.where).rpartition(":")[2]
    return str(error.where).startswith("--set"), int(line) if line.isdigit() else 0


def gathered(checks: Iterable[Callable[[], object]]) -> list[UsageError]:
    """What checks find: all of it, not only what the first of them that fails does."""
    faults: list[UsageError] = []
    for check in checks:
        try:
            check()
        except SuiteErrors as errors:
            faults += errors.errors
        except UsageError as error:
            faults.append(error)
    return faults


def refuse(errors: Sequence[UsageError]) -> None:
    """Raise what was found, if anything.

    Raises:
        UsageError: The error itself where there is only one.
        SuiteErrors: Otherwise, with a line for each.
    """
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise SuiteErrors(errors)


def explain(problems: Sequence[Mapping[str, Any]], places: Places) -> list[SuiteError]:
    """Errors of pydantic's, each as what must be, what was found, and a hint."""
    return [_explain(problem, places) for problem in _telling(problems, places.content)]


def without(problems: Sequence[Mapping[str, Any]], content: Any, above: int = 0) -> Any:
    """A suite's content without the keys that errors concern.

    Args:
        problems: The errors.
        content: The content.
        above: How many levels above each key to take away, too.
    """
    keys = {key_of(problem, content) for problem in problems}
    for key in sorted({key[: max(1, len(key) - above)] for key in keys}, key=len, reverse=True):
        content = _removed(content, key)
    return content


def key_of(problem: Mapping[str, Any], content: Any) -> Key:
    """The key that an error of pydantic's concerns.

    pydantic also puts union tags (the ``type`` of a task), names of models and of scalar types
    into its ``loc``; those are not keys.
    """
    key: list[str | int] = []
    loc, place, tagged = problem["loc"], content, False
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(place, Mapping):
            tag = (
                not tagged and len(key) == 2 and key[0] == "tasks" and place.get("type") == part
            )  # tasks.<name>
            tagged = tagged or tag
            if tag or (part not in place and not (last and problem["type"] == "missing")):
                continue
            place = place.get(part)
        elif isinstance(place, list | tuple) and isinstance(part, int):
            place = place[part] if part < len(place) else None
        else:
            continue  # a branch of a union over scalars, e.g. `str` or `MetricSpec`
        key.append(part)
    return tuple(key)


def _removed(content: Any, key: Key) -> Any:
    if not key:
        return content
    first, rest = key[0], key[1:]
    if isinstance(content, Mapping) and first in content:
        if rest:
            return {**content, first: _removed(content[first], rest)}
        return {name: value for name, value in content.items() if name != first}
    if isinstance(content, list) and isinstance(first, int) and rest:
        return [_removed(v, rest) if i == first else v for i, v in enumerate(content)]
    return content


_KINDS = (  # errors of a branch of a union that was not meant
    "string_type",
    "list_type",
    "dict_type",
    "model_type",
    "model_attributes_type",
    "literal_error",
    "too_short",
)


def _telling(problems: Sequence[Any], content: Any) -> list[Any]:
    """Errors without those of the other branch of a union.

    Such as "no number" for ``4 XB``, "no text" for -2 where a number must not be negative, or "no
    text" for a metric with options of which one is misspelt.
    """
    told_by = {"float_parsing": "string_pattern_mismatch", "string_type": "greater_than_equal"}
    places = {(p["type"], p["loc"][:-1]) for p in problems}
    left = [p for p in problems if (told_by.get(p["type"]), p["loc"][:-1]) not in places]
    keys = [key_of(problem, content) for problem in left]
    return [
        problem
        for index, (problem, key) in enumerate(zip(left, keys, strict=True))
        if problem["type"] not in _KINDS
        or not (key in keys[:index] or any(k[: len(key)] == key and k != key for k in keys))
    ]


def _explain(problem: Mapping[str, Any], places: Places) -> SuiteError:
    key = key_of(problem, places.content)
    name, where = dotted(key), places.of(key)
    if problem["type"] == "extra_forbidden":
        hint = _near_key(key, places.content)
        return SuiteError(f"{name} is not a key of a suite.{hint}", where=where)
    if problem["type"] == "missing":
        return SuiteError(f"{name} is needed, but is missing.", where=where)
    if problem["type"] == "union_tag_invalid":
        tag, at = str(problem["ctx"]["tag"]), places.of((*key, "type"))
        hint = choices(tag, TASK_TYPES.names)
        return SuiteError(
            f"{name}.type is {shown(tag)}, which is no task type.", where=at, hint=hint
        )
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "string_pattern_mismatch":
        message = (
            f"must be {asked}" if (asked := PATTERNS.get(problem["ctx"]["pattern"])) else message
        )
    if problem["type"] == "value_error":
        return SuiteError(f"{f'{name}: ' if name else ''}{message}.", where=where)
    for theirs, ours in _WORDING.items():
        message = message.replace(theirs, ours)
    value = "" if isinstance(problem["input"], dict) else f", found {shown(problem['input'])}"
    advice = _HINTS.get(name) or _KEY_HINTS.get(str(key[-1]) if key else "")
    return SuiteError(f"{name} {message}{value}.{f' {advice}' if advice else ''}", where=where)


def _near_key(key: Key, content: Any) -> str:
    """A suggestion for a misspelt key: a near one of the same level."""
    if not key:
        return ""
    last, known = str(key[-1]), _keys_beside(key, content)
    if len(key) == 1 and last in _ELSEWHERE and not near_names(last, known):
        return f" Did you mean {_ELSEWHERE[last]}?"
    return " " + did_you_mean(last, known, instead=f"There are: {', '.join(known)}.")


def _keys_beside(key: Key, content: Any) -> list[str]:
    """Names of the keys that may stand where the last part of a key stands."""
    models: list[type[BaseModel]] = [suite_model(content)]
    named = False  # whether the next part is a name of the user's, such as a task's
    place = content
    for part in key[:-1]:
        if not named and isinstance(part, str):
            annotations = [
                m.model_fields[part].annotation for m in models if part in m.model_fields
            ]
            models = [model for annotation in annotations for model in _models_in(annotation)]
            named = any(_is_mapping(annotation) for annotation in annotations)
        elif isinstance(part, str):
            named = False
        place = inside(place, part)
    kind = place.get("type") if isinstance(place, Mapping) else None
    models = [m for m in models if kind is None or kind in _types_of(m)] or models
    return list(dict.fromkeys(name for model in models for name in model.model_fields))


def _is_mapping(annotation: Any) -> bool:
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        inner = inner[:1]
    return get_origin(annotation) is dict or any(_is_mapping(one) for one in inner)


def _types_of(model: type[BaseModel]) -> tuple[Any, ...]:
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field is not None else ()


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
