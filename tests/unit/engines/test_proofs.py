"""Texts and losses are the forward pass's, whatever the architecture, the adapter and the batch."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

pytest.importorskip("lm_eval")

from harness.engines import kv_cache
from harness.engines.alone import Alone
from harness.engines.base import Decoding
from harness.engines.generation import generate_together
from harness.engines.transformers import TransformersModel
from harness.engines.trial import Trials
from harness.errors import ModelError
from harness.models import mixed
from harness.models.adapters import AdapterSet
from harness.models.quiet import quiet
from harness.models.tokens import encode_pair, encode_prompt
from tests.unit.engines.lm_requests import ALIBI, RECURRENT, TREE, build

WAITS_FOR = " of the"
PROMPTS = [
    "Return the value of the given key",
    "Open",
    "The following is a much longer text of the library, so that rows need padding on the left",
    "class Path of the",
]
COMPLETION = " or raise an error"
NEW = 8
MORE: dict[str, dict[str, Any]] = {
    **TREE,
    **ALIBI,
    **RECURRENT,
    "minimax": {
        "layer_types": ["linear_attention", "full_attention"],
        "head_dim": 16,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
    },
    "recurrent_gemma": {"num_key_value_heads": 1, "num_hidden_layers": 3, "lru_width": 64},
    "xlstm": {"num_heads": 2, "embedding_dim": 64},
}
LINEAR = {"jamba": ["q_proj", "v_proj"]}  # PEFT keeps away from its other layers
KINDS: dict[str, Callable[[Any, list[int]], dict[str, Any]]] = {
    "lora": lambda linear, _: {"target_modules": linear, "r": 4},
    "dora": lambda linear, _: {"target_modules": linear, "r": 4, "use_dora": True},
    "loha": lambda linear, _: {"target_modules": linear, "r": 4},
    "activated": lambda linear, waits: {
        "target_modules": linear,
        "r": 4,
        "alora_invocation_tokens": waits,
    },
    "prefix": lambda *_: {"num_virtual_tokens": 4},
    "prompt": lambda *_: {"num_virtual_tokens": 4},
}
CONFIGS: dict[str, Any] = {
    "loha": peft.LoHaConfig,
    "prefix": peft.PrefixTuningConfig,
    "prompt": peft.PromptTuningConfig,
}


def config_of(kind: str, architecture: str, tokenizer: Any) -> Any:
    """Configuration of an adapter."""
    waits = tokenizer.encode(WAITS_FOR, add_special_tokens=False)
    options = KINDS[kind](LINEAR.get(architecture, "all-linear"), waits)
    return CONFIGS.get(kind, peft.LoraConfig)(task_type="CAUSAL_LM", **options)


def adapted(architecture: str, kind: str, tokenizer: Any, seed: int = 0) -> Any:
    """A PEFT model whose adapter has an effect."""
    quiet()
    config = config_of(kind, architecture, tokenizer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = peft.get_peft_model(build(architecture, **MORE[architecture]), config)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and not name.endswith("magnitude_vector.weight"):
                torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


def door(model: Any, tokenizer: Any) -> TransformersModel:
    """The model behind the engine's door."""
    return TransformersModel(model, tokenizer, "cpu", Trials())


def write(door: TransformersModel, batch_size: int = 4, **options: Any) -> list[str]:
    """Texts of the engine."""
    decoding = Decoding(max_new_tokens=NEW, batch_size=batch_size, **options)
    return [made.text for made in door.generate(PROMPTS, decoding, chat=False)]


def uncached(model: Any, tokenizer: Any) -> list[str]:
    """Greedy texts by whole forward passes, one for each token."""
    texts = []
    for prompt in PROMPTS:
        ids = encode_prompt(tokenizer, prompt, chat=False)
        new: list[int] = []
        while len(new) < NEW and new[-1:] != [1]:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids + new]), use_cache=False).logits
            new.append(int(logits[0, -1].argmax()))
        texts.append(tokenizer.decode(new, skip_special_tokens=True))
    return texts


def losses(door: TransformersModel) -> list[float]:
    """Losses of the engine."""
    pairs = [(prompt, COMPLETION) for prompt in PROMPTS]
    found = door.completion_losses(pairs, chat=False, max_length=None, batch_size=4)
    return [one.nll_sum for one in found]


def losses_alone(model: Any, tokenizer: Any) -> list[float]:
    """Transformers' and PEFT's own loss of each row by itself."""
    sums = []
    for prompt in PROMPTS:
        first, then = encode_pair(tokenizer, prompt, COMPLETION, chat=False)
        ids, labels = torch.tensor([first + then]), torch.tensor([[-100] * len(first) + then])
        with torch.inference_mode():
            sums.append(float(model(input_ids=ids, labels=labels).loss) * len(then))
    return sums


@pytest.mark.parametrize("kind", ["lora", "dora", "loha"])
@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "mistral", "bloom", "jamba"])
def test_what_is_right_stays_in_batches(architecture: str, kind: str, tiny_tokenizer: Any) -> None:
    """Padding, caches and adapters that are sound raise no alarm."""
    model = adapted(architecture, kind, tiny_tokenizer)
    ours = door(model, tiny_tokenizer)
    assert write(ours) == uncached(model, tiny_tokenizer)
    assert losses(ours) == pytest.approx(losses_alone(model, tiny_tokenizer), rel=1e-4)
    texts, scored = ours.proofs
    for proof in (texts, scored):
        assert proof.outcome == "holds"
        assert proof.limit == pytest.approx(1e-3, rel=0.05)
        assert proof.difference is not None
        assert proof.difference < 1e-4
        assert "padded" in proof.words
        assert "in batches of 4" in proof.words


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "qwen2"])
def test_an_adapter_that_waits_for_tokens(architecture: str, tiny_tokenizer: Any) -> None:
    """An activated LoRA loses itself in cached decoding; PEFT's own loop knows of it."""
    model = adapted(architecture, "activated", tiny_tokenizer)
    ours = door(model, tiny_tokenizer)
    assert write(ours) == uncached(model, tiny_tokenizer)
    assert losses(ours) == pytest.approx(losses_alone(model, tiny_tokenizer), rel=1e-4)
    texts, scored = ours.proofs
    assert texts.outcome == "fallback"
    assert re.search(r"Not written in batches of 4 \(.* differ by .* nats", texts.words)
    assert "Instead" in texts.words
    assert "by transformers' own generate" in texts.words
    assert scored.outcome == "holds"
    with model.disable_adapter():  # the base is another kind, and keeps its batches
        assert write(ours) == uncached(model, tiny_tokenizer)
        assert ours.proofs[0].outcome == "holds"


def test_tokens_that_no_prompt_has_are_tried(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first prompts lack what an adapter waits for, the next ones may have it."""
    monkeypatch.setattr("tests.unit.engines.test_proofs.WAITS_FOR", " dictionary")
    ours = door(adapted("llama", "activated", tiny_tokenizer), tiny_tokenizer)
    write(ours)
    assert "(with the tokens that the adapter names)" in ours.proofs[0].words


@pytest.mark.parametrize("kind", ["prefix", "prompt"])
@pytest.mark.parametrize("architecture", ["llama", "opt", "qwen2"])
def test_prompt_learning(architecture: str, kind: str, tiny_tokenizer: Any) -> None:
    """Virtual tokens are where PEFT puts them."""
    model = adapted(architecture, kind, tiny_tokenizer)
    ours = door(model, tiny_tokenizer)
    assert write(ours) == uncached(model, tiny_tokenizer)
    assert losses(ours) == pytest.approx(losses_alone(model, tiny_tokenizer), rel=1e-4)


@pytest.mark.parametrize(
    ("architecture", "way"),
    [
        ("minimax", "written one by one"),
        ("mamba", "transformers' own generate"),
        ("rwkv", "transformers' own generate"),
        ("recurrent_gemma", "transformers' own generate"),
    ],
)
def test_states_that_padding_reaches(architecture: str, way: str, tiny_tokenizer: Any) -> None:
    """A model whose batches or caches are not its forward pass is asked in a slower way."""
    model = build(architecture, **MORE[architecture])
    ours = door(model, tiny_tokenizer)
    assert write(ours) == uncached(model, tiny_tokenizer)
    assert losses(ours) == pytest.approx(losses_alone(model, tiny_tokenizer), rel=1e-4)
    assert way in ours.proofs[0].words
    assert ours.proofs[0].outcome == "fallback"


def test_no_way_is_left(tiny_tokenizer: Any) -> None:
    """A model that transformers itself cannot write with is refused, with all that was tried."""
    ours = door(build("xlstm", **MORE["xlstm"]), tiny_tokenizer)
    with pytest.raises(ModelError, match=r"No way .* in batches of 4 .* own generate \(ValueError"):
        write(ours)


def test_rounding_is_no_difference(tiny_tokenizer: Any) -> None:
    """In half precision batches round otherwise than single rows."""
    ours = door(adapted("llama", "lora", tiny_tokenizer).bfloat16(), tiny_tokenizer)
    write(ours)
    losses(ours)
    assert [proof.outcome for proof in ours.proofs] == ["holds", "holds"]


def test_rounding_hides_no_difference(tiny_tokenizer: Any) -> None:
    """In the mean over a completion it cancels, so that padding in a state is seen in bf16, too."""
    ours = door(build("rwkv", **MORE["rwkv"]).bfloat16(), tiny_tokenizer)
    losses(ours)
    assert ours.proofs[0].outcome == "fallback"


def test_drawn_texts_are_proved_too(tiny_tokenizer: Any) -> None:
    """The likeliest token of each step is compared, whichever was drawn; draws stay the same."""
    model = adapted("llama", "activated", tiny_tokenizer)
    ours = door(model, tiny_tokenizer)
    drawn = write(ours, do_sample=True, seed=3)
    assert ours.proofs[0].outcome == "fallback"
    assert drawn == write(ours, batch_size=1, do_sample=True, seed=3)
    assert drawn != write(ours)


def test_stop_strings_in_every_way(tiny_tokenizer: Any) -> None:
    """Transformers' own loop ends a text where ours does."""
    model = adapted("llama", "activated", tiny_tokenizer)
    stop = uncached(model, tiny_tokenizer)[0][4:6]
    texts = write(door(model, tiny_tokenizer), stop=(stop,))
    assert texts == [text.partition(stop)[0] for text in uncached(model, tiny_tokenizer)]


def test_suggested_penalties_are_not_applied(tiny_tokenizer: Any) -> None:
    """What a model repository suggests for generation is left out in every way."""
    model = adapted("llama", "activated", tiny_tokenizer)
    expected = uncached(model, tiny_tokenizer)
    model.get_base_model().generation_config.repetition_penalty = 5.0
    model.get_base_model().generation_config.min_new_tokens = NEW
    assert write(door(model, tiny_tokenizer)) == expected
    assert model.get_base_model().generation_config.repetition_penalty == 5.0


def test_a_kind_is_tried_once(tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of one training share what was found; another configuration is tried anew."""
    passes = []
    logits = Alone.logits
    monkeypatch.setattr(Alone, "logits", lambda *args: passes.append(1) or logits(*args))
    model = adapted("llama", "lora", tiny_tokenizer)
    model.add_adapter("second", config_of("lora", "llama", tiny_tokenizer))
    model.add_adapter("other", config_of("dora", "llama", tiny_tokenizer))
    ours = door(model, tiny_tokenizer)
    counts = []
    for name in ("default", "second", "other"):
        model.set_adapter(name)
        write(ours)
        counts.append(len(passes))
        assert ours.proofs[0].outcome == "holds"
    assert 0 < counts[0] == counts[1] < counts[2]


def test_a_task_is_tried_by_itself(tiny_tokenizer: Any) -> None:
    """Longer prompts may be past a limit that shorter ones keep within; the latest is told."""
    model = build("mistral", sliding_window=24)
    ours = door(model, tiny_tokenizer)
    write(ours)
    assert ours.proofs[0].outcome == "holds"
    forward = model.forward
    model.forward = lambda **given: _forgetful(forward, **given)
    long = [f"{prompt} and so on" * 8 for prompt in PROMPTS]
    ours.generate(long, Decoding(max_new_tokens=NEW, batch_size=4), chat=False)
    assert [proof.outcome for proof in ours.proofs] == ["fallback"]


def _forgetful(forward: Any, **given: Any) -> Any:
    """A pass that is wrong in batches of long rows."""
    outputs = forward(**given)
    if given["input_ids"].shape[0] > 1:
        outputs.logits = outputs.logits * 0.9
    return outputs


def test_positions_that_depend_on_the_length(tiny_tokenizer: Any) -> None:
    """Where a longer text is read otherwise from its start, each step is compared by itself."""
    scaling = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}
    model = build("llama", rope_parameters=scaling, max_position_embeddings=12)
    expected = Alone(model)
    prompt, new = list(range(5, 15)), list(range(30, 36))
    each = [expected.logits([*prompt, *new[:n]], 1) for n in range(len(new))]
    assert torch.equal(expected.steps(prompt, new), torch.cat(each))
    assert (expected.logits([*prompt, *new[:-1]], len(new))[0] - each[0]).abs().max() > 1e-2


@pytest.fixture
def family(tiny_model: Any, make_adapter: Callable[..., Path], tmp_path: Path) -> AdapterSet:
    """tiny:llama with two adapters."""
    adapters = AdapterSet(tiny_model)
    for seed, name in enumerate(("a", "b")):
        adapters.add(name, make_adapter(tmp_path / name, seed=seed, r=8))
    return adapters


def write_together(family: AdapterSet, tokenizer: Any, trials: Trials) -> dict[Any, list[str]]:
    """Texts of base and both adapters, in common batches."""
    with family.mixed([None, "a", "b"]) as mixture:

        @contextmanager
        def alone(name: str | None) -> Any:
            with mixture.apart(), family.active(name) as model:
                yield Alone(model)

        decoding = Decoding(max_new_tokens=NEW, batch_size=12)
        found = generate_together(
            mixture, tokenizer, PROMPTS, decoding, chat=False, trials=trials, alone=alone
        )
    return {name: [made.text for made in own] for name, own in found.items()}


def test_each_variant_of_a_mixture_is_proved(family: AdapterSet, tiny_tokenizer: Any) -> None:
    """Common batches give what PEFT's own passes of each variant give."""
    trials = Trials()
    texts = write_together(family, tiny_tokenizer, trials)
    for name, own in texts.items():
        with family.active(name) as model:
            assert own == uncached(model, tiny_tokenizer)
        [proof] = trials.proofs("no such kind", name)
        assert proof.outcome == "holds"
        assert "(base, a, b)" in proof.words
    assert trials.proofs("no such kind", "stranger") == []


def test_a_mixture_that_leaks_is_refused(
    family: AdapterSet, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked can still have the variants one after another."""

    def leaking(self: Any, layout: Any, like: torch.Tensor) -> torch.Tensor:
        return like.new_ones(len(self.rows), 1, sum(rank for _, rank in layout))

    monkeypatch.setattr(mixed.Mixture, "own", leaking)
    with pytest.raises(ModelError, match=r"written by 3 variants .* differ by"):
        write_together(family, tiny_tokenizer, Trials())


def test_rows_that_go_on_when_others_have_ended(
    tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is taken out of the batch must not take another's keys and values along."""
    model = adapted("llama", "lora", tiny_tokenizer)
    texts = uncached(model, tiny_tokenizer)
    ends = tiny_tokenizer.encode(texts[2], add_special_tokens=False)[3]
    model.get_base_model().generation_config.eos_token_id = [1, ends]
    ours = door(model, tiny_tokenizer)
    write(ours)
    assert ours.proofs[0].outcome == "holds"
    assert "after others of the batch had ended" in ours.proofs[0].words

    def select(self: Any, indices: torch.Tensor) -> None:
        self._keys, self._values = self._keys[: len(indices)], self._values[: len(indices)]
        self._show()

    monkeypatch.setattr(kv_cache._GrowingLayer, "batch_select_indices", select)
    spoiled = door(model, tiny_tokenizer)
    assert write(spoiled) == write(ours, batch_size=1)
    assert spoiled.proofs[0].outcome == "fallback"
