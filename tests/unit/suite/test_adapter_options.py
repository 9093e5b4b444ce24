"""Options of adapters by PEFT's own names, and several trainings of one suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from pydantic import ValidationError

from harness.suite.arguments import argument_problems, training_problems
from harness.suite.peft_types import PEFT_TYPES, method_words
from harness.suite.spec import Suite, TrainSpec

PROMPT = {"peft_type": "PROMPT_TUNING", "peft": {"num_virtual_tokens": 4}}
ADALORA = {"peft_type": "ADALORA", "args": {"max_steps": 10}}
BASE = {
    "name": "several",
    "base": {"model": "tiny:llama"},
    "data": {"source": "x.jsonl"},
    "prompt": {"prompt": "{{ a }}", "completion": "{{ b }}"},
    "tasks": {"held_out": {"type": "perplexity"}},
}


def told(train: dict[str, Any]) -> str:
    return "\n".join(f"{key} {words}" for key, words in argument_problems(TrainSpec(**train)))


def suite(train: dict[str, Any], **more: Any) -> Suite:
    return Suite.model_validate({**BASE, "train": train, **more})


def test_every_method_is_called_as_peft_calls_it() -> None:
    """By the name of its configuration, too."""
    for name, method in PEFT_TYPES.items():
        assert PEFT_TYPE_TO_CONFIG_MAPPING[name].__name__ == method.config
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "training.md").read_text("utf-8")
    assert [name for name in PEFT_TYPES if f"`{name}`" not in guide] == []
    assert TrainSpec(peft_type="prefix-tuning").peft_type == "PREFIX_TUNING"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (
            {"peft_type": "IA3", "peft": {"target_module": "x"}},
            "IA3Config. Did you mean target_mod",
        ),
        ({**PROMPT, "peft": {}}, "num_virtual_tokens must be a number of tokens"),
        ({**PROMPT, "peft": {"num_virtual_tokens": "4"}}, "must be int, found '4'"),
        ({**PROMPT, "args": {"packing": True}}, "train.args.packing puts rows into one sequence"),
        (
            {"peft_type": "PREFIX_TUNING", "args": {"gradient_checkpointing": True}},
            "train.args.gradient_checkpointing computes layers again",
        ),
        ({**PROMPT, "lora": {"r": 4}}, "train.lora holds LoRA's options, but"),
        ({"peft": {"r": 4}}, "train.peft holds options of other methods"),
        ({"method": "full", "peft_type": "IA3"}, "train.peft_type needs an adapter"),
        ({"peft_type": "LOHA"}, "train.method is qlora, but PEFT has no 4-bit layers of LOHA"),
        ({**ADALORA, "peft": {"r": 4}}, "train.peft.r is not used by AdaLoRA"),
        ({**ADALORA, "peft": {"target_r": 12}}, "target_r must lie between 0 and init_r"),
        ({**ADALORA, "peft": {"tinit": 4, "tfinal": 6}}, "leave none of 10 steps"),
        ({**ADALORA, "peft": {"total_step": 9}}, "train.peft.total_step is not set here"),
        ({"lora": {"task_type": "SEQ_CLS"}}, "train.lora.task_type is not set here"),
    ],
)
def test_what_is_wrong_is_told(train: dict[str, Any], words: str) -> None:
    """With its key, before anything is loaded."""
    assert words in told(train)


@pytest.mark.parametrize(
    "train",
    [
        PROMPT,
        ADALORA,
        {"lora": {"task_type": "CAUSAL_LM", "inference_mode": False, "use_dora": True}},
        {"peft_type": "VERA", "peft": {"r": 16, "d_initial": "1e-1", "modules_to_save": None}},
    ],
)
def test_what_is_right_is_taken(train: dict[str, Any]) -> None:
    """Numbers that YAML reads as texts as well."""
    assert told(train) == ""


def test_virtual_tokens_are_not_merged() -> None:
    """Unless the suite says so, which is refused elsewhere."""
    assert suite(PROMPT).matrix.merged == "none"
    assert suite({"peft_type": "LILY"}).matrix.merged == "none"
    assert suite({"peft_type": "IA3"}).matrix.merged == "best"


def test_each_of_several_trainings_is_what_it_would_be_alone() -> None:
    """So it shares the key of a suite that names no methods."""
    shared = {"lora": {"r": 8, "lora_alpha": 64}, "args": {"max_steps": 4}}
    methods = {
        "full": {"method": "full", "args": {"learning_rate": 1e-5}},
        "small": {"lora": {"r": 4}},
        "ia3": {"method": "lora", "peft_type": "ia3"},
    }
    made = suite({**shared, "methods": methods})
    again = Suite.model_validate(made.model_dump(mode="json"))
    for read in (made, again):
        assert read.trainings == {
            "full": TrainSpec(
                method="full", lora=shared["lora"], args={"max_steps": 4, "learning_rate": 1e-5}
            ),
            "small": TrainSpec(lora={"r": 4, "lora_alpha": 64}, args={"max_steps": 4}),
            "ia3": TrainSpec(method="lora", peft_type="IA3", args={"max_steps": 4}),
        }
        precisions = [read.precision_of(name) for name in read.trainings]
        assert (read.matrix.base, precisions) == (["auto", "nf4"], ["fp32", "nf4", "auto"])
        assert read.matrix.merged == "best"
    assert TrainSpec().model_dump().keys() & {"peft_type", "peft", "methods"} == set()


def test_a_mistake_in_a_method_is_told_where_it_stands() -> None:
    """And one that is shared where that stands."""
    methods = {"a": {"args": {"learning_rat": 1}}, "b": {}}
    problems = [
        key for key, _ in training_problems(suite({"args": {"nosuch": 1}, "methods": methods}))
    ]
    assert problems == [
        "train.args.nosuch",
        "train.methods.a.args.learning_rat",
        "train.args.nosuch",
    ]


def test_a_method_that_lora_does_not_take_is_refused() -> None:
    """By LoRA's own limits."""
    with pytest.raises(ValidationError, match="greater than 0"):
        suite({"methods": {"a": {"lora": {"r": 0}}}})
    with pytest.raises(ValidationError, match="nothing is trained here"):
        Suite.model_validate({**BASE, "checkpoints": "x", "matrix": {"adapters": "trained"}})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("prefix_tunning", "Did you mean PREFIX_TUNING"),
        ("DoRA", "use_dora: true"),
        ("CPT", "no method that PEFT trains here"),
    ],
)
def test_a_method_that_there_is_not_is_refused(name: str, words: str) -> None:
    """With what was meant."""
    with pytest.raises(ValidationError, match=words):
        TrainSpec(peft_type=name)  # type: ignore[arg-type]


def test_words_for_methods() -> None:
    """As people call them."""
    assert method_words("full", None) == "full fine-tuning"
    assert method_words("qlora", None) == "QLoRA"
    assert method_words("lora", "LORA") == "LoRA"
    assert method_words("qlora", "IA3") == "IA3 on 4 bits"
    assert method_words("lora", "NEW") == "NEW"
