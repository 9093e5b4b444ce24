"""What a suite may say about deciding: which checkpoint to choose, and what a gate lets through."""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PER_CENT = r"^\d+(\.\d+)?\s?%$"
SIZE = r"^\d+(\.\d+)?\s?[kKMGT]i?B$"

PATTERNS = {
    PER_CENT: "a share such as 5%",
    SIZE: "a number, or bytes such as 4 GB or 512 MiB",
}
"""What the patterns ask for, in words."""

Margin = Annotated[float, Field(ge=0)] | Annotated[str, Field(pattern=PER_CENT)]
"""How much worse something may get: a number in points (of 100 where the metric has a best value,
else in its own unit), or a share such as ``"5%"`` of the value it is compared with."""

Amount = float | Annotated[str, Field(pattern=SIZE)]
"""A bound of a measurement: a number in its own unit, or bytes such as ``"4 GB"``."""


class Spec(BaseModel):
    """A part of a suite: unknown keys are refused, and nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


MarginUnit = Literal["points", "nats", "other"]


class Margins(Spec):
    """Margins by what a metric is counted in: 2 is little in points, and no margin in nats."""

    points: Margin = Field(2.0, description="Of metrics with a best value: points of 100.")
    nats: Margin = Field(0.02, description="Of losses, in nats per token.")
    other: Margin = Field(
        "2%", description="Of all others, such as perplexity or a rating: a share, or their unit."
    )


CHOSEN, MERGED = "chosen", "merged"  # names that stand for a variant of the run


class ConstraintSpec(Spec):
    """What a checkpoint must keep to, whatever it gains.

    Either a score, which may not fall too far below the baseline's, or a measurement within bounds.
    """

    task: str | None = Field(None, description="A task, or a member of a group (mmlu/anatomy).")
    metric: str | None = Field(None, description="Default: the task's first metric.")
    max_drop: Margin | None = Field(
        None, description="How much worse than the baseline: points, or a share such as 5%."
    )
    measurement: str | None = Field(
        None, description="A measured quantity, such as decode_tokens_per_s or peak_rss_bytes."
    )
    min: Amount | None = Field(None, description="Least median, in the quantity's own unit.")
    max: Amount | None = Field(None, description="Largest median; bytes may be written as 4 GB.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.task is None) == (self.measurement is None):
            raise ValueError("a constraint names exactly one of task and measurement")
        if self.task is not None:
            if self.max_drop is None or self.min is not None or self.max is not None:
                raise ValueError("a constraint on a task has max_drop, and neither min nor max")
        elif self.max_drop is not None or self.metric is not None:
            raise ValueError("a constraint on a measurement has min or max, and no metric")
        elif self.min is None and self.max is None:
            raise ValueError("a constraint on a measurement needs min or max")
        elif self.min is not None and self.max is not None and amount(self.min) > amount(self.max):
            raise ValueError(f"min {self.min} is above max {self.max}: nothing can keep to both")
        return self


class SelectSpec(Spec):
    """What decides between checkpoints, always on the select split."""

    task: str | None = Field(None, description="Default: the first generation task.")
    metric: str | None = Field(None, description="Default: that task's first metric.")
    rule: Literal["one_se", "best"] = Field(
        "one_se",
        description="one_se: the earliest checkpoint within one standard error of the best; "
        "best: the best value.",
    )
    constraints: tuple[ConstraintSpec, ...] = ()
    equivalence_margin: Margin | Margins = Field(
        2.0,
        description="Merged and adapter are equivalent within this: points, a share of any metric "
        "such as 5%, or by unit, as {points: 2, nats: 0.02, other: 2%}, which are the defaults.",
    )


class GatedMetric(Spec):
    """A score that the gate watches."""

    task: str = Field(description="A task, or a member of a group (mmlu/anatomy).")
    metric: str
    split: str | None = Field(None, description="Default: report, else the task's only split.")
    margin: Margin | None = Field(None, description="Default: the gate's.")
    floor: float | None = Field(
        None, description="Absolute bound in points (of 100 where there is a best value)."
    )


class GatedMeasurement(Spec):
    """A measured quantity that the gate watches."""

    measurement: str = Field(description="Such as decode_tokens_per_s or peak_rss_bytes.")
    margin: Annotated[str, Field(pattern=PER_CENT)] = Field(
        description="How much worse its median may get, such as 20%."
    )


class GateSpec(Spec):
    """What ``harness gate`` compares with a baseline, and how much worse things may get."""

    variants: tuple[str, ...] = Field(
        ("chosen",),
        min_length=1,
        description="What is gated: chosen (by select), merged (of the chosen), or variant names.",
    )
    alpha: float = Field(
        0.05, gt=0, lt=0.5, description="Probability of a false alarm, over all metrics together."
    )
    margin: Margin = Field(
        2.0, description="Of metrics with a best value: points, or a share such as 5%."
    )
    unscaled_margin: Margin = Field(
        "2%", description="Of metrics without a best value, such as eval_loss."
    )
    metrics: tuple[GatedMetric, ...] = Field(
        (), description="Default: every metric of every task as a whole, on report (or eval, all)."
    )
    measurements: tuple[GatedMeasurement, ...] = Field(
        (), description="Memory and speed that decide; the others are only listed."
    )
    on_inconclusive: Literal["fail", "warn"] = Field(
        "fail", description="Whether too little data to tell ends with exit code 3 or 0."
    )
    require_hardware: bool = Field(
        False, description="Refuse (exit 4) to compare memory and speed with other hardware."
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        named = [
            " ".join(filter(None, (rule.task, rule.metric, rule.split))) for rule in self.metrics
        ]
        named += [rule.measurement for rule in self.measurements]
        for words, times in Counter(named).items():
            if times > 1:
                raise ValueError(f"{words} is named {times} times: which of its margins holds?")
        return self


def in_points(value: float, scale: float | None) -> float:
    """A value in its own unit, in points: of 100 where there is a best value ``scale``."""
    return 100 * value / scale if scale else value


def own_unit(value: float, scale: float | None) -> float:
    """The inverse of :func:`in_points`."""
    return value * scale / 100 if scale else value


def margin_unit(scale: float | None, unit: str) -> MarginUnit:
    """What margins of a metric are counted in.

    Args:
        scale: The metric's best possible value, or None.
        unit: Of its values, such as ``"nats/token"``.
    """
    return "points" if scale else "nats" if unit.startswith("nats") else "other"


def margin_for(rule: Margin | Margins, unit: MarginUnit) -> Margin:
    """The margin of a metric: a plain number is in points, and says nothing of other metrics."""
    if isinstance(rule, str):
        return rule
    by_unit = rule if isinstance(rule, Margins) else Margins(points=rule)
    margin: Margin = getattr(by_unit, unit)
    return margin


def margin_in_own_unit(margin: float | str, reference: float, scale: float | None) -> float:
    """A margin as a difference in the metric's own unit.

    Args:
        margin: Points, or a share of ``abs(reference)`` such as ``"5%"``.
        reference: The value it is compared with.
        scale: The metric's best possible value, or None.
    """
    if isinstance(margin, str):
        return share(margin) * abs(reference)
    return own_unit(margin, scale)


def share(text: str) -> float:
    """``"5%"`` as 0.05."""
    return float(text.rstrip("% ")) / 100


_UNITS = {"k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def amount(value: float | str) -> float:
    """A bound as a number; ``"4 GB"`` as 4e9 and ``"4 GiB"`` as 4 × 2**30 bytes."""
    if not isinstance(value, str):
        return value
    number = value.rstrip("BikKMGT ")
    unit = value[len(number) :].strip()
    base = 1024 if "i" in unit else 1000
    return float(number) * float(base ** _UNITS[unit[0]])
