"""Rows: log-likelihood requests of HellaSwag and MMLU against lm-eval's own HFLM."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from harness.engines.loglikelihood import PrefixSharingLM
from harness.tasks.lm_eval.quiet import quiet
from tests.benchmarks.flops import Encoded, shape_of, shared_work, stock_work
from tests.benchmarks.models import load
from tests.benchmarks.realdata import SUBJECTS, RequestSet, build_requests
from tests.benchmarks.results import Goal, Result, Settings
from tests.benchmarks.timing import in_turn, say, shown_seconds

BATCH = 16
TOLERANCE = 1e-3  # most that a log-likelihood may differ by, in nats
WARMUP = 8  # requests


def hellaswag_0_shot(settings: Settings) -> Result:
    """100 documents; their four endings share the question."""
    limit = 4 if settings.quick else 100
    requests = build_requests(["bench_hellaswag"], settings.folder, shots=0, limit=limit)
    return compare("HellaSwag 0-shot", 2.0, requests, settings)


def hellaswag_10_shot(settings: Settings) -> Result:
    """40 documents, each after ten others of its own."""
    limit = 1 if settings.quick else 40
    requests = build_requests(["bench_hellaswag"], settings.folder, shots=10, limit=limit)
    return compare("HellaSwag 10-shot", 3.8, requests, settings)


def mmlu_5_shot(settings: Settings) -> Result:
    """Two subjects of 100 questions, each subject after one and the same five shots."""
    names = [f"bench_mmlu_{subject}" for subject in SUBJECTS]
    limit = 3 if settings.quick else 100
    requests = build_requests(names, settings.folder, shots=5, limit=limit)
    return compare("MMLU 5-shot", 6.5, requests, settings)


def compare(name: str, target: float, requests: RequestSet, settings: Settings) -> Result:
    """Time ours and lm-eval's HFLM on the same requests, and compare what they answer."""
    model, tokenizer = load(settings.device)
    batch = list(requests.requests)

    def ours() -> Any:
        lm = PrefixSharingLM(
            model, tokenizer, batch_size=BATCH, device=settings.device, engine="auto"
        )
        return lambda: (lm.loglikelihood(batch), lm)

    def reference() -> Any:
        lm = stock(model, tokenizer, settings.device)
        return lambda: (lm.loglikelihood(batch, disable_tqdm=True), lm)

    with quiet():
        _warm_up(model, tokenizer, batch, settings.device)
        timed = in_turn(
            {"ours": ours, "lm-eval's HFLM": reference}, settings.repeats, settings.device
        )
        encoded = encode(stock(model, tokenizer, settings.device), batch)
    mine, theirs = timed["ours"], timed["lm-eval's HFLM"]
    answers, lm = mine.result
    expected, _ = theirs.result
    say(f"  engine {lm.choice.engine}: {lm.choice.why}")
    speedup = theirs.seconds / mine.seconds
    shape, longest = shape_of(model), lm.max_length
    stock_, shared = stock_work(encoded, longest), shared_work(encoded, longest)
    ratio = stock_.flops(shape) / shared.flops(shape)
    agreement = _agreement(requests, answers, expected)
    documents = len(agreement["documents_that_differ"]), agreement["documents"]
    goals = [
        Goal(
            f"{name} against HFLM, {documents[1]} documents",
            target,
            speedup,
            ours=shown_seconds(mine.seconds),
            reference=shown_seconds(theirs.seconds),
            outputs=f"max \\|Δ\\| {agreement['largest_difference']:.0e}; "
            f"{documents[0]} of {documents[1]} documents differ",
            agree=agreement["largest_difference"] <= TOLERANCE and not documents[0],
        ),
        Goal(
            f"engine efficiency, {name}",
            0.9,
            speedup / ratio,
            unit="",
            ours=f"{shared.tokens:,} tokens, {shared.heads:,} through the head",
            reference=f"{stock_.tokens:,} tokens, all through the head",
            outputs=f"{ratio:.2f}× by FLOPs",
        ),
    ]
    note = f"{name}: the engine was `{lm.choice.engine}` ({lm.choice.why.rstrip('.')})."
    figures = {
        "ours": mine.figures(),
        "reference": theirs.figures(),
        "flop_ratio": ratio,
        "cpu_ratio": sum(theirs.cpu) / sum(mine.cpu),
        "flops": {"ours": shared.flops(shape), "reference": stock_.flops(shape)},
        "tokens": {"ours": shared.tokens, "reference": stock_.tokens},
        "scores": agreement["scores"],
        "agreement": agreement,
    }
    return Result.of_goals(goals, [note], figures)


def stock(model: Any, tokenizer: Any, device: str) -> Any:
    """lm-eval's own model class around the same model."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=model, tokenizer=copy.deepcopy(tokenizer), batch_size=BATCH, device=device
    )


def encode(lm: Any, requests: Sequence[Any]) -> list[Encoded]:
    """Contexts and continuations as lm-eval encodes them."""
    encoded: list[Encoded] = []

    def take(given: Sequence[Any], **_: Any) -> list[tuple[float, bool]]:
        encoded.extend((context, continuation) for _, context, continuation in given)
        return []

    lm._loglikelihood_tokens = take
    lm.loglikelihood(list(requests), disable_tqdm=True)
    return encoded


def _warm_up(model: Any, tokenizer: Any, batch: Sequence[Any], device: str) -> None:
    few = list(batch[:WARMUP])
    lm = PrefixSharingLM(model, tokenizer, batch_size=BATCH, device=device, engine="auto")
    lm.loglikelihood(few)
    stock(model, tokenizer, device).loglikelihood(few, disable_tqdm=True)


def _agreement(
    requests: RequestSet,
    answers: Sequence[tuple[float, bool]],
    expected: Sequence[tuple[float, bool]],
) -> dict[str, Any]:
    """How far two sets of answers agree, by request and by lm-eval's metrics of each document."""
    ours, theirs = requests.documents(answers), requests.documents(expected)
    metrics = [metric for metric in ("acc", "acc_norm") if metric in theirs[0]]
    pairs = list(zip(answers, expected, strict=True))
    return {
        "largest_difference": max(abs(a[0] - b[0]) for a, b in pairs),
        "greedy_flags_that_differ": sum(bool(a[1]) != bool(b[1]) for a, b in pairs),
        "documents": len(theirs),
        "documents_that_differ": [
            index
            for index, (a, b) in enumerate(zip(ours, theirs, strict=True))
            if any(a[metric] != b[metric] for metric in metrics)
        ],
        "scores": {
            metric: sum(float(document[metric]) for document in ours) / len(ours)
            for metric in metrics
        },
    }
