#!/usr/bin/env bash
# Guess, written down before the first run: merging a LoRA with layer_replication is refused.
# Replicated layers share their weights and have an adapter each, so a sum in one would change the
# others, and PEFT has the words: "Cannot merge LORA layers when base model layers are replicated".
#
# Seen with peft 0.21.2: merge_and_unload() merges without a word (the check looks for the option in
# a dictionary of configurations by adapter name), and the logits are not the adapter's.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.14.1" "peft==0.21.2"
cat > "$folder/merge.py" <<'PY'
import warnings

import peft
import torch
import transformers

print(f"peft {peft.__version__}, transformers {transformers.__version__}")
IDS = torch.arange(32)[None]


def difference(**options: object) -> float:
    """Largest difference of a logit between an adapter and its merged model."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=3,
        num_attention_heads=2, initializer_range=0.3, tie_word_embeddings=False,
    )
    base = transformers.AutoModelForCausalLM.from_config(config)
    lora = peft.LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False,
        task_type="CAUSAL_LM", **options,
    )
    model = peft.get_peft_model(base, lora).eval()
    with torch.inference_mode():
        adapter = model(input_ids=IDS, use_cache=False).logits
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # a word about it would end this
            merged = model.merge_and_unload(safe_merge=True)
        return float((merged(input_ids=IDS, use_cache=False).logits - adapter).abs().max())


plain, replicated = difference(), difference(layer_replication=[[0, 2], [1, 3]])
print(f"layers as they are: {plain:.2g}\nreplicated: {replicated:.2g}")
if plain > 1e-3 or replicated < 0.1:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/merge.py"
