"""Fixtures for all tests: an isolated cache, no network, and tiny models built once a session."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_ISOLATED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Isolate the session before any library reads its environment.

    Workers of pytest-xdist inherit the environment, and so share the models the session builds.
    """
    os.fsync = lambda _: None  # what tests write need not outlive a power cut
    if hasattr(config, "workerinput"):  # Hugging Face's folders of code are not made to be shared
        os.environ["HF_HOME"] += f"-{config.workerinput['workerid']}"
        return
    folder = tempfile.mkdtemp(prefix="harness-tests-")
    config.stash[_ISOLATED] = folder
    os.environ |= {
        "HARNESS_CACHE": str(Path(folder, "cache")),
        "HF_HOME": str(Path(folder, "huggingface")),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "WANDB_MODE": "disabled",
    }
    # tiny matrices: handing them out to threads takes three times as long as computing them
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for variable in ("HARNESS_COMPUTE_DTYPE", "HF_HUB_CACHE", "HF_DATASETS_CACHE"):
        os.environ.pop(variable, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the session built."""
    if _ISOLATED in config.stash:
        shutil.rmtree(config.stash[_ISOLATED], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason."""
    reasons = {"gpu": _no_gpu, "realdata": _no_realdata}
    for name, reason in reasons.items():
        marked = [item for item in items if item.get_closest_marker(name)]
        why = reason() if marked else None
        for item in marked if why else ():
            item.add_marker(pytest.mark.skip(reason=why))


def _no_gpu() -> str | None:
    if find_spec("torch") is None:
        return "torch is not installed"
    import torch

    return None if torch.cuda.is_available() else "torch finds no GPU"


def _no_realdata() -> str | None:
    folder = os.environ.get("HARNESS_REALDATA")
    if not folder:
        return "$HARNESS_REALDATA is not set"
    return None if Path(folder).is_dir() else f"$HARNESS_REALDATA={folder} is not a folder"


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Folder of the real data; use it with the marker ``realdata``."""
    return Path(os.environ["HARNESS_REALDATA"])


@pytest.fixture(scope="session")
def tiny_base() -> Any:
    """The spec of tiny:llama in fp32 on the CPU."""
    from harness.suite.spec import BaseSpec

    return BaseSpec(model="tiny:llama", dtype="fp32", device="cpu")


@pytest.fixture(scope="session")
def fp32_policy(tiny_base: Any) -> Any:
    """The device policy of fp32 on the CPU."""
    from harness.models.device import decide

    return decide(tiny_base)


@pytest.fixture(scope="session")
def tiny_dir(tiny_base: Any) -> Path:
    """Folder of tiny:llama, built into the session's cache."""
    from harness.models.builtin import resolve_model

    return Path(resolve_model(tiny_base, Path()))


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_base: Any, tiny_dir: Path) -> Any:
    """Tokenizer of tiny:llama."""
    from harness.models.tokens import load_tokenizer

    return load_tokenizer(tiny_base, Path())


@pytest.fixture
def tiny_model(tiny_base: Any, fp32_policy: Any, tiny_dir: Path) -> Any:
    """tiny:llama in fp32, fresh for every test since adapters wrap it in place."""
    from harness.models.load import load_base

    return load_base(tiny_base, "fp32", fp32_policy, base_dir=Path(), purpose="quality")


@pytest.fixture(scope="session")
def make_adapter(tiny_dir: Path) -> Callable[..., Path]:
    """Save an untrained LoRA adapter with random weights: ``make_adapter(folder, seed=, ...)``."""

    def make(
        folder: Path, *, seed: int = 0, r: int = 4, model_dir: Path | None = None, **options: Any
    ) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        from harness.models.quiet import quiet

        quiet()
        options = {"lora_alpha": 8, "target_modules": "all-linear", **options}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            base = AutoModelForCausalLM.from_pretrained(model_dir or tiny_dir, dtype=torch.float32)
            model = get_peft_model(base, LoraConfig(r=r, task_type="CAUSAL_LM", **options))
            for name, parameter in model.named_parameters():
                if "lora_B" in name:  # zeros at the start, which would change nothing
                    torch.nn.init.normal_(parameter, std=0.05)
            model.save_pretrained(folder)
        return folder

    return make
