"""Whether TRL and PEFT take a suite's training: it is set up on a tiny model, without data.

``harness validate`` runs this as a process of its own, since it loads torch. What it finds is
what the training would, minutes later.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from harness.errors import UsageError
from harness.models.device import decide
from harness.models.load import load_base
from harness.models.tokens import load_tokenizer
from harness.suite.spec import BaseSpec, TrainSpec
from harness.train.adapter import peft_config
from harness.train.config import sft_config
from harness.train.quiet import quiet_libraries
from harness.train.trainer import make_trainer

_ROW = {"input_ids": [5, 6, 7, 8], "labels": [5, 6, 7, 8]}
_ROWS = 64


def try_training(base: BaseSpec, spec: TrainSpec) -> None:
    """Set up a training as the suite says it, of all weights of a tiny model.

    Adapters of the base itself are not tried: their targets are known with its weights only.

    Raises:
        UsageError: Something is refused.
    """
    policy = decide(base)
    tiny = BaseSpec(model="tiny:llama", attn_implementation=base.attn_implementation)
    with tempfile.TemporaryDirectory() as folder, quiet_libraries():
        work = Path(folder)
        config = sft_config(spec, seed=0, work_dir=work, policy=policy, has_eval_rows=True)
        if spec.method != "full":
            peft_config(spec)
        config.push_to_hub = False  # its name was checked; nothing is to be made there
        model = load_base(tiny, "fp32", policy, base_dir=work, purpose="train")
        plain = spec.model_copy(update={"method": "full", "peft_type": "LORA"})
        tokenizer = load_tokenizer(tiny, work)
        make_trainer(model, config, tokenizer, ([_ROW] * _ROWS, [_ROW]), plain, policy)


def main() -> None:
    """Read base and training from standard input, and say what is refused, as JSON."""
    asked = json.loads(sys.stdin.read())
    refusal = None
    try:
        try_training(
            BaseSpec.model_validate(asked["base"]), TrainSpec.model_validate(asked["train"])
        )
    except UsageError as error:
        refusal = {"problem": error.problem, "where": error.where, "hint": error.hint}
    sys.stdout.write(f"\n{json.dumps(refusal)}\n")


if __name__ == "__main__":
    main()
