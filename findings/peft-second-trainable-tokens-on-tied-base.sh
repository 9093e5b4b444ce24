#!/usr/bin/env bash
# Guess, written down before the first run: two adapters of PEFT's kind TRAINABLE_TOKENS stand beside
# each other over one base as two LoRA adapters do, whether or not its embedding and output layer are
# one tensor (tie_word_embeddings).
#
# Seen with peft 0.21.2: over an untied base they do. Over a tied one the second is added without a
# word, and every forward pass with it fails: "TrainableTokensLayer wraps an unknown layer type".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.14.1" "peft==0.21.2"
cat > "$folder/two.py" <<'PY'
import warnings

import peft
import torch
import transformers

warnings.simplefilter("ignore")
print(f"peft {peft.__version__}, transformers {transformers.__version__}")


def second_answers(tied: bool) -> str:
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, tie_word_embeddings=tied,
    )
    base = transformers.AutoModelForCausalLM.from_config(config)

    def tokens(*ids: int) -> peft.TrainableTokensConfig:
        return peft.TrainableTokensConfig(
            token_indices=list(ids), target_modules=["embed_tokens"], task_type="CAUSAL_LM"
        )

    model = peft.get_peft_model(base, tokens(3, 5), adapter_name="first")
    model.add_adapter("second", tokens(7, 9))
    model.set_adapter("second")
    try:
        model(input_ids=torch.arange(10)[None])
    except ValueError as error:
        return str(error)
    return "answers"


seen = {tied: second_answers(tied) for tied in (False, True)}
for tied, what in seen.items():
    print(f"tied: {tied}: {what}")
if seen[False] != "answers" or "unknown layer type" not in seen[True]:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/two.py"
