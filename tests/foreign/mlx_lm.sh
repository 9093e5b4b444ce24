#!/usr/bin/env bash
# Makes tests/data/adapters/mlx-*: adapters that MLX-LM trained on a tiny Llama, with its own logits.
# Usage: tests/foreign/mlx_lm.sh FOLDER_OF_TINY_LLAMA
#   python -c "from harness.models.builtin import resolve_model as r; from harness.suite.spec import BaseSpec as B; from pathlib import Path; print(r(B(model='tiny:llama'), Path()))"
set -euo pipefail
model=$1
out=$(cd "$(dirname "$0")/.." && pwd)/data/adapters
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'mlx[cpu]==0.32.4' 'mlx-lm==0.32.0'
mkdir "$work/data"
for split in train valid; do
  for i in $(seq 40); do echo "{\"text\": \"The colour number $i of $split is green, and $i more.\"}"; done > "$work/data/$split.jsonl"
done
for kind in lora dora; do
  printf 'lora_parameters: {rank: 4, dropout: 0.0, scale: 10.0, keys: [self_attn.q_proj, self_attn.v_proj, mlp.down_proj]}\n' > "$work/$kind.yaml"
  "$work/venv/bin/python" -m mlx_lm lora --model "$model" --train --data "$work/data" --fine-tune-type $kind \
    --iters 8 --save-every 4 --batch-size 2 --num-layers 2 --learning-rate 1e-2 --max-seq-length 64 \
    --adapter-path "$work/$kind" -c "$work/$kind.yaml"
  "$work/venv/bin/python" - "$model" "$work/$kind" <<'PY'
import json, sys
import mlx.core as mx
import numpy as np
from mlx_lm import load
mx.set_default_device(mx.cpu)
model, _ = load(sys.argv[1], adapter_path=sys.argv[2])
ids = [0, 50, 300, 700, 1200, 1900, 7, 64]
logits = np.array(model(mx.array([ids]))[0, -2:].astype(mx.float32))
np.savez(sys.argv[2] + "/logits.npz", ids=ids, logits=logits)
PY
  rm -rf "$out/mlx-$kind"
  mkdir -p "$out/mlx-$kind"
  sed -i -E 's/"(model|data|adapter_path|config)": "[^"]*"/"\1": "tiny"/' "$work/$kind/adapter_config.json"
  cp "$work/$kind"/{adapters.safetensors,0000004_adapters.safetensors,0000008_adapters.safetensors,adapter_config.json,logits.npz} "$out/mlx-$kind/"
done
