"""Measures a loaded model at one point of the grid: warm-up, then timed repeats."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import torch

from harness.measure.machine import disturbance, snapshot
from harness.measure.speed import Timing, random_prompts, timed_generation
from harness.metrics.quantities import unit_of
from harness.models import resident
from harness.schema import Measurement
from harness.suite.spec import MeasureSpec

_AT_A_POINT = (
    "prefill_tokens_per_s", "ttft_s", "decode_tokens_per_s", "itl_s", "tpot_s", "e2e_s",
    "kv_cache_bytes_per_token", "peak_rss_inference_bytes",
)  # fmt: skip
_ON_CUDA = ("peak_allocated_bytes", "peak_reserved_bytes")

Values = tuple[float, ...]


class PointError(Exception):
    """A point of the grid cannot be measured; the others can."""


@dataclass(frozen=True)
class Point:
    """Sizes of one timed call: tokens per sequence, and sequences."""

    prompt_tokens: int
    new_tokens: int
    batch_size: int

    def __str__(self) -> str:
        return (
            f"{self.prompt_tokens} prompt and {self.new_tokens} new tokens, batch {self.batch_size}"
        )


def grid_points(grid: MeasureSpec) -> list[Point]:
    """All points of a grid, batch size by batch size."""
    sizes = product(grid.batch_sizes, grid.prompt_tokens, grid.new_tokens)
    return [Point(prompt, new, batch) for batch, prompt, new in sizes]


@dataclass(frozen=True)
class Subject:
    """A loaded model, the device it is on, and the seed of its prompts."""

    model: torch.nn.Module
    device: torch.device
    seed: int

    def call(self, point: Point) -> Timing:
        """Generate once at a point's sizes; the prompt is the same at every call.

        Raises:
            ModelError: The model has no attention cache.
            PointError: The sizes do not fit the model's context or the memory.
        """
        config: Any = self.model.config.get_text_config()
        context = getattr(config, "max_position_embeddings", None)
        needed = point.prompt_tokens + point.new_tokens
        if context is not None and needed > context:
            raise PointError(f"{needed} tokens do not fit the model's context of {context}.")
        prompts = random_prompts(
            config.vocab_size,
            batch_size=point.batch_size,
            prompt_tokens=point.prompt_tokens,
            seed=self.seed,
            device=self.device,
        )
        try:
            return timed_generation(self.model, prompts, new_tokens=point.new_tokens)
        except RuntimeError as error:
            # the CPU allocator has no exception class of its own
            known = isinstance(error, torch.OutOfMemoryError)
            if not (known or "can't allocate memory" in str(error)):
                raise
            reason = str(error).splitlines()[0]
        # raised outside the handler: its traceback would keep the failed call's tensors alive
        raise PointError(f"Out of memory: {reason}")

    def reading(
        self, name: str, figure: Values | str, point: Point | None = None, **about: Any
    ) -> Measurement:
        """The record of a quantity.

        Args:
            name: The quantity.
            figure: Its values, or the reason why there are none.
            point: The sizes it was taken at; None where it is of the process as a whole.
            about: What else `Measurement` holds.
        """
        values, reason = ((), figure) if isinstance(figure, str) else (figure, None)
        about |= {"device": str(self.device)} | (asdict(point) if point else {})
        return Measurement(name=name, unit=unit_of(name), values=values, reason=reason, **about)


def measure_point(
    subject: Subject, point: Point, *, warmup: int, repeats: int
) -> list[Measurement]:
    """Measure one point of the grid.

    Args:
        subject: The loaded model.
        point: The sizes.
        warmup: Calls before the measured region; they enter no figure.
        repeats: Calls in the measured region.

    Returns:
        One `Measurement` per quantity. Where the sizes do not fit the model or the memory, all
        of them are without values and give the reason.
    """
    note = ""
    figures: dict[str, Values | str]
    try:
        for _ in range(warmup):
            subject.call(point)
        rss_is_fresh = resident.reset_peak_rss()
        if subject.device.type == "cuda":
            torch.cuda.empty_cache()  # what is cached from before is no part of the peak
            torch.cuda.reset_peak_memory_stats(subject.device)
        before = snapshot()
        timings = [subject.call(point) for _ in range(repeats)]
        note = disturbance(before, snapshot())
        figures = _speeds(timings, point) | _peaks(subject.device, rss_is_fresh)
    except PointError as error:
        names = (*_AT_A_POINT, *(_ON_CUDA if subject.device.type == "cuda" else ()))
        figures = dict.fromkeys(names, str(error))
    return [
        subject.reading(name, figure, point, warmup=warmup, note=note)
        for name, figure in figures.items()
    ]


def _speeds(timings: Sequence[Timing], point: Point) -> dict[str, Values | str]:
    """Figures of every repeat, as `harness.metrics.quantities` defines them."""
    read = point.batch_size * point.prompt_tokens
    further = point.new_tokens - 1
    figures: dict[str, Values | str] = {
        "prefill_tokens_per_s": tuple(read / timing.prefill_s for timing in timings),
        "ttft_s": tuple(timing.ttft_s for timing in timings),
        "e2e_s": tuple(timing.e2e_s for timing in timings),
        "kv_cache_bytes_per_token": (
            timings[-1].kv_cache_bytes / (point.batch_size * (point.prompt_tokens + further)),
        ),
    }
    if further == 0:
        reason = "One new token has no token after it."
        return figures | dict.fromkeys(("decode_tokens_per_s", "itl_s", "tpot_s"), reason)
    written = point.batch_size * further
    return figures | {
        "decode_tokens_per_s": tuple(written / sum(timing.gaps_s) for timing in timings),
        "itl_s": tuple(gap for timing in timings for gap in timing.gaps_s),
        "tpot_s": tuple((timing.e2e_s - timing.ttft_s) / further for timing in timings),
    }


def _peaks(device: torch.device, rss_is_fresh: bool) -> dict[str, Values | str]:
    figures: dict[str, Values | str] = {
        "peak_rss_inference_bytes": (float(resident.peak_rss_bytes()),)
        if rss_is_fresh
        else "This system does not let a process begin a new peak."
    }
    if device.type == "cuda":
        figures["peak_allocated_bytes"] = (float(torch.cuda.max_memory_allocated(device)),)
        figures["peak_reserved_bytes"] = (float(torch.cuda.max_memory_reserved(device)),)
    return figures
