"""In which form to ship the choice: as its adapter on the base, or merged into one model."""

from harness.render.numbers import number, size
from harness.report.view.records import TradeOff, TradeOffPoint
from harness.schema import Equivalence

_NOTABLE = 0.05  # relative; smaller differences are within what repeats of a measurement vary
_NOTABLE_RESIDENT = 0.25  # a process's peak, read once, varied by 15 % between runs of one model


def form_words(test: Equivalence, trade_off: TradeOff) -> str:
    """Which of two forms to ship, and on what grounds; empty where they were not compared.

    Where the merged form is shown to be no worse, the two are weighed by what was measured of
    both. Else the form that was chosen is the one that the figures are of.

    Args:
        test: The adapter (first) and its merged form (second).
        trade_off: Memory and speed of both.
    """
    if test.delta is None:
        return ""
    adapter, merged = test.first, test.second
    if not (test.proved and _as_good(test)):
        why = "the headline's figures are of that form."
        if not test.proved:
            why = (
                f"when {merged} was merged, it was not measured whether it still is that adapter. "
                "Run the eval again to merge it anew."
            )
        return f"Ship {adapter} as an adapter: {why}"
    points = {point.variant: point for point in trade_off.points}
    gains = _gains(points.get(adapter), points.get(merged), trade_off.memory_name)
    if not gains:
        return f"Either form can be shipped; memory and speed do not tell {merged} from {adapter}."
    better = [words for words, is_better in gains if is_better]
    worse = [words for words, is_better in gains if not is_better]
    if not worse:
        return f"Ship {merged}: as good, and it {' and '.join(better)}."
    if not better:
        return f"Ship {adapter} as an adapter: as good merged, but {merged} {' and '.join(worse)}."
    return (
        f"Either form can be shipped: {merged} {' and '.join(better)}, but {' and '.join(worse)}."
    )


def prefers_merged(test: Equivalence, trade_off: TradeOff) -> bool:
    """Whether the merged form is as good as the adapter, and better in memory or speed alone."""
    if test.delta is None or not test.proved or not _as_good(test):
        return False
    points = {point.variant: point for point in trade_off.points}
    gains = _gains(points.get(test.first), points.get(test.second), trade_off.memory_name)
    return bool(gains) and all(is_better for _, is_better in gains)


def _as_good(test: Equivalence) -> bool:
    """Whether the merged form is shown to be no worse than the adapter, or better."""
    return bool(test.no_worse or test.equivalent or test.identical)


def _gains(
    adapter: TradeOffPoint | None, merged: TradeOffPoint | None, memory_name: str
) -> list[tuple[str, bool]]:
    """What the merged form does notably otherwise than the adapter, and whether that is good."""
    if adapter is None or merged is None:
        return []
    gains = []
    before, after = adapter.memory_bytes, merged.memory_bytes
    least = _NOTABLE_RESIDENT if memory_name == "peak_rss_bytes" else _NOTABLE
    if before and after and abs(after / before - 1) >= least:
        word = "less" if after < before else "more"
        gains.append(
            (f"needs {word} memory ({size(after)} against {size(before)})", after < before)
        )
    if adapter.speed_in_doubt or merged.speed_in_doubt:
        return gains  # of a busy machine, not of the models
    slow, fast = adapter.decode_tokens_per_s, merged.decode_tokens_per_s
    if slow and fast and abs(fast / slow - 1) >= _NOTABLE:
        word = "faster" if fast > slow else "more slowly"
        gains.append((f"decodes {word} ({number(fast)} against {number(slow)} tok/s)", fast > slow))
    return gains
