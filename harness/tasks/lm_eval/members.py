"""Rewrites the part of lm-eval's task index that is needed, so that tasks read local files.

lm-eval knows tasks (leaves), groups (with an average), and tags (several tasks under one name); a
group's members are names, or mappings that override a member's configuration, or whole
configurations written inline. Local files are put into the configuration of each leaf, and leaves
without a file are taken out of their groups and tags. Neither lm_eval nor torch is imported.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.suite.spec import LmEvalTask
from harness.tasks.lm_eval import local
from harness.tasks.lm_eval.identity import resolve_data_files

_NAMES = ("task", "group")  # these say which task it is and are not inherited


@dataclasses.dataclass
class IndexRewriter:
    """Takes over entries of lm-eval's index, each with the data the suite names.

    Attributes:
        task: The task as the suite states it.
        local: Its local files, if it has any.
        cache_dir: Where ``datasets`` may keep what it makes of local files.
        lookup: lm-eval's index entry of a name (``kind``, ``yaml_path``, ``tags``), or None.
        load_yaml: lm-eval's reader of task YAMLs, includes merged and functions resolved.
        group_fields: Keys of a group's YAML that are about the group, not about its members.
        entries: The rewritten part of the index.
        missing: Leaf task -> why it was left out.
        hub_sources: Leaf task -> path and configuration name of its data set on the Hub.
    """

    task: LmEvalTask
    local: local.LocalData | None
    cache_dir: Path
    lookup: Callable[[str], Any]
    load_yaml: Callable[[Path], dict[str, Any]]
    group_fields: Collection[str]
    entries: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    hub_sources: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def keep(self, name: str, inherited: Mapping[str, Any] | None = None) -> bool:
        """Take over a task, group or tag and all its members.

        Args:
            name: lm-eval's name.
            inherited: Configuration that the groups above it override.

        Returns:
            Whether anything of it is left: False where no member has a local file.

        Raises:
            UsageError: There is no task of that name, or it cannot read local files.
            DataError: A local file is missing or malformed.
        """
        entry, inherited = self.lookup(name), inherited or {}
        if entry is None:
            raise UsageError(f"A group names the task {name!r}, which does not exist.")
        kind = entry.kind.name
        if kind == "TAG":
            kept = {member for member in sorted(entry.tags) if self.keep(member, inherited)}
            self.entries[name] = dataclasses.replace(entry, tags=kept)
            return bool(kept)
        if kind == "PY_TASK":
            if self.local is not None:
                raise UsageError(
                    f"Task {name!r} is written in Python and loads its own data, so local files "
                    "cannot be put in their place.",
                    hint="Remove data from the task, or write a YAML task.",
                )
            self.entries[name] = entry
            return True
        config, folder = self.load_yaml(entry.yaml_path), entry.yaml_path.parent
        if kind == "GROUP":
            rewritten = self._group(name, config, inherited, folder)
        else:
            rewritten = self._with_data(name, config, inherited, folder)
        if rewritten is not None:
            self.entries[name] = dataclasses.replace(entry, yaml_path=None, cfg=rewritten)
        return rewritten is not None

    def check_shared_files(self) -> None:
        """Refuse one file for tasks that read different data sets.

        Raises:
            DataError: Several leaves would score the same rows.
        """
        if self.local is None or self.local.spec.format == "mmlu_csv":
            return
        shared = [name for name in self.local.spec.files.values() if local.PLACEHOLDER not in name]
        if shared and len(set(self.hub_sources.values())) > 1:
            leaves = sorted(self.hub_sources)
            raise DataError(
                f"The file {shared[0]!r} would be scored by {len(leaves)} tasks that read "
                f"different data sets: {', '.join(leaves[:3])}, ...",
                hint=f"Write {local.PLACEHOLDER} in the path, where the files differ, or name one "
                "task.",
            )

    def _group(
        self, name: str, config: Mapping[str, Any], inherited: Mapping[str, Any], folder: Path
    ) -> dict[str, Any] | None:
        """A group's configuration with the members that are left, or None without any."""
        config = self._without_data(config)
        own = {key: value for key, value in config.items() if key not in self.group_fields}
        members = config.get("task")
        if not isinstance(members, list):
            raise UsageError(f"The group {name!r} names no list of tasks.")
        kept = [self._member(member, {**own, **inherited}, folder) for member in members]
        kept = [member for member in kept if member is not None]
        return {**config, "task": kept} if kept else None

    def _member(
        self, member: str | Mapping[str, Any], inherited: Mapping[str, Any], folder: Path
    ) -> str | dict[str, Any] | None:
        if isinstance(member, str):
            return member if self.keep(member, inherited) else None
        member = self._without_data(member)
        name = str(member.get("group", member.get("task")))
        override = {**inherited, **{k: v for k, v in member.items() if k not in _NAMES}}
        if self.lookup(name) is not None:
            return member if self.keep(name, override) else None
        if "group" in member:
            return self._group(name, member, inherited, folder)
        return self._with_data(name, member, override, folder)  # a task written inline

    def _without_data(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a group overrides must not undo what the suite says about data."""
        dropped = local.DATA_KEYS if self.local else ()
        return {key: value for key, value in config.items() if key not in dropped}

    def _with_data(
        self, leaf: str, own: Mapping[str, Any], inherited: Mapping[str, Any], folder: Path
    ) -> dict[str, Any] | None:
        """A leaf's configuration that says where its data are; None where it has no file."""
        config = {**own, **inherited}
        self.hub_sources[leaf] = (str(config.get("dataset_path")), config.get("dataset_name"))
        if self.local is None:
            package = importlib.util.find_spec("lm_eval")
            if package and package.origin and folder.is_relative_to(Path(package.origin).parent):
                return {**own}
            kwargs = resolve_data_files(config, folder)
            # a cache of its own: datasets would find stale rows by a file's path and time
            cached = {"dataset_kwargs": {"cache_dir": str(self.cache_dir), **kwargs}}
            return {**own, **(cached if kwargs else {})}
        shots = local.effective_num_fewshot(config, self.task.num_fewshot)
        try:
            return {**own, **self.local.override(leaf, config, shots)}
        except local.MissingLeafError as error:
            self.missing[leaf] = str(error)
            return None
