"""The members of a suite that trains one recipe several times: a suite each, by folds or by seeds.

A member is an ordinary suite. Its run has ordinary keys in the same store, so that resuming,
reports and everything else that takes a run takes it, too.
"""

from __future__ import annotations

from harness.suite.spec import Suite


def members_of(suite: Suite) -> dict[str, Suite]:
    """One suite per fold or per seed, by what tells it from the others; none of a single training.

    A suite that names one ``data.fold`` is a member itself.
    """
    data, train = suite.data, suite.train
    if data is not None and data.folds and data.fold is None:
        return {
            f"fold {fold} of {data.folds}": suite.model_copy(
                update={
                    "name": f"{suite.name}.fold-{fold}-of-{data.folds}",
                    "data": data.model_copy(update={"fold": fold}),
                }
            )
            for fold in range(1, data.folds + 1)
        }
    if train is None:
        return {}
    return {
        f"seed {seed}": suite.model_copy(
            update={
                "name": f"{suite.name}.seed-{seed}",
                "seeds": (),
                "train": train.model_copy(update={"seed": seed}),
            }
        )
        for seed in suite.seeds
    }
