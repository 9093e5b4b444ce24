"""Adapters over one loaded base: which stand beside each other, and which need one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.checks.adapter_effect import AdapterFacts
from harness.checks.base import findings_about
from harness.engines.base import LoadedModel
from harness.errors import ApartError, ModelError, UsageError
from harness.models.beside import trainer_state
from harness.models.own_tokenizer import tokenizer_proof
from harness.run.execution import Execution
from harness.run.executors import CellJob
from harness.schema import Finding, Proof, Variant

_PROMPTS = 2  # on which an adapter must change the logits
_TEXT = "The capital of France is"  # where no task brings prompts of its own
_PROBE = "the base stays the base"


@dataclass(frozen=True)
class Probed:
    """What was noticed of a variant before its cells, and is kept with each of them."""

    findings: tuple[Finding, ...] = ()
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class Placement:
    """What became of a group's variants when they were put over one base.

    Attributes:
        beside: Variant -> what was noticed; they can be computed on what is loaded.
        apart: Variant -> why it needs a base of its own.
        refused: Variant -> why it cannot be used.
        spoiled: Whether the base is not what it was, so that it must be loaded anew.
    """

    beside: dict[str, Probed] = field(default_factory=dict)
    apart: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    spoiled: bool = False


def place(
    work: Execution, model: LoadedModel, variants: Sequence[Variant], job: CellJob
) -> Placement:
    """Load and probe the adapters among some variants, and see whether any minds the others.

    Args:
        work: The execution context.
        model: Their base, loaded.
        variants: Base and adapters.
        job: Any of their jobs.
    """
    probes: dict[str, Probed] = {}
    apart: dict[str, str] = {}
    refused: dict[str, str] = {}
    for variant in variants:
        if variant.kind != "adapter":
            continue
        try:
            probes[variant.id] = probe(work, model, variant, job)
        except ApartError as error:
            apart[variant.id] = error.problem
        except (ModelError, MemoryError) as error:
            refused[variant.id] = str(error)
        except UsageError:
            raise
        except Exception as error:  # whatever it is, it is these cells' result
            refused[variant.id] = work.in_a_line(error)
        if variant.id not in probes and model.change(None):
            return Placement(apart=apart, refused=refused, spoiled=True)
    apart |= {
        name: f"Loading others changes its answers by up to {change:.2g}."
        for name in probes
        if (change := model.change(name))
    }
    stays = Probed(proofs=(_stays(len(probes)),) if probes else ())
    beside = {
        v.id: _both(stays, probes.get(v.id, Probed()))
        for v in variants
        if v.id not in apart and v.id not in refused
    }
    return Placement(beside, apart, refused)


def probe(
    work: Execution, model: LoadedModel, variant: Variant, job: CellJob, *, alone: str = ""
) -> Probed:
    """Load one adapter, and see what it does.

    Args:
        work: The execution context.
        model: Its base, loaded.
        variant: The adapter's variant.
        job: One of its jobs.
        alone: Why it has the base to itself; empty where it has not.
    """
    prompts, chat = [_TEXT], False
    if job.probe is not None:
        key, task = job.probe
        prompts = [example.prompt for example in work.examples(key)[:_PROMPTS]]
        chat = work.suite.task_data(task)[1].is_chat
    folder = Path(str(variant.adapter))
    proofs = model.add_adapter(variant.id, folder, alone=bool(alone))
    effect = model.adapter_effect(variant.id, prompts, chat=chat)
    work.reporter.detail(f"  {variant.id}: largest change of a logit {effect:.3g}")
    beside = tokenizer_proof(folder, work.tokenizer, given=work.suite.base.tokenizer)
    isolated = Proof(
        probe=_PROBE,
        outcome="isolated",
        words=f"It was loaded on a base of its own, and no other variant with it. {alone}",
    )
    return Probed(
        findings=tuple(findings_about(AdapterFacts(variant.id, effect))),
        proofs=(
            *((isolated,) if alone else ()),
            *proofs,
            beside,
            *_trained_elsewhere(work, folder),
        ),
    )


def _trained_elsewhere(work: Execution, folder: Path) -> tuple[Proof, ...]:
    """What a trainer left written of its training; ours keeps a record of its own."""
    state = trainer_state(folder) if work.suite.train is None else None
    return () if state is None else (state.proof(),)


def _stays(adapters: int) -> Proof:
    return Proof(
        probe=_PROBE,
        outcome="holds",
        words="Logits of the base with all adapters off, and of each adapter, are to the last bit "
        f"what they were before the others were loaded ({adapters} in all), and loading wrote "
        "into no weight of the base.",
        difference=0.0,
        limit=0.0,
        unit="logits",
    )


def _both(one: Probed, other: Probed) -> Probed:
    return Probed(one.findings + other.findings, one.proofs + other.proofs)
