"""Plain-words definitions of every measured quantity, for the report's glossary. Torch-free."""

from __future__ import annotations

_DEFINITIONS: dict[str, str] = {
    "load_s": "Time to load the model in a fresh process, quantization included. Python imports "
    "and device start-up come before; the operating system may hold the files in memory already.",
    "first_call_s": "Time of the first generation after loading, with its one-time costs. It is "
    "not part of any steady-state figure.",
    "prefill_tokens_per_s": "Prompt tokens of the whole batch divided by the time of the forward "
    "pass that reads them. The prompts hold no padding.",
    "ttft_s": "Time to first token: from the start of the call until the first new token is known. "
    "Tokenizing is not part of it: prompts are token ids.",
    "decode_tokens_per_s": "New tokens after the first, of the whole batch, divided by the time "
    "from the first to the last of them.",
    "itl_s": "Inter-token latency: time between two consecutive new tokens of a sequence. One "
    "value per pair of tokens, repeat after repeat.",
    "tpot_s": "Time per output token: (end-to-end time - time to first token) / (new tokens - 1), "
    "one value per repeat.",
    "e2e_s": "End-to-end time of one call: from its start until the last new token is known. "
    "Equals time to first token plus all inter-token latencies.",
    "weights_bytes": "Memory the weights themselves take: parameters, buffers and quantization "
    "constants as stored (4-bit weights packed), tied weights counted once.",
    "kv_cache_bytes_per_token": "Memory the attention cache takes per token of a sequence, read "
    "from the cache at the end of a call.",
    "rss_before_load_bytes": "Memory of the process (resident set) after the libraries are "
    "imported and before the model is loaded.",
    "peak_rss_bytes": "Highest resident memory of the process from loading to the last call, "
    "libraries included: what the machine must have, for loading often needs more than generating. "
    "Memory-mapped model files count while they are resident.",
    "peak_rss_inference_bytes": "Highest resident memory of the process during generation at these "
    "sizes, weights and libraries included, loading not.",
    "peak_allocated_bytes": "Most GPU memory held by tensors at once during generation at these "
    "sizes, weights included.",
    "peak_reserved_bytes": "Most GPU memory PyTorch's allocator held at once during generation at "
    "these sizes: tensors, caching and fragmentation, not the CUDA context.",
    "load_average": "Processes wanting a CPU, averaged over a minute, before loading and after the "
    "last measurement; the measurement itself raises the second.",
}


def definitions() -> dict[str, str]:
    """Name of every quantity a measurement can have, and what it means in plain words.

    Source:
        Prefill, decode, TTFT, ITL and TPOT as in the vLLM and llama.cpp benchmarks; where those
        two differ, the text says which tokens and which time are divided.
    """
    return dict(_DEFINITIONS)
