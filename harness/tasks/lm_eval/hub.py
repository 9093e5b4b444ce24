"""Which data set on the Hub an lm-eval task's documents come from. No lm_eval, no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.schema import HubData
from harness.tasks.lm_eval.identity import LOCAL_LOADERS

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_data(name: str, leaf: Any) -> HubData | None:
    """The Hub data set of a loaded task; None where its documents come from elsewhere.

    ``datasets`` keeps what it makes of a Hub data set in a folder named after the commit, which is
    how the revision is known where the task pins none.

    Args:
        name: What the task is called.
        leaf: A task of lm-eval with its ``config`` and its loaded ``dataset``.
    """
    config = getattr(leaf, "config", None)
    path = getattr(config, "dataset_path", None)
    if config is None or not isinstance(path, str) or callable(config.custom_dataset):
        return None  # made by a function of the task's own
    if path in LOCAL_LOADERS or not _HUB_ID.fullmatch(path) or Path(path).exists():
        return None
    split = config.test_split or config.validation_split
    pinned = (config.dataset_kwargs or {}).get("revision")
    return HubData(
        task=name,
        dataset=path,
        config=config.dataset_name,
        split=split,
        revision=pinned or _commit(getattr(leaf, "dataset", None), split),
    )


def _commit(dataset: Any, split: str | None) -> str | None:
    if not isinstance(dataset, Mapping) or split not in dataset:
        return None
    files = getattr(dataset[split], "cache_files", None) or ()
    folders = {Path(str(file.get("filename", ""))).parent.name for file in files}
    commits = sorted(folder for folder in folders if _COMMIT.fullmatch(folder))
    return commits[0] if len(commits) == 1 else None
