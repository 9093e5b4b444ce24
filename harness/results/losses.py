"""Where a candidate loses against the baseline: how often, how concentrated, in which examples.

All differences are *gains*: candidate minus baseline, turned so that more is better, in the
metric's own unit.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from harness.metrics.base import FloatArray
from harness.results.strata import Group
from harness.schema import Record
from harness.stats.contrasts import Pair, Rows
from harness.stats.intervals import CONFIDENCE
from harness.stats.panel import Panel

FEWEST_CLUSTERS = 10
"""Below this many clusters, a group has neither an interval nor a test."""

N_WORST = 10


class LossStratum(Record):
    """One group of examples, and whether its gain differs from that of all others.

    ``contrast`` is the group's gain minus the rest's; its bounds hold for all groups looked at
    together. ``differs`` is None where it could not be tested; ``reason`` says why.
    """

    kind: str
    name: str
    n: int
    clusters: int
    better: int
    equal: int
    worse: int
    loss_share: float | None = None  # of the losses of all examples
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    identical: bool = False
    rest_gain: float | None = None
    contrast: float | None = None
    contrast_low: float | None = None
    contrast_high: float | None = None
    differs: bool | None = None
    method: str = ""
    reason: str | None = None


class LossDocuments(Record):
    """Documents that the baseline answers right and the candidate wrong, and the reverse."""

    member: str
    lost: tuple[str, ...]
    won: tuple[str, ...]


class LossSummary(Record):
    """Gains and losses of a candidate on one quantity, example by example."""

    task: str
    metric: str
    split: str
    baseline: str
    candidate: str
    scale: float | None = None
    higher_is_better: bool = True
    n: int
    clusters: int
    better: int
    equal: int
    worse: int
    undefined: int = 0  # examples without a value of their own on either side
    per_example: bool = True  # the metric is the plain mean of its values on single examples
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    identical: bool = False
    method: str = ""
    reason: str | None = None
    tenth: int = 0  # a tenth of the examples, rounded up
    tenth_share: float | None = None  # of all losses, that the worst tenth carries
    looks: int = 0  # distinct splits into a group and the rest that were tested
    strata: tuple[LossStratum, ...] = ()
    worst: tuple[tuple[str, float], ...] = ()  # example id and gain, the worst first
    documents: tuple[LossDocuments, ...] = ()  # for metrics of 0 or 1 per document
    notes: tuple[str, ...] = ()


def analyse_losses(
    panel: Panel,
    baseline: str,
    candidate: str,
    groups: Sequence[Group] = (),
    *,
    members: Mapping[str, Sequence[str]] | None = None,
    notes: Sequence[str] = (),
    n_worst: int = N_WORST,
) -> LossSummary:
    """Say where a candidate loses against the baseline.

    Each group's gain has the interval of :class:`Panel` on its examples alone, so a corpus metric
    stays one. Whether a group differs from the rest is decided by the interval of the two gains'
    difference, at a level divided by the number of distinct splits tested (Bonferroni); a group is
    tested where it and the rest have ``FEWEST_CLUSTERS`` clusters, whatever their scores.

    Args:
        panel: Holds both variants.
        baseline: Variant compared with.
        candidate: Variant looked at.
        groups: Groups of examples in the panel's order.
        members: Tasks of a group and the ids of their documents, for metrics of 0 or 1.
        notes: What was left out of the groups, in words.
        n_worst: Most examples named in ``worst``.
    """
    quantity, pair = panel.quantity, Pair(panel, baseline, candidate)
    gains = pair.gains
    losses = np.where(gains < 0, -gains, 0.0)
    whole = panel.difference(baseline, candidate).turned(pair.sign)
    tenth = math.ceil(len(gains) / 10)
    order = sorted(np.flatnonzero(gains < 0), key=lambda row: (gains[row], str(panel.ids[row])))
    tested: set[bytes] = set()
    if not whole.identical:
        tested = {_split(group.rows) for group in groups if _why_untested(pair, group) is None}
    tail = (1 - CONFIDENCE) / 2 / max(1, len(tested))
    return LossSummary(
        task=quantity.task,
        metric=quantity.metric,
        split=quantity.split,
        baseline=baseline,
        candidate=candidate,
        scale=quantity.scale,
        higher_is_better=quantity.higher_is_better,
        n=len(gains),
        clusters=panel.resamples.n_clusters,
        **_counts(gains),
        undefined=int(np.isnan(gains).sum()),
        per_example=pair.is_plain_mean,
        gain=whole.delta,
        low=whole.low,
        high=whole.high,
        identical=whole.identical,
        method=whole.method,
        reason=whole.reason,
        tenth=tenth,
        tenth_share=_share(np.sort(losses)[::-1][:tenth], losses),
        looks=len(tested),
        strata=() if whole.identical else tuple(_stratum(pair, group, tail) for group in groups),
        worst=tuple((str(panel.ids[row]), float(gains[row])) for row in order[:n_worst]),
        documents=_documents(pair, members or {}),
        notes=tuple(notes),
    )


def _counts(gains: FloatArray) -> dict[str, int]:
    return {
        "better": int(np.sum(gains > 0)),
        "equal": int(np.sum(gains == 0)),
        "worse": int(np.sum(gains < 0)),
    }


def _split(rows: Rows) -> bytes:
    """A name of the split into a group and the rest, the same for both sides of it."""
    return (rows if rows[0] else ~rows).tobytes()


def _why_untested(pair: Pair, group: Group) -> str | None:
    if group.rows.all():
        return "these are all examples, so there is no rest"
    unit = "examples" if pair.panel.resamples.n_clusters == len(group.rows) else "clusters"
    for what, rows in (("group", group.rows), ("rest", ~group.rows)):
        count = pair.clusters(rows)
        if count < FEWEST_CLUSTERS:
            return f"too few: the {what} has {count} of the {FEWEST_CLUSTERS} {unit} needed"
    return None


def _stratum(pair: Pair, group: Group, tail: float) -> LossStratum:
    """The record of a group; ``tail`` is cut off on each side of its contrast."""
    rows, gains = group.rows, pair.gains
    losses = np.where(gains < 0, -gains, 0.0)
    clusters = pair.clusters(rows)
    panel = pair.subset(rows).panel
    gain = panel.difference(pair.baseline, pair.candidate).turned(pair.sign)
    bounded = clusters >= FEWEST_CLUSTERS and gain.low is not None
    reason = _why_untested(pair, group) or gain.reason
    contrast = pair.contrast(rows) if reason is None else None
    if reason is None and contrast is None:
        reason = "undefined without one of its clusters"
    bounds: dict[str, float | bool] = {}
    if contrast is not None:
        reach = float(special.stdtrit(contrast.df, 1 - tail)) * contrast.error
        least, most = contrast.value - reach, contrast.value + reach
        bounds = {
            "contrast": contrast.value,
            "contrast_low": least,
            "contrast_high": most,
            "differs": not least <= 0 <= most and abs(contrast.value) > pair.tolerance,
        }
    return LossStratum(
        kind=group.kind,
        name=group.name,
        n=int(rows.sum()),
        clusters=clusters,
        **_counts(gains[rows]),
        loss_share=_share(losses[rows], losses),
        gain=gain.delta,
        low=gain.low if bounded else None,
        high=gain.high if bounded else None,
        identical=gain.identical,
        rest_gain=None if rows.all() else pair.gain(~rows),
        method=gain.method if bounded else "",
        reason=reason,
        **bounds,
    )


def _documents(pair: Pair, members: Mapping[str, Sequence[str]]) -> tuple[LossDocuments, ...]:
    panel = pair.panel
    values = np.stack([panel.per_example(name) for name in (pair.baseline, pair.candidate)])
    top = panel.quantity.scale or 1.0
    if not members or not np.isin(values[np.isfinite(values)], (0.0, top)).all():
        return ()
    gain = dict(zip((str(name) for name in panel.ids), pair.gains, strict=True))
    return tuple(
        LossDocuments(
            member=member,
            lost=tuple(sorted(name for name in names if gain[name] < 0)),
            won=tuple(sorted(name for name in names if gain[name] > 0)),
        )
        for member, names in members.items()
    )


def _share(part: FloatArray, whole: FloatArray) -> float | None:
    total = float(whole.sum())
    return float(part.sum()) / total if total > 0 else None
