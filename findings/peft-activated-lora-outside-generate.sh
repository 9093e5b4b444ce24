#!/usr/bin/env bash
# Guess, written down before the first run: an activated LoRA (alora_invocation_tokens) acts from its
# invocation tokens on in any greedy loop over PeftModel.forward, with a key-value cache or without,
# as every other kind of LoRA does.
#
# Seen with peft 0.21.2: where the invocation stands is looked up in the tokens of each call. A cached
# step is given the last token only, finds no invocation, and is computed by the base, without a
# word. PEFT's own generate carries the place along, and writes what the uncached loop writes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.23.0" "peft==0.21.2"
cat > "$folder/loops.py" <<'PY'
import warnings

import peft
import torch
import transformers

warnings.simplefilter("ignore")
print(f"peft {peft.__version__}, transformers {transformers.__version__}")
torch.manual_seed(0)
STEPS, PROMPT = 12, torch.tensor([[5, 9, 11, 12, 20]])
config = transformers.LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=2, initializer_range=0.3, eos_token_id=None, bos_token_id=None,
)
base = transformers.AutoModelForCausalLM.from_config(config).eval()


def greedy(model, cached: bool) -> list[int]:
    ids, cache = PROMPT, None
    for _ in range(STEPS):
        given = ids if cache is None else ids[:, -1:]
        out = model(input_ids=given, past_key_values=cache, use_cache=cached)
        cache = out.past_key_values if cached else None
        ids = torch.cat([ids, out.logits[:, -1:].argmax(-1)], dim=1)
    return ids[0, PROMPT.shape[1] :].tolist()


def adapted(**options):
    lora = peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, target_modules=["q_proj", "v_proj"], **options
    )
    model = peft.get_peft_model(transformers.AutoModelForCausalLM.from_config(config), lora)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    return model.eval()


def agreement(a: list[int], b: list[int]) -> int:
    return sum(x == y for x, y in zip(a, b))


with torch.inference_mode():
    plain, activated = adapted(), adapted(alora_invocation_tokens=[11, 12])
    truth = greedy(activated, cached=False)
    by_peft = activated.generate(input_ids=PROMPT, max_new_tokens=STEPS, do_sample=False)
    equal = {
        "LoRA, cached loop": agreement(greedy(plain, True), greedy(plain, False)),
        "activated LoRA, cached loop": agreement(greedy(activated, True), truth),
        "activated LoRA, PEFT's generate": agreement(by_peft[0, PROMPT.shape[1] :].tolist(), truth),
    }
for what, count in equal.items():
    print(f"{what}: {count} of {STEPS} tokens are those of the uncached loop")
first, second, third = equal.values()
if (first, third) != (STEPS, STEPS) or second == STEPS:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/loops.py"
