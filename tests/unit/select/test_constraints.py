from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.data.splits import hash_point
from harness.metrics.base import mean_of
from harness.results.measurements import Median, medians
from harness.results.scores import Reading
from harness.schema import ConstraintCheck, Measurement, Score
from harness.select.constraints import check_measurement, check_score, explained
from harness.select.scores import constraint_score
from harness.stats.panel import Quantity, Sample
from harness.suite.rules import ConstraintSpec

SEED = 5


def reading(
    variant: str,
    values: Sequence[float],
    *,
    task: str = "qa",
    metric: str = "f1",
    split: str = "select",
    higher: bool = True,
    scale: float | None = 1.0,
    with_stats: bool = True,
    signature: str = "",
) -> Reading:
    n = len(values)
    score = Score(
        task=task, metric=metric, split=split, n=n, value=float(np.mean(values)),
        higher_is_better=higher, signature=signature,
    )  # fmt: skip
    ids = np.array([f"e{place}" for place in range(n)])
    if not with_stats:
        reason = "the metric gives no per-example statistics"
        return Reading(variant, task.partition("/")[0], "lm_eval", score, reason=reason)
    quantity = Quantity(task, metric, split, mean_of, higher, scale)
    sample = Sample(variant, ids, ids, np.stack([np.array(values, float), np.ones(n)], axis=1))
    return Reading(variant, task.partition("/")[0], "lm_eval", score, quantity, sample)


def check(
    before: Sequence[float], after: Sequence[float], drop: float | str, **options: Any
) -> ConstraintCheck:
    readings = [reading("base", before, **options), reading("c1", after, **options)]
    return check_score(drop, constraint_score("base", "qa", "f1", readings, "select", SEED), "c1")


def noisy(shift: float, n: int = 40) -> tuple[list[float], list[float], float]:
    """Two variants whose paired difference has that mean; and its one-sided 95 % reach."""
    rng = np.random.default_rng(1)
    before, noise = rng.uniform(0.3, 0.7, n), rng.normal(0, 0.1, n)
    difference = noise - noise.mean() + shift
    reach = float(stats.t.ppf(0.95, n - 1) * difference.std(ddof=1) / np.sqrt(n))  # scipy as oracle
    return before.tolist(), (before + difference).tolist(), reach


@pytest.mark.parametrize(
    ("shift", "status"),
    [(0.0, "kept"), (-0.035, "unsure"), (-0.05, "unsure"), (-0.065, "unsure"), (-0.09, "broken")],
)
def test_broken_and_kept_only_where_the_data_shows_it(shift: float, status: str) -> None:
    """Against Student's one-sided bounds by scipy (reach .027), with a margin of 5 points."""
    before, after, reach = noisy(shift)
    found = check(before, after, 5)
    assert found.status == status
    assert found.value == pytest.approx(shift)
    assert (found.low, found.high) == pytest.approx((shift - reach, shift + reach))
    assert (found.bound, found.n, found.data) == (pytest.approx(0.05), 40, "select split")


def test_a_loss_may_rise_no_further_than_its_margin() -> None:
    """Lower is better: the same figures with the sign turned round are a gain."""
    before, after, _ = noisy(-0.2)
    assert check(before, after, 0.05, higher=False, scale=None).status == "kept"
    found = check(after, before, 0.05, higher=False, scale=None)
    assert found.status == "broken"
    assert found.value == pytest.approx(0.2)
    assert "it is 0.20 worse" in explained(found)


def test_a_share_is_of_the_baseline() -> None:
    """10 % of .5 is .05, whichever unit the metric has."""
    before, after, _ = noisy(0.0)
    found = check(before, after, "10%")
    assert found.bound == pytest.approx(0.1 * np.mean(before))
    assert found.what == "qa f1: at most 10 % worse than base"
    assert found.reference == pytest.approx(np.mean(before))


def test_a_share_is_explained_in_both_units() -> None:
    """11.21 of 26.7 points are 42 %."""
    found = ConstraintCheck(
        variant="c1", what="qa f1: at most 5 % worse than base", status="broken", value=-0.1121,
        low=-0.15, high=-0.08, bound=0.01335, reference=0.267, n=50, data="select split", scale=1.0,
    )  # fmt: skip
    assert "but it is 11.21 points (42 %) worse" in explained(found)


def test_equal_scores_are_a_sample_too() -> None:
    """Three do not show that nothing is lost; three hundred show it within 5 points."""
    found = check([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], 0)
    assert (found.status, found.value, found.what) == ("unsure", 0.0, "qa f1: not worse than base")
    assert check([0.1, 0.2, 0.3] * 100, [0.1, 0.2, 0.3] * 100, 5).status == "kept"
    assert "it is no different" in explained(found)


def test_one_example_decides_nothing() -> None:
    """Without an interval there is neither kept nor broken."""
    found = check([0.9], [0.1], 5)
    assert found.status == "unknown"
    assert "one example" in str(found.reason)


def test_another_set_of_examples_is_not_compared() -> None:
    """Nor does it stop the other checkpoints."""
    readings = [reading("base", [0.1, 0.2]), reading("c1", [0.1]), reading("c2", [0.1, 0.2])]
    score = constraint_score("base", "qa", "f1", readings, "select", SEED)
    assert "not scored on the same examples" in str(check_score(1, score, "c1").reason)
    assert check_score(1, score, "c2").status == "unsure"  # equal, but only two
    assert "c3 has no score" in str(check_score(1, score, "c3").reason)


# -- which examples -------------------------------------------------------------------------------


def test_the_two_halves_share_no_document_and_leave_none_out() -> None:
    """Documents of tasks that are not split fall into a half by the hash of their cluster."""
    readings = [reading(name, np.arange(200) % 2, split="all") for name in ("base", "c1")]
    halves = {
        part: set(
            constraint_score("base", "qa", "f1", readings, part, SEED).samples["c1"].ids.tolist()
        )
        for part in ("select", "report")
    }
    assert not halves["select"] & halves["report"]
    assert len(halves["select"] | halves["report"]) == 200
    assert halves["select"] == {
        f"e{place}" for place in range(200) if hash_point(SEED, "constraint", f"e{place}") < 0.5
    }
    assert 70 < len(halves["select"]) < 130


def test_equal_documents_fall_into_one_half() -> None:
    """They share a cluster."""
    one = reading("base", np.arange(60) % 2, split="all")
    assert one.sample is not None
    clusters = np.array([f"c{place // 3}" for place in range(60)])
    sample = Sample("base", one.sample.ids, clusters, one.sample.stats)
    readings = [Reading("base", "qa", "lm_eval", one.score, one.quantity, sample)]
    kept = constraint_score("base", "qa", "f1", readings, "select", SEED).samples["base"]
    assert all(np.sum(kept.clusters == name) == 3 for name in set(kept.clusters.tolist()))


def test_the_select_split_is_read_where_there_is_one() -> None:
    """And the report split only for what is claimed afterwards."""
    readings = [
        reading(name, [value] * 8, split=split)
        for name in ("base", "c1")
        for split, value in (("select", 0.1), ("report", 0.9))
    ]
    for part, value in (("select", 0.1), ("report", 0.9)):
        score = constraint_score("base", "qa", "f1", readings, part, SEED)  # type: ignore[arg-type]
        assert score.data == f"{part} split"
        assert score.panel("c1").value("c1") == pytest.approx(value)  # type: ignore[union-attr]


def group(anatomy: Sequence[float], physics: Sequence[float], variant: str) -> list[Reading]:
    """A group whose own average (weighing subjects alike) has no statistics, with a subgroup."""
    members = [
        reading(variant, anatomy, task="mmlu/anatomy", metric="acc", split="all"),
        reading(variant, physics, task="mmlu/physics", metric="acc", split="all"),
    ]
    stem = reading(
        variant, physics, task="mmlu/stem", metric="acc", split="all",
        signature="lm-eval:0.4|task:stem|tasks:1",
    )  # fmt: skip
    whole = reading(
        variant, [*anatomy, *physics], task="mmlu", metric="acc", split="all", with_stats=False
    )
    return [whole, stem, *members]


def test_a_group_without_statistics_is_its_members_together() -> None:
    """Every document once: subgroups hold the same ones again."""
    rng = np.random.default_rng(3)
    readings = [
        part
        for name in ("base", "c1")
        for part in group(rng.integers(0, 2, 30).tolist(), rng.integers(0, 2, 20).tolist(), name)
    ]
    both = [
        constraint_score("base", "mmlu", None, readings, part, SEED)
        for part in ("select", "report")
    ]
    assert both[0].metric == "acc"
    assert both[0].data == "select half, 2 members pooled"
    assert sum(len(score.samples["base"].ids) for score in both) == 50
    member = constraint_score("base", "mmlu/anatomy", "acc", readings, "select", SEED)
    assert member.data == "select half"
    ids = [name for name in both[0].samples["base"].ids if name.startswith("mmlu/anatomy/")]
    assert len(ids) == len(member.samples["base"].ids)


@pytest.mark.parametrize(
    ("task", "metric", "words"),
    [
        ("mmlu/anatomi", "acc", ["mmlu/anatomi", "mmlu/anatomy"]),
        ("mmlu", "acc_norm", ["acc_norm of mmlu", "there are: acc"]),
    ],
)
def test_what_is_not_there_is_unknown_and_says_what_is(
    task: str, metric: str, words: list[str]
) -> None:
    """Only the run tells which members and metrics lm-eval has."""
    readings = [*group([0, 1], [1], "base"), *group([0, 1], [1], "c1")]
    score = constraint_score("base", task, metric, readings, "select", SEED)
    found = check_score(2, score, "c1")
    assert found.status == "unknown"
    assert all(word in str(found.reason) for word in words)


def test_a_task_that_is_on_report_alone_is_never_read() -> None:
    """Not even where nothing else is there."""
    readings = [reading(name, [0.5] * 9, split="report") for name in ("base", "c1")]
    score = constraint_score("base", "qa", "f1", readings, "select", SEED)
    assert score.quantity is None
    assert "not scored on the select split (only on report)" in str(score.reason)


# -- measurements ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "value", "status", "bound"),
    [
        ({"min": 20}, 20.0, "kept", 20.0),
        ({"min": 20}, 19.9, "broken", 20.0),
        ({"max": "4 GB"}, 4e9, "kept", 4e9),
        ({"max": "4 GB"}, 4.1e9, "broken", 4e9),
        ({"max": "4 GiB"}, 4.1e9, "kept", 4 * 2**30),
        ({"min": 1, "max": 2}, 3.0, "broken", 2.0),
    ],
)
def test_a_median_within_its_bounds(
    bounds: dict[str, Any], value: float, status: str, bound: float
) -> None:
    """Bounds themselves are kept."""
    spec = ConstraintSpec(measurement="load_s", **bounds)
    found = check_measurement(spec, "c1", {"load_s": Median(value, "s")}, None)
    assert (found.status, found.value, found.bound) == (status, value, bound)


def test_what_was_not_measured_is_unknown() -> None:
    """With the reason: no measurement at all, none of that name, or one without readings."""
    spec = ConstraintSpec(measurement="ttft_s", max=1)
    lines: list[Callable[[], ConstraintCheck]] = [
        lambda: check_measurement(spec, "c1", None, "failed: killed"),
        lambda: check_measurement(spec, "c1", None, None),
        lambda: check_measurement(spec, "c1", {"load_s": Median(1.0)}, None),
        lambda: check_measurement(spec, "c1", {"ttft_s": Median(None, "s", "no GPU")}, None),
    ]
    reasons = ["failed: killed", "it was not measured", "there are: load_s", "no GPU"]
    for line, reason in zip(lines, reasons, strict=True):
        found = line()
        assert found.status == "unknown"
        assert reason in explained(found)


def test_the_smallest_point_of_the_grid_counts() -> None:
    """Fewest sequences, then fewest tokens; a point without readings gives way."""

    def at(batch: int, prompt: int, *values: float) -> Measurement:
        return Measurement(
            name="ttft_s", unit="s", values=values, batch_size=batch, prompt_tokens=prompt
        )

    found = medians([at(4, 8, 1.0), at(1, 64, 5.0, 7.0, 6.0), at(1, 128, 9.0), at(1, 8)])
    assert found["ttft_s"] == Median(6.0, "s")


def test_contradicting_bounds_are_refused() -> None:
    """Sizes are compared as numbers of bytes."""
    with pytest.raises(ValueError, match="min 5 GB is above max 900 MB"):
        ConstraintSpec(measurement="peak_rss_bytes", min="5 GB", max="900 MB")
    assert ConstraintSpec(measurement="load_s", min=1, max=1).max == 1


def test_numbers_carry_the_unit_of_their_quantity() -> None:
    """Also where nothing was measured."""
    for name, words in (
        ("decode_tokens_per_s", "decode speed at least 20 tok/s"),
        ("peak_allocated_bytes", "peak allocated GPU memory at least 20 bytes"),
        ("ttft_s", "time to first token at least 20 s"),
        ("load_average", "load average at least 20 processes"),
    ):
        spec = ConstraintSpec(measurement=name, min=20)
        assert check_measurement(spec, "c1", None, None).what == words


def test_words_name_the_bound_as_it_was_written() -> None:
    """Bytes and units as people write them."""
    spec = ConstraintSpec(measurement="peak_rss_bytes", max="4 GB")
    found = check_measurement(spec, "c1", {"peak_rss_bytes": Median(5.2e9, "bytes")}, None)
    assert explained(found) == "peak resident memory at most 4 GB, found 5.2 GB"


@pytest.mark.parametrize(
    ("quantity", "bounds", "value", "status"),
    [
        ("decode_tokens_per_s", {"min": 20}, 12.0, "unsure"),
        ("decode_tokens_per_s", {"min": 20}, 21.0, "kept"),
        ("ttft_s", {"max": 1}, 1.5, "unsure"),
        ("ttft_s", {"max": 1}, 0.5, "kept"),
        ("peak_rss_bytes", {"max": 1}, 2.0, "broken"),
    ],
)
def test_what_a_busy_machine_slowed_down_is_unsure(
    quantity: str, bounds: dict[str, Any], value: float, status: str
) -> None:
    """Load makes nothing faster, so what is kept stays so; it does not touch memory."""
    taken = [
        Measurement(name=quantity, unit="", values=(value,)),
        Measurement(name="load_average", unit="processes", values=(6.9, 8.5)),
    ]
    spec = ConstraintSpec(measurement=quantity, **bounds)
    found = check_measurement(spec, "c1", medians(taken, cores=2), None)
    assert found.status == status
    if status == "unsure":
        assert "a load average of 6.9 before measuring" in explained(found)
    assert check_measurement(spec, "c1", medians(taken, cores=16), None).status != "unsure"
