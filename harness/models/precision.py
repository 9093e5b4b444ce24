"""What a loaded model's weights are: read back from its layers, and compared with what was asked.

Whatever was asked of transformers, some weights may be in another form: a model that was stored
quantized stays so, fused experts of a mixture stay out of 4 bits, parts are kept in fp32.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.errors import ModelError
from harness.models.vocabulary import embedding_rows
from harness.schema import Precision, Proof

if TYPE_CHECKING:
    import torch

PROBE = "precision is what it says"
_TOKENS = 24  # of each row that is tried beside another
_ROUNDING = 1e-3  # logits; batches of other sizes add up in another order
_REST = 0.01  # more of the matrices than this left out of a quantization is told as a warning
_NAMES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16", "float64": "fp64"}


def rounding(dtype: torch.dtype, largest: float) -> float:
    """Difference of logits, or of the log-probabilities of them, that rounding explains.

    A log-probability is as exact as the logits it comes from, and those are rounded to the dtype
    in every layer.

    Args:
        dtype: In which layers compute.
        largest: Largest logit, without sign.
    """
    import torch

    return 4 * float(torch.finfo(dtype).eps) * max(1.0, largest)


def computing_dtype(base: Any) -> torch.dtype:
    """In which a base's layers compute: bitsandbytes' kernels for CPUs round to bf16 anyway."""
    import torch

    dtype: torch.dtype = base.get_input_embeddings().weight.dtype
    if dtype == torch.float32 and getattr(base, "is_quantized", False):
        dtype = torch.bfloat16
    return dtype


@dataclass
class WeightForms:
    """How many weights a model holds in which form.

    Attributes:
        weights: Form (``nf4``, ``int8``, ``bf16``, ``uint8``, ...) -> weights, unpacked.
        matrices: Form -> kind of matrix -> weights, of those that are neither embeddings nor the
            output layer, which quantizers leave alone.
    """

    weights: Counter[str] = field(default_factory=Counter)
    matrices: dict[str, Counter[str]] = field(default_factory=dict)

    def share(self, form: str) -> float:
        """Share of all weights that is in a form."""
        return self.weights[form] / max(1, self.weights.total())

    def others(self, form: str) -> Counter[str]:
        """Kinds of matrices that are not in a form -> weights."""
        return sum((own for name, own in self.matrices.items() if name != form), Counter())

    @property
    def words(self) -> str:
        """All forms, the most common first."""
        total = max(1, self.weights.total())
        return ", ".join(f"{_percent(n / total)} {name}" for name, n in self.weights.most_common())


def read_back(model: Any) -> WeightForms:
    """Read the form of every parameter of a model, adapters excluded.

    Args:
        model: As transformers loads it.

    Returns:
        Counts of weights; what is packed counts as the weights that it stands for.
    """
    forms = WeightForms()
    ends = {id(part) for part in (model.get_input_embeddings(), model.get_output_embeddings())}
    seen: set[int] = set()
    for path, module in model.named_modules():
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) in seen:
                continue
            seen.add(id(weight))
            form, count, axes = _form(weight)
            forms.weights[form] += count
            if axes > 1 and id(module) not in ends and not _is_embedding(module):
                forms.matrices.setdefault(form, Counter())[_kind(f"{path}.{name}")] += count
    return forms


def _is_embedding(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Embedding)


def _form(weight: Any) -> tuple[str, int, int]:
    """Form of a parameter, how many weights it stands for, and how many axes those have."""
    state = getattr(weight, "quant_state", None)
    if state is not None:
        return str(state.quant_type), state.shape.numel(), len(state.shape)
    own = str(weight.dtype).removeprefix("torch.")
    return _NAMES.get(own, own), weight.numel(), weight.dim()


def check_precision(forms: WeightForms, precision: Precision, *, where: str) -> Proof:
    """Compare the forms of a model's weights with the precision that was asked for.

    Args:
        forms: As ``read_back`` gives them, before anything is dequantized for speed.
        precision: What was asked for.
        where: The model, for messages.

    Returns:
        What was read back. A mixture of experts whose experts are not quantized is a ``fallback``.

    Raises:
        ModelError: Nothing is in the asked precision, or something is in another quantized form.
    """
    foreign = {n: c for n, c in forms.weights.items() if n not in {*_NAMES.values(), precision}}
    if foreign or not forms.weights[precision]:
        raise ModelError(
            f"{precision} was asked for, but of the weights that were loaded {forms.words}.",
            where=where,
            hint="Ask for the precision in which it is stored, or name the model that it was "
            "quantized from.",
        )
    words = f"Read back from the layers: {forms.words}."
    left = forms.others(precision)
    rest = left.total() / max(1, sum(own.total() for own in forms.matrices.values()))
    if rest <= _REST:
        return Proof(probe=PROBE, outcome="holds", words=words)
    kinds = " and ".join(name for name, _ in left.most_common(2))
    return Proof(
        probe=PROBE,
        outcome="fallback",
        words=f"Only {_percent(forms.share(precision))} of the weights are in {precision}: "
        f"{_percent(rest)} of its matrices stay as they are, such as {kinds}. {words}",
        difference=round(100 * rest, 3),
        limit=100 * _REST,
        unit="% of the matrices",
        hint=f"Memory and quality are those of this mixture, not of a model wholly in {precision}.",
    )


def compute_in(model: Any, dtype: torch.dtype) -> None:
    """Compute in a dtype; transformers leaves a model that is stored quantized in that of its file.

    That goes for packed weights, too: their state holds the dtype into which they are unpacked.
    """
    for module in model.modules():
        if hasattr(module, "compute_dtype"):
            module.compute_dtype = dtype
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)
        if state is not None:
            state.dtype = dtype
        elif weight.is_floating_point():
            weight.data = weight.data.to(dtype)
    model.config.dtype = dtype


def batch_proof(model: Any) -> Proof:
    """Whether a row's answers depend on the rows beside it.

    bitsandbytes' int8 layers take columns with large activations out of the quantization, in all
    rows where any row has one.

    Args:
        model: At int8, in evaluation mode.

    Source:
        Dettmers et al. (2022), LLM.int8(), section 3.2.
    """
    import torch

    vocabulary = embedding_rows(model)
    ids = (torch.arange(2 * _TOKENS).reshape(2, _TOKENS) * 7 % vocabulary).to(model.device)
    with torch.inference_mode():
        alone = model(input_ids=ids[:1], use_cache=False).logits[0]
        beside = model(input_ids=ids, use_cache=False).logits[0]
    difference = float((alone - beside).abs().max())
    holds = difference <= _ROUNDING
    words = "one of two rows, by itself and beside the other, at int8"
    return Proof(
        probe="answers do not depend on the batch",
        outcome="holds" if holds else "fallback",
        words=f"The same logits were expected of {words}."
        + ("" if holds else " They differ, so texts and scores can change with the batch size."),
        difference=difference,
        limit=_ROUNDING,
        unit="logits",
        hint="" if holds else "Set batch_size: 1 in the tasks, or take another precision.",
    )


def _kind(name: str) -> str:
    """A parameter's name without the numbers of its layer and expert."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
