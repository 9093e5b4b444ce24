"""Every measured quantity: name, meaning, unit, and which way it gets better. Torch-free."""

from __future__ import annotations

_QUANTITIES: dict[str, tuple[str, str]] = {
    "load_s": (
        "load time",
        "Time to load the model in a fresh process, quantization included. Python imports "
        "and device start-up come before; the operating system may hold the files in "
        "memory already.",
    ),
    "first_call_s": (
        "time of the first call",
        "Time of the first generation after loading, with its one-time costs. It is "
        "not part of any steady-state figure.",
    ),
    "prefill_tokens_per_s": (
        "prefill speed",
        "Prompt tokens of the whole batch divided by the time of the forward "
        "pass that reads them. The prompts hold no padding.",
    ),
    "ttft_s": (
        "time to first token",
        "Time to first token: from the start of the call until the first new token is known. "
        "Tokenizing is not part of it: prompts are token ids.",
    ),
    "decode_tokens_per_s": (
        "decode speed",
        "New tokens after the first, of the whole batch, divided by the time "
        "from the first to the last of them.",
    ),
    "itl_s": (
        "inter-token latency",
        "Inter-token latency: time between two consecutive new tokens of a sequence. One "
        "value per pair of tokens, repeat after repeat.",
    ),
    "tpot_s": (
        "time per output token",
        "Time per output token: (end-to-end time - time to first token) / (new tokens - 1), "
        "one value per repeat.",
    ),
    "e2e_s": (
        "end-to-end time",
        "End-to-end time of one call: from its start until the last new token is known. "
        "Equals time to first token plus all inter-token latencies.",
    ),
    "weights_bytes": (
        "memory of the weights",
        "Memory the weights themselves take: parameters, buffers and quantization "
        "constants as stored (4-bit weights packed), tied weights counted once.",
    ),
    "kv_cache_bytes_per_token": (
        "KV cache per token",
        "Memory the attention cache takes per token of a sequence, read "
        "from the cache at the end of a call.",
    ),
    "rss_before_load_bytes": (
        "resident memory before loading",
        "Memory of the process (resident set) after the libraries are "
        "imported and before the model is loaded.",
    ),
    "peak_rss_bytes": (
        "peak resident memory",
        "Highest resident memory of the process from loading to the last call, "
        "libraries included: what the machine must have, for loading often needs more "
        "than generating. Memory-mapped model files count while they are resident.",
    ),
    "peak_rss_inference_bytes": (
        "peak resident memory while generating",
        "Highest resident memory of the process during generation at these "
        "sizes, weights and libraries included, loading not.",
    ),
    "peak_allocated_bytes": (
        "peak allocated GPU memory",
        "Most GPU memory held by tensors at once during generation at these "
        "sizes, weights included.",
    ),
    "peak_reserved_bytes": (
        "peak reserved GPU memory",
        "Most GPU memory PyTorch's allocator held at once during generation at "
        "these sizes: tensors, caching and fragmentation, not the CUDA context.",
    ),
    "load_average": (
        "load average",
        "Processes wanting a CPU, averaged over a minute, before loading and after the "
        "last measurement; the measurement itself raises the second.",
    ),
}
"""Of every quantity a measurement can have: its name within a sentence, and what it means."""

_PRICES = {
    "price_per_million_prompt_tokens": "price per million prompt tokens",
    "price_per_million_new_tokens": "price per million new tokens",
}
_HIGHER_IS_BETTER = {"tok/s": True, "s": False, "bytes": False}


def definitions() -> dict[str, str]:
    """Name of every quantity a measurement can have, and what it means in plain words.

    Source:
        Prefill, decode, TTFT, ITL and TPOT as in the vLLM and llama.cpp benchmarks; where those
        two differ, the text says which tokens and which time are divided.
    """
    return {name: text for name, (_, text) in _QUANTITIES.items()}


def measured_name(name: str) -> str:
    """A measured quantity's name within a sentence; its own where it has no other."""
    return _QUANTITIES[name][0] if name in _QUANTITIES else _PRICES.get(name, name)


def unit_of(name: str) -> str:
    """The unit that a quantity's name ends in: what a bound means before anything is measured."""
    if name.endswith("_tokens_per_s"):
        return "tok/s"
    if "_bytes" in name:
        return "bytes"
    return "s" if name.endswith("_s") else ""


def better_higher(unit: str) -> bool:
    """Whether more of a quantity of this unit is known to be better."""
    return _HIGHER_IS_BETTER.get(unit, False)


def has_direction(unit: str) -> bool:
    """Whether it is known which way a quantity of this unit gets better."""
    return unit in _HIGHER_IS_BETTER
