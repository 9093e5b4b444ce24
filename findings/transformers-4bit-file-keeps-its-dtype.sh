#!/usr/bin/env bash
# Guess, written down before the first run: from_pretrained(dtype=torch.float32) of a model that was
# saved in 4 bits gives fp32 wherever the weights are not in 4 bits, as it does when the same model is
# quantized while it is loaded.
#
# Seen with transformers 5.23.0: embeddings, norms and the dtype of computing stay in bf16, that of
# the file, while model.config.dtype says float32. (That a compute dtype of one's own is ignored is
# public, huggingface/transformers#47378; that dtype= is, and that the configuration says otherwise,
# is what surprised.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.23.0" "bitsandbytes==0.50.2" \
  "accelerate==1.15.0"
cat > "$folder/load.py" <<'PY'
import sys
import warnings

import torch
import transformers

warnings.simplefilter("ignore")
transformers.logging.set_verbosity_error()
print(f"transformers {transformers.__version__}")
folder = sys.argv[1]
config = transformers.LlamaConfig(
    vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
)
transformers.AutoModelForCausalLM.from_config(config).save_pretrained(f"{folder}/plain")
four_bits = transformers.BitsAndBytesConfig(
    load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
)


def load(name: str, dtype: torch.dtype, **options: object) -> transformers.PreTrainedModel:
    return transformers.AutoModelForCausalLM.from_pretrained(
        f"{folder}/{name}", dtype=dtype, device_map={"": "cpu"}, **options
    )


load("plain", torch.bfloat16, quantization_config=four_bits).save_pretrained(f"{folder}/saved")
seen = {}
for name, options in (("plain", {"quantization_config": four_bits}), ("saved", {})):
    model = load(name, torch.float32, **options)
    seen[name] = {p.dtype for p in model.parameters() if p.is_floating_point()}
    print(f"{name}: config.dtype {model.config.dtype}, weights not in 4 bits: {seen[name]}")
if seen != {"plain": {torch.float32}, "saved": {torch.bfloat16}}:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/load.py" "$folder"
