"""Whether scores of two runs may be paired: the same examples, scored in the same way.

The gate and the comparison of runs ask here. The gate asks for more before it comes to that: its
baseline must be of the same prompt, decoding and base, because it is about one system that was
trained again, while a comparison of runs is about whole systems. Nor does a comparison pair
ratings, which hold within one set of sheets; a gate does where its rules name them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.errors import PairingError
from harness.schema import CellResult
from harness.stats.panel import Sample, aligned
from harness.store.runs import Store
from harness.suite.spec import task_facts

FORM = ("higher_is_better", "scale", "unit")
"""Fields of a score that two paired scores have in common."""

_SPEED_ONLY = ("batch_size", "batch_tokens", "engine")  # of lm-eval: they change no score


def refusal(before: Sample, after: Sample, kind: str) -> str | None:
    """Why two samples must not be paired; None where they may be.

    Ids must be the same, each once, and so must be what the statistics are of. Which examples
    belong together must be the same as well, whatever their groups are called: else the interval
    would depend on whose groups are taken. A loss is one per token, so the numbers of tokens must
    be equal.

    Args:
        before: One side, named as messages are to name it.
        after: The other; its order is free.
        kind: The task's type.
    """
    try:
        stats = aligned(before, after)
    except PairingError as error:
        return error.problem.rstrip(".")
    if not _same_groups(before, after):
        return f"the examples are grouped into other clusters than {before.variant}'s"
    per_token = task_facts(kind).per_token
    changed = int(np.sum(before.stats[:, -1] != stats[:, -1])) if per_token else 0
    if changed:
        return (
            f"a loss is one per token, and of the {len(stats):,} completions, {changed:,} have "
            "another number of tokens"
        )
    return None


def _same_groups(before: Sample, after: Sample) -> bool:
    group_of = dict(zip(after.ids.tolist(), after.clusters.tolist(), strict=True))
    both = zip(before.ids.tolist(), before.clusters.tolist(), strict=True)
    pairs = {(group, group_of[name]) for name, group in both}
    return len(pairs) == len({old for old, _ in pairs}) == len({new for _, new in pairs})


def cell_identity(store: Store, cell: CellResult) -> dict[str, Any]:
    """What determined a cell's predictions and scores; empty where it is not finished."""
    identity: dict[str, Any] = {}
    if cell.predictions_key is not None:
        identity |= store.identity("predictions", cell.predictions_key)
    if cell.scores_key is not None:
        identity |= store.identity("scores", cell.scores_key)
    return identity


def lm_eval_task(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The task as lm-eval ran it, without what only decides speed; empty for other tasks."""
    task: Mapping[str, Any] = identity.get("lm_eval") or {}
    return {key: value for key, value in task.items() if key not in _SPEED_ONLY}


def metric_options(identity: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each metric's options by its name; empty for tasks that bring their own metrics."""
    entries = identity.get("metrics")
    return {str(entry["name"]): entry for entry in entries} if isinstance(entries, list) else {}
