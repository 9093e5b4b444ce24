"""Tiny models of many architectures, lm-eval requests of many shapes, and lm-eval's own answers.

lm-eval's ``HFLM`` is the reference everywhere: it runs every request in a row of its own, without
any reuse of keys and values.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import processors
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

from harness.engines.loglikelihood import PrefixSharingLM

Pair = tuple[str, str]  # context, continuation
TokenPair = tuple[None, list[int], list[int]]
Answers = Sequence[tuple[float, bool]]

TOLERANCE = 1e-4  # nats; the reference itself moves by 2e-5 between batch sizes
WINDOW = 8  # tokens; most requests are longer

# Initialised ten times wider than usual: with 0.02 a tiny model's logits are so flat that a wrong
# mask or position would change them by less than the tolerance.
_SHAPE: dict[str, Any] = {
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
_SLIDING = {"sliding_window": WINDOW}
_BOTH_KINDS = {"layer_types": ["sliding_attention", "full_attention"]}
_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

# What the engine must take in trees.
TREE: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "phi": {},
    "gpt_neox": {"num_key_value_heads": None},
    "gpt2": {"num_key_value_heads": None, "n_inner": 128},
    "opt": {
        "num_key_value_heads": None,
        "ffn_dim": 128,
        "word_embed_proj_dim": 64,
        "init_std": 0.2,
    },
    "mistral": _SLIDING,
    "gemma3_text": _SLIDING | _BOTH_KINDS | {"head_dim": 16, "query_pre_attn_scalar": 16},
}
# What it may take in any way that is right.
OTHERS: dict[str, dict[str, Any]] = {
    "biogpt": {},
    "cohere": {},
    "cohere2": _SLIDING | _BOTH_KINDS,
    "ctrl": {"n_embd": 64, "n_layer": 2, "n_head": 4, "dff": 128},
    "ernie4_5": {},
    "exaone4": _SLIDING | _BOTH_KINDS,
    "falcon": {},
    "gemma": {"head_dim": 16},
    "gemma2": _SLIDING | {"head_dim": 16, "query_pre_attn_scalar": 16},
    "glm4": {"head_dim": 16},
    "gpt_bigcode": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "gpt_oss": _SLIDING | _BOTH_KINDS | {"num_local_experts": 4, "head_dim": 16},
    "gptj": {"rotary_dim": 8, "num_key_value_heads": None},
    "granite": {},
    "llama4_text": {"attention_chunk_size": WINDOW, "head_dim": 16, "num_local_experts": 2},
    "mixtral": {"num_local_experts": 4},
    "modernbert-decoder": {"local_attention": WINDOW, "global_attn_every_n_layers": 2},
    "olmo2": {},
    "persimmon": {"num_key_value_heads": None},
    "phi3": {},
    "qwen3": {"head_dim": 16},
    "qwen3_moe": _MOE | {"head_dim": 16},
    "smollm3": {},
    "stablelm": {},
    "starcoder2": _SLIDING,
    "xglm": {"d_model": 64, "ffn_dim": 128, "num_layers": 2, "attention_heads": 4},
}
# What has no positions to be told, or a state instead of keys and values.
ALIBI: dict[str, dict[str, Any]] = {
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"alibi": True},
    "mpt": {"d_model": 64, "n_heads": 4, "n_layers": 2, "max_seq_len": 1024},
}
RECURRENT: dict[str, dict[str, Any]] = {
    "mamba": {"state_size": 8},
    "rwkv": {"attention_hidden_size": 64},
    "falcon_h1": {
        "mamba_d_state": 8,
        "mamba_n_heads": 4,
        "mamba_d_head": 32,
        "mamba_d_ssm": 128,
        "mamba_n_groups": 1,
    },
    "jamba": {
        "num_experts": 2,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 8,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "qwen3_next": _MOE
    | {
        "layer_types": ["linear_attention", "full_attention"],
        "head_dim": 16,
        "shared_expert_intermediate_size": 32,
        "linear_num_value_heads": 2,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
    },
}


def build(architecture: str, **options: Any) -> Any:
    """A random model in fp32, of two layers.

    Args:
        architecture: transformers' ``model_type``.
        options: Changes of the configuration; None leaves a key out. ``attn_implementation`` and
            ``seed`` are not part of it.
    """
    attention = options.pop("attn_implementation", None)
    seed = options.pop("seed", 0)
    shape = {name: value for name, value in (_SHAPE | options).items() if value is not None}
    config = AutoConfig.for_model(architecture, **shape)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    chosen = {"attn_implementation": attention} if attention else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind.from_config(config, dtype=torch.float32, **chosen)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):  # zeros at the start, which would hide that one is left out
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@cache
def tree_model(architecture: str) -> Any:
    """The session's model of an architecture in ``TREE``; not to be changed."""
    return build(architecture, **TREE[architecture])


def without_bos(tokenizer: Any) -> Any:
    """A copy of a tokenizer that puts nothing in front."""
    changed = copy.deepcopy(tokenizer)
    changed.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return changed


def stock(
    model: Any,
    tokenizer: Any,
    *,
    max_length: int | None = None,
    batch_size: int = 8,
    logits_cache: bool = False,
) -> HFLM:
    """lm-eval's own model class.

    Without its cache of logits, if not said otherwise: with it, lm-eval 0.4.13 adds up the wrong
    tokens for requests that are equal as a whole and split at different places. Tasks do not make
    such requests; the tests do.
    """
    return HFLM(
        pretrained=model,
        tokenizer=copy.deepcopy(tokenizer),
        max_length=max_length,
        batch_size=batch_size,
        softmax_dtype="float32",
        logits_cache=logits_cache,
    )


def ours(
    model: Any, tokenizer: Any, *, max_length: int | None = None, **options: Any
) -> PrefixSharingLM:
    """The engine under test."""
    lm = PrefixSharingLM(model, tokenizer, **{"batch_size": 8, "device": "cpu", **options})
    lm._max_length = max_length
    return lm


def instances(requests: Sequence[tuple[Any, ...]], kind: Any = "loglikelihood") -> list[Instance]:
    """Requests as lm-eval's tasks make them."""
    return [
        Instance(request_type=kind, doc={}, arguments=arguments, idx=0, metadata=("t", index, 1))
        for index, arguments in enumerate(requests)
    ]


def answers(lm: HFLM, requests: Sequence[Pair]) -> Answers:
    """Log-likelihoods of text requests."""
    given: Answers = lm.loglikelihood(instances(requests), disable_tqdm=True)
    return given


def token_answers(lm: HFLM, requests: Sequence[TokenPair]) -> Answers:
    """Log-likelihoods of requests that are encoded already."""
    given: Answers = lm._loglikelihood_tokens(list(requests), disable_tqdm=True)
    return given


def assert_same(
    found: Answers, expected: Answers, requests: Sequence[Any], tolerance: float = TOLERANCE
) -> None:
    """Every log-likelihood is within the tolerance and every greedy flag is equal."""
    assert len(found) == len(expected) == len(requests)
    wrong = [
        f"request {index} {request!r}: {mine} instead of {theirs}"
        for index, (request, mine, theirs) in enumerate(zip(requests, found, expected, strict=True))
        if not abs(mine[0] - theirs[0]) <= tolerance or mine[1] is not theirs[1]
    ]
    assert not wrong, f"{len(wrong)} of {len(requests)} are wrong:\n" + "\n".join(wrong[:5])


def choices(requests: Sequence[Pair], given: Answers) -> list[tuple[str, str]]:
    """What acc and acc_norm compare with the label: the best choice of each document.

    Requests with one context are the choices of one document. The first is the likeliest one, the
    second the likeliest per character, as lm-eval divides.
    """
    documents: dict[str, dict[str, float]] = {}
    for (context, continuation), (value, _) in zip(requests, given, strict=True):
        documents.setdefault(context, {})[continuation] = value
    return [
        (max(values, key=lambda c: values[c]), max(values, key=lambda c: values[c] / len(c)))
        for values in documents.values()
    ]


# --- requests ------------------------------------------------------------------------------------

_WORDS = (
    *("the", "a", "of", "to", "in", "for", "is", "and", "or", "not", "value", "file", "name"),
    *("list", "path", "key", "index", "string", "object", "class", "method", "return", "raise"),
    *("error", "module", "function", "argument", "default", "optional", "open", "read", "write"),
    *("close", "number", "integer", "empty", "first", "last", "each", "every", "call", "set"),
)


def sentence(rng: random.Random, words: int) -> str:
    """Words of the tiny tokenizer's own training text, in random order."""
    return " ".join(rng.choices(_WORDS, k=words)).capitalize() + "."


def ending_requests(documents: int = 5, *, shots: int = 0, words: int = 24) -> list[Pair]:
    """HellaSwag's shape: four endings of several tokens; the shots are each document's own."""
    rng = random.Random(f"endings {shots}")
    requests = []
    for _ in range(documents):
        parts = [sentence(rng, words) for _ in range(shots + 1)]
        context = "\n\n".join(parts)
        requests += [(context, f" {sentence(rng, rng.randint(3, 12))}") for _ in range(4)]
    return requests


def letter_requests(
    subjects: int = 2, questions: int = 4, *, shots: int = 3, letters: str = "ABCD"
) -> list[Pair]:
    """MMLU's shape: one long stem per subject, and answers of one token."""
    rng = random.Random("letters")

    def question() -> str:
        lines = [sentence(rng, rng.randint(6, 14))]
        lines += [f"{letter}. {sentence(rng, 3)}" for letter in letters]
        return "\n".join([*lines, "Answer:"])

    requests = []
    for _ in range(subjects):
        stem = "".join(f"{question()} {rng.choice(letters)}\n\n" for _ in range(shots))
        for _ in range(questions):
            context = stem + question()
            requests += [(context, f" {letter}") for letter in letters]
    return requests


_CONTEXT = "Return the value of the given key"
EDGE_CASES: list[Pair] = [
    ("", "Open a file"),
    ("", " open"),
    ("", "<s>Open a file"),  # BOS itself is the context then
    ("<s>Open a file", " and read it"),  # no second BOS is put in front
    ("Open a file", " and read it"),
    # repeated, at once and later
    (_CONTEXT, ", or raise an error"),
    (_CONTEXT, ", or raise an error"),
    # one continuation is a prefix of another, and one context of another
    (_CONTEXT, ", or raise"),
    (_CONTEXT, ", or raise an error and close the file."),
    ("Return the value", " of the given key"),
    ("Return", " the value of the given list"),
    # the same tokens as before, as a context
    (f"{_CONTEXT}, or raise an error", " of the class"),
    # spaces and line ends belong to whichever side lm-eval's encoding puts them
    (f"{_CONTEXT} ", "and close"),
    (f"{_CONTEXT}  ", "  and close"),
    (f"{_CONTEXT}\n", "and close"),
    (f"{_CONTEXT}\n\n", "\n"),
    ("Return the val", "ue of it"),  # "value" is one token
    (_CONTEXT, " "),
    ("\u00e9\u4e2d\U0001f600", " \u00e9\U0001f600"),
    (_CONTEXT, ", or raise an error"),
]


def mixed_requests() -> list[Pair]:
    """Requests of all shapes, in no particular order."""
    shapes = [
        ending_requests(4),
        ending_requests(2, shots=2),
        letter_requests(2, 3, shots=2, letters="ABC"),
        letter_requests(1, 1, shots=0),
        EDGE_CASES,
    ]
    requests = [pair for shape in shapes for pair in shape]
    random.Random("mixed").shuffle(requests)
    return requests


@cache
def expected_answers(architecture: str, tokenizer: Any, max_length: int | None = None) -> Answers:
    """lm-eval's own answers to ``mixed_requests`` from a model in ``TREE``."""
    lm = stock(tree_model(architecture), tokenizer, max_length=max_length)
    return answers(lm, mixed_requests())


ROLLING: list[tuple[str]] = [
    (sentence(random.Random("long"), 90),),
    ("Open",),
    (sentence(random.Random("short"), 9),),
    (sentence(random.Random("short"), 9),),
    (sentence(random.Random("short"), 9) + " And close",),
    ("<s>Open a file and read it",),
]


def greedy_requests(model: Any, *, contexts: int = 6, tokens: int = 4) -> list[TokenPair]:
    """Token requests whose answer is the model's own greedy text, whole, in part, and spoiled."""
    rng = random.Random("greedy")
    requests: list[TokenPair] = []
    for number in range(contexts):
        context = [rng.randrange(3, 2048) for _ in range(3 + 5 * number)]
        text = list(context)
        for _ in range(tokens):
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([text]), use_cache=False).logits
            text.append(int(logits[0, -1].argmax()))
        best = text[len(context) :]
        other = (best[-1] + 1) % 2048
        requests += [
            (None, context, best),
            (None, context, best[:1]),
            (None, context, [*best[:-1], other]),
            (None, context, [other, *best[1:]]),
            (None, [*context, best[0]], [*best[1:], other]),
        ]
    return requests


def inputs_of(lm: HFLM, requests: Sequence[Pair]) -> list[tuple[tuple[int, ...], int]]:
    """What lm-eval feeds the model for each request, and how many of its last outputs it scores."""
    encoded = []
    for context, continuation in requests:
        ids, scored = lm._encode_pair(context, continuation)
        encoded.append((tuple((ids + scored)[-(lm.max_length + 1) :][:-1]), len(scored)))
    return encoded


# --- what a forward pass costs -------------------------------------------------------------------


@dataclass
class Work:
    """Counts of what a model computed.

    Attributes:
        passes: Tokens (padding included) of every forward pass that was begun, in order.
        widest: Most tokens of one row of them.
        tokens: Tokens of the passes that the first layer completed.
        head_rows: Hidden states that were turned into logits.
        largest_logits: Rows of the largest single block of logits.
    """

    passes: list[int] = field(default_factory=list)
    widest: int = 0
    tokens: int = 0
    head_rows: int = 0
    largest_logits: int = 0


@contextmanager
def counted(model: Any, *, memory: Callable[[Work], int] | None = None) -> Iterator[Work]:
    """Count the work of a model, which may be given only so much memory.

    Args:
        model: It must have ``get_input_embeddings`` and a list of layers under its decoder.
        memory: Called at the start of every pass with the work so far; a pass of more tokens
            than it returns is out of memory.
    """
    work = Work()

    def begin(_module: Any, args: tuple[Any, ...]) -> None:
        work.passes.append(args[0].numel())
        work.widest = max(work.widest, args[0].shape[-1])
        if memory is not None and args[0].numel() > memory(work):
            raise torch.OutOfMemoryError("simulated")

    def layer(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], _output: Any) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        work.tokens += hidden.shape[:-1].numel()

    def head(_module: Any, args: tuple[Any, ...], _output: Any) -> None:
        rows = args[0].shape[:-1].numel()
        work.head_rows += rows
        work.largest_logits = max(work.largest_logits, rows)

    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    hooks = [
        model.get_input_embeddings().register_forward_pre_hook(begin),
        lists[0][0].register_forward_hook(layer, with_kwargs=True),
        model.get_output_embeddings().register_forward_hook(head),
    ]
    try:
        yield work
    finally:
        for hook in hooks:
            hook.remove()
