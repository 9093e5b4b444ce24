"""Whether the limits of a suite can be kept, and whether anything could break them.

A floor of 600 points fails every run, a margin of 100 points lets every run through, and a floor of
0.6 where 60 was meant lets nearly every one through. All of it shows in the file, so it is refused
there. The rules themselves stay as wide as they are: records of earlier runs hold them too.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from harness.errors import SuiteError
from harness.metrics.evaluate_options import read_options
from harness.metrics.names import LM_EVAL_SCALES
from harness.metrics.quantities import better_higher, unit_of
from harness.metrics.registry import build_metric, is_evaluate_module, stand_in
from harness.schema import HUMAN
from harness.suite.deciding import first_metric, primary_metric
from harness.suite.file import SuiteFile
from harness.suite.ratings import PREFERENCE
from harness.suite.rules import (
    ConstraintSpec,
    GatedMeasurement,
    GatedMetric,
    Margins,
    MarginUnit,
    amount,
    in_points,
    margin_for,
    margin_unit,
    share,
)
from harness.suite.spec import LmEvalTask, MetricSpec, Suite


@dataclass(frozen=True)
class Reach:
    """Which values a metric can have, as far as that is known."""

    # the best possible value, by which points are counted; None where they are not
    scale: float | None = None
    least: float | None = None  # the least possible value, in the metric's own unit
    best: float | None = None  # the greatest possible value, where higher is better
    higher_is_better: bool = True  # False for error rates and losses
    counted_in: MarginUnit = "other"  # what margins are

    @property
    def unit(self) -> str:
        """What limits are counted in, within a sentence."""
        return " points" if self.scale else ""


_POINTS = Reach(scale=1.0, least=0.0, best=1.0, counted_in="points")
_NATS = Reach(least=0.0, higher_is_better=False, counted_in="nats")
_WIDEST_LOSS = 1.0  # nats per token: a perplexity 2.7 times as high


def limit_checks(file: SuiteFile) -> Iterator[Callable[[], None]]:
    """Checks that refuse floors, margins and bounds that nothing, or everything, keeps to.

    What an lm-eval task's own metrics can reach is not known before it runs, except for the usual
    ones.

    Yields:
        A check each, which raises a SuiteError that names the line, the key, what was found and
        what to write instead.
    """
    suite = file.suite
    yield partial(_check_margin, file, "gate.margin", suite.gate.margin, _POINTS)
    for place, rule in enumerate(suite.gate.metrics):
        yield partial(_check_gated, file, f"gate.metrics[{place}]", rule)
    for place, watched in enumerate(suite.gate.measurements):
        yield partial(_check_measured, file, f"gate.measurements[{place}].margin", watched)
    yield partial(_check_unscaled, file)
    yield partial(_check_equivalence, file)
    for place, constraint in enumerate(suite.select.constraints):
        yield partial(_check_constraint, file, f"select.constraints[{place}]", constraint)


def _check_gated(file: SuiteFile, key: str, rule: GatedMetric) -> None:
    reach = _reach(file.suite, rule.task, rule.metric)
    if rule.margin is not None:
        _check_margin(file, f"{key}.margin", rule.margin, reach)
    if rule.floor is not None:
        _check_floor(file, f"{key}.floor", rule.floor, rule.metric, reach)


def _check_unscaled(file: SuiteFile) -> None:
    """Refuse a margin of metrics without a best value that hardly any loss breaks."""
    gate = file.suite.gate
    named = [(rule.task, rule.metric) for rule in gate.metrics if rule.margin is None]
    if not gate.metrics:  # then all are gated
        tasks = file.suite.tasks.items()
        named = [(name, spec.name) for name, task in tasks for spec in task.metric_specs or ()]
    if any(_reach(file.suite, *metric).counted_in == "nats" for metric in named):
        _check_margin(file, "gate.unscaled_margin", gate.unscaled_margin, _NATS)


def _check_equivalence(file: SuiteFile) -> None:
    """Refuse what everything keeps to, and points where what decides is not counted in them."""
    rules, key = file.suite.select, "select.equivalence_margin"
    if isinstance(rules.equivalence_margin, Margins):
        _check_margin(file, f"{key}.points", rules.equivalence_margin.points, _POINTS)
        _check_margin(file, f"{key}.nats", rules.equivalence_margin.nats, _NATS)
        return
    _check_margin(file, key, rules.equivalence_margin, _POINTS)
    primary = primary_metric(file.suite)
    reach = _reach(file.suite, *primary) if primary is not None else Reach()
    written = "equivalence_margin" in rules.model_fields_set
    if isinstance(rules.equivalence_margin, str) or not written or reach == Reach():
        return
    if primary is not None and reach.counted_in != "points":
        unit = "nats per token" if reach.counted_in == "nats" else "a unit of its own"
        default = margin_for(Margins(), reach.counted_in)
        raise SuiteError(
            f"{key} is {rules.equivalence_margin:g}, which is points of 100, but what decides is "
            f"{primary[1]}, in {unit}: it would not be used.",
            where=file.at(key),
            hint=f"Write equivalence_margin: {{{reach.counted_in}: {default}}}, the default, or "
            "what you mean in its place.",
        )


def _check_measured(file: SuiteFile, key: str, watched: GatedMeasurement) -> None:
    if better_higher(unit_of(watched.measurement)) and share(watched.margin) >= 1:
        raise _too_wide(file, key, watched.margin)


def _check_constraint(file: SuiteFile, key: str, constraint: ConstraintSpec) -> None:
    if constraint.task is not None and constraint.max_drop is not None:
        task = constraint.task.partition("/")[0]
        metric = constraint.metric or first_metric(file.suite.tasks.get(task))
        reach = _reach(file.suite, constraint.task, metric)
        _check_margin(file, f"{key}.max_drop", constraint.max_drop, reach)
    name = constraint.measurement
    if constraint.max is not None and amount(constraint.max) <= 0:
        raise SuiteError(
            f"{key}.max is {constraint.max!r}, but {name} is always more than 0: no checkpoint "
            "could keep to it.",
            where=file.at(f"{key}.max"),
            hint="Write the largest median that is allowed.",
        )
    if constraint.min is not None and amount(constraint.min) < 0:
        raise SuiteError(
            f"{key}.min is {constraint.min!r}, but {name} is never less than 0: every checkpoint "
            "keeps to it.",
            where=file.at(f"{key}.min"),
            hint="Write the least median that is allowed.",
        )


def _check_floor(file: SuiteFile, key: str, floor: float, metric: str, reach: Reach) -> None:
    """Refuse an absolute bound beyond what its metric can reach; it is in points."""
    best, least = (
        None if end is None else in_points(end, reach.scale) for end in (reach.best, reach.least)
    )
    found, hint = None, "Write a value that a run can have, or leave it out."
    if reach.higher_is_better and best is not None and floor > best:
        found = f"{metric} is at most {best:g}{reach.unit}: every run would fail"
        if reach.scale:
            hint = "A floor is in points of 100, whatever the metric's own scale."
    elif reach.higher_is_better and least is not None and floor < least:
        found = f"{metric} is never below {least:g}{reach.unit}: every run would pass"
    elif not reach.higher_is_better and least is not None and floor < least:
        found = (
            f"lower {metric} is better, so it is a ceiling, and no value is below "
            f"{least:g}{reach.unit}: every run would fail"
        )
    elif reach.scale == 1 and 0 < floor <= 1:
        found = f"a floor is in points of 100, so it asks for a {metric} of {floor / 100:g}"
        hint = f"Write {100 * floor:g} for a {metric} of {floor:g}."
    if found is not None:
        problem = f"{key} is {floor:g}, but {found}."
        raise SuiteError(problem, where=file.at(key), hint=hint)


def _check_margin(file: SuiteFile, key: str, margin: float | str, reach: Reach) -> None:
    """Refuse a margin that the loss of everything keeps to; lower-is-better has no such end.

    Losses have none either, but are known well enough to say that nobody means so much.
    """
    if reach.counted_in == "nats" and not isinstance(margin, str) and margin >= _WIDEST_LOSS:
        raise SuiteError(
            f"{key} is {margin:g}, but losses are in nats per token: {_WIDEST_LOSS:g} more is a "
            "perplexity 2.7 times as high, so hardly anything could break it.",
            where=file.at(key),
            hint="Write nats such as 0.02, or a share such as 2%; points of 100 are for metrics "
            "with a best value.",
        )
    if not reach.higher_is_better or reach.least is None or reach.least < 0:
        return
    if isinstance(margin, str):
        if share(margin) >= 1:
            raise _too_wide(file, key, margin)
    elif reach.best is not None:
        most = in_points(reach.best - reach.least, reach.scale)
        if margin >= most:
            raise _too_wide(file, key, margin, f"{most:g}{reach.unit}")


def _too_wide(
    file: SuiteFile, key: str, margin: float | str, most: str = "the whole value"
) -> SuiteError:
    found = margin if isinstance(margin, str) else f"{margin:g}"
    return SuiteError(
        f"{key} is {found}, but more than {most} cannot be lost: nothing could break it.",
        where=file.at(key),
        hint="Write how much worse it may get: points of 100 such as 2, or a share such as 5%.",
    )


def _reach(suite: Suite, name: str, metric: str | None) -> Reach:
    """What is known of a metric's values; of what is not known nothing is refused."""
    if metric is None:
        return Reach()
    if name == HUMAN:
        return _of_ratings(suite, metric)
    task = suite.tasks.get(name.partition("/")[0])
    if isinstance(task, LmEvalTask):
        scale = LM_EVAL_SCALES.get(metric.partition(",")[0])
        least = None if metric.startswith("mcc") else 0.0
        return Reach(scale, least, scale, counted_in="points") if scale else Reach()
    specs = (task.metric_specs or ()) if task is not None else ()
    return next((_of_metric(spec) for spec in specs if spec.name == metric), Reach())


def _of_metric(spec: MetricSpec) -> Reach:
    if is_evaluate_module(spec.name):
        options = read_options(spec)
        best = options.scale if options.higher_is_better else None
        unit = margin_unit(options.scale, options.unit)
        return Reach(options.scale, None, best, options.higher_is_better, unit)
    found = build_metric(spec, labels=stand_in(spec))
    best = found.scale if found.higher_is_better else None
    unit = margin_unit(found.scale, found.unit)
    return Reach(found.scale, found.least, best, found.higher_is_better, unit)


def _of_ratings(suite: Suite, metric: str) -> Reach:
    if metric == PREFERENCE:
        return _POINTS
    for criterion in suite.human.all_criteria:
        if criterion.name == metric:
            return Reach(None, float(criterion.points[0]), float(criterion.points[-1]))
    return Reach()
