"""The baseline's two files: what they hold, and what happens when one of them is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.digests import SEAL
from harness.errors import BaselineError
from harness.gate.baseline import (
    Acceptance,
    Baseline,
    BaselineMeasurements,
    BaselineScore,
    BaselineSubject,
    read_baseline,
    sidecar_of,
    stored_readings,
    write_baseline,
)
from harness.gate.compatibility import differences, fingerprint_differences
from harness.metrics.base import mean_of
from harness.schema import Measurement
from harness.stats.panel import Quantity
from harness.suite.rules import GateSpec
from tests.damages import DAMAGES

ARRAYS: dict[str, Any] = {
    "ids/e1": np.array(["a", "b", "ç"]),
    "clusters/e1": np.array(["a", "a", "ç"]),
    "stats/chosen/quiz/acc/all": np.array([[0.1, 1.0], [1 / 3, 1.0], [0.0, 1.0]]),
}
SCORE = BaselineScore(
    task="quiz",
    metric="acc",
    split="all",
    n=3,
    value=0.433333333333 / 3,
    scale=1.0,
    examples="e1",
    stats="stats/chosen/quiz/acc/all",
)


def baseline(**changes: Any) -> Baseline:
    plain = Baseline(
        suite="small",
        run="small/r1",
        accepted="2026-01-01T00:00:00+00:00",
        gate=GateSpec(alpha=0.1),
        fingerprint={"suite": "small", "tasks": {"quiz": {"limit": 3}}},
        context={"environment": {"python": "3.12"}},
        subjects={"chosen": BaselineSubject(variant="checkpoint-2", scores=(SCORE,))},
        history=(Acceptance(when="2026", who="me", why="first", run="small/r1"),),
    )
    return plain.model_copy(update=changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "baseline.json"
    write_baseline(file, baseline(), ARRAYS)
    return file


def test_what_is_written_is_read(path: Path) -> None:
    """Statistics are exact; the sample is ready to be paired."""
    loaded = read_baseline(path)
    sample = loaded.sample(loaded.baseline.subjects["chosen"].scores[0])
    assert sample.ids.tolist() == ["a", "b", "ç"]
    assert np.array_equal(sample.stats, ARRAYS["stats/chosen/quiz/acc/all"])


def test_it_is_made_for_a_diff(path: Path) -> None:
    """Sorted keys, six significant digits, a final newline, and the text as it is."""
    text = path.read_text("utf-8")
    content = json.loads(text)
    assert text == json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert content["subjects"]["chosen"]["scores"][0]["value"] == 0.144444


def test_equal_content_gives_equal_bytes(path: Path, tmp_path: Path) -> None:
    """Neither the time nor the order of arrays changes a byte, so git sees no change."""
    other = tmp_path / "other.json"
    write_baseline(other, baseline(), dict(reversed(ARRAYS.items())))
    assert sidecar_of(other).read_bytes() == sidecar_of(path).read_bytes()
    assert other.read_bytes() == path.read_bytes()


def read_all(path: Path) -> None:
    loaded = read_baseline(path)
    loaded.sample(loaded.baseline.subjects["chosen"].scores[0])


def error_of(path: Path) -> BaselineError:
    with pytest.raises(BaselineError) as caught:
        read_all(path)
    assert caught.value.exit_code == 4
    assert caught.value.hint is not None
    assert "harness gate accept" in caught.value.hint
    return caught.value


def test_a_missing_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    """Which is what a first run needs."""
    error = error_of(tmp_path / "none.json")
    assert error.problem == "There is no baseline here."
    assert error.where == str(tmp_path / "none.json")


@pytest.mark.parametrize("keep", [0, 1, 100, -3])
def test_a_truncated_baseline_names_itself(path: Path, keep: int) -> None:
    """However much of it is left."""
    path.write_bytes(path.read_bytes()[:keep])
    error = error_of(path)
    assert "cut off or edited" in error.problem
    assert error.where == str(path)


def unsealed(path: Path) -> str:
    """A baseline as a version before there were seals would have written it."""
    content = json.loads(path.read_text("utf-8"))
    return json.dumps({name: part for name, part in content.items() if name != SEAL})


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_either_file_is_seen(path: Path, tmp_path: Path, damage: str) -> None:
    """And named, with the way out."""
    files = {file: file.read_bytes() for file in (path, path.with_suffix(".npz"))}
    other = tmp_path / "other" / "baseline.json"
    other.parent.mkdir()
    write_baseline(
        other, baseline().model_copy(update={"run": "other/r9"}), ARRAYS | {"x": np.zeros(3)}
    )
    for file in files:
        DAMAGES[damage](file, other.with_suffix(file.suffix))
        with pytest.raises(BaselineError) as caught:
            read_all(path)
        assert caught.value.hint
        for each, content in files.items():
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
            each.write_bytes(content)
    assert read_baseline(path).baseline.run != "other/r9"


@pytest.mark.parametrize("version", [0, 3, "1", None, True])
def test_another_version_is_refused(path: Path, version: Any) -> None:
    """A later format is not guessed at."""
    content = json.loads(unsealed(path))
    path.write_text(json.dumps(content | {"schema_version": version}), "utf-8")
    assert f"schema_version is {version!r}" in error_of(path).problem


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "null"])
def test_json_that_is_no_baseline_is_refused(path: Path, content: str) -> None:
    """Whatever it is."""
    path.write_text(content, "utf-8")
    assert "not a baseline of version 2 (or 1)" in error_of(path).problem


def test_an_unknown_or_missing_field_is_named(path: Path) -> None:
    """Edited by hand, most likely."""
    content = json.loads(unsealed(path))
    path.write_text(json.dumps(content | {"extra": 1}), "utf-8")
    assert "extra" in error_of(path).problem
    del content["fingerprint"]
    path.write_text(json.dumps(content), "utf-8")
    assert "fingerprint" in error_of(path).problem


def test_nan_in_a_baseline_is_refused(path: Path) -> None:
    """A value that is no number would let everything pass."""
    text = unsealed(path).replace("0.144444", "NaN")
    path.write_text(text, "utf-8")
    assert "value" in error_of(path).problem


def test_a_missing_sidecar_is_named(path: Path) -> None:
    """Often it was not committed."""
    sidecar_of(path).unlink()
    error = error_of(path)
    assert error.where == str(sidecar_of(path))
    assert "baseline.json and baseline.npz" in (error.hint or "")


@pytest.mark.parametrize("keep", [0, 50, -1])
def test_a_truncated_sidecar_is_named(path: Path, keep: int) -> None:
    """Its digest is in the JSON."""
    side = sidecar_of(path)
    side.write_bytes(side.read_bytes()[:keep])
    error = error_of(path)
    assert error.where == str(side)
    assert "does not belong to baseline.json" in error.problem


def test_a_crash_between_the_two_files_is_seen(path: Path) -> None:
    """The sidecar is written first: the old JSON then names another digest."""
    changed = ARRAYS | {"stats/chosen/quiz/acc/all": np.zeros((3, 2))}
    before = path.read_bytes()
    write_baseline(path, baseline(), changed)
    path.write_bytes(before)
    assert "does not belong" in error_of(path).problem


@pytest.mark.parametrize(
    ("arrays", "needle"),
    [
        ({name: array for name, array in ARRAYS.items() if name != "ids/e1"}, "no array 'ids/e1'"),
        (ARRAYS | {"stats/chosen/quiz/acc/all": np.zeros((2, 2))}, "holds 2 examples, expected 3"),
    ],
)
def test_a_sidecar_that_lacks_statistics_is_named(
    path: Path, arrays: dict[str, Any], needle: str
) -> None:
    """Consistent with its digest, and still not what the JSON says."""
    write_baseline(path, baseline(), arrays)
    assert needle in error_of(path).problem


def test_a_folder_or_bytes_are_no_baseline(tmp_path: Path) -> None:
    """Nor is another file; the path is named."""
    for place in (tmp_path, Path(), Path("baseline.npz"), Path("b.txt")):
        with pytest.raises(BaselineError, match="baseline") as caught:
            read_baseline(place)
        assert caught.value.where == str(place)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe{}")
    assert "Cannot be read" in error_of(tmp_path / "b.json").problem


def test_rules_are_checked_and_may_be_absent(path: Path) -> None:
    """Files of before there were rules have the defaults; unknown rules are not guessed at."""
    content = json.loads(unsealed(path))
    bare = {key: part for key, part in content.items() if key != "gate"}
    path.write_text(json.dumps(bare), "utf-8")
    assert read_baseline(path).baseline.gate == GateSpec()
    path.write_text(json.dumps(content | {"gate": {"nosuch": 1}}), "utf-8")
    assert "gate.nosuch" in error_of(path).problem


def test_an_edited_value_is_refused(path: Path) -> None:
    """It must be what its statistics give, to the digits that it has."""
    quantity = Quantity("quiz", "acc", "all", mean_of, scale=1.0)
    loaded = read_baseline(path)
    score = loaded.baseline.subjects["chosen"].scores[0]
    assert loaded.value(score, quantity) == pytest.approx((0.1 + 1 / 3) / 3, rel=1e-15)
    with pytest.raises(BaselineError, match=r"quiz/acc on all is 0\.1445, but .* give 0\.144444"):
        loaded.value(score.model_copy(update={"value": 0.1445}), quantity)


def test_a_place_that_cannot_be_written_is_told() -> None:
    """Exit code 4 with what the system says."""
    with pytest.raises(BaselineError, match="cannot be written") as caught:
        write_baseline(Path("/proc/nosuch/b.json"), baseline(), ARRAYS)
    assert "--baseline" in (caught.value.hint or "")


# -- differences ----------------------------------------------------------------------------------


def test_differences_name_the_field_and_both_values() -> None:
    """By dotted key, sorted; absent and empty are the same, long values are shortened."""
    before = {"a": {"b": 1, "c": None, "d": "x" * 200}, "e": [1, 2], "same": {"f": ()}}
    after = {"a": {"b": 2, "d": "y"}, "e": [1, 3], "g": True, "same": {}}
    found = differences(before, after)
    assert [line.partition(":")[0] for line in found] == ["a.b", "a.d", "e", "g"]
    assert found[0] == "a.b: was 1, is 2"
    assert found[1].endswith("…, is 'y'")
    assert found[3] == "g: was not set, is True"


def test_only_what_both_have_can_be_incompatible() -> None:
    """Tasks, metrics and signatures that one side lacks are missing or new, not different."""
    before = {
        "suite": "s",
        "tasks": {
            "old": {"limit": 1},
            "both": {"limit": 1, "metrics": {"a": {"k": 1}, "b": {"k": 1}}, "signatures": {}},
        },
    }
    after = {
        "suite": "s",
        "tasks": {
            "new": {"limit": 9},
            "both": {"limit": 1, "metrics": {"a": {"k": 1}, "c": {}}, "signatures": {"x y": "s"}},
        },
    }
    assert fingerprint_differences(before, after, {}) == []
    after["tasks"]["both"]["metrics"]["a"]["k"] = 2
    assert fingerprint_differences(before, after, {}) == ["tasks.both.metrics.a.k: was 1, is 2"]
    other = fingerprint_differences(before, after | {"suite": "t"}, {})
    assert other[0] == "suite: was 's', is 't'"


def test_only_limits_of_gated_splits_can_be_incompatible() -> None:
    """A baseline may hold the limits of all splits; how many were chosen by, say, is no matter."""

    def limited(**limits: int) -> dict[str, Any]:
        return {"tasks": {"quiz": {"examples": {"data": {"files": "f", "limits": limits}}}}}

    before, gated = limited(select=5, report=9), {"quiz": {"report"}}
    assert fingerprint_differences(before, limited(select=6, report=9), gated) == []
    assert fingerprint_differences(before, limited(report=9), gated) == []
    assert fingerprint_differences(before, limited(report=8), gated) == [
        "tasks.quiz.examples.data.limits.report: was 9, is 8"
    ]
    assert baseline().splits == {"quiz": {"all"}}


# -- memory and speed -----------------------------------------------------------------------------

LATENCIES = tuple(0.01 + 1e-5 * i for i in range(2000))  # of single tokens: as many as there were
MEASURED = (
    Measurement(name="itl_s", unit="s", values=LATENCIES, prompt_tokens=64, new_tokens=16),
    Measurement(name="itl_s", unit="s", values=(0.5,), prompt_tokens=512, new_tokens=16),
    Measurement(name="load_average", unit="", values=(1.0,)),
    Measurement(name="peak_rss_bytes", unit="bytes", values=(5e8,), device="cpu"),
)


def with_measurements(path: Path) -> None:
    readings, arrays = stored_readings("chosen", MEASURED)
    measured = BaselineMeasurements(
        fingerprint="f" * 20, device_name="AMD EPYC", readings=readings, key="k1"
    )
    subject = BaselineSubject(variant="checkpoint-2", scores=(SCORE,), measurements=measured)
    write_baseline(path, baseline(subjects={"chosen": subject}), {**ARRAYS, **arrays})


def test_thousands_of_latencies_take_one_entry(tmp_path: Path) -> None:
    """The JSON holds a summary of what a gate compares; the sidecar holds every repeat of it.

    Quantiles by hand: of 2,000 equally spaced values, the 5th percentile is the 99.95th step.
    """
    path = tmp_path / "baseline.json"
    with_measurements(path)
    assert len(unsealed(path)) < 4000
    loaded = read_baseline(path)
    subject = loaded.baseline.subjects["chosen"]
    assert subject.measurements is not None
    assert [r.name for r in subject.measurements.readings] == ["peak_rss_bytes", "itl_s"]
    kept = subject.measurements.readings[1]
    assert (kept.n, kept.prompt_tokens, kept.new_tokens) == (2000, 64, 16)
    assert (kept.median, kept.low, kept.high) == pytest.approx((0.019995, 0.0109995, 0.0289905))
    assert loaded.measurements(subject)["itl_s"].values == pytest.approx(LATENCIES, rel=1e-5)


def test_a_baseline_of_version_1_is_still_read(tmp_path: Path) -> None:
    """It holds every reading of every size in the JSON, and gives the same to compare."""
    path = tmp_path / "baseline.json"
    with_measurements(path)
    now = read_baseline(path)
    write_baseline(path, baseline(), ARRAYS)  # a sidecar without readings
    content = json.loads(unsealed(path)) | {"schema_version": 1}
    content["subjects"]["chosen"]["measurements"] = {
        "device_name": "AMD EPYC",
        "fingerprint": "f" * 20,
        "items": [item.model_dump(mode="json") for item in MEASURED],
        "key": "k1",
        "schema_version": 1,
    }
    path.write_text(json.dumps(content), "utf-8")
    earlier = read_baseline(path)
    before, after = (one.baseline.subjects["chosen"] for one in (earlier, now))
    assert earlier.measurements(before) == now.measurements(after)
    content["subjects"]["chosen"]["measurements"]["items"][0]["unit"] = 7
    path.write_text(json.dumps(content), "utf-8")
    assert "unit" in error_of(path).problem


def test_an_edited_median_is_refused(tmp_path: Path) -> None:
    """A gate compares the repeats, and what a reviewer reads must be theirs; so must their n."""
    path = tmp_path / "baseline.json"
    with_measurements(path)
    text = unsealed(path)
    for old, new, needle in (
        ('"median": 0.019995', '"median": 0.5', "itl_s.*edited"),
        ('"n": 2000', '"n": 3', "no array 'measured/chosen/itl_s' of 3 readings"),
    ):
        path.write_text(text.replace(old, new), "utf-8")
        loaded = read_baseline(path)
        with pytest.raises(BaselineError, match=needle):
            loaded.measurements(loaded.baseline.subjects["chosen"])
