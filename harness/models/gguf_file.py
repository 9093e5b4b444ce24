"""Whether all of a GGUF file went into the model that transformers made of it.

transformers passes over the keys and tensors that it does not know, with a line in a log that is
off. Which those are is measured: a key that is changed must change the configuration, and all
numbers of the file must be in the model.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import ModelError

# Names, licences, vocabulary, how it was quantized: not what is computed of tokens.
_BESIDE = ("GGUF.", "general.", "tokenizer.", "quantize.")
_ROTARY_FACTORS = "rope_freqs.weight"


def _head_width(config: Any) -> int:
    return int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )


def _rotary_width(config: Any) -> float:
    rope = getattr(config, "rope_parameters", None) or {}
    partial = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None))
    return float((1.0 if partial is None else partial) * _head_width(config))


# What a key means that a loader leaves out, in terms of the configuration. A file that says the
# same as the configuration does loses nothing.
_MEANING: Mapping[str, Callable[[Any], Any]] = {
    "rope.dimension_count": _rotary_width,
    "attention.key_length": _head_width,
    "attention.value_length": _head_width,
    "attention.causal": lambda _: True,
    "attention.sliding_window": lambda c: getattr(c, "sliding_window", None),
    "attn_logit_softcapping": lambda c: getattr(c, "attn_logit_softcapping", None),
    "final_logit_softcapping": lambda c: getattr(c, "final_logit_softcapping", None),
    "expert_feed_forward_length": lambda c: getattr(c, "moe_intermediate_size", None),
    "use_parallel_residual": lambda c: getattr(c, "use_parallel_residual", None),
    "rope.freq_base": lambda c: (getattr(c, "rope_parameters", None) or {}).get("rope_theta"),
    "rope.scaling.type": lambda _: "none",
    "rope.scaling.factor": lambda _: 1.0,
    "attention.max_alibi_bias": lambda _: 0.0,
    "attention.clamp_kqv": lambda _: 0.0,
    "logit_scale": lambda c: getattr(c, "logit_scale", None),
    "vocab_size": lambda c: c.vocab_size,
}


def check_whole(reader: Any, model: Any, loading: Mapping[str, Any], *, where: str) -> None:
    """Refuse a file of which something is not in the model.

    Args:
        reader: gguf's reader of the file.
        model: What transformers made of it.
        loading: transformers' loading info.
        where: The file, for messages.

    Raises:
        ModelError: With the names of keys and tensors that were left out, or of weights that were
            made up.
    """
    keys = [key for key in _unread(reader) if not _says_the_same(reader, key, model.config)]
    tensors = _left_tensors(reader, model)
    made_up = sorted(map(str, loading.get("missing_keys", ())))
    faults = [
        f"{what}: {', '.join(names[:6])}" + (f" and {len(names) - 6} more" if names[6:] else "")
        for what, names in (
            ("keys that it does not read", keys),
            ("tensors that it leaves out", tensors),
            ("weights that the file lacks", made_up),
            ("a scale of the attention that it guesses", _guessed_scale(model.config)),
        )
        if names
    ]
    if faults:
        raise ModelError(
            f"transformers would make another model of this file: {'; '.join(faults)}.",
            where=where,
            hint="Use the original model, or a newer transformers.",
        )


def keep_rotary_factors(reader: Any, config: Any) -> None:
    """Write into a configuration what a file stores of its rotary frequencies (Llama 3's).

    They are divisors, one per frequency, which is what transformers' ``longrope`` takes; used for
    short and long texts alike and without a factor on the attention, it computes the same.

    Args:
        reader: gguf's reader of the file.
        config: Of the model that transformers made of it; changed in place.
    """
    factors = next((t for t in reader.tensors if t.name == _ROTARY_FACTORS), None)
    rope = getattr(config, "rope_parameters", None) or {}
    if factors is None or rope.get("rope_type") != "default":
        return
    divisors = [float(value) for value in factors.data]
    config.rope_parameters = {
        **rope,
        "rope_type": "longrope",
        "short_factor": divisors,
        "long_factor": divisors,
        "factor": 1.0,
        "attention_factor": 1.0,
        "original_max_position_embeddings": config.max_position_embeddings,
    }


def _left_tensors(reader: Any, model: Any) -> list[str]:
    """Tensors of a file whose numbers the model does not have.

    Loaders rename, split and join tensors, so what is compared is how many numbers there are; only
    where those differ are tensors named by their sizes.
    """
    theirs = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
    own = {weight.data_ptr(): weight.numel() for weight in model.state_dict().values()}
    rope = getattr(model.config, "rope_parameters", None) or {}
    if theirs.get(_ROTARY_FACTORS) == len(rope.get("long_factor", ())):
        del theirs[_ROTARY_FACTORS]  # see keep_rotary_factors
    if sum(theirs.values()) == sum(own.values()):
        return []
    sizes = Counter(own.values())
    left = []
    for name, size in theirs.items():
        if sizes[size]:
            sizes[size] -= 1
        else:
            left.append(name)
    return left or [f"{sum(theirs.values()) - sum(own.values()):,} numbers, of unknown name"]


def _says_the_same(reader: Any, key: str, config: Any) -> bool:
    meaning = _MEANING.get(key.partition(".")[2])
    own = None if meaning is None else meaning(config)
    said = reader.fields[key].contents()
    if isinstance(own, int | float) and isinstance(said, int | float):
        return abs(own - said) <= 1e-6 * max(1.0, abs(own))
    return bool(own is not None and own == said)


def _guessed_scale(config: Any) -> list[str]:
    """Gemma's scale is in no file: it is that of a head, or of an equal share of the model."""
    scale = getattr(config, "query_pre_attn_scalar", None)
    known = (None, _head_width(config), config.hidden_size / config.num_attention_heads)
    return [] if scale in known else [f"query_pre_attn_scalar = {scale}"]


def _unread(reader: Any) -> Iterator[str]:
    """Keys that change nothing of the configuration when they are changed."""
    entries = {key: _entry(key, field) for key, field in reader.fields.items()}
    layers = re.compile(r"\.[1-9]\d*\.")  # names of the first layer's tensors stand for all
    tensors = [tensor.name for tensor in reader.tensors if not layers.search(tensor.name)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "metadata.gguf"
        before = _configuration(entries, tensors, file)
        for key, (value, *kinds) in entries.items():
            if key.startswith(_BESIDE):
                continue
            changed = {**entries, key: (_other(value), *kinds)}
            if _configuration(changed, tensors, file) == before:
                yield key


def _entry(key: str, field: Any) -> tuple[Any, Any, Any]:
    """Value, type, and type of the items of a list; of a vocabulary its beginning will do."""
    from gguf import GGUFValueType

    if field.types[0] != GGUFValueType.ARRAY:
        return field.contents(), field.types[0], None
    some = slice(0, 4) if key.startswith("tokenizer.") else slice(None)
    return field.contents(some), field.types[0], field.types[-1]


def _configuration(
    entries: Mapping[str, tuple[Any, Any, Any]], tensors: Sequence[str], file: Path
) -> Any:
    """The configuration that transformers makes of metadata, and of the names of tensors."""
    from transformers import AutoConfig

    _write_metadata(entries, tensors, file)
    try:
        return AutoConfig.from_pretrained(file.parent, gguf_file=file.name).to_dict()
    except Exception as error:  # whatever it is: the key was read, and is wrong as it is now
        return str(error)


def _write_metadata(
    entries: Mapping[str, tuple[Any, Any, Any]], tensors: Sequence[str], file: Path
) -> None:
    """A file of metadata in which every tensor is a single number."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(file, entries["general.architecture"][0])
    for key, (value, kind, inner) in entries.items():
        if not key.startswith("GGUF.") and key != "general.architecture" and value != []:
            writer.add_key_value(key, value, kind, inner)
    for name in tensors:
        writer.add_tensor(name, np.zeros(1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value}-other"
    if isinstance(value, list) and value:
        return [_other(value[0]), *value[1:]]
    return value if isinstance(value, list) else value + 1
