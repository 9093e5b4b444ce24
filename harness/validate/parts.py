"""Whether each part of a suite is right by itself: training arguments, metrics, templates.

What one part says of another is for :mod:`harness.validate.suite`.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from harness.data.examples import check_first_rows
from harness.data.prompts import check_templates
from harness.data.sources import resolve
from harness.doors import ENGINES
from harness.errors import DataError, MetricError, PromptError, SuiteError, UsageError
from harness.files import refuse_address
from harness.metrics.evaluate_options import local_script, read_options
from harness.metrics.registry import EVALUATE, check_metric, is_evaluate_module
from harness.metrics.sight import check_first_sight
from harness.schema import HUMAN, MEASURE, QUANTIZED, TRAIN
from harness.suite.arguments import training_problems
from harness.suite.file import SuiteFile
from harness.suite.spec import ENGINE, DataSpec, MetricSpec, PromptSpec, Suite

_TAKEN = (MEASURE, HUMAN, TRAIN)  # names that stand for something else


def part_checks(file: SuiteFile) -> Iterator[Callable[[], object]]:
    """Checks of the parts, each of which raises a UsageError with its place."""
    suite = file.suite
    for key, name in _places(suite):
        yield partial(_check_place, file, key, name)
    for place, tracker in enumerate(suite.report.trackers):
        yield partial(_check_tracker, file, f"report.trackers[{place}]", tracker)
    yield partial(_engine_of, file)
    for key, ability in _asked_of_engine(file.suite):
        yield partial(_check_ability, file, key, ability)
    yield partial(_check_merged, file)
    yield partial(_check_quantized, file)
    for key, problem in dict.fromkeys(training_problems(suite)):
        yield partial(_refuse, file, key, problem)
    if suite.prompt is not None:
        yield partial(_check_prompt, file, TRAIN, suite.prompt)
    for name, task in suite.tasks.items():
        yield partial(_check_name, file, name)
        prompt = getattr(task, "prompt", None)
        if prompt is not None:
            yield partial(_check_prompt, file, name, prompt)
        for place, metric in enumerate(getattr(task, "metrics", ())):
            yield partial(_check_metric, file, f"tasks.{name}.metrics[{place}]", metric)


def _places(suite: Suite) -> Iterator[tuple[str, str]]:
    """Keys that name a folder, a file or something on the Hub, each with the name."""
    yield "base.model", suite.base.model
    yield "base.tokenizer", suite.base.tokenizer or ""
    named = suite.checkpoints or []
    yield from (("checkpoints", name) for name in ([named] if isinstance(named, str) else named))
    yield from _files_of("data", suite.data)
    for task_name, task in suite.tasks.items():
        yield from _files_of(f"tasks.{task_name}.data", getattr(task, "data", None))


def _files_of(key: str, data: Any) -> Iterator[tuple[str, str]]:
    """The same, of a section that says where rows come from."""
    yield f"{key}.source", getattr(data, "source", None) or ""
    for split, name in getattr(data, "files", {}).items():
        yield f"{key}.files.{split}", name


def _check_place(file: SuiteFile, key: str, name: str) -> None:
    refuse_address(name, file.at(key))


def _check_tracker(file: SuiteFile, key: str, name: str) -> None:
    """Refuse a tracker whose package is not here: it would show after the eval only."""
    if find_spec(name) is None:
        raise SuiteError(
            f"{key} is {name}, which is not installed.",
            where=file.at(key),
            hint=f"Install it with: pip install {name}",
        )


def _engine_of(file: SuiteFile) -> Any:
    """The suite's engine; refuses one that is not there."""
    try:
        return ENGINES.get(file.suite.base.engine)
    except UsageError as error:
        origin = f"{error.where}: " if error.where else ""
        where = file.at("base.engine")
        raise SuiteError(f"{origin}{error.problem}", where=where, hint=error.hint) from error


def _check_ability(file: SuiteFile, key: str, ability: str) -> None:
    """Refuse what the suite's engine cannot do; an engine that is not there is told once."""
    name = file.suite.base.engine
    try:
        engine = _engine_of(file)
    except UsageError:
        return
    cannot: dict[str, str] = ENGINES.ask(name, lambda: dict(engine.cannot))
    if name != ENGINE:
        cannot.setdefault("measuring", "memory and speed are measured with transformers")
    if ability in cannot:
        raise SuiteError(
            f"{key} asks for what the inference engine {name} cannot do: {cannot[ability]}.",
            where=file.at(key),
            hint="Leave it out, or name another base.engine.",
        )


def _asked_of_engine(suite: Suite) -> Iterator[tuple[str, str]]:
    """Keys of a suite, each with the ability of the engine that it needs."""
    if any(spec.adapter is not None for spec in suite.trainings.values()):
        yield "train", "adapters"
    if suite.checkpoints is not None:
        yield "checkpoints", "adapters"
    if suite.measure is not None:
        yield "measure", "measuring"
    for name, task in suite.tasks.items():
        yield from ((f"tasks.{name}", ability) for ability in task.needs)
        if getattr(task, "mix_adapters", None) == "always":
            yield f"tasks.{name}.mix_adapters", "mixing"


def _check_merged(file: SuiteFile) -> None:
    """Refuse to merge checkpoints that are no change of weights."""
    merged = file.suite.matrix.merged
    reasons = [spec.why_not_merged for spec in file.suite.trainings.values()]
    if reasons and all(reasons) and merged != "none":
        raise SuiteError(
            f"matrix.merged is {merged}, but {reasons[0]}.",
            where=file.at("matrix.merged"),
            hint="Leave matrix.merged out.",
        )


def _check_quantized(file: SuiteFile) -> None:
    """Refuse a quantized base under adapters that PEFT has no quantized layers of."""
    precision = file.suite.matrix.adapters
    for train in file.suite.trainings.values():
        if train.adapter is not None and train.adapter.plain_base and precision in QUANTIZED:
            raise SuiteError(
                f"matrix.adapters is {precision}, but PEFT has no layers of {train.peft_type} over "
                "a quantized base.",
                where=file.at("matrix.adapters"),
                hint="Write train.method: lora, and leave matrix.adapters out.",
            )


def _refuse(file: SuiteFile, key: str, problem: str) -> None:
    raise SuiteError(f"{key} {problem}", where=file.at(key))


def _check_name(file: SuiteFile, task: str) -> None:
    if task in _TAKEN or "/" in task:
        raise SuiteError(
            f"tasks.{task}: a task must not be called {', '.join(map(repr, _TAKEN))}, "
            "nor hold a slash.",
            where=file.at(f"tasks.{task}"),
            hint="Choose another name.",
        )


def _check_metric(file: SuiteFile, key: str, metric: str | MetricSpec) -> None:
    """Refuse what cannot be built, and options and scripts of a module of the user's."""
    spec = MetricSpec.of(metric)
    try:
        check_metric(spec)
        if is_evaluate_module(spec.name):
            read_options(spec)
            local_script(spec.name.removeprefix(EVALUATE).strip(), file.base_dir)
    except MetricError as error:
        raise MetricError(error.problem, where=file.at(key), hint=error.hint) from error


def _check_prompt(file: SuiteFile, owner: str, prompt: PromptSpec) -> None:
    """Refuse a template that cannot be compiled."""
    try:
        check_templates(prompt)
    except PromptError as error:
        raise placed(error, file, owner) from error


def row_checks(file: SuiteFile) -> Iterator[Callable[[], object]]:
    """Checks of the data: that local files are there, hold rows, and have what a prompt names.

    Then that metrics see the references of the first rows. Each check is to be made before the
    next one is taken.
    """
    suite = file.suite
    seen: list[tuple[DataSpec, PromptSpec]] = []
    references: list[list[tuple[str, ...]]] = []  # of the first rows of those
    owners = [TRAIN] if suite.train is not None else []
    for owner in [*owners, *suite.tasks]:
        if owner == TRAIN or not suite.tasks[owner].brings_data:
            try:
                pair = suite.task_data(owner)
            except TypeError:
                continue  # a part was left out, because something is wrong with it
            if pair not in seen:
                seen.append(pair)
                references.append([])
                yield partial(_check_rows, file, owner, *pair, references[-1])
            if owner != TRAIN and suite.tasks[owner].writes_texts:
                yield from _sight_checks(file, owner, references[seen.index(pair)])


def _sight_checks(
    file: SuiteFile, task: str, references: Sequence[Sequence[str]]
) -> Iterator[Callable[[], object]]:
    for place, spec in enumerate(file.suite.tasks[task].metric_specs or ()):
        key = f"tasks.{task}.metrics[{place}]"
        yield partial(check_first_sight, spec, references, file.at(key))


def _check_rows(
    file: SuiteFile,
    owner: str,
    data: DataSpec,
    prompt: PromptSpec,
    references: list[tuple[str, ...]],
) -> None:
    """Refuse data that cannot be used; otherwise note the references of the first rows."""
    key = _key_of(file.suite, owner, "data")
    try:
        source = resolve(data, file.base_dir)
    except DataError as error:
        where = file.at(f"{key}.{'source' if data.source else 'files'}")
        problem = f"{error.where}: {error.problem}" if error.where else error.problem
        raise DataError(problem, where=where, hint=error.hint) from error
    try:
        references += check_first_rows(source, data, prompt)
    except (DataError, PromptError) as error:
        raise placed(error, file, owner) from error


def placed(error: DataError | PromptError, file: SuiteFile, owner: str) -> UsageError:
    """An error of data or prompt with the line of the suite, where it is about what that says.

    Args:
        error: As reading and rendering raise it: its place is a key within data or prompt, or a
            line of a file, which it then keeps.
        file: The suite.
        owner: The task, or ``train``.
    """
    part, dot, rest = str(error.where).partition(".")
    if part not in ("data", "prompt"):
        return error
    key = f"{_key_of(file.suite, owner, part)}{dot}{rest}"
    kind = DataError if isinstance(error, DataError) else PromptError
    return kind(f"{key}: {error.problem}", where=file.at(key), hint=error.hint)


def _key_of(suite: Suite, owner: str, part: str) -> str:
    """Where the data or prompt of a task stands: at the task, or at the top of the suite."""
    own = getattr(suite.tasks.get(owner), part, None)
    return part if own is None else f"tasks.{owner}.{part}"
