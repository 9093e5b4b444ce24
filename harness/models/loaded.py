"""Whether a loaded model is what its files hold: all of it, nothing else, and the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import ModelError
from harness.schema import Proof

_MADE_UP = ("missing_keys", "mismatched_keys", "error_msgs")  # of transformers' loading info
_COMPARED = 8  # matrices, spread over the files


def all_used(loading: Mapping[str, Any], *, where: str) -> Proof:
    """That every weight of the model was in its files, and all of the files went into the model.

    Raises:
        ModelError: Weights were missing, so that transformers made some up.
    """
    made_up = sorted(_described(key) for kind in _MADE_UP for key in loading.get(kind, ()))
    if made_up:
        raise ModelError(
            f"Its files lack weights of the model, and transformers made them up at random: "
            f"{made_up[0]}" + (f" and {len(made_up) - 1:,} more." if made_up[1:] else "."),
            where=where,
            hint="The files may be incomplete, of another architecture than config.json says, or "
            "in a form that this transformers does not know.",
        )
    name = "all of the base is used"
    left = sorted(str(key) for key in loading.get("unexpected_keys", ()))
    if not left:
        words = "Every weight of the model is in its files, and every stored one has its place."
        return Proof(probe=name, outcome="holds", words=words)
    return Proof(
        probe=name,
        outcome="fallback",
        words=f"{len(left):,} stored weights have no place in the model that transformers makes "
        f"of config.json, such as {left[0]}; they are left out.",
        hint="That is right for parts such as a vision tower; of a language model it is not.",
    )


def _described(key: Any) -> str:
    """A weight's name; of one that is stored in another shape, with both."""
    if isinstance(key, tuple) and len(key) == 3:
        name, stored, needed = key
        return f"{name} (stored as {tuple(stored)}, needed as {tuple(needed)})"
    return str(key)


def check_values(model: Any, folder: Path) -> None:
    """Refuse a model that does not hold the numbers of its files.

    transformers has been seen to load weights and to draw them anew afterwards, with a clean report
    (huggingface/transformers#46620). A few matrices are compared to the last bit; those that it
    packs, joins or renames are passed over.

    Args:
        model: As transformers loads it.
        folder: Where its safetensors files lie.

    Raises:
        ModelError: Numbers differ; of models whose weights are converted, all that are compared.
    """
    import torch

    own = dict(model.named_parameters())
    equal = {
        name: torch.equal(own[name].data.cpu(), stored.to(own[name].dtype))
        for name, stored in _some_matrices(folder, own)
    }
    differ = [name for name, same in equal.items() if not same]
    converted = getattr(model, "_weight_conversions", None)
    if differ and (not converted or len(differ) == len(equal)):
        raise ModelError(
            f"The loaded model does not hold the numbers of its files: {len(differ)} of "
            f"{len(equal)} matrices that were compared differ, such as {differ[0]}.",
            where=str(folder),
            hint="The model's code may draw its weights anew after loading; try another "
            "transformers version.",
        )


def _some_matrices(folder: Path, own: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Stored matrices that the model holds under the same name, of the same shape, as floats."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            names = [name for name in stored.keys() if name in own and _plain(own[name])]  # noqa: SIM118
            for name in names[:: max(1, len(names) // _COMPARED)][:_COMPARED]:
                if tuple(stored.get_slice(name).get_shape()) == tuple(own[name].shape):
                    yield name, stored.get_tensor(name)


def _plain(weight: Any) -> bool:
    packed = getattr(weight, "quant_state", None) is not None
    return bool(weight.dim() > 1 and weight.is_floating_point() and not packed)
