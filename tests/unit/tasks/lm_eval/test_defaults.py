"""What a suite does not say is as lm-eval has it; a version that changes a default shows here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from harness.suite.spec import LmEvalTask

pytest.importorskip("lm_eval")

from lm_eval.config.evaluate_config import EvaluatorConfig
from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM

# Asked for by the same name, with the same default; of turns, lm-eval's own rule is tested below.
SAME: dict[str, Any] = {
    "num_fewshot": None,
    "limit": None,
    "system_instruction": None,
    "apply_chat_template": False,
}
# Known, and why a suite does not have it, or has another default.
OTHERS: dict[str, tuple[Any, str]] = {
    "fewshot_as_multiturn": (True, "ignored there without a chat template, refused here"),
    "gen_kwargs": (None, "an empty mapping here"),
    "batch_size": (None, "8 here; changes no score"),
    "max_batch_size": (None, "of automatic batch sizes"),
    "bootstrap_iters": (100_000, "left as it is"),
    "log_samples": (True, "always; a copy of this default is evaluate's"),
    "random_seed": (0, "the suite's seed"),
    "numpy_random_seed": (1234, "the suite's seed"),
    "torch_random_seed": (1234, "the suite's seed"),
    "fewshot_random_seed": (1234, "the suite's seed"),
    "tasks": (None, "one at a time"),
    "samples": (None, "not offered"),
    "predict_only": (False, "not offered"),
    "metadata": (None, "not offered"),
    "confirm_run_unsafe_code": (False, "refused"),
    "model_args": (None, "the base of the suite"),
    "device": (None, "the base of the suite"),
    "task_manager": (None, "made here"),
    "evaluation_tracker": (None, "records are kept here"),
    "use_cache": (None, "results are kept by key"),
    "cache_requests": (False, "results are kept by key"),
    "rewrite_requests_cache": (False, "results are kept by key"),
    "delete_requests_cache": (False, "results are kept by key"),
    "check_integrity": (False, "of lm-eval's own tests"),
    "write_out": (False, "of the terminal"),
    "verbosity": (None, "of the terminal"),
}
# Of lm-eval's model: what changes a score and is left as it is, but for the softmax.
OF_MODEL: dict[str, Any] = {
    "truncation": False,
    "logits_cache": True,
    "max_length": None,
    "softmax_dtype": None,  # float32 here: in bf16, near-ties between choices become ties
    "mixed_precision_dtype": None,
    "add_bos_token": None,
    "prefix_token_id": None,
    "think_end_token": None,
    "enable_thinking": None,
    "chat_template_args": None,
}
OF_MODEL_OTHERS = {
    *("pretrained", "backend", "revision", "subfolder", "tokenizer", "device", "dtype"),
    *("batch_size", "max_batch_size", "trust_remote_code", "use_fast_tokenizer", "parallelize"),
    *("max_memory_per_gpu", "max_cpu_memory", "offload_folder", "tp_plan", "peft", "delta"),
    *("autogptq", "gptqmodel", "gguf_file", "kwargs"),
}


def defaults(call: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(call).parameters
    return {
        name: parameter.default for name, parameter in parameters.items() if name not in ("self",)
    }


def test_defaults_are_lm_evals() -> None:
    """Each argument of simple_evaluate is known, with its default of the tested version."""
    theirs = defaults(simple_evaluate)
    del theirs["model"]
    assert theirs == SAME | {name: default for name, (default, _) in OTHERS.items()}
    ours = LmEvalTask(type="lm_eval", task="any")
    assert {name: getattr(ours, name) for name in SAME} == SAME


@pytest.mark.parametrize("chat", [True, False])
def test_shots_are_turns_where_lm_evals_command_line_makes_them_turns(chat: bool) -> None:
    """With a chat template, unless the suite says otherwise."""
    theirs = EvaluatorConfig(tasks=["any"], apply_chat_template=chat)
    theirs._validate_arguments()
    ours = LmEvalTask(type="lm_eval", task="any", apply_chat_template=chat)
    assert ours.fewshot_as_multiturn is bool(theirs.fewshot_as_multiturn) is chat
    said = LmEvalTask(
        type="lm_eval", task="any", apply_chat_template=True, fewshot_as_multiturn=False
    )
    assert said.fewshot_as_multiturn is False


def test_suites_without_a_chat_template_keep_their_run_ids() -> None:
    """What a suite resolves to is what it was."""
    assert LmEvalTask(type="lm_eval", task="any").model_dump()["fewshot_as_multiturn"] is False


def test_the_model_is_as_lm_eval_makes_it() -> None:
    """What lm-eval's model does by default is known, too."""
    theirs = defaults(HFLM.__init__)
    assert theirs.keys() == OF_MODEL.keys() | OF_MODEL_OTHERS
    assert {name: theirs[name] for name in OF_MODEL} == OF_MODEL
