"""Chats over bases whose templates do not do the usual thing: a learnt answer scores full marks."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM

from harness.console import Reporter
from harness.models import tiny
from harness.run.pipeline import Options, run_suite
from harness.schema import Proof, Score
from harness.store.runs import Store
from harness.validate.suite import read_suite
from tests.e2e.conftest import write_suite

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = {
    "eos is the end of a document": CHATML,
    "reasoning is left out": CHATML.replace("m.content", "m.content.split('</think>')[-1]"),
    "reasoning is put in": CHATML.replace(
        "{{ m.content", "{{ '<think>\n\n</think>\n\n' if m.role == 'assistant' }}{{ m.content"
    ),
}
ANSWERS = ("The cup is red.", "The car is white.")


def save_base(folder: Path, template: str) -> None:
    tokenizer = tiny.tiny_tokenizer()
    tokenizer = type(tokenizer).from_pretrained(save_plain(folder, tokenizer))
    tokenizer.add_tokens([AddedToken(t, special=True) for t in ("<|im_start|>", "<|im_end|>")])
    tokenizer.chat_template = template
    model = AutoModelForCausalLM.from_config(tiny.tiny_config("llama"))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_plain(folder: Path, tokenizer: Any) -> Path:
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_learnt_answer_scores_full_marks(tmp_path: Path, name: str) -> None:
    """Its end is learnt and stops the output, and its reference is what can be printed."""
    save_base(tmp_path / "base", TEMPLATES[name])
    rows = [
        {"q": f"Colour of {'cup' if n % 2 else 'car'} {n}?", "a": ANSWERS[n % 2 - 1]}
        for n in range(64)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    path = write_suite(
        tmp_path,
        base={"model": "base", "dtype": "fp32", "device": "cpu"},
        data={"source": "rows.jsonl", "cluster": "exact"},
        prompt={
            "messages": [
                {"role": "user", "content": "{{ q }}"},
                {"role": "assistant", "content": "<think>Hm.</think>{{ a }}"},
            ]
        },
        train={
            "method": "lora",
            "lora": {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
            "args": {"max_steps": 60, "save_steps": 60, "learning_rate": 1e-2, "max_length": 64},
        },
        matrix={"base": ["fp32"], "adapters": "fp32", "merged": "none"},
        tasks={"qa": {"type": "generation", "metrics": ["exact_match"], "max_new_tokens": 40}},
        select={},
    )
    store = Store(tmp_path / "runs")
    manifest = run_suite(read_suite(str(path)), store, Options(), Reporter(-1))
    (cell,) = (cell for cell in manifest.cells if cell.variant == "checkpoint-60")
    scores = store.read_records("scores", cell.scores_key, "scores", Score)
    assert [score.value for score in scores] == [100, 100]
    proofs = store.read_records("scores", cell.scores_key, "proofs", Proof)
    (proof,) = (proof for proof in proofs if proof.probe == "a perfect answer scores full marks")
    assert (proof.outcome, proof.difference) == ("holds", 0)
