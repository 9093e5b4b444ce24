"""The baseline of a gate: a small JSON file for git, and beside it what pairing needs.

``baseline.json`` is made to be read in a diff: sorted keys, six significant digits, a final
newline. ``baseline.npz`` holds the per-example statistics of every gated score, exactly, in bytes
that depend on the content only, and the repeats of memory and speed, which can be thousands; its
sha256 is in the JSON. The sidecar is written first, so a crash between the two leaves a pair that
does not match, which reading refuses.

The JSON holds a digest of itself, too: a line that was edited, or merged from two sides, is seen.

Files of version 1 hold all readings of all sizes in the JSON; they are read as version 2.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from harness.digests import SEAL, seal_holds, sealed
from harness.errors import BaselineError, DiskError, in_a_line, shown, told_as
from harness.files import write_atomic
from harness.gate.repeats import main_readings
from harness.schema import Measurement, Record
from harness.stats.panel import Quantity, Sample
from harness.suite.rules import GateSpec

VERSION = 2
_EARLIER = 1  # the version before, which is still read
Arrays = Mapping[str, NDArray[Any]]

# fields of a measurement that a baseline's reading has under the same name
_AS_MEASURED = {"name", "unit", "batch_size", "prompt_tokens", "new_tokens", "device"}
_DIGITS = 6
_AGREES = 1e-5  # of a value: how near rounding to that many digits leaves it
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip file can hold: equal content, equal bytes
_HINT = (
    "Restore {files} from version control, or accept a new baseline from a run you trust: "
    "harness gate accept RUN --baseline {path} --reason TEXT"
)


class BaselineScore(Record):
    """One gated score as it was accepted.

    ``examples`` names the arrays ``ids/<examples>`` and ``clusters/<examples>`` of the sidecar,
    sorted by id, and ``stats`` the one of shape (n, k) in the same order.
    """

    task: str
    metric: str
    split: str
    n: int
    value: float
    unit: str = ""
    scale: float | None = None
    higher_is_better: bool = True
    signature: str = ""
    examples: str
    stats: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Task, metric, split: as ``Reading.key``."""
        return (self.task, self.metric, self.split)


class BaselineReading(Record):
    """One measured quantity at the smallest sizes that gave readings: what a gate compares.

    ``values`` names the array of the sidecar that holds its repeats, shape (n,), at the JSON's
    precision.
    """

    name: str
    unit: str
    n: int
    median: float
    low: float  # 5th percentile of the repeats
    high: float  # 95th percentile
    batch_size: int = 1
    prompt_tokens: int = 0
    new_tokens: int = 0
    device: str = "cpu"
    values: str


class BaselineMeasurements(Record):
    """Memory and speed of a gated variant, and the hardware they belong to."""

    fingerprint: str
    device_name: str
    readings: tuple[BaselineReading, ...]
    key: str = ""  # of the stored record, by which a run that measured nothing anew is known


class BaselineSubject(Record):
    """What was gated under one name: its scores, and what made them."""

    variant: str
    weights: dict[str, Any] = Field(default_factory=dict)  # what determined its outputs
    outputs: dict[str, str] = Field(default_factory=dict)  # task/split -> digest of what it wrote
    scores: tuple[BaselineScore, ...]
    measurements: BaselineMeasurements | None = None


class Acceptance(Record):
    """One entry of the history: when a run became the baseline, by whom, why, what changed."""

    when: str  # ISO 8601, UTC
    who: str
    why: str
    run: str  # SUITE/RUN-ID
    deltas: dict[str, float] = Field(default_factory=dict)  # score -> new minus old, own unit
    note: str = ""


class Baseline(Record):
    """What later runs are compared with.

    ``gate`` and ``fingerprint`` must be equal in a run; ``context`` may differ, and what differs
    is listed, because it may explain a difference.
    """

    schema_version: int = VERSION
    suite: str
    run: str  # SUITE/RUN-ID
    accepted: str  # ISO 8601, UTC
    gate: GateSpec = GateSpec()  # the rules; the defaults in files of before there were any
    fingerprint: dict[str, Any]
    context: dict[str, Any]
    subjects: dict[str, BaselineSubject]
    sidecar_sha256: str = ""
    history: tuple[Acceptance, ...]

    @property
    def splits(self) -> dict[str, set[str]]:
        """The splits that are gated, by task of the suite."""
        splits: dict[str, set[str]] = {}
        for subject in self.subjects.values():
            for score in subject.scores:
                splits.setdefault(score.task.partition("/")[0], set()).add(score.split)
        return splits


@dataclass(frozen=True)
class BaselineFiles:
    """A baseline with its per-example statistics."""

    baseline: Baseline
    path: Path
    arrays: Arrays = field(default_factory=dict)

    def sample(self, score: BaselineScore) -> Sample:
        """Per-example statistics of a score.

        Raises:
            BaselineError: The sidecar does not hold them.
        """
        names = (f"ids/{score.examples}", f"clusters/{score.examples}", score.stats)
        missing = [name for name in names if name not in self.arrays]
        if missing:
            raise _error(sidecar_of(self.path), f"There is no array {missing[0]!r}.", self.path)
        for name in names:
            _check_array(self.arrays[name], name, self.path)
        ids, clusters, stats = (self.arrays[name] for name in names)
        if not (stats.ndim == 2 and len(ids) == len(clusters) == len(stats) == score.n):
            what = f"{score.stats} holds {len(stats)} examples, expected {score.n}."
            raise _error(sidecar_of(self.path), what, self.path)
        return Sample("the baseline", ids.astype(str), clusters.astype(str), stats)

    def value(self, score: BaselineScore, quantity: Quantity) -> float:
        """The exact value of a score, of its statistics.

        Raises:
            BaselineError: The sidecar does not hold them, or the JSON holds another value.
        """
        exact = float(quantity.aggregate(self.sample(score).stats.sum(axis=0)))
        if abs(exact - score.value) > _AGREES * max(abs(exact), 1e-4 * (score.scale or 1.0)):
            what = (
                f"{score.task}/{score.metric} on {score.split} is {score.value:.{_DIGITS}g}, but "
                f"its statistics give {exact:.{_DIGITS}g}: the file was edited."
            )
            raise _error(self.path, what, self.path)
        return exact

    def measurements(self, subject: BaselineSubject) -> dict[str, Measurement]:
        """Accepted readings of memory and speed by quantity; empty where there are none.

        Raises:
            BaselineError: The sidecar does not hold them, or the JSON holds another median.
        """
        items: dict[str, Measurement] = {}
        for reading in subject.measurements.readings if subject.measurements else ():
            values = self.arrays.get(reading.values)
            if values is None or values.shape != (reading.n,) or not reading.n:
                what = f"There is no array {reading.values!r} of {reading.n} readings."
                raise _error(sidecar_of(self.path), what, self.path)
            _check_array(values, reading.values, self.path)
            median = float(np.median(values))
            if abs(median - reading.median) > _AGREES * abs(median):
                what = (
                    f"The median of {reading.name} is {reading.median:.{_DIGITS}g}, but its "
                    f"readings give {median:.{_DIGITS}g}: the file was edited."
                )
                raise _error(self.path, what, self.path)
            items[reading.name] = Measurement(
                **reading.model_dump(include=_AS_MEASURED), values=tuple(values.tolist())
            )
        return items


def stored_readings(
    subject: str, items: Iterable[Measurement]
) -> tuple[tuple[BaselineReading, ...], dict[str, NDArray[Any]]]:
    """What a baseline keeps of a variant's measurements, and the repeats for its sidecar."""
    readings = []
    arrays: dict[str, NDArray[Any]] = {}
    for name, item in main_readings(items).items():
        where = "/".join(("measured", subject, name))
        arrays[where] = values = np.array(rounded(item.values), dtype=np.float64)
        low, high = np.quantile(values, [0.05, 0.95])
        readings.append(
            BaselineReading(
                **item.model_dump(include=_AS_MEASURED),
                n=len(values),
                median=float(np.median(values)),
                low=float(low),
                high=float(high),
                values=where,
            )
        )
    return tuple(readings), arrays


def sidecar_of(path: Path) -> Path:
    """Where the per-example statistics of a baseline lie."""
    return path.with_suffix(".npz")


def name_fault(path: Path) -> str | None:
    """Why a path cannot be that of a baseline; None where it can."""
    if os.path.isdir(path):  # noqa: PTH112  # says no where nothing can be looked up
        return "This is a folder, and a baseline is a .json file."
    if path.suffix == ".npz":
        return "This is the statistics beside a baseline; name the .json file that they belong to."
    return None if path.suffix == ".json" else "A baseline is a .json file."


def write_baseline(path: Path, baseline: Baseline, arrays: Arrays) -> Baseline:
    """Write sidecar and JSON, each in one step, the sidecar first.

    Returns:
        The baseline as it was written: rounded, with the sidecar's digest.

    Raises:
        BaselineError: The files cannot be written.
    """
    packed = _packed(arrays)
    content = baseline.model_dump(mode="json")
    content["sidecar_sha256"] = hashlib.sha256(packed).hexdigest()
    written = rounded(content)
    text = json.dumps(
        sealed(written), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False
    )
    try:
        write_atomic(sidecar_of(path), packed)
        write_atomic(path, text + "\n")
    except DiskError as error:
        hint = "Name another place with --baseline, or mend this one."
        raise BaselineError(error.problem, where=str(path), hint=hint) from error
    return Baseline.model_validate(written)


def read_baseline(path: Path) -> BaselineFiles:
    """Read a baseline and its sidecar, and check that they belong together.

    Raises:
        BaselineError: Names the file that is missing, cut off, of another version, or not the
            other's companion, and how to mend it.
    """
    fault = name_fault(path)
    if fault is not None:
        raise BaselineError(fault, where=str(path), hint="Give its name to --baseline.")
    baseline, within = _read_json(path)
    side = sidecar_of(path)
    try:
        packed = side.read_bytes()
    except FileNotFoundError as error:
        raise _error(side, "The per-example statistics of the baseline are missing.", path) from (
            error
        )
    except OSError as error:
        raise _error(side, f"Cannot be read: {error.strerror}.", path) from error
    digest = hashlib.sha256(packed).hexdigest()
    if digest != baseline.sidecar_sha256:
        what = (
            f"It does not belong to {path.name}, which names sha256 "
            f"{baseline.sidecar_sha256[:12]}…, found {digest[:12]}…: one of the two was cut off, "
            "or comes from another baseline."
        )
        raise _error(side, what, path)
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
            arrays = within | {name: archive[name] for name in archive.files}
    except Exception as error:  # of whatever zip, zlib and numpy make of it
        raise _error(side, f"Not readable as .npz: {in_a_line(error)}.", path) from error
    return BaselineFiles(baseline, path, arrays)


def _read_json(path: Path) -> tuple[Baseline, dict[str, NDArray[Any]]]:
    """The JSON, and arrays that it holds itself, as those of the earlier version do."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise BaselineError(
            "There is no baseline here.",
            where=str(path),
            hint="Make one from a run you trust: "
            f"harness gate accept RUN --baseline {path} --reason TEXT",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _error(path, f"Cannot be read: {error}.", path) from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = f"Not complete JSON, so it was cut off or edited: {in_a_line(error)}."
        raise _error(path, what, path) from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version not in (_EARLIER, VERSION) or isinstance(version, bool):
        what = (
            f"This is not a baseline of version {VERSION} (or {_EARLIER}): schema_version is "
            f"{shown(version)}."
        )
        raise _error(path, what, path)
    with told_as(BaselineError, "Its seal cannot be checked", where=str(path)):
        holds = seal_holds(content)
    if not holds:
        raise _error(path, f"It was changed since it was accepted: its {SEAL} differs.", path)
    content = {name: value for name, value in content.items() if name != SEAL}
    try:
        content, arrays = _raised(content) if version == _EARLIER else (content, {})
        return Baseline.model_validate(content), arrays
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise _error(path, f"Not a valid baseline: {key}: {first['msg']}.", path) from error
    except Exception as error:  # parts of the earlier version that are of another kind
        raise _error(path, f"Not a valid baseline: {in_a_line(error)}.", path) from error


def _raised(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """A file of version 1 as one of version 2, and the readings that its JSON holds itself."""
    content = {**content, "schema_version": VERSION}
    subjects = content.get("subjects")
    arrays: dict[str, NDArray[Any]] = {}
    for name, subject in subjects.items() if isinstance(subjects, dict) else ():
        measured = subject.get("measurements") if isinstance(subject, dict) else None
        if isinstance(measured, dict) and isinstance(measured.get("items"), list):
            items = [Measurement.model_validate(item) for item in measured.pop("items")]
            readings, own = stored_readings(str(name), items)
            arrays |= own
            measured["readings"] = [reading.model_dump() for reading in readings]
    return content, arrays


def _check_array(array: NDArray[Any], name: str, path: Path) -> None:
    """Refuse an array that is no list, of neither texts nor finite numbers."""
    is_text = name.startswith(("ids/", "clusters/"))
    fits = array.ndim > 0 and array.dtype.kind in ("U" if is_text else "fiub")
    if not fits or not (is_text or np.isfinite(array).all()):
        what = f"{name} must be a list of {'texts' if is_text else 'finite numbers'}."
        raise _error(sidecar_of(path), what, path)


def _error(where: Path, problem: str, path: Path) -> BaselineError:
    files = f"{path.name} and {sidecar_of(path).name}"
    return BaselineError(problem, where=str(where), hint=_HINT.format(files=files, path=path))


def _packed(arrays: Arrays) -> bytes:
    """An .npz whose bytes depend on the arrays only, and neither on time nor on their order."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(arrays):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_ZIP_TIME)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, part.getvalue())
    return stream.getvalue()


def rounded(value: Any) -> Any:
    """A JSON value with all floats at six significant digits, as a baseline holds them."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, Mapping):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return value
