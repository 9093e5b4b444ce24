"""What several trainings of one recipe say in words: whether to ship it, and how it is made."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from harness.compare.pooled import CHOICE, PooledRow, PooledView
from harness.render.numbers import count, estimate, metric_name, number, percent
from harness.suite.rules import in_points

_SMALLEST, _ROWS = 0.02, 10  # share and expected rows that a split needs so as not to be empty
_FEW = 3  # trainings, below which an interval over them is very wide


def headline(view: PooledView) -> str:
    """Whether the recipe is better than its base, in a sentence or two."""
    if view.smoke:
        return (
            "SMOKE TEST: every step ran. No figure of it says how good, large or fast a model is."
        )
    row = view.decided
    if row is None:
        return "Nothing can be said of the recipe yet: no score was pooled."
    over = f"over {count(len(view.members), 'training')} by {view.by}"
    what = f"{metric_name(row.metric)} of {row.task}"
    verdict = {
        "better": f"Ship this recipe: it is better than its base on {what}",
        "worse": f"Do not ship this recipe: it is worse than its base on {what}",
        "open": f"Not shown: whether the recipe is better than its base on {what}",
        "same": f"The recipe changes nothing on {what}: every row scores as with the base",
        "none": f"Nothing can be said of the recipe on {what}",
    }[row.side]
    if row.delta is None:
        return f"{verdict}: {row.reason}"
    return f"{verdict}, {change(row)} pooled {over} (n = {row.n:,})."


def change(row: PooledRow) -> str:
    """A pooled difference with its interval."""
    value, interval = estimate(row.delta, row.low, row.high, row.scale, signed=True)
    return f"{value} {interval}".strip() + ("" if row.scale else f" {row.unit}".rstrip())


def support(view: PooledView) -> list[str]:
    """What the verdict stands on, sentence by sentence."""
    row = view.decided
    lines = [] if row is None else [line for line in (_components(row), _each(view, row)) if line]
    return [*lines, *_chosen(view), *_final(view)]


def cautions(view: PooledView) -> list[str]:
    """What limits it."""
    return list(_cautions(view))


def _cautions(view: PooledView) -> Iterator[str]:
    if not view.complete:
        done = sum(member.state == "complete" for member in view.members)
        yield f"Not finished: {done} of {len(view.members)} trainings are complete."
    if len(view.members) < _FEW:
        yield (
            f"{len(view.members)} trainings hardly tell how trainings differ, which makes the "
            "interval very wide; five tell more."
        )
    row = view.decided
    if row is not None and view.by == "folds" and row.rows == "held out once":
        short = percent(len(view.members) - 1, len(view.members))
        yield (
            f"Each training saw at most {short} of the rows. Trainings share most of them, which "
            "no estimate of the interval can allow for without bias."
        )
    yield from view.notes


def _components(row: PooledRow) -> str:
    """The two parts of an interval."""
    if row.sampling is None or row.training is None:
        return ""
    points = " points" if row.scale else f" {row.unit}".rstrip()

    def shown(value: float) -> str:
        return number(in_points(value, row.scale)) + points

    both = "the wider of" if row.rows == "held out once" else "the root of the squares of"
    text = (
        f"The interval is {both} two parts: ±{shown(row.sampling)} by the choice of examples, and "
        f"±{shown(row.training)} by how trainings differ."
    )
    if row.spread is None:
        return text
    text += f" Trainings' gains have a standard deviation of {shown(row.spread)}"
    if row.noise is None:
        return f"{text}."
    if row.noise == 0:
        return f"{text}, no more than the choice of examples explains."
    chance = "its chance" if row.rows == "the same" else "its rows and its chance"
    return f"{text}; the choice of examples left out, {shown(row.noise)}, by {chance}."


def _each(view: PooledView, row: PooledRow) -> str:
    sign = 1 if row.higher_is_better else -1
    gains = [sign * m.delta for m in row.members if m.delta is not None]
    better = sum(gain > 0 for gain in gains)
    return f"{better} of {count(len(view.members), 'training')} scored better than the base."


def _chosen(view: PooledView) -> Iterator[str]:
    named = [f"{m.label} {m.chosen}" for m in view.members if m.chosen]
    if named:
        yield (
            "Each training chose its checkpoint on its own select rows, never on those it is "
            f"scored on: {', '.join(named)}."
        )


def final_step(view: PooledView) -> int | None:
    """The training step to ship: the median of the choices, the lower of two."""
    steps = sorted(member.step for member in view.members if member.step is not None)
    if not steps:
        return None
    return steps[(len(steps) - 1) // 2] if median(steps) not in steps else int(median(steps))


def final_command(view: PooledView) -> str:
    """The command that makes the model to ship."""
    if view.by == "seeds":
        first = view.members[0]
        return f"harness select {first.run} --copy-to FOLDER"
    shares = _shares(view)
    command = view.command or "harness eval SUITE"
    listed = ", ".join(f"{split}: {share:g}" for split, share in shares.items())
    whole = " --set 'data.limits={}'" if view.limited else ""
    return f"{command} --set data.folds=null --set 'data.splits={{{listed}}}'{whole}"


def _shares(view: PooledView) -> dict[str, float]:
    """Shares for the last training: all rows but the few that the suite's tasks need."""
    rows = sum(member.held_out_rows for member in view.members)
    share = round(min(0.2, max(_SMALLEST, _ROWS / max(rows, 1))), 3)
    rest = dict.fromkeys(view.splits, share)
    return {"train": round(1 - sum(rest.values()), 3), **rest}


def _final(view: PooledView) -> Iterator[str]:
    row = view.decided
    if row is None or row.side == "worse" or view.smoke:
        return
    if view.by == "seeds":
        yield (
            "All trainings saw the same rows, so any of them may be shipped; do not take the one "
            f"with the best score, which looks better than it is. The first: {final_command(view)}"
        )
        return
    step = final_step(view)
    which = f", and ship checkpoint-{step} of it, the median choice" if step is not None else ""
    yield (
        f"None of these trainings saw all rows. Train the model to ship on "
        f"{percent(_shares(view)['train'], 1)} of them (the rest is what the tasks need){which}: "
        f"{final_command(view)}"
    )


def row_name(row: PooledRow) -> str:
    """What a row is about: task and metric, and the checkpoint unless it is the choice."""
    name = f"{row.task} {metric_name(row.metric)}"
    return name if row.what == CHOICE else f"{name}, {row.what}"


def verdict_lines(view: PooledView) -> list[str]:
    """The verdict for a terminal."""
    return [headline(view), *(f"  {line}" for line in [*support(view), *cautions(view)])]
