"""Files that come from elsewhere: baselines with their sidecars, adapters' settings."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from harness.digests import SEAL, sealed
from harness.gate.accept import accept_baseline
from harness.gate.baseline import sidecar_of
from harness.gate.check import run_gate
from harness.models.beside import trainer_state
from harness.models.identity import check_adapter
from harness.store.runs import Store
from harness.suite.spec import BaseSpec
from tests.fuzz.guard import TEXTS, VALUES, examples, holds
from tests.fuzz.test_suites import places
from tests.unit.gate.gate_runs import Runs


def stored(value: Any) -> str:
    """As JSON, with what JSON has no word for as text."""
    return json.dumps(value, default=str, skipkeys=True)


@st.composite
def changes(draw: st.DrawFn, content: Any) -> Any:
    """A record with one or two values that are something else."""
    content = copy.deepcopy(content)
    for place in draw(st.lists(st.sampled_from(places(content)), min_size=1, max_size=2)):
        at: Any = content
        try:
            for part in place[:-1]:
                at = at[part]
            if draw(st.booleans()):
                at[place[-1]] = draw(VALUES)
            else:
                del at[place[-1]]
        except (KeyError, IndexError, TypeError):
            continue
    return content


@pytest.fixture
def accepted(tmp_path: Path) -> tuple[Store, Any, Path]:
    """A run, and a baseline that it was accepted as."""
    store, path = Store(tmp_path / "runs"), tmp_path / "baseline.json"
    runs = Runs(store)
    accept_baseline(store, runs.build(), path, "because", "me")
    return store, Runs(store, "r2").build(), path


@examples(20, 500)
def test_baselines_of_any_kind(accepted: Any, tries: int) -> None:
    """Sealed anew, so that their content is looked at."""
    store, manifest, path = accepted
    content = {k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != SEAL}

    def door(changed: Any) -> None:
        text = stored(changed)
        with contextlib.suppress(ValueError, AttributeError, TypeError):
            text = stored(sealed(json.loads(text)))
        path.write_text(text, "utf-8")
        run_gate(store, manifest, path)

    holds(tries, changes(content), door)


ARRAYS = st.one_of(
    st.sampled_from(
        [
            np.array(1.0), np.zeros((0, 2)), np.zeros((3, 2)), np.zeros(3), np.full((9, 2), np.nan),
            np.array(["a", "b"]), np.array([True]), np.zeros((2, 2, 2)), np.array([1 + 2j]),
            np.array(["2020"], dtype="datetime64"), np.array([b"a"]), np.full((3, 2), np.inf),
        ]
    ),
    st.lists(st.floats(), max_size=4).map(np.array),
)  # fmt: skip


@examples(20, 500)
def test_sidecars_of_any_kind(accepted: Any, tries: int) -> None:
    """Arrays that are missing, of other types and sizes, in a file whose digest is right."""
    store, manifest, path = accepted
    side = sidecar_of(path)
    with np.load(side, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    content = {k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != SEAL}
    names = st.sampled_from(sorted(arrays))

    def door(drawn: tuple[dict[str, Any], list[str], bytes]) -> None:
        other, gone, tail = drawn
        stream = io.BytesIO()
        np.savez(stream, **{n: a for n, a in {**arrays, **other}.items() if n not in gone})
        packed = stream.getvalue() + tail
        side.write_bytes(packed)
        digest = hashlib.sha256(packed).hexdigest()
        path.write_text(stored(sealed({**content, "sidecar_sha256": digest})), "utf-8")
        run_gate(store, manifest, path)

    others = st.dictionaries(names, ARRAYS, max_size=3)
    holds(tries, st.tuples(others, st.lists(names, max_size=2), st.binary(max_size=3)), door)


CONFIG = {
    "peft_type": "LORA",
    "base_model_name_or_path": "owner/name",
    "r": 8,
    "lora_alpha": 16,
    "target_modules": ["q_proj", "v_proj"],
    "task_type": "CAUSAL_LM",
    "rank_pattern": {},
}
STATE = {"global_step": 4, "log_history": [{"step": 2, "loss": 1.5, "eval_loss": 1.0}]}


@examples(60, 1_800)
def test_adapters_settings_of_any_kind(tmp_path: Path, tries: int) -> None:
    """And what a trainer left beside them."""
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    bases = st.sampled_from([None, "owner/name", "tiny:llama", "smollm2-135m-instruct"])

    def door(drawn: tuple[Any, Any, str | None]) -> None:
        config, state, base = drawn
        (tmp_path / "adapter_config.json").write_text(config, "utf-8", "surrogatepass")
        (tmp_path / "trainer_state.json").write_text(state, "utf-8", "surrogatepass")
        check_adapter(tmp_path, BaseSpec(model=base) if base else None)
        trainer_state(tmp_path)

    configs = st.one_of(changes(CONFIG).map(stored), VALUES.map(stored), TEXTS)
    states = st.one_of(changes(STATE).map(stored), VALUES.map(stored), TEXTS)
    holds(tries, st.tuples(configs, states, bases), door)


def test_an_adapter_whose_settings_are_nested_too_deeply_is_named(tmp_path: Path) -> None:
    """Where the C reader of JSON gives up."""
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    file = tmp_path / "adapter_config.json"
    for text in ("[" * 90_000, '{"a":' * 90_000, '{"r": NaN}', '{"r": ' + "9" * 9_000 + "}"):
        file.write_text(text, "utf-8")
        holds(1, st.just(tmp_path), check_adapter)
    shutil.rmtree(tmp_path)
