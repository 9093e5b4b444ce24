"""The regression gate's decision: gated scores and measurements against a baseline.

Everything here is a pure function of two sets of per-example statistics. With d the paired gain
of a score, oriented so that more is better, m its margin, and L and U one-sided bounds of d that
hold for all gated scores together with probability 1 - alpha (each), a score

* **passes** where L >= -m: it is shown to be no worse than the margin allows (non-inferiority),
* is a **regression** where U < -m: it is shown to be worse,
* is **inconclusive** in between: the examples are too few to tell.

So a false alarm, and a wrong pass, each happen with a probability of at most alpha over all scores
together. Equal outputs are **identical**, and pass. That the scores of n examples are equal though
the outputs are not known to be is a sample like any other, and bounded like one.

Source: Blackwelder (1982), "Proving the null hypothesis" in clinical trials, for the margin;
simultaneous bounds as in :mod:`harness.stats.simultaneous`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from harness.digests import text_digest
from harness.gate.repeats import Repeats, check_repeats, plain_zero
from harness.results.pairing import refusal
from harness.schema import GateCheck, GateVerdict
from harness.stats.intervals import TAIL
from harness.stats.paired import Difference
from harness.stats.panel import Panel, Quantity, Sample
from harness.stats.power import mde, needed_n, score_mde
from harness.stats.proportions import tango_interval
from harness.stats.resampling import N_RESAMPLES, Resamples
from harness.stats.simultaneous import Block, correlation, local_level
from harness.suite.rules import Margin, in_points, margin_in_own_unit, own_unit

_BEFORE, _AFTER = "the baseline", "the run"  # as a PairingError names the two
_ROUNDING = 1e-9  # of the values: a loss of exactly the margin must not depend on rounding
_LEAST = 10  # clusters, below which neither a bootstrap nor a spread of zero says anything


@dataclass(frozen=True)
class ScorePair:
    """One gated score of one gated variant, in the baseline and in the run."""

    subject: str  # as ``gate.variants`` has it
    variant: str | None  # what that is in this run
    quantity: Quantity  # what the score is about
    before: Sample  # per-example statistics of the baseline
    after: Sample  # per-example statistics of the run; its order is free, its ids must be the same
    margin: Margin  # how much worse it may get
    unit: str = ""  # what the value counts
    # absolute bound in points: the least value (or the greatest, where lower is better)
    floor: float | None = None
    same_outputs: bool = False  # whether what the two wrote is known to be equal
    kind: str = ""  # the task's type


@dataclass(frozen=True)
class Match:
    """What a run and its baseline have to be decided about, and what was noticed on the way."""

    pairs: tuple[ScorePair, ...] = ()  # scores that both have
    repeats: tuple[Repeats, ...] = ()  # measurements that both have
    checks: tuple[GateCheck, ...] = ()  # scores of which only one side can be looked at
    differences: tuple[str, ...] = ()  # fields that make the baseline incompatible
    changes: tuple[str, ...] = ()  # what else is not as it was
    problems: tuple[str, ...] = ()  # missing or invalid data

    def __add__(self, other: Match) -> Match:
        """Both, one after the other."""
        names = (field.name for field in fields(self))
        return Match(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Decision(NamedTuple):
    """Checks in the order of their input, and the one-sided level of each bound of a score."""

    checks: tuple[GateCheck, ...]
    level: float | None


@dataclass(frozen=True)
class _Look:
    """A pair that can be compared."""

    panel: Panel
    block: str  # digest of the examples: scores of the same examples are bounded together
    first: Difference

    @property
    def uncertain(self) -> bool:
        """Whether more examples could tell more; a gain that is equal on all of them cannot."""
        low, high = self.first.low, self.first.high
        return low is not None and high is not None and low < high


def decide(
    pairs: Sequence[ScorePair],
    repeats: Sequence[Repeats] = (),
    *,
    alpha: float = 0.05,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Decision:
    """Compare everything that is gated with the baseline.

    Scores of the same examples share their resamples, so that the correlation of their errors
    is known and does not have to be paid for. Measurements that decide take a share of alpha each,
    as Bonferroni would give them: alpha / (scores + measurements); the scores share the rest.
    What has no uncertainty (identical scores, readings that do not vary) takes none.

    Args:
        pairs: Gated scores.
        repeats: Measurements; those without a margin are listed only.
        alpha: Probability of a false alarm over all together.
        seed: Seed of all resampling; equal seeds give equal results.
        n_resamples: Number of bootstrap resamples.

    Returns:
        One check per score, a further one per floor, and one per measurement.
    """
    shared: dict[str, Resamples] = {}
    looks = [_look(pair, shared, seed, n_resamples) for pair in pairs]
    uncertain = [look for look in looks if isinstance(look, _Look) and look.uncertain]
    timed = sum(item.decides and item.comparable and item.uncertain for item in repeats)
    share = alpha / (len(uncertain) + timed) if uncertain or timed else alpha
    level = (
        local_level(_blocks(uncertain), share * len(uncertain), seed=seed) if uncertain else None
    )
    checks: list[GateCheck] = []
    for pair, look in zip(pairs, looks, strict=True):
        if isinstance(look, str):
            checks.append(_check(pair, "invalid", reason=look))
            continue
        checks.append(_quality(pair, look, level or alpha))
        if pair.floor is not None:
            checks.append(_floor(pair, look.panel.value(_AFTER), pair.floor))
    checks += [check_repeats(item, share, seed=seed, n_resamples=n_resamples) for item in repeats]
    return Decision(tuple(checks), level)


def _look(
    pair: ScorePair, shared: dict[str, Resamples], seed: int, n_resamples: int
) -> _Look | str:
    """Pair the examples by id; or why that cannot be done."""
    before, after = _by_id(pair.before, _BEFORE), _by_id(pair.after, _AFTER)
    for side in (before, after):
        broken = ~np.isfinite(side.stats).all(axis=1)
        if broken.any():
            ids = ", ".join(repr(str(text)) for text in side.ids[broken][:3])
            return (
                f"{side.variant} holds {broken.sum()} statistics that are not finite numbers: {ids}"
            )
    reason = refusal(before, after, pair.kind)
    if reason is not None:
        return reason
    block = text_digest("\0".join([*before.ids, "", *before.clusters]))
    if block not in shared:
        shared[block] = Resamples(before.clusters, seed=seed, n_resamples=n_resamples)
    panel = Panel(pair.quantity, [before, after], resamples=shared[block])
    first = _gain(pair, panel, TAIL)
    if first.delta is None:
        return first.reason or "the difference is undefined"
    return _Look(panel, block, first)


def _gain(pair: ScorePair, panel: Panel, tail: float) -> Difference:
    difference = panel.bounded_difference(
        _BEFORE, _AFTER, tail=tail, strict=True, same_outputs=pair.same_outputs
    )
    return difference.turned(panel.quantity.sign)


def _by_id(sample: Sample, name: str) -> Sample:
    order = np.argsort(sample.ids, kind="stable")
    return Sample(name, sample.ids[order], sample.clusters[order], sample.stats[order])


def _blocks(looks: Iterable[_Look]) -> list[Block]:
    """Scores of the same examples with the correlation of their errors."""
    by_examples: dict[str, list[_Look]] = {}
    for look in looks:
        by_examples.setdefault(look.block, []).append(look)
    blocks = []
    for together in by_examples.values():
        drawn = [
            look.panel.quantity.sign * look.panel.drawn_differences(_BEFORE, _AFTER)
            for look in together
        ]
        df = together[0].panel.resamples.n_clusters - 1
        blocks.append(Block(correlation(np.stack(drawn, axis=1)), df))
    return blocks


def _quality(pair: ScorePair, look: _Look, level: float) -> GateCheck:
    panel, clusters = look.panel, look.panel.resamples.n_clusters
    gain = _gain(pair, panel, level) if look.uncertain else look.first
    before, after = panel.value(_BEFORE) or 0.0, panel.value(_AFTER) or 0.0
    margin = margin_in_own_unit(pair.margin, before, pair.quantity.scale)
    slack = _ROUNDING * max(abs(before), abs(after), margin)
    too_few = _too_few(look, gain)
    verdict: GateVerdict = "inconclusive"
    reason = gain.reason
    if gain.identical:
        verdict = "identical"
    elif gain.low is not None and too_few:
        reason = f"{clusters} unrelated examples are too few for this metric"
    elif gain.low is not None and gain.low >= -margin - slack:
        verdict = "pass"
    elif gain.high is not None and gain.high < -margin - slack:
        verdict = "regression"
    distance = abs((gain.delta or 0.0) + margin)
    decidable = verdict == "inconclusive" and distance > slack and not too_few
    return _check(
        pair,
        verdict,
        n=len(panel.ids),
        clusters=clusters,
        baseline_value=before,
        value=after,
        gain=gain.delta or 0.0,
        low=gain.low,
        high=gain.high,
        margin=margin,
        mde=_mde(look, gain, margin, level),
        needed_n=_needed(look, gain, distance, level) if decidable else None,
        method=gain.method,
        reason=reason,
    )


def _mde(look: _Look, gain: Difference, margin: float, level: float) -> float | None:
    """Loss beyond the margin that is found in 80 %: of the test that the bounds belong to."""
    panel, error = look.panel, gain.error
    unlike = panel.discordant(_BEFORE, _AFTER)
    if gain.identical or error is None:
        return None
    if unlike is None:
        return mde(error, gain.df, level) if error else None
    n, top = len(panel.ids), panel.quantity.scale or 1.0
    share, net = sum(unlike) / n, (unlike[0] - unlike[1]) / n
    clustered = panel.resamples.n_clusters < n
    effective: float = panel.resamples.n_clusters if clustered else n
    if clustered and error:
        effective = (share - net**2) / (error / top) ** 2
    df = gain.df if clustered else None
    return top * score_mde(effective, share, margin / top, df, level, strict=True)


def _too_few(look: _Look, gain: Difference) -> bool:
    """Whether there are too few examples for bounds that come from their spread alone.

    Student-t and score intervals hold for any number; a bootstrap of a handful does not, nor does
    a spread that is zero because two examples happen to have changed alike.
    """
    panel = look.panel
    if panel.resamples.n_clusters >= _LEAST or panel.discordant(_BEFORE, _AFTER) is not None:
        return False
    size = max(abs(panel.value(_BEFORE) or 0.0), abs(panel.value(_AFTER) or 0.0))
    return not panel.is_mean or (gain.error or 0.0) <= _ROUNDING * size


def _needed(look: _Look, gain: Difference, distance: float, level: float) -> int | None:
    """Examples with which an inconclusive score would be decided in 80 %, if it stays as it is."""
    n, clusters = len(look.panel.ids), look.panel.resamples.n_clusters
    if gain.error:
        return needed_n(n, gain.error, gain.df, distance, level)
    if gain.delta or clusters < 2:
        return None  # nothing is known of the spread
    # no score changed: the bound for a sample of that size, where each change counts in full
    share = min(1.0, distance / (look.panel.quantity.scale or 1.0))
    quantile = -float(special.ndtri(level))
    enough = clusters
    while -tango_interval(0, 0, enough, quantile=quantile, strict=True)[0] > share:
        enough = math.ceil(enough * 1.05)
    return math.ceil(n / clusters * enough)


def _floor(pair: ScorePair, value: float | None, floor: float) -> GateCheck:
    """Whether a value keeps to an absolute bound; the value itself counts, without an interval."""
    quantity = pair.quantity
    bound = own_unit(floor, quantity.scale)
    gain = ((value or 0.0) - bound) * quantity.sign
    kept = gain >= -_ROUNDING * abs(bound)
    side = "below the floor" if quantity.higher_is_better else "above the ceiling"
    shown = f"{in_points(value or 0.0, quantity.scale):.4g} is {side} of {floor:.4g}"
    return _check(
        pair,
        "pass" if kept else "regression",
        kind="floor",
        n=len(pair.after.ids),
        value=value,
        bound=bound,
        method="absolute bound of the value itself",
        reason=None if kept else shown,
    )


def _check(
    pair: ScorePair,
    verdict: GateVerdict,
    kind: Literal["quality", "floor"] = "quality",
    **figures: float | str | None,
) -> GateCheck:
    quantity = pair.quantity
    return GateCheck.model_validate(
        {
            "subject": pair.subject,
            "variant": pair.variant,
            "kind": kind,
            "task": quantity.task,
            "metric": quantity.metric,
            "split": quantity.split,
            "verdict": verdict,
            "unit": pair.unit,
            "scale": quantity.scale,
            "higher_is_better": quantity.higher_is_better,
            **{name: plain_zero(part) for name, part in figures.items()},
        }
    )
