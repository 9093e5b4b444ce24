"""The process that loads one variant and measures it: ``python -m harness.measure.worker JOB``.

JOB is a JSON file written by `harness.measure.process`. Progress goes to standard output, one
line per step; the result goes to the file that JOB names, and whatever libraries print goes to
standard error.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import torch
import transformers

from harness.errors import HarnessError
from harness.files import write_atomic
from harness.measure import memory
from harness.measure.grid import Point, PointError, Subject, grid_points, measure_point
from harness.measure.job import MeasureJob
from harness.measure.speed import synchronize
from harness.models import resident
from harness.models.adapters import AdapterSet
from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.load import load_proved, weight_dtype
from harness.models.policy import DevicePolicy
from harness.models.precision import PROBE
from harness.models.quiet import quiet
from harness.schema import QUANTIZED, Measurement

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def load_variant(
    job: MeasureJob, policy: DevicePolicy
) -> tuple[Any, AbstractContextManager[Any], str]:
    """Load the job's variant as it would be served: 4-bit weights stay 4-bit, adapters unmerged.

    Returns:
        The model, a context that gives it with the adapter active, and what of the weights is in
        another precision than its own.
    """
    model, proofs = load_proved(
        job.weights,
        job.precision,
        policy,
        base_dir=Path(job.base_dir),
        purpose="measure",
        quantization=job.quantization,
    )
    adapters = AdapterSet(model)
    if job.adapter is not None:
        adapters.add("measured", Path(job.adapter), alone=True)
    mixture = " ".join(p.words for p in proofs if p.probe == PROBE and p.outcome != "holds")
    return model, adapters.active("measured" if job.adapter else None), mixture


def prepare(job: MeasureJob, device: torch.device) -> None:
    """Do what is not part of loading: imports, device start-up, building a built-in model.

    The model's own code is imported by building it without memory, on the meta device.
    """
    quiet()
    synchronize(device)
    weights = job.weights
    location = resolve_model(weights, Path(job.base_dir))
    import_module("accelerate")
    if job.precision in QUANTIZED:
        import_module("bitsandbytes")
    if job.adapter is not None:
        import_module("peft")
    trust = weights.trust_remote_code
    failures = (OSError, ValueError, KeyError, ImportError, RuntimeError)
    with suppress(*failures), torch.device("meta"):  # loading meets and reports the same failure
        config = transformers.AutoConfig.from_pretrained(
            location, revision=weights.revision, trust_remote_code=trust
        )
        transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=trust)


def measure_job(job: MeasureJob, say: Callable[[str], None]) -> list[Measurement]:
    """Load the variant and measure it at every point of the grid, in this process.

    Args:
        job: What to measure.
        say: Called with one line of text at each step.

    Returns:
        The figures of the process as a whole, then those of each point of the grid.

    Raises:
        HarnessError: The model or the adapter cannot be loaded.
    """
    policy = decide(job.base)
    device = torch.device(policy.device)
    prepare(job, device)
    resident.reset_peak_rss()
    load_average = psutil.getloadavg()[0]
    rss_before = psutil.Process().memory_info().rss
    say("loading the model")
    start = time.perf_counter()
    model, adapter, mixture = load_variant(job, policy)
    synchronize(device)
    load_s = time.perf_counter() - start
    weights = memory.weights_bytes(model)
    peak_rss = resident.peak_rss_bytes()

    points = grid_points(job.grid)
    results: list[Measurement] = []
    with adapter as active:
        subject = Subject(active, device, job.seed)
        say("first call")
        first = _first_call(subject, points)
        for number, point in enumerate(points, start=1):
            say(f"point {number} of {len(points)}: {point}")
            grid = job.grid
            results += measure_point(subject, point, warmup=grid.warmup, repeats=grid.repeats)
            peak_rss = max(peak_rss, resident.peak_rss_bytes())

    attention = getattr(model.config, "_attn_implementation", None) or "unknown"
    dtype = str(weight_dtype(job.precision, policy)).removeprefix("torch.")
    threads = torch.get_num_threads()
    how = f"{threads} thread{'' if threads == 1 else 's'}, {attention} attention, "
    how += f"activations in {dtype}"
    return [
        subject.reading("load_s", (load_s,), note=how),
        first,
        subject.reading("weights_bytes", (weights,), note=mixture),
        subject.reading("rss_before_load_bytes", (rss_before,)),
        subject.reading("peak_rss_bytes", (peak_rss,)),
        subject.reading("load_average", (load_average, psutil.getloadavg()[0])),
        *results,
    ]


def _first_call(subject: Subject, points: list[Point]) -> Measurement:
    """Time the first generation after loading, at the first point that can be measured."""
    reason = "The grid is empty."
    for point in points:
        try:
            return subject.reading("first_call_s", (subject.call(point).e2e_s,), point)
        except PointError as error:
            reason = str(error)
    return subject.reading("first_call_s", reason)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies (Linux; elsewhere a no-op)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was told
        os._exit(1)


def answer(job: MeasureJob, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, and put the figures or the error meant for the user into JSON values."""
    try:
        measured = measure_job(job, say)
    except HarnessError as error:
        return {"error": {"problem": error.problem, "where": error.where, "hint": error.hint}}
    return {"measurements": [measurement.model_dump(mode="json") for measurement in measured]}


def main(job_file: str) -> int:
    """Measure the job of a file and write the result where the file says.

    Returns:
        0, also where the result is an error to be shown to the user.
    """
    request = json.loads(Path(job_file).read_text("utf-8"))
    die_with(request["parent"])
    if request["threads"] is not None:
        torch.set_num_threads(request["threads"])
    with os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1) as progress:
        os.dup2(2, 1)  # libraries print to standard output, which is kept for progress
        job = MeasureJob.model_validate(request["job"])
        result = answer(job, lambda line: print(line, file=progress))
    write_atomic(Path(request["result"]), json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
