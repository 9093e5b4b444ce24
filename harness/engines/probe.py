"""Chooses how a model's log-likelihoods are computed, by trying it on a small tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch

from harness.engines.alone import Alone
from harness.engines.kinds import kind_of, planted_rows
from harness.engines.prefix_tree import Limits, TokenRequest, make_plan
from harness.engines.tree_forward import TreeScorer
from harness.errors import in_a_line
from harness.models.adapters import base_of

Engine = Literal["auto", "tree", "prefix", "stock"]
Chosen = Literal["tree", "prefix", "stock"]

# Every branch is scored from rows that branch, and again from a stem with rows below it.
_STEM, _BRANCH = 12, 5
_LONGEST = 1024  # a stem that is still cheap to try
_CUTS: dict[Chosen, tuple[Limits, ...]] = {
    "tree": (Limits(shared_tokens=1), Limits(shared_tokens=1, stem_saves=1, row_tokens=12)),
    "prefix": (Limits(shared_tokens=1, stem_saves=1, branching=False),),
}


@dataclass(frozen=True)
class EngineChoice:
    """Which engine answers log-likelihood requests, and why, in words for the log."""

    engine: Chosen
    why: str


_choices: WeakKeyDictionary[Any, dict[tuple[str, Engine], EngineChoice]] = WeakKeyDictionary()


def choose_engine(model: Any, asked: Engine) -> EngineChoice:
    """Try the engines from the fastest on, until one gives what separate forward passes give.

    Branches of random tokens on common prefixes are scored, and tokens among them that the adapter
    waits for. The choice holds for all adapters of one configuration over one base.

    Args:
        model: A transformers or PEFT model in evaluation mode.
        asked: ``auto`` tries ``tree``, then ``prefix``; either of them is tried alone; ``stock``
            is taken as it is.
    """
    known = _choices.setdefault(base_of(model), {})
    key = kind_of(model), asked
    if key not in known:
        known[key] = _choose(model, asked)
    return known[key]


def _choose(model: Any, asked: Engine) -> EngineChoice:
    if asked == "stock":
        return EngineChoice("stock", "the suite asks for it")
    why = ""
    for candidate in _CUTS if asked == "auto" else [asked]:
        problem = _problem(model, candidate)
        if problem is None:
            why += "scores of a small tree equal those of separate forward passes"
            return EngineChoice(candidate, why)
        why += f"{candidate} cannot be used: {problem}; "
    return EngineChoice("stock", why.removesuffix("; "))


def _problem(model: Any, engine: Chosen) -> str | None:
    """Why an engine cannot be used with a model; None if it can."""
    base = base_of(model)
    config = base.config.get_text_config()
    if base.config.is_encoder_decoder:
        return "the model has an encoder"
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    if any(part.get("rope_type") in ("longrope", "dynamic") for part in kinds):
        return "the model's rotary positions depend on the length of a pass"
    attention = getattr(config, "_attn_implementation", "eager")
    if engine == "tree" and attention not in ("sdpa", "eager"):
        return f"attention by {attention} takes no mask for trees"
    try:
        planted = [token for ids in planted_rows(model) for token in ids]
        requests = _requests(config.vocab_size, _length(config), planted)
        alone = Alone(model)
        plain = [_plain(alone, request) for request in requests]
        expected = torch.cat([values for values, _ in plain])
        limit = max(limit for _, limit in plain)
        for limits in _CUTS[engine]:
            scored = _together(model, engine, requests, limits)
            worst = float((scored - expected).abs().max())
            if not worst <= limit:  # NaN is a difference too
                return f"scores of a small tree differ by {worst:.2g} nats from separate ones"
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a model may refuse masks, positions or caches in any way
        return f"{type(base).__name__} refuses it ({in_a_line(error, 200)})"
    return None


def _length(config: Any) -> int:
    """Tokens of the common prefix: past every limit of attention that is short enough to try.

    Raises:
        ValueError: There is a longer one, and it is not the usual sliding window.
    """
    limits = {
        name: value
        for name, value in vars(config).items()
        if isinstance(value, int) and any(word in name for word in ("window", "chunk", "local"))
    }
    unknown = [n for n, value in limits.items() if value > _LONGEST and n != "sliding_window"]
    if unknown:
        raise ValueError(f"{unknown[0]} is {limits[unknown[0]]}, too long to try")
    past = [value + 4 for value in limits.values() if value <= _LONGEST]
    return max([_STEM, *past])


def _requests(vocabulary: int, stem_length: int, planted: Sequence[int] = ()) -> list[TokenRequest]:
    """Two trees of unequal width: one of four branches, one of two; some score a few tokens only.

    What is planted stands at the end of the first stem. So a pass has several branching rows,
    padding, and tokens that nothing is asked of.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(count: int) -> list[int]:
        ids: list[int] = torch.randint(vocabulary, (count,), generator=generator).tolist()
        return ids

    stem, other = [*draw(stem_length), *planted], draw(_BRANCH)
    branches = [draw(_BRANCH) for _ in range(3)]
    branches.append([*branches[1][:2], *draw(_BRANCH)])
    sequences = [stem + branch for branch in branches] + [other + draw(2), other + draw(3)]
    return [
        TokenRequest(ids, [*ids[1:], 0][-len(ids) if index == 0 else -3 :])
        for index, ids in enumerate(sequences)
    ]


def _together(
    model: Any, engine: Chosen, requests: Sequence[TokenRequest], limits: Limits
) -> torch.Tensor:
    """Log-probability of every target through an engine, in order of requests, fp32."""
    plan = make_plan(requests, limits)
    scorer = TreeScorer(model, masks="tree" if engine == "tree" else "native")
    # terms are sorted by slot; a stable sort by request restores each request's order
    values = torch.full((len(plan.terms.request),), torch.nan)
    for answer in scorer.run(plan):
        values[torch.from_numpy(answer.terms)] = torch.from_numpy(answer.log_probabilities)
    order = torch.from_numpy(plan.terms.request).argsort(stable=True)
    return values[order]


def _plain(alone: Alone, request: TokenRequest) -> tuple[torch.Tensor, float]:
    """Log-probability of every target by a pass of its own, fp32, and what they may miss."""
    logits = alone.logits(request.inputs, len(request.targets))
    targets = torch.tensor(request.targets, device=logits.device)
    values = -torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    return values.cpu(), alone.limit(logits)
