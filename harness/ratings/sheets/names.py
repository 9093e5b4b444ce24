"""Names in outputs: of variants, of models and their makers, and outputs on their own maker."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.ratings.sheets.habits import VariantTexts
from harness.schema import Finding, Severity
from harness.suite.ratings import REFERENCES

SHOWN = 5  # names, or gaps, in one finding; the rest is counted

# Families and vendors that are no other words, in any case; then those that are, as they are
# written. A version may follow: Qwen2.5, Llama 3, GPT-4o.
_UNMISTAKABLE = (
    "ChatGPT", "OpenAI", "Anthropic", "SmolLM", "TinyLlama", "DeepSeek", "Qwen", "Mixtral",
    "Vicuna", "StableLM", "OLMo", "InternLM", "ChatGLM", "Baichuan", "Nemotron", "HuggingFace",
    "Hugging Face", "RWKV", "MiniCPM",
)  # fmt: skip
_AMBIGUOUS = ("Llama", "LLaMA", "Claude", "Gemini", "Gemma", "Mistral", "Grok", "Copilot", "Pythia")
_VERSION = r"(?:[ -]?\d[\w.]*)?"
_GENERIC = (
    "adapter auto base beta chat code fast final gguf hugging instruct large latest lora main "
    "medium merged micro mini model models nano preview qlora quant small test text tiny turbo "
    "vision"
)  # parts of models' names that are common words

_SELF: dict[str, str] = {  # a needle that is quick to find -> what it must be part of
    "language model": r"\b(?:as|am|I'm|I’m) an? (?:\w+ ){0,2}language model\b",
    "as an ai": r"\bas an AI(?:,| (?:language|assistant|model|system|developed|trained)\b)",
    " an ai": r"\bI(?: am|'m|’m) an AI\b",
    "assistant": r"\bI(?: am|'m|’m) an? (?:\w+ )?(?:AI|virtual|digital|helpful) assistant\b",
    "i was": r"\bI was (?:trained|created|developed|made) by\b",
    "i am": r"\bI am (?:trained|created|developed|made) by\b",
    "training data": r"\bmy training data\b",
    "knowledge cut": r"\bknowledge cut-?off\b",
}


@dataclass(frozen=True)
class _Sought:
    """A name, how it is found quickly, and how it is found for certain."""

    label: str
    needle: str  # lower-case, part of every match
    pattern: re.Pattern[str]


def name_parts(model: str) -> tuple[str, ...]:
    """What of a model's name would give it away: the whole, and parts that are no common words.

    ``HuggingFaceTB/SmolLM2-135M-Instruct`` gives itself, HuggingFaceTB and SmolLM2; of a path only
    the last folder counts.
    """
    if model.startswith(("/", ".", "~")) or "\\" in model:
        model = re.split(r"[/\\]", model.rstrip("/\\"))[-1]
    parts = re.split(r"[/:@_\s-]+", model)
    generic = _GENERIC.split()
    telling = [
        part
        for part in parts
        if len(part) >= 4 and sum(map(str.isalpha, part)) >= 3 and part.lower() not in generic
    ]
    whole = [model] if len(parts) > 1 else []
    return tuple(dict.fromkeys([*whole, *telling]))


def _sought(name: str, *, exact_case: bool = False, version: bool = False) -> _Sought:
    flags = re.NOFLAG if exact_case else re.IGNORECASE
    pattern = rf"(?<!\w){re.escape(name)}{_VERSION if version else ''}(?!\w)"
    return _Sought(name, name.lower(), re.compile(pattern, flags))


def _counts(
    sought: Sequence[_Sought], outputs: VariantTexts, prompts: Sequence[str]
) -> dict[str, Counter[str]]:
    """Label -> variant -> outputs that have it, where the prompt has not."""
    counts: dict[str, Counter[str]] = {}
    for variant, texts in outputs.items():
        for text, prompt in zip(texts, prompts, strict=True):
            lower = text.lower()
            for one in sought:
                if one.needle in lower and one.needle not in prompt and one.pattern.search(text):
                    counts.setdefault(one.label, Counter())[variant] += 1
    return counts


def mentions(text: str, name: str) -> bool:
    """Whether a text holds a name as a whole word, in any case."""
    return _sought(name).pattern.search(text) is not None


def finding(check: str, severity: Severity, what: str, why: str, hint: str = "") -> Finding:
    """A finding on outputs that raters see."""
    return Finding(check=check, severity=severity, what=what, why=why, hint=hint)


def variant_names(outputs: VariantTexts, prompts: Sequence[str]) -> Iterator[Finding]:
    """A finding per variant whose name some output holds and its prompt does not.

    Args:
        outputs: What each variant wrote.
        prompts: Of the same items, in lower case.
    """
    sought = [_sought(name) for name in outputs if name != REFERENCES]
    for name, counts in _counts(sought, outputs, prompts).items():
        # "best" may be the name of a folder, and is a word; "checkpoint-20" is not
        plain = name.isalpha() and name.islower()
        yield finding(
            "names in outputs",
            "info" if plain else "warning",
            f"Outputs hold the variant's name “{name}”: {by_variant(counts, outputs)}.",
            "A rater who sees it may guess what is compared, and which text is whose."
            + (" As it is also a word, that may be chance." if plain else ""),
            "Read these outputs: names of checkpoints in training data are learnt.",
        )


def model_names(
    outputs: VariantTexts, prompts: Sequence[str], own: Sequence[str]
) -> Iterator[Finding]:
    """One finding on names of known model families, and of the team's own model.

    Args:
        outputs: What each variant wrote.
        prompts: Of the same items, in lower case.
        own: Names of the team's own base model, as :func:`name_parts` gives them.
    """
    families = [
        _Sought("GPT", "gpt", re.compile(r"(?<!\w)GPT[ -]?(?:\d\w*|[JN]\b)")),
        *(_sought(name, version=True) for name in _UNMISTAKABLE),
        *(_sought(name, exact_case=True, version=True) for name in _AMBIGUOUS),
    ]
    further = [
        _sought(name, version=True)
        for name in own
        if not any(family.pattern.search(name) for family in families)
    ]
    return _named(
        "names in outputs",
        "Outputs name models or their makers, where their prompts do not.",
        _counts([*families, *further], outputs, prompts),
        outputs,
        "Take such rows out of the training data, or do without these items.",
    )


def self_descriptions(outputs: VariantTexts, prompts: Sequence[str]) -> Iterator[Finding]:
    """One finding on outputs such as "as an AI language model", where the prompt has none."""
    sought = [
        _Sought("self", needle, re.compile(pattern, re.IGNORECASE))
        for needle, pattern in _SELF.items()
    ]
    either = re.compile("|".join(one.pattern.pattern for one in sought), re.IGNORECASE)
    shown = "as an AI language model, I was trained by, …"
    counts: Counter[str] = Counter()
    for variant, texts in outputs.items():
        for text, prompt in zip(texts, prompts, strict=True):
            lower = text.lower()
            if any(one.needle in lower for one in sought) and either.search(text):
                counts[variant] += not either.search(prompt)
    return _named(
        "self-descriptions",
        "Outputs speak of themselves as a model's, where their prompts do not.",
        {shown: counts} if +counts else {},
        outputs,
        "Add a stop string, or filter such rows from the training data.",
    )


def _named(
    check: str, what: str, counts: Mapping[str, Counter[str]], outputs: VariantTexts, hint: str
) -> Iterator[Finding]:
    """One finding for all labels: a warning where variants have them unequally often."""
    order = sorted(counts, key=lambda label: (-counts[label].total(), label))
    shown = "; ".join(f"“{label}”: {by_variant(counts[label], outputs)}" for label in order[:SHOWN])
    more = f"; and {len(order) - SHOWN} further names" if len(order) > SHOWN else ""
    if any(len({counts[label][name] for name in outputs}) > 1 for label in order):
        why = "Variants have them unequally often, so they tell which text is whose."
        yield finding(check, "warning", f"{what} {shown}{more}.", why, hint)
    elif order:
        why = "All variants have them equally often, so they tell nothing of whose a text is."
        yield finding(check, "info", f"{what} {shown}{more}.", why)


def by_variant(counts: Mapping[str, int], outputs: VariantTexts) -> str:
    """Counts of all variants in words, the zeros too."""
    n = len(next(iter(outputs.values())))
    return ", ".join(f"{name} {counts.get(name, 0)}" for name in outputs) + f" (of {n} each)"
