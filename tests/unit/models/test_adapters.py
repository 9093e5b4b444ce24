"""Adapters are switched over one base, and the base stays the base."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from harness.errors import ApartError, ModelError
from harness.models.adapters import AdapterSet
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.tiny import tiny_config
from harness.suite.spec import BaseSpec

IDS = torch.arange(3, 67).reshape(4, 16)
PROMPTS = ["Return the value of", "Open a file"]


@pytest.fixture(scope="module")
def first(make_adapter, tmp_path_factory):
    return make_adapter(tmp_path_factory.mktemp("first") / "checkpoint-1", seed=1)


@pytest.fixture(scope="module")
def second(make_adapter, tmp_path_factory):
    return make_adapter(
        tmp_path_factory.mktemp("second") / "checkpoint-2", seed=2, r=8, target_modules=["q_proj"]
    )


def logits(model):
    with torch.inference_mode():
        return model(input_ids=IDS, use_cache=False).logits.clone()


def changes(adapters: AdapterSet) -> dict[str | None, float]:
    """How far each variant is from where it was when it was loaded."""
    return {name: adapters.change(name) for name in (None, *adapters.names)}


def active_logits(adapters, name):
    with adapters.active(name) as model:
        return logits(model)


def theirs(tiny_dir, path):
    """PEFT's own loading of one adapter over a fresh base."""
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    return logits(PeftModel.from_pretrained(base, path).eval())


def test_each_adapter_acts_and_the_base_stays(tiny_model, tiny_dir, first, second):
    """Switching gives PEFT's own logits for every adapter, and the plain base's in between."""
    plain = logits(tiny_model)
    adapters = AdapterSet(tiny_model)
    assert torch.equal(active_logits(adapters, None), plain)
    assert adapters.add("checkpoint-1", first).step == 1
    adapters.add("checkpoint-2", second)
    assert adapters.names == ("checkpoint-1", "checkpoint-2")
    expected = {
        "checkpoint-1": theirs(tiny_dir, first),
        "checkpoint-2": theirs(tiny_dir, second),
        None: plain,
    }
    for name in ("checkpoint-1", None, "checkpoint-2", "checkpoint-1", None):
        assert torch.equal(active_logits(adapters, name), expected[name]), name


def test_removed_adapter_leaves_no_trace(tiny_model, first, second):
    """After removal the others act as before, and the name is free again."""
    plain = logits(tiny_model)
    adapters = AdapterSet(tiny_model)
    adapters.add("a", first)
    adapters.add("b", second)
    with_b = active_logits(adapters, "b")
    adapters.remove("a")
    assert torch.equal(active_logits(adapters, "b"), with_b)
    adapters.remove("b")
    assert torch.equal(active_logits(adapters, None), plain)
    adapters.add("a", second)
    assert torch.equal(active_logits(adapters, "a"), with_b)


def test_nothing_is_trainable_and_dtype_is_the_bases(tiny_base, first):
    """Adapters run in the base's dtype and take no gradients."""
    model = load_base(tiny_base, "bf16", decide(tiny_base), base_dir=Path(), purpose="quality")
    adapters = AdapterSet(model)
    adapters.add("a", first)
    with adapters.active("a") as active:
        assert {p.dtype for p in active.parameters()} == {torch.bfloat16}
        assert not any(p.requires_grad for n, p in active.named_parameters() if "lora" in n)
        assert not active.training


def test_adapter_over_real_4bit(tiny_base, first):
    """An adapter over 4-bit layers equals the one over the same weights dequantized once."""
    outputs = []
    for purpose in ("train", "quality"):
        model = load_base(tiny_base, "nf4", decide(tiny_base), base_dir=Path(), purpose=purpose)
        adapters = AdapterSet(model)
        adapters.add("a", first)
        outputs.append(active_logits(adapters, "a"))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)


def test_effect(tiny_model, tiny_tokenizer, first, make_adapter, tmp_path):
    """The probe is positive for a trained adapter and exactly zero for one that does nothing."""
    idle = make_adapter(tmp_path / "idle")
    weights = load_file(idle / "adapter_model.safetensors")
    zeroed = {k: torch.zeros_like(v) if "lora_B" in k else v for k, v in weights.items()}
    save_file(zeroed, idle / "adapter_model.safetensors", metadata={"format": "pt"})
    adapters = AdapterSet(tiny_model)
    adapters.add("a", first)
    adapters.add("idle", idle)
    assert adapters.effect("a", tiny_tokenizer, PROMPTS, chat=False) > 0.01
    assert adapters.effect("idle", tiny_tokenizer, PROMPTS, chat=False) == 0.0


def test_adapter_for_other_modules(tiny_model, make_adapter, tmp_path):
    """An adapter whose modules the base lacks names the base it was trained on."""
    from harness.models.builtin import resolve_model

    other = Path(resolve_model(BaseSpec(model="tiny:gpt2"), Path()))
    path = make_adapter(
        tmp_path / "gpt2", model_dir=other, target_modules=["c_attn"], fan_in_fan_out=True
    )
    plain = logits(tiny_model)
    adapters = AdapterSet(tiny_model)
    with pytest.raises(ModelError, match=r"does not fit this base.*trained on '.*tiny-gpt2"):
        adapters.add("other", path)
    assert torch.equal(active_logits(adapters, None), plain)


@pytest.mark.parametrize("others", [False, True])
def test_adapter_for_other_shapes(tiny_model, first, second, tmp_path, others):
    """Weights of other shapes are refused, and adapters loaded before go on working."""
    path = edited(first, tmp_path, lambda k, v: {k: v[:, :64].contiguous()} if "A" in k else {k: v})
    adapters = AdapterSet(tiny_model)
    if others:
        adapters.add("good", second)
        before = active_logits(adapters, "good")
    with pytest.raises(ModelError, match=r"does not fit this base"):
        adapters.add("bad", path)
    assert "bad" not in adapters.names
    adapters.add("bad", first)  # the name is free again
    assert active_logits(adapters, "bad").isfinite().all()
    if others:
        assert torch.equal(active_logits(adapters, "good"), before)


def test_adapter_with_layers_the_base_lacks(tiny_model, first, tmp_path):
    """Stored weights that have no place are an error, where PEFT only warns."""
    path = edited(
        first,
        tmp_path,
        lambda k, v: {k: v, k.replace("layers.0", "layers.9"): v + 1 if "layers.0" in k else v},
    )
    with pytest.raises(ModelError, match=r"layers\.9.* of its stored weights have no layer"):
        AdapterSet(tiny_model).add("bad", path)


def test_adapter_stored_in_part(tiny_model, first, tmp_path):
    """Layers without stored weights would silently run at their random start."""
    path = edited(first, tmp_path, lambda k, v: {} if "layers.2" in k else {k: v})
    with pytest.raises(ModelError, match=r"layers have no stored weights"):
        AdapterSet(tiny_model).add("bad", path)


def test_unreadable_weights(tiny_model, first, tmp_path):
    """A cut-off safetensors file is one clear error."""
    path = edited(first, tmp_path, lambda k, v: {k: v})
    (path / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ModelError, match="cannot be read"):
        AdapterSet(tiny_model).add("bad", path)


def test_unknown_configuration(tiny_model, first, tmp_path):
    """An adapter type this PEFT does not know says so."""
    path = edited(first, tmp_path, lambda k, v: {k: v})
    config = json.loads((path / "adapter_config.json").read_text())
    (path / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "NEW"}))
    with pytest.raises(ModelError, match="PEFT cannot read"):
        AdapterSet(tiny_model).add("bad", path)


def test_prompt_tuning_stands_alone(tiny_model, tiny_dir, tmp_path):
    """PEFT keeps adapters that add virtual tokens apart; alone it is what PEFT makes of it."""
    from peft import PromptTuningConfig, get_peft_model

    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    get_peft_model(base, config).save_pretrained(tmp_path / "p")
    adapters = AdapterSet(tiny_model)
    with pytest.raises(ApartError, match="PROMPT_TUNING apart"):
        adapters.add("p", tmp_path / "p")
    adapters.add("p", tmp_path / "p", alone=True)
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    truth = PeftModel.from_pretrained(base, tmp_path / "p")
    assert torch.equal(active_logits(adapters, "p"), logits(truth.eval()))


def test_names(tiny_model, first):
    """A name is used once, and an unknown one lists those there are."""
    adapters = AdapterSet(tiny_model)
    adapters.add("a", first)
    with pytest.raises(ModelError, match="already loaded"):
        adapters.add("a", first)
    unknown = adapters.active("b")
    with pytest.raises(ModelError, match=r"No adapter 'b' is loaded; there are: \['a'\]"), unknown:
        pass


def edited(source, tmp_path, change):
    """Copy an adapter, changing its weights key by key."""
    folder = tmp_path / "edited"
    folder.mkdir()
    (folder / "adapter_config.json").write_text((source / "adapter_config.json").read_text())
    weights = {}
    for key, value in load_file(source / "adapter_model.safetensors").items():
        weights |= {k: v.clone() for k, v in change(key, value).items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    "change", [{"init_lora_weights": "pissa"}, {"init_lora_weights": "olora"}, {"bias": "all"}]
)
def test_an_adapter_that_changes_the_base_stands_alone(
    tiny_model, tiny_dir, first, second, tmp_path, change
):
    """PEFT writes into the base's own weights, which every other variant would see."""
    path = tmp_path / "moving"
    shutil.copytree(first, path)
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    adapters = AdapterSet(tiny_model)
    adapters.add("plain", second)
    if "bias" in change:  # this base has none, so nothing of it is changed, as is measured
        adapters.add("moving", path)
        assert not any(changes(adapters).values())
        return
    with pytest.raises(ApartError, match=r"changes answers by up to .* of the base"):
        adapters.add("moving", path)
    assert adapters.change(None) > 0.1
    alone = AdapterSet(AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32).eval())
    alone.add("moving", path, alone=True)
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    assert torch.equal(
        active_logits(alone, "moving"), logits(PeftModel.from_pretrained(base, path).eval())
    )


def with_base_weights(source, tmp_path, name, value):
    """An adapter in whose file a weight of the base stands."""
    folder = tmp_path / "with-base"
    shutil.copytree(source, folder)
    file = folder / "adapter_model.safetensors"
    weights = {**load_file(file), f"base_model.model.{name}": value.clone()}
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def test_embeddings_of_its_own_set_it_apart(tiny_model, first, second, tmp_path):
    """PEFT saves embeddings beside an adapter, and would load them into the base."""
    table = tiny_model.get_input_embeddings().weight.detach()
    changed = with_base_weights(first, tmp_path, "model.embed_tokens.weight", table + 0.1)
    adapters = AdapterSet(tiny_model)
    adapters.add("plain", second)
    with pytest.raises(ApartError, match=r"overwrites the base itself \(model\.embed_tokens"):
        adapters.add("changed", changed)
    assert adapters.change(None) == math.inf


def test_embeddings_that_are_the_bases_change_nothing(tiny_model, first, tmp_path):
    """The same table in the file is no reason to set an adapter apart."""
    table = tiny_model.get_input_embeddings().weight.detach()
    same = with_base_weights(first, tmp_path, "model.embed_tokens.weight", table)
    adapters = AdapterSet(tiny_model)
    adapters.add("same", same)
    assert not any(changes(adapters).values())


@pytest.mark.parametrize("alone", [False, True])
def test_a_stray_weight_of_the_base_is_refused_by_name(tiny_model, first, tmp_path, alone):
    """No saving of PEFT's puts a norm there; it would move every variant under the same key."""
    norm = tiny_model.model.norm.weight.detach()
    stray = with_base_weights(first, tmp_path, "model.norm.weight", norm * 2)
    with pytest.raises(ModelError, match=r"weights of the base itself.*model\.norm\.weight") as e:
        AdapterSet(tiny_model).add("stray", stray, alone=alone)
    assert not isinstance(e.value, ApartError)


def test_another_kind_stands_alone(tiny_model, first, make_adapter, tmp_path):
    """PEFT has one kind in a model; the others go on, and nothing has changed."""
    from peft import IA3Config, get_peft_model

    config = IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj"], feedforward_modules=[])
    base = AutoModelForCausalLM.from_config(tiny_model.config)
    get_peft_model(base, config).save_pretrained(tmp_path / "ia3")
    adapters = AdapterSet(tiny_model)
    adapters.add("plain", first)
    with pytest.raises(ApartError, match="different peft types"):
        adapters.add("ia3", tmp_path / "ia3")
    assert changes(adapters) == {None: 0.0, "plain": 0.0}


def test_an_option_that_peft_does_not_know_is_told(tiny_model, first, tmp_path):
    """PEFT leaves it out; whoever reads the report must know."""
    path = tmp_path / "newer"
    shutil.copytree(first, path)
    file = path / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "of_a_later_release": 1}))
    adapters = AdapterSet(tiny_model)
    adapters.add("newer", path)
    adapters.add("known", first)
    assert adapters.unknown_options("newer") == ("of_a_later_release",)
    assert adapters.unknown_options("known") == ()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_tied_table_in_the_file_is_the_bases(tiny_model, tiny_dir, second, tmp_path):
    """PEFT saves the output layer beside an adapter of it, which here is the input table too."""
    base = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"], r=4)
    get_peft_model(base, config).save_pretrained(tmp_path / "head")
    adapters = AdapterSet(tiny_model)
    adapters.add("plain", second)
    adapters.add("head", tmp_path / "head")
    assert not any(changes(adapters).values())


@pytest.mark.filterwarnings("ignore")
def test_tokens_that_the_base_has_no_row_for(tiny_model, tiny_dir, tmp_path):
    """An adapter of a base that was resized for new tokens fits the resized base only."""
    rows = tiny_model.get_input_embeddings().weight.shape[0]
    resized = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
    resized.resize_token_embeddings(rows + 1, mean_resizing=False)
    options = {"target_modules": ["q_proj"], "trainable_token_indices": {"embed_tokens": [rows]}}
    get_peft_model(resized, LoraConfig(task_type="CAUSAL_LM", **options)).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=rf"does not fit this base: .*{rows} is out of bounds"):
        AdapterSet(tiny_model).add("a", tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_layers_that_peft_leaves_out_beside_others(tiny_dir, tmp_path):
    """Of the second adapter PEFT ties no output layer to its embeddings; alone it does."""

    def base():
        return AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32).eval()

    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "embed_tokens"], ensure_weight_tying=True
    )
    paths = [tmp_path / name for name in ("first", "second")]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        model = get_peft_model(base(), config)
        for name, weight in model.named_parameters():
            if "lora" in name:
                torch.nn.init.normal_(weight, std=0.05)
        model.save_pretrained(path)
    beside = AdapterSet(base())
    beside.add("first", paths[0])
    with pytest.raises(ApartError, match=r"beside the others: .*lm_head.* have no layer"):
        beside.add("second", paths[1])
    assert not any(changes(beside).values())
    alone = AdapterSet(base())
    alone.add("second", paths[1], alone=True)
    truth = logits(PeftModel.from_pretrained(base(), paths[1]).eval())
    assert torch.equal(active_logits(alone, "second"), truth)


ARCHITECTURES = {"phi": ["q_proj", "v_proj"], "qwen2": ["o_proj"], "gpt_neox": ["query_key_value"]}
KINDS = {"LORA": {"r": 4}, "LOHA": {"r": 4}, "HRA": {"r": 4}}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request):
    """A way to make the same small base again, and layers to adapt in it."""

    def base():
        torch.manual_seed(0)
        config = tiny_config(request.param)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()

    return base, ARCHITECTURES[request.param]


def adapter_of(kind, base, layers, folder, *, seed):
    """An adapter of a kind, away from where it starts, as PEFT saves it."""
    options = {"task_type": "CAUSAL_LM", "target_modules": layers, **KINDS[kind]}
    model = get_peft_model(base(), PEFT_TYPE_TO_CONFIG_MAPPING[PeftType[kind]](**options))
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers", "ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_sound_adapters_of_any_kind_change_nothing(architecture, kind, tmp_path):
    """Beside each other they answer to the last bit as PEFT has each alone; so does the base."""
    base, layers = architecture
    paths = [adapter_of(kind, base, layers, tmp_path / str(s), seed=s) for s in (1, 2)]
    adapters = AdapterSet(base())
    for number, path in enumerate(paths):
        adapters.add(str(number), path)
    assert set(changes(adapters).values()) == {0.0}
    assert torch.equal(active_logits(adapters, None), logits(base()))
    for number, path in enumerate(paths):
        truth = logits(PeftModel.from_pretrained(base(), path).eval())
        assert torch.equal(active_logits(adapters, str(number)), truth)


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers", "ignore::UserWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_one_with_embeddings_of_its_own_is_noticed(architecture, kind, tmp_path):
    """Whatever the architecture calls its table."""
    base, layers = architecture
    plain = adapter_of(kind, base, layers, tmp_path / "plain", seed=1)
    model = base()
    table = model.get_input_embeddings().weight
    name = next(n for n, weight in model.named_parameters() if weight is table)
    changed = with_base_weights(plain, tmp_path, name, table.detach() * 1.01)
    with pytest.raises(ApartError, match="overwrites the base"):
        AdapterSet(model).add("changed", changed)


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers", "ignore::UserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"trainable_token_indices": [2048, 2049]},
    ],
)
def test_a_larger_vocabulary_loads_on_the_base_that_has_it(tiny_model, tiny_dir, tmp_path, options):
    """PEFT stores the tables, some twice; on the base as it was, shapes or indices are wrong."""

    def base():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(tiny_dir, dtype=torch.float32)
        model.resize_token_embeddings(2050, mean_resizing=False)
        return model.eval()

    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], r=4, **options)
    model = get_peft_model(base(), config)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.05 * torch.randn(weight.shape)
    model.save_pretrained(tmp_path / "larger")
    adapters = AdapterSet(base())
    adapters.add("larger", tmp_path / "larger")
    assert torch.equal(active_logits(adapters, "larger"), logits(model.eval()))
    with pytest.raises(ModelError, match=r"2048|2050"):
        AdapterSet(tiny_model).add("larger", tmp_path / "larger")
