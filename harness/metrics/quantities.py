"""Every measured quantity: name, unit, which way it gets better, and meaning. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_HIGHER_IS_BETTER = {"tok/s": True, "s": False, "bytes": False}


@dataclass(frozen=True)
class MeasuredQuantity:
    """A quantity that a measurement can have."""

    name: str  # as suites and records have it
    label: str  # its name within a sentence
    unit: str  # of its values; of a price it is the suite's currency
    meaning: str  # what it is in plain words, for the glossary

    @property
    def is_timed(self) -> bool:
        """Whether it depends on what else the machine does: a time, or a speed."""
        return self.unit in ("s", "tok/s")


def _table(text: str) -> Mapping[str, MeasuredQuantity]:
    """Quantities by name, each a line of name, label and unit, and its meaning below that."""
    rows = []
    for paragraph in text.strip().split("\n\n"):
        head, _, meaning = paragraph.partition("\n")
        name, label, unit = map(str.strip, head.split("|"))
        rows.append(MeasuredQuantity(name, label, unit, " ".join(meaning.split())))
    return MappingProxyType({row.name: row for row in rows})


# in the order in which they are shown
MEASURED = _table("""
weights_bytes | memory of the weights | bytes
Memory the weights themselves take: parameters, buffers and quantization constants as stored (4-bit
weights packed), tied weights counted once.

peak_allocated_bytes | peak allocated GPU memory | bytes
Most GPU memory held by tensors at once during generation at these sizes, weights included.

peak_reserved_bytes | peak reserved GPU memory | bytes
Most GPU memory PyTorch's allocator held at once during generation at these sizes: tensors, caching
and fragmentation, not the CUDA context.

peak_rss_bytes | peak resident memory | bytes
Highest resident memory of the process from loading to the last call, libraries included: what the
machine must have, for loading often needs more than generating. Memory-mapped model files count
while they are resident.

peak_rss_inference_bytes | peak resident memory while generating | bytes
Highest resident memory of the process during generation at these sizes, weights and libraries
included, loading not.

rss_before_load_bytes | resident memory before loading | bytes
Memory of the process (resident set) after the libraries are imported and before the model is
loaded.

kv_cache_bytes_per_token | KV cache per token | bytes
Memory the attention cache takes per token of a sequence, read from the cache at the end of a call.

prefill_tokens_per_s | prefill speed | tok/s
Prompt tokens of the whole batch divided by the time of the forward pass that reads them. The
prompts hold no padding.

decode_tokens_per_s | decode speed | tok/s
New tokens after the first, of the whole batch, divided by the time from the first to the last of
them.

ttft_s | time to first token | s
Time to first token: from the start of the call until the first new token is known. Tokenizing is
not part of it: prompts are token ids.

itl_s | inter-token latency | s
Inter-token latency: time between two consecutive new tokens of a sequence. One value per pair of
tokens, repeat after repeat.

tpot_s | time per output token | s
Time per output token: (end-to-end time - time to first token) / (new tokens - 1), one value per
repeat.

e2e_s | end-to-end time | s
End-to-end time of one call: from its start until the last new token is known. Equals time to first
token plus all inter-token latencies.

load_s | load time | s
Time to load the model in a fresh process, quantization included. Python imports and device start-up
come before; the operating system may hold the files in memory already.

first_call_s | time of the first call | s
Time of the first generation after loading, with its one-time costs. It is not part of any
steady-state figure.

load_average | load average | processes
Processes wanting a CPU, averaged over a minute, before loading and after the last measurement; the
measurement itself raises the second.
""")
"""What is measured, by name.

Source:
    Prefill, decode, TTFT, ITL and TPOT as in the vLLM and llama.cpp benchmarks; where those two
    differ, the meaning says which tokens and which time are divided.
"""

_PRICES = _table("""
price_per_million_prompt_tokens | price per million prompt tokens |
Price per hour of the machine divided by the prompt tokens it reads in an hour, times a million. The
machine is taken to be busy all the time.

price_per_million_new_tokens | price per million new tokens |
Price per hour of the machine divided by the new tokens it writes in an hour, times a million,
reading the prompts aside. The machine is taken to be busy all the time.
""")

QUANTITIES = MappingProxyType({**MEASURED, **_PRICES})
"""What is measured, and what is worked out of it."""


def measured_name(name: str) -> str:
    """A quantity's name within a sentence; its own where it has no other."""
    return QUANTITIES[name].label if name in QUANTITIES else name


def unit_of(name: str) -> str:
    """The unit of a quantity's values: what a bound means before anything is measured."""
    return MEASURED[name].unit if name in MEASURED else ""


def better_higher(unit: str) -> bool:
    """Whether more of a quantity of this unit is known to be better."""
    return _HIGHER_IS_BETTER.get(unit, False)


def has_direction(unit: str) -> bool:
    """Whether it is known which way a quantity of this unit gets better."""
    return unit in _HIGHER_IS_BETTER
