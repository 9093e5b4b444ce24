"""Generated text equals transformers' own, whatever the batch, and nothing is cut silently."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from tokenizers import AddedToken
from transformers import GenerationConfig

from harness.engines import decoder, kv_cache
from harness.engines.base import Decoding, Generated
from harness.engines.decoder import choose
from harness.engines.generation import generate, generate_together
from harness.errors import MemoryShortError, ModelError, SuiteError
from harness.models.adapters import AdapterSet
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.tokens import encode_prompt, load_tokenizer
from harness.suite.spec import BaseSpec

PROMPTS = [
    "Return the value of",
    "Open",
    "The following is a much longer text, so that rows of a batch need padding on the left: " * 3,
    "class Path:\n    ",
    "Return the value of",
    "Raise an error when the file",
    "",
]


@pytest.fixture(scope="module")
def llama(tiny_base, tiny_dir):
    return load_base(tiny_base, "fp32", decide(tiny_base), base_dir=Path(), purpose="quality")


@pytest.fixture(scope="module")
def tokenizer(tiny_tokenizer):
    return tiny_tokenizer


def theirs(model, tokenizer, prompt, **options):
    """Transformers' own generate for a single prompt: new token ids."""
    ids = torch.tensor([encode_prompt(tokenizer, prompt, chat=False)])
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        generation_config=GenerationConfig(
            do_sample=False, eos_token_id=1, pad_token_id=2, bos_token_id=0, **options
        ),
    )
    return output[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize(
    "architecture", ["llama", "gpt2", "gpt_neox", "opt", "phi", "qwen2", "gemma3"]
)
def test_greedy_equals_transformers(architecture):
    """A padded batch gives what transformers generates for each prompt alone."""
    base = BaseSpec(model=f"tiny:{architecture}", dtype="fp32", device="cpu")
    model = load_base(base, "fp32", decide(base), base_dir=Path(), purpose="quality")
    tokenizer = load_tokenizer(base, Path())
    ours = generate(model, tokenizer, PROMPTS, Decoding(max_new_tokens=12), chat=False)
    for prompt, result in zip(PROMPTS, ours, strict=True):
        ids = theirs(model, tokenizer, prompt, max_new_tokens=12)
        assert result.text == tokenizer.decode(ids, skip_special_tokens=True), prompt
        assert result.new_tokens == len(ids)
        assert result.finish_reason == ("eos" if ids[-1] == 1 else "length")


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 3, "length_penalty": 0.5},
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2, "min_new_tokens": 6},
    ],
    ids=["beams", "penalty", "ngrams"],
)
def test_options_of_transformers_are_its_own(llama, tokenizer, options):
    """Named as it names them, they give its texts."""
    decoding = Decoding(max_new_tokens=10, generation=options)
    ours = generate(llama, tokenizer, PROMPTS, decoding, chat=False)
    plain = generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=10), chat=False)
    for prompt, result in zip(PROMPTS, ours, strict=True):
        ids = theirs(llama, tokenizer, prompt, max_new_tokens=10, **options)
        assert result.text == tokenizer.decode(ids, skip_special_tokens=True)
        assert result.new_tokens == len(ids)
    assert [one.text for one in ours] != [one.text for one in plain]


def test_options_come_with_stop_strings_and_seeds(llama, tokenizer):
    """A text ends at a stop string, and depends neither on others nor on their order."""
    sampled = {"do_sample": True, "seed": 3, "generation": {"min_p": 0.001}}
    texts = generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=10, **sampled), chat=False)
    again = generate(
        llama, tokenizer, PROMPTS[::-1], Decoding(max_new_tokens=10, **sampled), chat=False
    )
    assert again[::-1] == texts
    stop = texts[0].text[2:5]
    [cut] = generate(
        llama,
        tokenizer,
        PROMPTS[:1],
        Decoding(max_new_tokens=10, stop=(stop,), **sampled),
        chat=False,
    )
    assert (cut.finish_reason, cut.text) == ("stop", texts[0].text.partition(stop)[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [({"repetition_penalty": -1.0}, "strictly positive"), ({"min_p": 2.0}, "min_p")],
)
def test_options_that_transformers_refuses(llama, tokenizer, options, words):
    """In its words."""
    decoding = Decoding(do_sample=True, generation=options)
    with pytest.raises(SuiteError, match=words):
        generate(llama, tokenizer, PROMPTS, decoding, chat=False)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
@pytest.mark.parametrize("do_sample", [False, True])
def test_text_does_not_depend_on_batch_size_or_order(llama, tokenizer, batch_size, do_sample):
    """In fp32 neither greedy nor sampled text depends on what else is in the batch."""
    decoding = {"max_new_tokens": 10, "do_sample": do_sample, "seed": 5}
    alone = [generate(llama, tokenizer, [p], Decoding(**decoding), chat=False)[0] for p in PROMPTS]
    together = generate(
        llama, tokenizer, PROMPTS[::-1], Decoding(**decoding, batch_size=batch_size), chat=False
    )
    assert together[::-1] == alone


MANY = [f"{prompt} {number}" for number in range(6) for prompt in PROMPTS]


@pytest.fixture(scope="module")
def family(tiny_base, tiny_dir, make_adapter, tmp_path_factory):
    """tiny:llama with two adapters."""
    model = load_base(tiny_base, "fp32", decide(tiny_base), base_dir=Path(), purpose="quality")
    adapters = AdapterSet(model)
    for seed, name in enumerate(("a", "b")):
        adapters.add(name, make_adapter(tmp_path_factory.mktemp(name) / name, seed=seed, r=8))
    return adapters


@pytest.mark.parametrize("variant", [None, "a"])
def test_text_does_not_depend_on_batch_size_however_rows_end(
    family, tokenizer, variant, monkeypatch
):
    """With and without an adapter, with rows that end by EOS, by stop strings and by length."""
    with family.active(variant) as model:
        plain = [theirs(model, tokenizer, prompt, max_new_tokens=9) for prompt in MANY[:4]]
        end, stop = plain[0][2], tokenizer.decode(plain[2][4:6])
        monkeypatch.setattr(model.generation_config, "eos_token_id", [1, end])
        decoding = {"max_new_tokens": 14, "stop": (stop,)}
        runs = {
            size: generate(
                model, tokenizer, MANY, Decoding(**decoding, batch_size=size), chat=False
            )
            for size in (1, 3, 16, 64)
        }
    assert {result.finish_reason for result in runs[1]} == {"eos", "stop", "length"}
    for size, results in runs.items():
        assert results == runs[1], size


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_variants_together_write_what_each_writes_alone(family, tokenizer, batch_size, do_sample):
    """Base and adapters in one batch give the texts of one after another, draws included."""
    decoding = Decoding(
        max_new_tokens=10, do_sample=do_sample, seed=3, batch_size=batch_size, stop=("e ",)
    )
    names = [None, "a", "b"]
    with family.mixed(names) as mixture:
        together = generate_together(mixture, tokenizer, PROMPTS, decoding, chat=False)
    assert list(together) == names
    for name in names:
        with family.active(name) as model:
            assert together[name] == generate(model, tokenizer, PROMPTS, decoding, chat=False)
    assert len({tuple(r.text for r in own) for own in together.values()}) == 3


def test_variants_together_fit_the_batch_and_say_how_far(family, tokenizer):
    """On a CPU batch_size counts rows of all variants; progress counts texts."""
    rows, seen = [], []
    decoding = Decoding(max_new_tokens=3, batch_size=6)
    with family.mixed([None, "a", "b"]) as mixture:
        handle = mixture.model.register_forward_pre_hook(
            lambda _, __, options: rows.append(options["input_ids"].shape[0]), with_kwargs=True
        )
        generate_together(
            mixture,
            tokenizer,
            PROMPTS,
            decoding,
            chat=False,
            progress=lambda done, total, note: seen.append((done, total, note)),
        )
        handle.remove()
    assert max(rows) == 6
    assert [done for done, *_ in seen] == sorted(done for done, *_ in seen)
    assert seen[-1][:2] == (21, 21)
    assert seen[-1][2].endswith(" tokens/s")


def test_memory_for_one_variant_at_a_time_only(family, tokenizer, monkeypatch):
    """Where not even one prompt fits for all variants, the error leaves the model as it was."""
    with family.active("a") as model:
        before = generate(model, tokenizer, PROMPTS, Decoding(max_new_tokens=4), chat=False)
        inner = model.get_base_model()
    forward = inner.forward

    def limited(*args, **options):
        if options["input_ids"].shape[0] > 1:
            raise torch.OutOfMemoryError
        return forward(*args, **options)

    limited.__signature__ = __import__("inspect").signature(forward)
    monkeypatch.setattr(inner, "forward", limited)
    decoding = Decoding(max_new_tokens=4)
    with (
        pytest.raises(MemoryShortError, match="does not suffice"),
        family.mixed([None, "a"]) as mixture,
    ):
        generate_together(mixture, tokenizer, PROMPTS, decoding, chat=False)
    with family.active("a") as model:
        assert generate(model, tokenizer, PROMPTS, decoding, chat=False) == before


@pytest.mark.parametrize("architecture", ["mistral", "gemma3"])
def test_sliding_windows(architecture):
    """Prompts longer than the window, and padded ones, give transformers' own text."""
    base = BaseSpec(model=f"tiny:{architecture}", dtype="fp32", device="cpu")
    model = load_base(base, "fp32", decide(base), base_dir=Path(), purpose="quality")
    if architecture == "mistral":
        model.config.sliding_window = 16
    tokenizer = load_tokenizer(base, Path())
    prompts = [*PROMPTS, "one two three four five six seven eight nine ten " * 6]
    ours = generate(model, tokenizer, prompts, Decoding(max_new_tokens=12), chat=False)
    for prompt, result in zip(prompts, ours, strict=True):
        ids = theirs(model, tokenizer, prompt, max_new_tokens=12)
        assert result.text == tokenizer.decode(ids, skip_special_tokens=True), prompt
    assert ours[-1].prompt_tokens > 64


def test_caches_of_other_kinds(llama, tokenizer, monkeypatch):
    """A model that keeps more than keys and values runs on transformers' own cache."""
    expected = generate(llama, tokenizer, MANY[:20], Decoding(max_new_tokens=6), chat=False)
    monkeypatch.setattr(kv_cache, "fits", lambda _: False)
    monkeypatch.setattr(decoder, "DynamicCache", lambda: pytest.fail("our own cache was used"))
    found = generate(llama, tokenizer, MANY[:20], Decoding(max_new_tokens=6), chat=False)
    assert found == expected


def test_rows_retire_at_eos(llama, tokenizer, monkeypatch):
    """A row that ends leaves the batch without changing the others, and keeps its own text."""
    plain = generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=12), chat=False)
    ids = [theirs(llama, tokenizer, prompt, max_new_tokens=12) for prompt in PROMPTS]
    # tokens that some rows reach early are made end tokens, one after the other
    early = [ids[0][2], ids[1][4], ids[3][1]]
    monkeypatch.setattr(llama.generation_config, "eos_token_id", [1, *early])
    ended = generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=12), chat=False)
    for new, before, after in zip(ids, plain, ended, strict=True):
        at = min((new.index(token) for token in early if token in new), default=None)
        if at is None:
            assert after == before
        else:
            assert after.new_tokens == at + 1
            assert after.finish_reason == "eos"
            assert after.text == tokenizer.decode(new[: at + 1], skip_special_tokens=True)
    assert {r.finish_reason for r in ended} == {"eos", "length"}


def test_stop_strings_end_and_are_cut(llama, tokenizer):
    """Generation ends once the text holds a stop string, wherever its tokens begin."""
    [plain] = generate(llama, tokenizer, ["Return the"], Decoding(max_new_tokens=20), chat=False)
    stop = plain.text[9:13]
    cut = plain.text[: plain.text.index(stop)]
    decoding = Decoding(max_new_tokens=20, stop=("never in it", stop))
    [result] = generate(llama, tokenizer, ["Return the"], decoding, chat=False)
    assert result.text == cut
    assert result.finish_reason == "stop"
    assert result.new_tokens < plain.new_tokens


@pytest.mark.parametrize("named", [True, False])
def test_stop_string_that_is_a_special_token(llama, tokenizer, named):
    """A token that decoded text does not show ends it too, named among the special ones or not."""
    ids = theirs(llama, tokenizer, "Open", max_new_tokens=5)
    tokenizer_copy = type(tokenizer).from_pretrained(tokenizer.name_or_path)
    token = tokenizer_copy.convert_ids_to_tokens(ids[3])
    if named:
        tokenizer_copy.add_special_tokens({"extra_special_tokens": [token]})
    else:
        tokenizer_copy.add_tokens([AddedToken(token, special=True)])
        assert token not in tokenizer_copy.all_special_tokens
    decoding = Decoding(max_new_tokens=5, stop=(token,))
    [result] = generate(llama, tokenizer_copy, ["Open"], decoding, chat=False)
    assert result.finish_reason == "stop"
    assert result.new_tokens == 4
    assert result.text == tokenizer.decode(ids[:3])


def test_repository_defaults_are_not_applied(llama, tokenizer, monkeypatch):
    """Sampling and penalties that a model repository suggests change nothing."""
    expected = generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=8), chat=False)
    for name, value in {
        "do_sample": True,
        "temperature": 5.0,
        "repetition_penalty": 9.0,
        "max_length": 3,
        "top_k": 1,
    }.items():
        monkeypatch.setattr(llama.generation_config, name, value)
    assert generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=8), chat=False) == expected


def test_long_prompts_are_cut_on_the_left_and_counted(llama, tokenizer):
    """A prompt keeps its end, and the count of what was cut is returned."""
    long = "word " * 100 + "Return the value of"
    kept = encode_prompt(tokenizer, long, chat=False)
    decoding = Decoding(max_new_tokens=6, max_prompt_tokens=20)
    [result] = generate(llama, tokenizer, [long], decoding, chat=False)
    assert result.prompt_tokens == 20
    assert result.truncated_prompt_tokens == len(kept) - 20
    with torch.inference_mode():
        first = llama(torch.tensor([[kept[0], *kept[-19:]]])).logits[0, -1].argmax()
    assert result.text.startswith(tokenizer.decode([first]))


def test_prompt_is_cut_to_the_context(llama, tokenizer, monkeypatch):
    """Prompt and answer fit the model's context together; an answer that cannot is an error."""
    monkeypatch.setattr(llama.config, "max_position_embeddings", 32)
    [result] = generate(llama, tokenizer, ["word " * 99], Decoding(max_new_tokens=8), chat=False)
    assert result.prompt_tokens == 24
    with pytest.raises(ModelError, match="context holds 32 tokens"):
        generate(llama, tokenizer, ["x"], Decoding(max_new_tokens=32), chat=False)


def test_equal_prompts_are_generated_once(llama, tokenizer):
    """Equal prompts cost one row, and progress counts prompts."""
    seen, rows = [], []
    handle = llama.register_forward_pre_hook(
        lambda _, __, options: rows.append(options["input_ids"].shape[0]), with_kwargs=True
    )
    try:
        results = generate(
            llama,
            tokenizer,
            ["Open a file"] * 5 + ["Close it now"],
            Decoding(max_new_tokens=2),
            chat=False,
            progress=lambda done, total, _: seen.append((done, total)),
        )
    finally:
        handle.remove()
    assert rows == [2, 2]
    assert len(set(results[:5])) == 1
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_out_of_memory_halves_the_batch(llama, tokenizer, monkeypatch, error):
    """When memory runs out batches get smaller, and the texts are the same."""
    prompts = [f"Return the value of {n}" for n in range(7)]
    expected = generate(llama, tokenizer, prompts, Decoding(max_new_tokens=4), chat=False)
    sizes, forward = [], llama.forward

    def limited(*args, **options):
        rows = options["input_ids"].shape[0]
        if rows > 3:
            sizes.append(rows)
            raise error
        return forward(*args, **options)

    limited.__signature__ = __import__("inspect").signature(forward)
    monkeypatch.setattr(llama, "forward", limited)
    decoding = Decoding(max_new_tokens=4, batch_size=8)
    assert generate(llama, tokenizer, prompts, decoding, chat=False) == expected
    assert sizes == [7]


def test_out_of_memory_for_one_row(llama, tokenizer, monkeypatch):
    """When not even one row fits, the error says how to need less; other errors pass through."""

    def fail(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(llama, "forward", fail)
    with pytest.raises(MemoryShortError, match="does not suffice for a batch of one"):
        generate(llama, tokenizer, PROMPTS, Decoding(), chat=False)

    def broken(*_, **__):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(llama, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        generate(llama, tokenizer, PROMPTS, Decoding(), chat=False)


def test_sampling_is_seeded(llama, tokenizer):
    """Equal seeds give equal text, other seeds other text."""

    def sample(seed):
        decoding = Decoding(max_new_tokens=8, do_sample=True, seed=seed)
        return [r.text for r in generate(llama, tokenizer, PROMPTS, decoding, chat=False)]

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-3}])
def test_narrow_sampling_is_greedy(llama, tokenizer, options):
    """Sampling from the likeliest token only is greedy decoding."""
    greedy = generate(llama, tokenizer, PROMPTS, Decoding(max_new_tokens=6), chat=False)
    decoding = Decoding(max_new_tokens=6, do_sample=True, **options)
    assert generate(llama, tokenizer, PROMPTS, decoding, chat=False) == greedy


@pytest.mark.parametrize(
    ("options", "support"),
    [({}, 5), ({"top_k": 3}, 3), ({"top_p": 0.8}, 3), ({"temperature": 0.5}, 5)],
)
def test_sampling_follows_the_distribution(options, support):
    """Token frequencies follow the filtered softmax (chi-squared against transformers' filters)."""
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.tensor([[2.0, 0.5, 1.5, -1.0, 1.0]], dtype=torch.float64)
    expected = logits
    if "temperature" in options:
        expected = TemperatureLogitsWarper(options["temperature"])(None, expected)
    if "top_k" in options:
        expected = TopKLogitsWarper(options["top_k"])(None, expected)
    if "top_p" in options:
        expected = TopPLogitsWarper(options["top_p"])(None, expected)
    probabilities = expected.softmax(-1)[0].numpy()
    draws = torch.from_numpy(np.random.default_rng(0).random(20_000))
    tokens = choose(logits.expand(20_000, -1), Decoding(do_sample=True, **options), draws)
    counts = Counter(tokens.tolist())
    allowed = np.flatnonzero(probabilities)
    assert set(counts) == set(allowed.tolist())
    assert len(allowed) == support
    observed = np.array([counts[i] for i in allowed])
    assert stats.chisquare(observed, probabilities[allowed] * 20_000).pvalue > 0.001


def test_draws_at_the_edge_stay_in_the_set():
    """A draw just below one takes the last allowed token, never one outside the filters."""
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    draws = torch.tensor([np.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert choose(logits, Decoding(do_sample=True, top_k=2), draws).tolist() == [1]
    assert choose(logits, Decoding(do_sample=True), torch.zeros(1)).tolist() == [0]


def test_adapters_change_the_text(tiny_model, tokenizer, make_adapter, tmp_path):
    """The engine runs a model with an adapter, and the base again with none."""
    before = generate(tiny_model, tokenizer, PROMPTS, Decoding(max_new_tokens=8), chat=False)
    adapters = AdapterSet(tiny_model)
    adapters.add("a", make_adapter(tmp_path / "a", seed=3))
    with adapters.active("a") as model:
        acting = generate(model, tokenizer, PROMPTS, Decoding(max_new_tokens=8), chat=False)
    with adapters.active(None) as model:
        after = generate(model, tokenizer, PROMPTS, Decoding(max_new_tokens=8), chat=False)
    assert after == before
    assert acting != before


def test_no_prompts(llama, tokenizer):
    """Nothing in, nothing out."""
    assert generate(llama, tokenizer, [], Decoding(), chat=False) == []


def test_model_without_cache(llama, tokenizer, monkeypatch):
    """A model that keeps no key-value cache is refused by name."""
    forward = llama.forward

    def uncached(**options):
        return forward(**{**options, "use_cache": False, "past_key_values": None})

    uncached.__signature__ = __import__("inspect").signature(forward)
    monkeypatch.setattr(llama, "forward", uncached)
    with pytest.raises(ModelError, match="keeps no key-value cache"):
        generate(llama, tokenizer, ["Open"], Decoding(), chat=False)


def test_result_fields(llama, tokenizer):
    """The record says what was read and written."""
    [result] = generate(llama, tokenizer, ["Open"], Decoding(max_new_tokens=3), chat=False)
    assert isinstance(result, Generated)
    assert result.prompt_tokens == len(encode_prompt(tokenizer, "Open", chat=False))
    assert (result.new_tokens, result.truncated_prompt_tokens) == (3, 0)
