"""Scores of a run, by training step, in the trackers that the suite names (``report.trackers``).

Each is written by its own package, which is loaded only here. What was written once is not written
again: a note beside the manifest has the digest of the values that each tracker holds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.digests import short_digest
from harness.errors import in_a_line
from harness.files import json_or_nothing, write_atomic
from harness.run.state import Run
from harness.schema import Manifest, Score

Points = dict[int, dict[str, float]]  # training step -> name of a score -> value
_NOTE = "trackers.json"


def track(run: Run, manifest: Manifest) -> None:
    """Write a run's scores to each tracker of its suite, and tell where they are.

    A tracker that fails is told as a warning: the run has its scores anyhow.
    """
    trackers = run.file.suite.report.trackers
    if not trackers:
        return
    series = scores_by_step(run, manifest)
    if not series:
        return
    folder = run.store.run_dir(manifest.suite, manifest.run_id)
    digest = short_digest({name: {str(s): v for s, v in p.items()} for name, p in series.items()})
    noted = json_or_nothing(folder / _NOTE)
    done: dict[str, Any] = noted if isinstance(noted, dict) else {}
    for name in trackers:
        last = done.get(name, {})
        if last.get("digest") != digest:
            try:
                place = _WRITERS[name](manifest, series, folder)
            except Exception as error:  # of a package of others, or of its server
                run.reporter.warn(f"{name} took no scores: {in_a_line(error)}")
                continue
            done[name] = last = {"digest": digest, "place": place}
            write_atomic(folder / _NOTE, json.dumps(done, indent=1) + "\n")
        run.reporter.say(f"Scores by step: {last['place']}")


def scores_by_step(run: Run, manifest: Manifest) -> dict[str, Points]:
    """Values by step of each series: checkpoints, their merged forms, and the base at step 0.

    Variants whose step is unknown have no place on a curve and are left out.
    """
    series: dict[str, Points] = {}
    variants = {variant.id: variant for variant in manifest.variants}
    for cell in manifest.cells:
        variant = variants.get(cell.variant)
        if variant is None or cell.status != "done" or cell.scores_key is None:
            continue
        step = 0 if variant.kind == "base" else variant.step
        if step is None:
            continue
        name = variant.id if variant.kind == "base" else _series(variant.training, variant.kind)
        values = {
            f"{score.task}/{score.metric}/{score.split}": score.value
            for score in run.store.read_records("scores", cell.scores_key, "scores", Score)
            if score.value is not None
        }
        series.setdefault(name, {}).setdefault(step, {}).update(values)
    return {name: dict(sorted(points.items())) for name, points in series.items()}


def _series(training: str, kind: str) -> str:
    return "-".join(filter(None, [training, "merged" if kind == "merged" else "checkpoints"]))


def _tensorboard(manifest: Manifest, series: Mapping[str, Points], folder: Path) -> str:
    from torch.utils.tensorboard import SummaryWriter

    logs = folder / "tensorboard"
    shutil.rmtree(logs, ignore_errors=True)  # it only appends
    for name, points in series.items():
        writer: Any = SummaryWriter(str(logs / name))
        for step, values in points.items():
            for score, value in values.items():
                writer.add_scalar(score, value, step)
        writer.close()
    return f"tensorboard --logdir {logs}"


def _wandb(manifest: Manifest, series: Mapping[str, Points], folder: Path) -> str:
    import wandb

    places = []
    for name, points in series.items():
        about = {"project": manifest.suite, "group": manifest.run_id, "dir": str(folder)}
        with wandb.init(name=f"{manifest.run_id}-{name}", reinit=True, **about) as logged:
            for step, values in points.items():
                logged.log(values, step=step)
            places.append(logged.url or f"wandb sync {Path(logged.dir).parent}")
    return "; ".join(places)


def _mlflow(manifest: Manifest, series: Mapping[str, Points], folder: Path) -> str:
    import mlflow

    mlflow.set_experiment(manifest.suite)
    for name, points in series.items():
        with mlflow.start_run(run_name=f"{manifest.run_id}-{name}"):
            mlflow.set_tags({"harness.run_id": manifest.run_id, "harness.series": name})
            for step, values in points.items():
                # its names may not hold what others may
                named = {_for_mlflow(score): value for score, value in values.items()}
                mlflow.log_metrics(named, step=step)
    return f"mlflow ui --backend-store-uri {mlflow.get_tracking_uri()}"


def _for_mlflow(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)


def _trackio(manifest: Manifest, series: Mapping[str, Points], folder: Path) -> str:
    import trackio

    for name, points in series.items():
        trackio.init(project=manifest.suite, name=f"{manifest.run_id}-{name}")
        for step, values in points.items():
            trackio.log(values, step=step)
        trackio.finish()
    return f"trackio show --project {manifest.suite}"


_WRITERS: dict[str, Callable[[Manifest, Mapping[str, Points], Path], str]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
