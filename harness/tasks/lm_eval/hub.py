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
    rows = getattr(leaf, "dataset", None)
    files = getattr(rows.get(split), "cache_files", None) if isinstance(rows, Mapping) else None
    folders = {Path(str(file.get("filename", ""))).parent.name for file in files or ()}
    commits = [folder for folder in folders if _COMMIT.fullmatch(folder)]
    revision = (config.dataset_kwargs or {}).get("revision")
    if not revision and len(commits) == 1:
        revision = commits[0]
    about = {"config": config.dataset_name, "split": split, "revision": revision}
    return HubData(task=name, dataset=path, **about)
