#!/usr/bin/env bash
# Guess, written down before the first run: with any adapter of PEFT over a causal language model, the
# logits of a token depend on no later token, and on no other row of the batch.
#
# Seen with peft 0.21.2: with LILY they do. Its router's weights are averaged over all tokens of all
# rows before the experts are combined, so a teacher-forced loss has seen what it is asked to predict,
# and text that is written on a cache is that of another model. LoRA is as guessed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.14.1" "peft==0.21.2"
cat > "$folder/ahead.py" <<'PY'
import warnings

import peft
import torch
import transformers

warnings.simplefilter("ignore")
print(f"peft {peft.__version__}, transformers {transformers.__version__}")


def changes(config: peft.PeftConfig) -> tuple[float, float]:
    """Largest change of a logit of the first eight tokens: by later tokens, by another row."""
    torch.manual_seed(0)
    base = transformers.AutoModelForCausalLM.from_config(
        transformers.LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=4,
            num_attention_heads=2, initializer_range=0.1,
        )
    )
    model = peft.get_peft_model(base, config).eval()
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape)
    row, other = torch.arange(8)[None], torch.arange(40, 48)[None]
    with torch.inference_mode():
        alone = model(input_ids=row).logits
        longer = model(input_ids=torch.cat([row, other], dim=1)).logits[:, :8]
        beside = model(input_ids=torch.cat([row, other])).logits[:1]
    return float((longer - alone).abs().max()), float((beside - alone).abs().max())


layers = {"target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}
seen = {"LoRA": changes(peft.LoraConfig(**layers)), "LILY": changes(peft.LilyConfig(**layers))}
for kind, (later, row) in seen.items():
    print(f"{kind}: by later tokens {later:.2g}, by another row {row:.2g}")
if max(seen["LoRA"]) > 1e-5 or min(seen["LILY"]) < 1e-3:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/ahead.py"
