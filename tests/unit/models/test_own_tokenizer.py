"""What lies beside an adapter is compared with what it is evaluated with."""

import copy
import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from harness.models.identity import base_identity
from harness.models.own_tokenizer import TEMPLATE_FILE, tokenizer_proof
from harness.models.tiny import tiny_tokenizer
from harness.models.tokens import load_tokenizer
from harness.suite.spec import BaseSpec

TURNS = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
STARTS = "{% if add_generation_prompt %}assistant:{% endif %}"


@pytest.fixture(scope="module")
def ours():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TURNS + STARTS
    return tokenizer


def beside(folder, ours, **changes):
    """The tokenizer in use with changes, saved as a trainer leaves it."""
    theirs = copy.deepcopy(ours)
    for name, value in changes.items():
        setattr(theirs, name, value)
    theirs.save_pretrained(folder)
    return folder


def test_nothing_beside_it_is_the_bases_own(tmp_path, ours):
    """PEFT by itself saves no tokenizer."""
    assert tokenizer_proof(tmp_path, ours).outcome == "holds"
    given = tokenizer_proof(tmp_path, ours, given="out/final")
    assert given.outcome == "fallback"
    assert "out/final" in given.words


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pad_token": "</s>", "padding_side": "left"},
        {"chat_template": "{# the same #}" + TURNS + STARTS},
    ],
)
def test_what_comes_out_the_same_is_the_same(tmp_path, ours, changes):
    """Padding and the wording of a template change no text."""
    changes = {k: ours.eos_token if k == "pad_token" else v for k, v in changes.items()}
    assert tokenizer_proof(beside(tmp_path, ours, **changes), ours).outcome == "holds"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"chat_template": TURNS.upper()}, "another chat template"),
        ({"chat_template": TURNS}, "another chat template"),  # without the start of an answer
        ({"chat_template": TURNS.replace("m.content", "m.content | trim | upper")}, "another chat"),
        ({"chat_template": None}, "another chat template"),
        ({"eos_token": "the"}, "another end of a text"),
    ],
)
def test_what_comes_out_otherwise_fails(tmp_path, ours, changes, words):
    """With the way out: evaluate with what ships, or ship what was evaluated."""
    proof = tokenizer_proof(beside(tmp_path, ours, **changes), ours)
    assert proof.outcome == "fails"
    assert words in proof.words
    assert "base.tokenizer" in proof.hint


def test_a_base_without_a_template(tmp_path, ours):
    """An adapter that was trained on chats, over a base that knows none."""
    plain = copy.deepcopy(ours)
    plain.chat_template = None
    assert "a chat template, rather" in tokenizer_proof(beside(tmp_path, ours), plain).words


def test_other_tokens_fail_and_more_tokens_are_told(tmp_path, ours):
    """Tokens that changed places are another language; an added one may never be used."""
    more = beside(tmp_path / "more", ours)
    theirs = copy.deepcopy(ours)
    theirs.add_tokens(["<|extra|>"], special_tokens=True)
    theirs.save_pretrained(more)
    proof = tokenizer_proof(more, ours)
    assert (proof.outcome, "1 more tokens, such as '<|extra|>'" in proof.words) == (
        "fallback",
        True,
    )

    moved = beside(tmp_path / "moved", ours)
    file = moved / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    vocabulary = content["model"]["vocab"]
    first, second = list(vocabulary)[50:52]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    file.write_text(json.dumps(content), "utf-8")
    proof = tokenizer_proof(moved, ours)
    assert (proof.outcome, "2 tokens" in proof.words) == ("fails", True)


def test_a_template_alone_is_read(tmp_path, ours):
    """A file beside the weights is enough for whoever loads the adapter."""
    (tmp_path / TEMPLATE_FILE).write_text(TURNS, "utf-8")
    assert tokenizer_proof(tmp_path, ours).outcome == "fails"
    (tmp_path / TEMPLATE_FILE).write_text(TURNS + STARTS, "utf-8")
    assert tokenizer_proof(tmp_path, ours).outcome == "holds"


def test_files_that_cannot_be_read_are_told(tmp_path, ours):
    """Damage of a file that is not needed for the weights ends no cell."""
    folder = beside(tmp_path, ours)
    (folder / "tokenizer.json").write_text("{", "utf-8")
    assert tokenizer_proof(folder, ours).outcome == "fallback"


def test_base_tokenizer_takes_the_place_of_the_bases(tmp_path, ours):
    """It is loaded for all variants, and in every key; where the weights come from stays."""
    beside(tmp_path / "adapter", ours, chat_template=TURNS)
    base = BaseSpec(model="tiny:llama", tokenizer="adapter")
    tokenizer = load_tokenizer(base, tmp_path)
    assert tokenizer.chat_template == TURNS
    assert tokenizer_proof(tmp_path / "adapter", tokenizer, given="adapter").outcome == "holds"
    plain = base_identity(BaseSpec(model="tiny:llama"), Path())
    own = base_identity(base, tmp_path)
    assert {key: own[key] for key in plain} == plain
    assert set(own) - set(plain) == {"tokenizer"}
    assert "tokenizer" not in BaseSpec(model="tiny:llama").model_dump()  # earlier run ids stay


def test_equal_files_are_read_once(tmp_path, ours, monkeypatch):
    """Each checkpoint of a training has them; another file is another comparison."""
    loads = []
    load = AutoTokenizer.from_pretrained
    monkeypatch.setattr(
        AutoTokenizer, "from_pretrained", lambda *a, **kw: loads.append(a) or load(*a, **kw)
    )
    tokenizer = copy.deepcopy(ours)
    proofs = [tokenizer_proof(beside(tmp_path / name, ours), tokenizer) for name in "abc"]
    assert len(loads) == 1
    assert {proof.outcome for proof in proofs} == {"holds"}
    other = beside(tmp_path / "d", ours, chat_template=TURNS.upper())
    assert tokenizer_proof(other, tokenizer).outcome == "fails"
