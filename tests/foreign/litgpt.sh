#!/usr/bin/env bash
# Makes tests/data/adapters/litgpt-lora: an adapter that litgpt trained on a tiny Llama, with its own
# logits. Usage: tests/foreign/litgpt.sh FOLDER_OF_TINY_LLAMA (see mlx_lm.sh)
set -euo pipefail
model=$1
out=$(cd "$(dirname "$0")/.." && pwd)/data/adapters
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'litgpt==0.5.13' requests
cp -r "$model" "$work/base"
for split in train val; do
  python3 -c "
import json
print(json.dumps([{'instruction': f'Say $split {i}', 'input': '', 'output': f'{i} is green'} for i in range(24)]))
" > "$work/$split.json"
done
"$work/venv/bin/python" - "$work/base" <<'PY'
import json, sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from litgpt import Config
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
from litgpt.utils import save_config
folder = Path(sys.argv[1])
hf = json.loads((folder / "config.json").read_text())
config = Config(
    name="tiny-llama", hf_config={}, block_size=512, n_layer=hf["num_hidden_layers"],
    n_embd=hf["hidden_size"], n_head=hf["num_attention_heads"],
    n_query_groups=hf["num_key_value_heads"], intermediate_size=hf["intermediate_size"],
    vocab_size=hf["vocab_size"], padded_vocab_size=hf["vocab_size"], rotary_percentage=1.0,
    parallel_residual=False, bias=False, norm_class_name="RMSNorm", mlp_class_name="LLaMAMLP",
    norm_eps=hf["rms_norm_eps"],
)
weights = load_file(folder / "model.safetensors")
weights.setdefault("lm_head.weight", weights["model.embed_tokens.weight"])
state = {}
copy_weights_hf_llama(config, {}, state, weights)
torch.save({k: v.clone() for k, v in state.items()}, folder / "lit_model.pth")
save_config(config, folder)
PY
printf "optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.01}}\n" > "$work/optimizer.yaml"
mkdir "$work/data" && mv "$work"/*.json "$work/data/"
"$work/venv/bin/litgpt" finetune_lora "$work/base" --data JSON --data.json_path "$work/data" \
  --out_dir "$work/out" --precision 32-true --lora_r 4 --lora_alpha 12 --lora_dropout 0.0 \
  --lora_query true --lora_key true --lora_value true --lora_projection true --lora_mlp true \
  --train.lr_warmup_steps 1 --config "$work/optimizer.yaml" --train.max_steps 6 --train.global_batch_size 2 --train.micro_batch_size 2 --train.save_interval 3 \
  --train.max_seq_length 64 --train.lr_warmup_steps 1 --eval.interval 100 --eval.max_new_tokens 4
find "$work/out" -name 'lit_model.pth.lora'
"$work/venv/bin/python" - "$work/base" "$work/out/final" <<'PY'
import sys
from pathlib import Path
import numpy as np
import torch
import yaml
from litgpt import Config
from litgpt.lora import GPT, Config as LoRAConfig
base, adapter = map(Path, sys.argv[1:])
asked = yaml.safe_load((adapter / "hyperparameters.yaml").read_text())
lora = {k: v for k, v in asked.items() if k.startswith("lora_")}
model = GPT(LoRAConfig.from_file(base / "model_config.yaml", **lora)).eval()
state = torch.load(base / "lit_model.pth", weights_only=True)
state.update(torch.load(adapter / "lit_model.pth.lora", weights_only=True)["model"])
model.load_state_dict(state, strict=True)
ids = [0, 50, 300, 700, 1200, 1900, 7, 64]
with torch.inference_mode():
    logits = model(torch.tensor([ids]))[0, -2:].numpy()
np.savez(adapter / "logits.npz", ids=ids, logits=logits)
PY
rm -rf "$out/litgpt-lora"
mkdir -p "$out/litgpt-lora"
sed -i -E 's#^((checkpoint|out)_dir|.*json_path): .*#\1: tiny#' "$work/out/final/hyperparameters.yaml"
cp "$work/out/final"/{lit_model.pth.lora,hyperparameters.yaml,model_config.yaml,logits.npz} "$out/litgpt-lora/"
