"""What a perfect model writes is scored before any model is asked."""

import copy
from pathlib import Path

import pytest
from tokenizers import AddedToken

from harness.errors import MetricError, PromptError
from harness.models.tokens import ChatTurns, render_chat
from harness.schema import Example, Prediction
from harness.suite.spec import Suite
from harness.tasks.base import TaskRequest
from harness.tasks.generation import TASK_TYPE
from harness.tasks.perfect import PERFECT, perfect_answers, prove, stops_of

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ANSWERS = ["The cup is red.", "The car is white.", "The pen is black."]


@pytest.fixture
def tokenizer(tiny_tokenizer):
    """One whose turns do not end in its EOS, and which has a special token for calls."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    names = ("<|im_start|>", "<|im_end|>", "<call>")
    tokenizer.add_tokens([AddedToken(name, special=True) for name in names])
    tokenizer.chat_template = CHATML
    return tokenizer


@pytest.fixture
def ask(tmp_path: Path):
    """A request with examples of these completions: ``ask(completions, prompt, **task)``."""

    def make(completions, prompt, references=None, **task):
        suite = Suite.model_validate(
            {
                "name": "perfect",
                "base": {"model": "tiny:llama"},
                "data": {"source": "rows.jsonl"},
                "prompt": prompt,
                "tasks": {
                    "qa": {"type": "generation", "metrics": ["exact_match", "rougeL"], **task}
                },
            }
        )
        examples = tuple(
            Example(
                id=str(place),
                prompt="Say so.",
                completion=completion,
                references=(reference,),
                cluster=str(place),
                split="report",
            )
            for place, (completion, reference) in enumerate(
                zip(completions, references or completions, strict=True)
            )
        )
        return TaskRequest("qa", suite, tmp_path, examples)

    return make


PLAIN = {"prompt": "{{ q }}", "completion": "{{ a }}"}
NAMED = {**PLAIN, "references": "r"}
CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "{{ a }}"}]}


def proof_of(request, tokenizer):
    """What is kept with the scores, of the answers that are kept with the outputs."""
    answers = perfect_answers(request, tokenizer, stops_of(request, tokenizer))
    (proof,) = prove(request, answers).proofs
    return proof


def test_plain_completions_are_perfect_answers(ask, tokenizer):
    """They end at EOS, and are what the references are."""
    request = ask([f" {answer}\n" for answer in ANSWERS], PLAIN, ANSWERS)
    with TASK_TYPE.open(request, tokenizer, None) as session:
        kept = session.answers
    assert [answer.text.strip() for answer in kept] == ANSWERS
    proof = proof_of(request, tokenizer)
    assert proof.outcome == "holds"
    assert "exact match 100.0, ROUGE-L 100.0" in proof.words  # as the report shows them


@pytest.mark.parametrize("thought", ["", "<think>Hm.</think>"])
def test_chats_end_with_their_turn(ask, tokenizer, thought):
    """With a template that leaves reasoning out, too: the references are what can be printed."""
    template = CHATML.replace("m.content", "m.content.split('</think>')[-1]")
    tokenizer.chat_template = template if thought else CHATML
    render, turns = render_chat(tokenizer), ChatTurns(tokenizer)
    completions = []
    for answer in ANSWERS:
        messages = [{"role": "user", "content": "q"}]
        whole = [*messages, {"role": "assistant", "content": thought + answer}]
        completions.append(render(whole, False).removeprefix(render(messages, True)))
    request = ask(completions, CHAT, [turns.printed(text) for text in completions])
    assert stops_of(request, tokenizer) == ("<|im_end|>",)
    assert {a.finish_reason for a in perfect_answers(request, tokenizer, ("<|im_end|>",))} == {
        "stop"
    }
    assert [example.references for example in request.examples] == [(a,) for a in ANSWERS]
    assert proof_of(request, tokenizer).outcome == "holds"


@pytest.mark.parametrize(
    ("completions", "stop", "printed"),
    [
        ([f"<call>{answer}" for answer in ANSWERS], [], "'The cup is red.' is printed where"),
        ([f"Well.\n{answer}" for answer in ANSWERS], ["\n"], "'Well.' is printed where"),
        ([f"{answer}</s>" for answer in ANSWERS], [], "reference is 'The cup is red.</s>'"),
    ],
)
def test_references_that_no_output_can_equal_are_refused(
    ask, tokenizer, completions, stop, printed
):
    """Special tokens are not printed, and stop strings end outputs."""
    request = ask(completions, {**PLAIN, "stop": stop}, completions)
    with (
        pytest.raises(
            PromptError, match=rf"tasks\.qa: .* exact match 0\.0, not 100\.0: .*{printed}"
        ),
        TASK_TYPE.open(request, tokenizer, None),
    ):
        pass


def test_named_references_stand_and_the_ceiling_is_told(ask, tokenizer):
    """What annotators wrote need not be what was trained; how far that is off is said."""
    references = [ANSWERS[0], "The car was white.", ANSWERS[2]]
    with TASK_TYPE.open(ask(ANSWERS, NAMED, references), tokenizer, None):
        pass
    proof = proof_of(ask(ANSWERS, NAMED, references), tokenizer)
    assert (proof.outcome, proof.unit, proof.limit) == ("fallback", "points", 10)
    assert proof.difference == pytest.approx(100 / 3)
    assert "a perfect answer scores exact match 66.7, not 100.0" in proof.words
    proof = proof_of(ask(ANSWERS, NAMED, ["Other."] * 3), tokenizer)
    assert proof.outcome == "fails"


def test_what_was_not_tried_is_told(ask, tokenizer):
    """A module of Hugging Face evaluate is code of strangers: nobody knows its best value."""
    request = ask(ANSWERS, PLAIN, metrics=["exact_match", "evaluate:own/metric.py"])
    answers = perfect_answers(request, tokenizer, ())
    outcome = prove(request, answers)
    (finding,) = outcome.findings
    assert finding.severity == "info"
    assert "what a perfect answer scores by evaluate:own/metric.py is not known" in finding.what
    assert outcome.proofs[0].outcome == "holds"
    assert not prove(ask(ANSWERS, PLAIN), answers).findings


def test_answers_that_max_new_tokens_cuts_are_told(ask, tokenizer):
    """The task is computed: its ceiling is lower, and what raises it is named."""
    request = ask(ANSWERS, PLAIN, max_new_tokens=3)
    with TASK_TYPE.open(request, tokenizer, None):
        pass
    proof = proof_of(request, tokenizer)
    assert proof.outcome == "fallback"
    assert "max_new_tokens cuts 3 of 3" in proof.words
    assert proof.hint == "Raise max_new_tokens."


def test_a_template_without_an_end_is_told(ask, tokenizer):
    """Nothing in its turns could stop a model that learnt them."""
    tokenizer.chat_template = "{% for m in messages %}\n\n{{ m.content }}{% endfor %}"
    proof = proof_of(ask(ANSWERS, CHAT), tokenizer)
    assert proof.outcome == "fallback"
    assert "the chat template writes nothing after an answer" in proof.words


def test_a_metric_that_cannot_see_the_references_is_refused(ask, tokenizer):
    """Before the session, and where only scores are computed."""
    request = ask(["Η Αθήνα είναι η πρωτεύουσα.", "Η κούπα είναι κόκκινη."], PLAIN)
    with (
        pytest.raises(MetricError, match=r"ROUGE-L cannot see 2 of 2 .* tokenizer: unicode"),
        TASK_TYPE.open(request, tokenizer, None),
    ):
        pass
    with pytest.raises(MetricError, match="ROUGE-L cannot see 2 of 2"):
        TASK_TYPE.score(request, lambda name, model: [])


def test_the_proof_is_kept_with_scores_of_kept_texts(ask, tokenizer):
    """A new metric gets its own without a model: the perfect answers lie beside the outputs."""
    request = ask(ANSWERS, PLAIN)
    answers = perfect_answers(request, tokenizer, ())
    texts = [
        Prediction(example_id=e.id, text="No.", prompt_tokens=1, new_tokens=1, finish_reason="eos")
        for e in request.examples
    ]
    outcome = TASK_TYPE.score(request, lambda name, _: answers if name == PERFECT else texts)
    assert [proof.outcome for proof in outcome.proofs] == ["holds"]
    assert TASK_TYPE.score(request, lambda name, _: [] if name == PERFECT else texts).proofs == []
