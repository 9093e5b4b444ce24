"""Identities name what a model or adapter is, without torch and without paths."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import ModelError
from harness.models import source as source_module
from harness.models.identity import (
    adapter_digest,
    adapter_identity,
    base_identity,
    cache_name,
    check_adapter,
    public_base_name,
)
from harness.models.source import BUILTIN_GGUF, locate
from harness.suite.spec import BaseSpec


@pytest.fixture(scope="module")
def adapter(make_adapter, tmp_path_factory):
    return make_adapter(tmp_path_factory.mktemp("adapters") / "checkpoint-20")


@pytest.fixture
def copy(adapter, tmp_path):
    return Path(shutil.copytree(adapter, tmp_path / "checkpoint-20"))


def edit_config(folder, **changes):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_identity_needs_no_torch():
    """Importing the module and identifying built-ins loads none of the heavy libraries."""
    code = (
        "import sys; from pathlib import Path; from harness.models.identity import base_identity;"
        "from harness.suite.spec import BaseSpec;"
        "base_identity(BaseSpec(model='tiny:llama'), Path());"
        "heavy={'torch','transformers','peft','bitsandbytes','huggingface_hub'}&set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("tiny:phi", "tiny"),
        ("smollm2-135m-instruct", "builtin"),
        ("org/name", "hub"),
        ("gpt2", "hub"),
        ("folder", "local"),
        ("./folder", "local"),
        ("weights.gguf", "gguf"),
    ],
)
def test_locate(tmp_path, model, kind):
    """What exists beside the suite is local; what looks like a Hub id otherwise is one."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "weights.gguf").write_bytes(b"GGUF")
    assert locate(BaseSpec(model=model), tmp_path).kind == kind


@pytest.mark.parametrize("model", ["./missing", "/missing/folder", "missing.gguf", "a/b/c", "~/no"])
def test_missing_path_is_not_taken_for_a_hub_id(tmp_path, model):
    """A mistyped path says that nothing is there, and never asks the Hub for it."""
    with pytest.raises(ModelError, match=r"no such folder or \.gguf file"):
        locate(BaseSpec(model=model), tmp_path)


def test_unknown_tiny_architecture():
    """An unknown tiny architecture lists the known ones."""
    with pytest.raises(ModelError, match=r"'nope'.*llama"):
        locate(BaseSpec(model="tiny:nope"), Path())


def test_local_identity_follows_content_not_place(tiny_dir, tmp_path):
    """A copied folder is the same base; another byte in its weights makes it another."""
    original = base_identity(BaseSpec(model=str(tiny_dir)), Path())
    moved = Path(shutil.copytree(tiny_dir, tmp_path / "moved"))
    (moved / "README.md").write_text("not part of the model")
    assert base_identity(BaseSpec(model="moved"), tmp_path) == original
    weights = moved / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert base_identity(BaseSpec(model="moved"), tmp_path) != original


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_local_identity_covers_configuration_and_tokenizer(tiny_dir, tmp_path, name):
    """Configuration and tokenizer files are part of what a base is."""
    original = base_identity(BaseSpec(model=str(tiny_dir)), Path())
    moved = Path(shutil.copytree(tiny_dir, tmp_path / "moved"))
    (moved / name).write_text((moved / name).read_text() + " ")
    assert base_identity(BaseSpec(model="moved"), tmp_path) != original


def test_folder_without_weights(tmp_path):
    """A folder without weights is refused before anything is loaded."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no model weights"):
        base_identity(BaseSpec(model="empty"), tmp_path)


def test_hub_identity_is_pinned_by_the_cached_commit(monkeypatch, tmp_path):
    """A Hub revision resolves to the commit the local cache holds for it."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    base = BaseSpec(model="org/name")
    assert base_identity(base, Path())["commit"] is None
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("a" * 40)
    assert base_identity(base, Path())["commit"] == "a" * 40
    pinned = BaseSpec(model="org/name", revision="b" * 40)
    assert base_identity(pinned, Path())["commit"] == "b" * 40


def test_builtin_identity_without_its_package(monkeypatch):
    """Where the package is missing the known release's digest stands in, so plans agree."""
    base = BaseSpec(model="smollm2-135m-instruct")
    monkeypatch.setattr(source_module, "find_spec", lambda _: None)
    package = BUILTIN_GGUF["smollm2-135m-instruct"]
    assert base_identity(base, Path())["digest"] == package.digest


def test_tiny_identity_names_versions():
    """A tiny model is its architecture, the builder's and the libraries' versions."""
    llama = base_identity(BaseSpec(model="tiny:llama"), Path())
    phi = base_identity(BaseSpec(model="tiny:phi"), Path())
    assert {"torch", "transformers", "tokenizers", "python"} <= set(llama["versions"])
    assert llama != phi


def test_cache_name_only_for_what_is_built(tiny_dir):
    """Folders and Hub models are loaded in place."""
    assert cache_name(BaseSpec(model="tiny:llama"), Path()) == tiny_dir.name
    assert cache_name(BaseSpec(model=str(tiny_dir)), Path()) is None


def test_check_adapter_reads_what_it_is(adapter, tiny_base):
    """A good adapter gives its step, type, rank, base and digest."""
    info = check_adapter(adapter, tiny_base)
    assert info.step == 20
    assert info.digest == adapter_digest(adapter)
    assert info.base_model_name is not None


def test_step_from_trainer_state(copy):
    """A folder not named after its step takes it from the trainer's state."""
    renamed = copy.rename(copy.with_name("final"))
    assert check_adapter(renamed).step is None
    (renamed / "trainer_state.json").write_text('{"global_step": 60}')
    assert check_adapter(renamed).step == 60


def test_adapter_digest_ignores_provenance(copy, adapter):
    """Where an adapter came from does not change what it computes; its alpha does."""
    edit_config(copy, base_model_name_or_path="elsewhere", inference_mode=True, peft_version="9")
    modules = json.loads((copy / "adapter_config.json").read_text())["target_modules"]
    edit_config(copy, target_modules=list(reversed(modules)))
    assert adapter_digest(copy) == adapter_digest(adapter)
    edit_config(copy, lora_alpha=9)
    assert adapter_digest(copy) != adapter_digest(adapter)


def test_adapter_identity_covers_weights(copy, adapter):
    """Another byte in the weights makes another adapter."""
    file = copy / "adapter_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert adapter_identity(copy)["weights"] != adapter_identity(adapter)["weights"]


def test_pickled_adapter_is_refused(copy):
    """A .bin adapter is refused with the way to convert it."""
    (copy / "adapter_model.safetensors").rename(copy / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"pickle.*safe_serialization=True"):
        check_adapter(copy)


def test_adapter_without_weights(copy):
    """An adapter folder that was copied in part says what is missing."""
    (copy / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is not here"):
        check_adapter(copy)


def test_folder_without_adapter_config(copy):
    """The parent of checkpoints is recognised as such."""
    with pytest.raises(ModelError, match="one level down"):
        check_adapter(copy.parent)
    (copy / "adapter_config.json").unlink()
    with pytest.raises(ModelError, match=r"No adapter_config\.json"):
        check_adapter(copy)


def test_adapter_that_is_not_a_folder(tmp_path):
    """A path that is no folder is refused."""
    with pytest.raises(ModelError, match="must be a folder"):
        check_adapter(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_unreadable_adapter_config(copy, text):
    """Broken JSON is the user's to mend, not a traceback."""
    (copy / "adapter_config.json").write_text(text)
    with pytest.raises(ModelError, match=r"settings|JSON object"):
        check_adapter(copy)


@pytest.mark.parametrize(
    ("base", "trained_on", "fits"),
    [
        ("org/model-7b", "org/model-7b", True),
        ("org/Model-7B", "mirror/model-7b-bnb-4bit", True),
        ("org/model-7b", "org/model-7b-instruct", False),
        ("org/model-7b", "/data/models/some-copy", True),  # a path says nothing about the weights
        ("tiny:qwen2", "/cache/models/tiny-llama-0123456789ab", False),
        ("tiny:qwen2", "/elsewhere/model", True),
        ("tiny:qwen2", "tiny:qwen2", True),  # as harness select names it in a copy
        ("tiny:qwen2", "tiny:llama", False),
    ],
)
def test_base_is_compared_by_stable_names(copy, base, trained_on, fits):
    """An adapter that names another Hub model or another built-in is refused."""
    edit_config(copy, base_model_name_or_path=trained_on)
    if fits:
        assert check_adapter(copy, BaseSpec(model=base)).base_model_name == trained_on
    else:
        with pytest.raises(ModelError, match="was trained on"):
            check_adapter(copy, BaseSpec(model=base))


@pytest.mark.parametrize(
    ("named", "base", "hub", "public"),
    [
        ("/cache/models/tiny-llama-0123456789ab", "tiny:llama", False, "tiny:llama"),
        ("/home/me/models/mine", "../models/mine", False, "mine"),
        ("/home/me/x.gguf-0123456789ab", "files/x.gguf", False, "x.gguf"),
        ("/home/me/snapshots/abc", "org/model-7b", True, "org/model-7b"),
        ("mirror/model-7b-bnb-4bit", "org/model-7b", True, "mirror/model-7b-bnb-4bit"),
    ],
)
def test_a_base_is_named_as_others_can_find_it(named, base, hub, public):
    """A Hub id stays; a folder of this machine gives way to the suite's name."""
    assert public_base_name(named, base, hub=hub) == public
