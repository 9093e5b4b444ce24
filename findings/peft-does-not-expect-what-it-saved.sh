#!/usr/bin/env bash
# Guess, written down before the first run: of an adapter that PEFT has just saved, loading reports no
# unexpected weight.
#
# Seen with peft 0.21.2: of a LoRA adapter with modules_to_save, saved on a base whose vocabulary was
# enlarged, the file holds the trained table twice, and load_adapter reports the second copy as
# unexpected. A loader that refuses unexpected weights refuses what PEFT itself wrote.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.14.1" "peft==0.21.2"
cat > "$folder/save.py" <<'PY'
import sys
import warnings

import peft
import torch
import transformers

warnings.simplefilter("ignore")
print(f"peft {peft.__version__}, transformers {transformers.__version__}")
folder = sys.argv[1]


def enlarged() -> transformers.PreTrainedModel:
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_pretrained(f"{folder}/base")
    model.resize_token_embeddings(66, mean_resizing=False)
    return model


config = transformers.LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
    num_attention_heads=2, tie_word_embeddings=False,
)
transformers.AutoModelForCausalLM.from_config(config).save_pretrained(f"{folder}/base")
lora = peft.LoraConfig(
    target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"], task_type="CAUSAL_LM"
)
peft.get_peft_model(enlarged(), lora).save_pretrained(f"{folder}/adapter")
model = peft.get_peft_model(enlarged(), lora, adapter_name="again")
outcome = model.load_adapter(f"{folder}/adapter", "again")
print("unexpected:", sorted(outcome.unexpected_keys))
if not outcome.unexpected_keys:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/save.py" "$folder"
