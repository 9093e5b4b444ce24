#!/usr/bin/env bash
# Guess, written down before the first run: with packing_strategy "bfd" TRL keeps rows of a packed
# sequence apart, so the eval loss of packed rows (eval_packing=True) is that of padded rows, whether
# training rows are packed or not.
#
# Seen with trl 1.16.0: where eval rows alone are packed, the collator is the one for training rows,
# which knows of no packs. Each eval row is read with the rows before it in front, without a warning,
# and the eval loss, by which a checkpoint is chosen, is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "transformers==5.23.0" "trl==1.16.0"
cat > "$folder/evaluate.py" <<'PY'
import sys

import datasets
import tokenizers
import torch
import transformers
import trl

print(f"trl {trl.__version__}, transformers {transformers.__version__}")
datasets.disable_progress_bars()
words = {f"w{n}": n for n in range(62)} | {"<pad>": 62, "</s>": 63}
plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=plain, pad_token="<pad>", eos_token="</s>"
)
rows = [{"input_ids": [(7 * n + k) % 62 for k in range(4 + n)]} for n in range(8)]
rows = datasets.Dataset.from_list([row | {"labels": row["input_ids"]} for row in rows])


def eval_loss(packing: bool, eval_packing: bool) -> float:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, initializer_range=0.2,
    )
    arguments = trl.SFTConfig(
        output_dir=sys.argv[1], packing=packing, eval_packing=eval_packing, max_length=128,
        packing_strategy="bfd", per_device_eval_batch_size=8, report_to="none", use_cpu=True,
        bf16=False, disable_tqdm=True,
    )
    trainer = trl.SFTTrainer(
        transformers.LlamaForCausalLM(config), arguments, train_dataset=rows, eval_dataset=rows,
        processing_class=tokenizer,
    )
    return trainer.evaluate()["eval_loss"]


padded = eval_loss(packing=False, eval_packing=False)
both = eval_loss(packing=True, eval_packing=True)
alone = eval_loss(packing=False, eval_packing=True)
print(f"eval loss: padded {padded:.4f}, both packed {both:.4f}, eval rows alone packed {alone:.4f}")
if abs(padded - both) > 1e-3 or abs(padded - alone) < 1e-2:
    raise SystemExit("This is not as it was.")
PY
"$folder/venv/bin/python" "$folder/evaluate.py" "$folder"
