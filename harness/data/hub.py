"""Reads Parquet files and data sets of the Hub through the ``datasets`` library."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import resources
from harness.data.rows import DataRow, SourceRows
from harness.errors import DataError, MissingExtraError, OutOfReachError
from harness.suite.spec import DataSpec


def read_parquet(path: Path, split: str) -> list[DataRow]:
    """Read a Parquet file.

    Raises:
        DataError: It is not a Parquet file.
        MissingExtraError: ``datasets`` is not installed.
    """
    folder = resources.cache_dir() / "datasets"
    folder.mkdir(parents=True, exist_ok=True)
    # datasets keeps a converted copy of whatever it reads; a temporary folder takes it away again
    with _quiet_datasets() as datasets, tempfile.TemporaryDirectory(dir=folder) as cache:
        try:
            loaded = datasets.load_dataset(
                "parquet", data_files={"rows": [str(path)]}, split="rows", cache_dir=cache
            )
            values = loaded.to_list()
        except Exception as error:  # whatever pyarrow or datasets raise about this file
            raise DataError(
                f"Cannot be read as Parquet: {_reason(error)}.", where=str(path)
            ) from error
    return [DataRow(value, split, f"{path}[{index}]") for index, value in enumerate(values)]


def read_hub(spec: DataSpec) -> SourceRows:
    """Read a data set of the Hub, or its copy from an earlier read.

    Only the splits that ``spec.split_map`` names become rows, or all where it names none.

    Raises:
        DataError: It cannot be reached, or has no such configuration or revision.
        MissingExtraError: ``datasets`` is not installed.
    """
    name = str(spec.source)
    with _quiet_datasets() as datasets:
        try:
            loaded = datasets.load_dataset(
                name,
                spec.name,
                revision=spec.revision,
                cache_dir=str(resources.cache_dir() / "datasets"),
            )
        except Exception as error:  # whatever hub clients and builders raise about this id
            raise _hub_error(spec, error) from error
        wanted = [split for split in loaded if not spec.split_map or split in spec.split_map]
        rows = [
            DataRow(value, split, f"{name} ({split})[{index}]")
            for split in wanted
            for index, value in enumerate(loaded[split].to_list())
        ]
    notes = [] if spec.revision else ["No revision of the Hub data set is pinned."]
    return SourceRows(rows, tuple(loaded), notes=notes)


def _hub_error(spec: DataSpec, error: Exception) -> DataError:
    where = str(spec.source) + (f"@{spec.revision}" if spec.revision else "")
    kind = type(error).__name__
    offline = ("OfflineModeIsEnabled", "LocalEntryNotFoundError")
    if isinstance(error, ConnectionError) or kind in offline:
        return OutOfReachError(
            f"The Hub data set cannot be reached: {_reason(error)}.",
            where=where,
            hint="Check the network and HF_HUB_OFFLINE, or download the files and give their "
            "path as data.source.",
        )
    hints = {
        "DatasetNotFoundError": "Check the id and the revision; a private data set needs `hf auth "
        "login`. For a local file give a path that ends in .jsonl, .json, .csv or .parquet.",
        "ValueError": "Name the configuration with data.name.",
    }
    return DataError(
        f"The Hub data set cannot be loaded: {_reason(error)}.",
        where=where,
        hint=hints.get(kind, "Check data.source, data.name and data.revision."),
    )


def _reason(error: BaseException) -> str:
    """First line of an error, or of the one it wraps: datasets hides the reason in the cause."""
    if type(error).__name__ == "DatasetGenerationError" and error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")


@contextmanager
def _quiet_datasets() -> Iterator[Any]:
    """Yield the datasets library without progress bars and logging; put both back afterwards."""
    try:
        datasets = importlib.import_module("datasets")
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise
        raise MissingExtraError("datasets", "hf") from error
    bars_were_off = datasets.are_progress_bars_disabled()
    verbosity = datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield datasets
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not bars_were_off:
            datasets.enable_progress_bars()
