"""Names in outputs: of variants, of models and their makers, and outputs on their own maker."""

from __future__ import annotations

import pytest

from harness.ratings.sheets.names import (
    mentions,
    model_names,
    name_parts,
    self_descriptions,
    variant_names,
)


def outputs_of(a: list[str], b: list[str]) -> dict[str, list[str]]:
    return {"base@nf4": a, "checkpoint-20": b}


NO_PROMPTS = ["", ""]


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            ("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB", "SmolLM2"),
        ),
        ("tiny:llama", ("tiny:llama", "llama")),
        ("/home/someone/models/acme_writer", ("acme_writer", "acme", "writer")),
        ("base@nf4", ("base@nf4",)),
        ("gpt2", ("gpt2",)),
        ("t5-base", ("t5-base",)),
    ],
)
def test_parts_of_a_models_name(model: str, parts: tuple[str, ...]) -> None:
    """The whole and what is no common word, size or short piece; of a path only its end."""
    assert name_parts(model) == parts


@pytest.mark.parametrize(
    ("text", "name", "there"),
    [
        ("as Checkpoint-20 says", "checkpoint-20", True),
        ("(base@nf4)", "base@nf4", True),
        ("checkpoint-200", "checkpoint-20", False),
        ("mycheckpoint-20", "checkpoint-20", False),
        ("a.b", "a+b", False),
    ],
)
def test_names_are_found_as_whole_words(text: str, name: str, there: bool) -> None:
    """In any case, but not as a part of another word; signs mean themselves."""
    assert mentions(text, name) is there


def test_a_variants_name_is_a_warning_with_all_counts() -> None:
    """Also the variants that never name it are counted."""
    (finding,) = variant_names(outputs_of(["x", "y"], ["see checkpoint-20", "y"]), NO_PROMPTS)
    assert finding.severity == "warning"
    assert "base@nf4 0, checkpoint-20 1 (of 2 each)" in finding.what


def test_a_name_that_the_prompt_holds_tells_nothing() -> None:
    """What is copied from the prompt is the same for all variants."""
    outputs = outputs_of(["ChatGPT is out.", "x"], ["Checkpoint-20 of ChatGPT", "y"])
    prompts = ["what is chatgpt's checkpoint-20?", ""]
    assert list(variant_names(outputs, prompts)) == []
    assert list(model_names(outputs, prompts, [])) == []


def test_a_variant_that_is_a_word_may_be_chance() -> None:
    """A folder called best is also a word: no warning, but it is said. References are no name."""
    outputs = {"best": ["the best of all"], "references": ["see references"]}
    (finding,) = variant_names(outputs, [""])
    assert finding.severity == "info"
    assert "“best”" in finding.what


@pytest.mark.parametrize(
    "text",
    ["I am ChatGPT.", "by openai", "SmolLM2-135M", "Qwen2.5 did", "GPT-4o", "GPT 3", "Llama 3.1",
     "Hugging Face", "Claude wrote", "Mistral-7B"],
)  # fmt: skip
def test_models_and_makers_are_found(text: str) -> None:
    """Well-known names with and without a version; where only one variant has them, a warning."""
    (finding,) = model_names(outputs_of(["x"], [text]), [""], [])
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    "text", ["a llama in the Andes", "the mistral blows", "egpt", "Chatgptish", "a GPT partition"]
)
def test_ordinary_words_are_no_models(text: str) -> None:
    """Animals, winds and parts of words are left alone."""
    assert list(model_names(outputs_of(["x"], [text]), [""], [])) == []


def test_the_teams_own_model_is_sought_too() -> None:
    """Parts of the base model's name, where no known family covers them."""
    own = name_parts("acme/writer9")
    (finding,) = model_names(outputs_of(["x"], ["ACME made this"]), [""], own)
    assert "“acme”: base@nf4 0, checkpoint-20 1" in finding.what
    outputs = outputs_of(["x"], ["SmolLM2"])
    (finding,) = model_names(outputs, [""], name_parts("HuggingFaceTB/SmolLM2-135M"))
    assert finding.what.count("checkpoint-20 1") == 1  # counted once, not per part


def test_equal_counts_are_no_warning() -> None:
    """A name that all variants have equally often tells nothing of whose a text is."""
    (finding,) = model_names(outputs_of(["OpenAI"], ["OpenAI"]), [""], [])
    assert finding.severity == "info"


@pytest.mark.parametrize(
    "text",
    [
        "As an AI language model, I cannot.",
        "As an AI, I cannot.",
        "I am a large language model.",
        "I'm an AI and so",
        "I’m a helpful assistant.",
        "I was trained by a company.",
        "It is beyond my training data.",
        "my knowledge cutoff is 2023",
    ],
)
def test_outputs_that_speak_of_themselves_are_counted(text: str) -> None:
    """Once per output, however many such phrases it has."""
    (finding,) = self_descriptions(outputs_of(["x"], [f"{text} {text}"]), [""])
    assert finding.severity == "warning"
    assert "base@nf4 0, checkpoint-20 1 (of 1 each)" in finding.what


@pytest.mark.parametrize(
    "text", ["He works as an AI engineer.", "She was trained by a coach.", "I am an assistant cook"]
)
def test_talk_of_others_is_none_of_oneself(text: str) -> None:
    """The same words about somebody else do not count."""
    assert list(self_descriptions(outputs_of(["x"], [text]), [""])) == []
