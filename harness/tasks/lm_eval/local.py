"""Local files in the place of the data set that an lm-eval task loads from the Hub. Torch-free.

Prompts, shots and metrics stay lm-eval's own: only where the rows come from is overridden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta

from harness.errors import DataError
from harness.suite.spec import LmEvalData
from harness.tasks.lm_eval import rows

SPLIT_KEYS = ("training_split", "validation_split", "test_split", "fewshot_split")
DATA_KEYS = ("dataset_path", "dataset_name", "dataset_kwargs", *SPLIT_KEYS)
PLACEHOLDER = "{dataset_name}"  # in a path: the name of the Hub data set's configuration
_RELATIVE = "Paths under data.files are relative to the suite file."
_MMLU_SUFFIXES = {"validation": ("validation", "val")}  # upstream's own files end in _val.csv


class MissingLeafError(Exception):
    """One task of a group has no local file; the others can still be scored."""


@dataclass(frozen=True)
class LocalData:
    """The ``data:`` part of an lm-eval task, ready to override task configurations.

    Attributes:
        spec: Format, and a path per split (a folder per split for ``mmlu_csv``).
        suite_dir: What relative paths are relative to.
        folder: Where converted files go; it must live as long as the task.
    """

    spec: LmEvalData
    suite_dir: Path
    folder: Path

    def override(self, leaf: str, config: Mapping[str, Any], num_fewshot: int) -> dict[str, Any]:
        """Configuration keys that make one lm-eval task read local files.

        Args:
            leaf: The task's name.
            config: The task's own configuration (lm-eval's TaskConfig as a mapping).
            num_fewshot: Number of shots the task will be run with; with none, the split that shots
                are drawn from need not be given.

        Returns:
            ``dataset_path``, ``dataset_name`` and ``dataset_kwargs``, and ``None`` for every split
            of the task that the files do not hold.

        Raises:
            MissingLeafError: A folder or pattern of files holds none for this task.
            DataError: A file is missing or malformed, or a split that is needed is not given.
        """
        needed = needed_splits(leaf, config, num_fewshot)
        given = self.spec.files
        if lacking := [f"{name!r} ({use})" for name, use in needed.items() if name not in given]:
            raise DataError(
                f"Task {leaf!r} reads the split {' and the split '.join(lacking)}; data.files "
                f"names {', '.join(map(repr, given))}.",
                hint="Name each file after the split that the task reads it as.",
            )
        files = {split: self._converted(leaf, config, split) for split in needed}
        absent: dict[str, Any] = {
            key: None for key in SPLIT_KEYS if config.get(key) and config[key] not in files
        }
        fewshot = config.get("fewshot_config")
        if isinstance(fewshot, Mapping) and fewshot.get("split") not in (None, *files):
            absent["fewshot_config"] = {**fewshot, "split": None}
        return {
            "dataset_path": "parquet",
            "dataset_name": None,
            "dataset_kwargs": {
                "data_files": {split: str(path) for split, path in files.items()},
                "cache_dir": str(self.folder / "cache"),
            },
            **absent,
        }

    def _converted(self, leaf: str, config: Mapping[str, Any], split: str) -> Path:
        source = self._source(leaf, config, split)
        if self.spec.format == "mmlu_csv":
            converted = list(rows.mmlu_rows(source, str(config["dataset_name"])))
        elif self.spec.format == "hellaswag_jsonl":
            converted = list(rows.hellaswag_rows(source))
        elif source.suffix.lower() == ".parquet":
            rows.check_parquet(source, template_fields(config))
            return source.absolute()
        else:
            converted = rows.hub_rows(source, template_fields(config))
        target = self.folder / leaf.replace("/", "_") / f"{split}.parquet"
        rows.write_parquet(converted, source, target)
        return target

    def _source(self, leaf: str, config: Mapping[str, Any], split: str) -> Path:
        """The one file that holds a split of a task."""
        name, subject = self.spec.files[split], config.get("dataset_name")
        needs_subject = self.spec.format == "mmlu_csv" or PLACEHOLDER in name
        if needs_subject and not subject:
            raise DataError(
                f"Task {leaf!r} names no subject (dataset_name), as the format mmlu_csv and "
                f"{PLACEHOLDER} in a path need.",
                hint="Use format: hub_fields with one file per split.",
            )
        if self.spec.format == "mmlu_csv":
            folder = self.suite_dir / name
            if not folder.is_dir():
                raise DataError(
                    f"The format mmlu_csv needs a folder of <subject>_{split}.csv files, and there "
                    "is none here.",
                    where=str(folder),
                    hint=_RELATIVE,
                )
            names = [f"{subject}_{suffix}.csv" for suffix in _MMLU_SUFFIXES.get(split, (split,))]
            there = [folder / name for name in names if (folder / name).is_file()]
            if not there:
                raise MissingLeafError(f"there is no {' or '.join(names)} in {folder}")
            return there[0]
        path = self.suite_dir / name.replace(PLACEHOLDER, str(subject))
        if path.is_file():
            return path
        if PLACEHOLDER in name:
            raise MissingLeafError(f"there is no {path.name} in {path.parent}")
        raise DataError(
            f"The file for the split {split!r} of task {leaf!r} does not exist.",
            where=str(path),
            hint=_RELATIVE,
        )


def effective_num_fewshot(config: Mapping[str, Any], requested: int | None) -> int:
    """Number of shots lm-eval gives: a task whose own configuration says 0 keeps 0."""
    own = config.get("num_fewshot")
    return (own or 0) if requested is None or own == 0 else requested


def needed_splits(leaf: str, config: Mapping[str, Any], num_fewshot: int) -> dict[str, str]:
    """Splits a task cannot do without, and what for, in lm-eval's own order of preference.

    Raises:
        DataError: The task evaluates no split.
    """
    evaluated = config.get("test_split") or config.get("validation_split")
    if not evaluated:
        raise DataError(
            f"Task {leaf!r} has neither a test_split nor a validation_split, so local files cannot "
            "be given to it."
        )
    needed = {str(evaluated): "evaluated"}
    fewshot = config.get("fewshot_config") or {}
    if num_fewshot and not fewshot.get("samples"):
        own = [config.get(key) for key in ("fewshot_split", "training_split", "validation_split")]
        order = [name for name in (fewshot.get("split"), *own, evaluated) if name]
        needed.setdefault(str(order[0]), f"{num_fewshot} shots")
    return needed


def template_fields(config: Mapping[str, Any]) -> set[str]:
    """Fields that a task's templates read straight from the rows.

    Empty for tasks with a ``process_docs`` of their own, which may make fields that rows lack.
    """
    if config.get("process_docs"):
        return set()
    fields: set[str] = set()
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        template = config.get(key)
        if not isinstance(template, str):
            continue
        if template.isidentifier() and config.get("output_type") == "multiple_choice":
            fields.add(template)  # lm-eval takes a bare field name for the field's value
            continue
        try:  # parsed only, never rendered
            tree = jinja2.Environment().parse(template)  # noqa: S701
        except jinja2.TemplateSyntaxError:
            continue  # lm-eval's own loading reports it
        fields |= jinja2.meta.find_undeclared_variables(tree)
    return fields
