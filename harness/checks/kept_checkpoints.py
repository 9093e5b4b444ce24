"""Checkpoints that a training deletes before any is chosen."""

from __future__ import annotations

from collections.abc import Iterator

from harness.schema import Finding
from harness.suite.spec import Suite


class KeptCheckpoints:
    """That a limit on checkpoints deletes none that might be the best."""

    about = Suite

    def findings(self, facts: Suite) -> Iterator[Finding]:
        """A warning where only the latest are kept."""
        train = facts.train
        limit = train.args.get("save_total_limit") if train is not None else None
        if train is None or train.keeps_best or not isinstance(limit, int) or limit <= 0:
            return
        kept = "the last checkpoint is" if limit == 1 else f"the last {limit} checkpoints are"
        yield Finding(
            check="checkpoints",
            severity="warning",
            what=f"Only {kept} kept: train.args.save_total_limit deletes the earlier ones.",
            why="One of those may have been the best.",
            hint="Add train.args.load_best_model_at_end: true, which keeps the best by eval loss, "
            "or raise the limit.",
        )


CHECK = KeptCheckpoints()
