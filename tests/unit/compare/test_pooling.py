"""Trainings by folds and by seeds, pooled from stored results and shown in four forms."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sacrebleu

from harness.compare.pooled import PooledRow, PooledView
from harness.compare.pooled_words import cautions, final_command, headline, support
from harness.compare.pooled_write import write_pooled
from harness.compare.pooling import pool
from harness.errors import UsageError
from harness.metrics.registry import build_metric
from harness.schema import CellResult, DataReport, Manifest, Score, Selection, Variant
from harness.store.runs import Store
from harness.suite.members import members_of
from harness.suite.record import refuse_pooled
from harness.suite.spec import Suite

SUITE: dict[str, Any] = {
    "name": "mine",
    "base": {"model": "tiny:llama"},
    "data": {"source": "rows.jsonl"},
    "prompt": {"prompt": "{{ text }}", "completion": "{{ label }}"},
    "train": {"method": "qlora"},
    "tasks": {
        "answers": {"type": "generation", "metrics": ["bleu", "exact_match", "macro_f1"]},
    },
}
FOLDS = {"data": {"source": "rows.jsonl", "folds": 3}}
REFERENCES = [
    f"the {word} number {place} of all" for place in range(30) for word in ("odd", "even")
]
BASE = ["the number of all of it"] * len(REFERENCES)
VARIANTS = ("base@nf4", "checkpoint-2", "checkpoint-4")


def answers(seed: int) -> list[str]:
    """Texts that are right, nearly right, or wrong."""
    rng = np.random.default_rng(seed)
    draws = rng.integers(3, size=len(REFERENCES))
    return [
        [text, text.replace("number", "figure"), "nothing"][draw]
        for text, draw in zip(REFERENCES, draws, strict=True)
    ]


def _pairs(
    texts: list[str], rows: list[int], labels: list[str] | None
) -> list[tuple[str, list[str]]]:
    """Texts and references; of a classification, a label each."""
    if labels is None:
        return [(texts[row], [REFERENCES[row]]) for row in rows]
    return [(labels[row % 2], [labels[row % 3 % 2]]) for row in rows]


def write_member(
    store: Store, suite: Suite, rows: list[int], texts: list[str], clusters: list[str] | None = None
) -> Manifest:
    """A finished run whose checkpoints all write the same texts, on some of the rows."""
    cells, run_id = [], f"r{len(suite.name)}"
    ids = np.array([f"row-{row}" for row in rows])
    groups = np.array([f"c{row}" for row in rows] if clusters is None else clusters)
    for variant in VARIANTS:
        own = BASE if variant == "base@nf4" else texts
        arrays: dict[str, Any] = {"ids/report": ids, "clusters/report": groups}
        scores = []
        for name in ("bleu", "exact_match", "macro_f1"):
            labels = ["a", "b"] if name == "macro_f1" else None
            metric = build_metric(name, labels=labels)
            stats = np.array([metric.statistics(*pair) for pair in _pairs(own, rows, labels)])
            arrays[name] = stats
            value = float(metric.aggregate(stats.sum(axis=0)))
            scores.append(
                Score(
                    task="answers",
                    metric=name,
                    split="report",
                    value=value,
                    n=len(rows),
                    higher_is_better=True,
                    scale=100.0,
                    stats=name,
                    signature="s",
                )
            )
        key = f"{suite.name}-{variant}".replace("@", "-")
        with store.writing("scores", key, {"key": key}) as folder:
            store.write_records(folder, "scores", scores)
            np.savez_compressed(folder / "stats.npz", **arrays)
        cells.append(
            CellResult(
                variant=variant, task="answers", kind="generation", status="done", scores_key=key
            )
        )
    manifest = Manifest(
        run_id=run_id,
        suite=suite.name,
        suite_digest="d",
        spec=suite.model_dump(mode="json"),
        command="",
        created="2026",
        updated="2026",
        complete=True,
        baseline="base@nf4",
        cells=tuple(cells),
        variants=tuple(
            Variant(
                id=name,
                kind="base" if "base" in name else "adapter",
                base_model="tiny:llama",
                precision="nf4",
                step=None if "base" in name else int(name[-1]),
            )
            for name in VARIANTS
        ),
        data={
            "train": DataReport(
                source="rows",
                digest="d",
                rows_read=60,
                rows_kept=60,
                split_sizes={"train": 40, "report": len(rows)},
            )
        },
        selection=Selection(
            task="answers", metric="bleu", split="select", chosen="checkpoint-4", reason="best"
        ),
    )
    store.write_manifest(manifest)
    return manifest


def write_pool(store: Store, suite: Suite, members: list[Manifest], names: list[str]) -> Manifest:
    """The run that names the members."""
    there = {member.suite: member.name for member in members}
    manifest = Manifest(
        run_id="p1",
        suite=suite.name,
        suite_digest="d",
        spec=suite.model_dump(mode="json"),
        command="harness eval mine.yaml",
        created="2026",
        updated="2026",
        complete=len(members) == len(names),
        planned=0,
        baseline="",
        cells=(),
        variants=(),
        members=tuple(there.get(name, f"{name}/none") for name in names),
    )
    store.write_manifest(manifest)
    return manifest


def by_folds(store: Store, *, clusters: list[str] | None = None, finished: int = 3) -> PooledView:
    suite = Suite.model_validate(SUITE | FOLDS)
    members = members_of(suite).values()
    runs = [
        write_member(store, own, list(range(place, 60, 3)), answers(place), clusters)
        for place, own in enumerate(list(members)[:finished])
    ]
    return pool(store, write_pool(store, suite, runs, [own.name for own in members]))


@pytest.fixture(scope="module", name="folds")
def _folds(tmp_path_factory: pytest.TempPathFactory) -> PooledView:
    return by_folds(Store(tmp_path_factory.mktemp("folds")))


@pytest.fixture(scope="module", name="seeds")
def _seeds(tmp_path_factory: pytest.TempPathFactory) -> PooledView:
    return by_seeds(Store(tmp_path_factory.mktemp("seeds")))


def by_seeds(store: Store) -> PooledView:
    suite = Suite.model_validate(SUITE | {"seeds": [1, 2, 3]})
    members = members_of(suite).values()
    runs = [
        write_member(store, own, list(range(60)), answers(place))
        for place, own in enumerate(members)
    ]
    return pool(store, write_pool(store, suite, runs, [own.name for own in members]))


def row(view: PooledView, metric: str, what: str = "the choice") -> PooledRow:
    return next(row for row in view.rows if (row.metric, row.what) == (metric, what))


def test_folds_are_one_corpus(folds: PooledView) -> None:
    """BLEU of all held-out rows together is sacrebleu's, and no mean of folds."""
    bleu = row(folds, "bleu")
    texts = [answers(place % 3)[place] for place in range(60)]
    expected = sacrebleu.corpus_bleu(texts, [REFERENCES]).score
    assert bleu.value == pytest.approx(expected)
    assert bleu.base == pytest.approx(sacrebleu.corpus_bleu(BASE, [REFERENCES]).score)
    assert (bleu.n, bleu.rows) == (60, "held out once")
    assert np.mean([member.value for member in bleu.members]) != pytest.approx(expected, abs=1e-6)


def test_seeds_are_one_corpus(seeds: PooledView) -> None:
    """Each row counts once in n, and with every seed in the value."""
    bleu, exact = row(seeds, "bleu"), row(seeds, "exact_match")
    texts = [text for place in range(3) for text in answers(place)]
    assert bleu.value == pytest.approx(sacrebleu.corpus_bleu(texts, [REFERENCES * 3]).score)
    right = [text == wanted for text, wanted in zip(texts, REFERENCES * 3, strict=True)]
    assert exact.value == pytest.approx(100 * np.mean(right))
    assert (exact.n, exact.rows) == (60, "the same")
    assert exact.low is not None
    assert exact.sampling is not None
    assert exact.training is not None
    half = (exact.sampling**2 + exact.training**2) ** 0.5
    assert exact.high == pytest.approx((exact.delta or 0) + half, rel=0.05)  # sides differ a little


def test_labels_of_each_fold_are_not_summed(folds: PooledView, seeds: PooledView) -> None:
    """Two folds may count other labels in the same columns; over seeds they are the same."""
    refused = row(folds, "macro_f1")
    assert refused.delta is None
    assert "name them in the metric's options" in str(refused.reason)
    assert row(seeds, "macro_f1").rows == "the same"


def test_a_cluster_in_two_folds_is_refused(tmp_path: Path) -> None:
    """Rows that are alike would count as if they told something new."""
    view = by_folds(Store(tmp_path), clusters=["same"] * 20)
    assert "Near-identical rows lie in more than one fold" in str(row(view, "bleu").reason)


def test_what_is_said(folds: PooledView, seeds: PooledView) -> None:
    """Whether to ship the recipe, how sure, and which command makes the model to ship."""
    view = folds
    assert headline(view).startswith(
        "Ship this recipe: it is better than its base on BLEU of answers, "
    )
    told = " ".join(support(view))
    assert "3 of 3 trainings scored better than the base." in told
    assert "by the choice of examples" in told
    assert "checkpoint-4 of it, the median choice" in told
    assert final_command(view) == (
        "harness eval mine.yaml --set data.folds=null "
        "--set 'data.splits={train: 0.666, select: 0.167, report: 0.167}'"
    )
    assert any("at most 66.7 % of the rows" in line for line in cautions(view))
    assert "any of them may be shipped" in " ".join(support(seeds))
    assert final_command(seeds).startswith("harness select mine.seed-1/")


def test_nothing_is_pooled_of_some(tmp_path: Path) -> None:
    """A fold that is missing would leave out its rows."""
    view = by_folds(Store(tmp_path), finished=2)
    assert view.rows == ()
    assert [member.state for member in view.members] == ["complete", "complete", "missing"]
    assert headline(view) == "Nothing can be said of the recipe yet: no score was pooled."
    assert "Not finished: 2 of 3 trainings are complete." in cautions(view)


def test_four_forms(folds: PooledView, tmp_path: Path) -> None:
    """HTML, Markdown, JSON and CSV of the same figures."""
    view = folds
    html, markdown, as_json, as_csv = write_pooled(view, tmp_path / "out", "all")
    assert headline(view) in markdown.read_text("utf-8").replace("\\", "")
    assert "fold 2 of 3" in html.read_text("utf-8")
    assert PooledView.model_validate(json.loads(as_json.read_text("utf-8"))) == view
    lines = list(csv.DictReader(io.StringIO(as_csv.read_text("utf-8-sig"))))
    pooled = [line for line in lines if line["member"] == "pooled"]
    assert len(pooled) == len(view.rows) == 9  # three metrics, of the choice and two checkpoints
    assert float(pooled[0]["delta"]) == view.rows[0].delta
    assert len([line for line in lines if line["member"] == "fold 1 of 3"]) == 6


def test_what_needs_outputs_refuses(tmp_path: Path) -> None:
    """The run that pools has none; the message names a run that has."""
    store = Store(tmp_path)
    by_folds(store, clusters=["same"] * 20)
    manifest = store.manifests("mine")[0]
    with pytest.raises(UsageError, match="pools 3 others") as caught:
        refuse_pooled(manifest)
    assert manifest.members[0] in str(caught.value.hint)
    refuse_pooled(store.manifests("mine.fold-1-of-3")[0])
