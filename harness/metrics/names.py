"""Metrics' usual names in print."""

_NAMES = {
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
    "bleu": "BLEU",
    "chrf": "chrF",
    "chrf++": "chrF++",
    "ter": "TER",
    "meteor": "METEOR",
    "exact_match": "exact match",
    "f1": "F1",
    "macro_f1": "macro F1",
    "eval_loss": "eval loss",
}

LM_EVAL_SCALES = {
    **dict.fromkeys(("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "acc_all"), 1.0),
    **dict.fromkeys(("exact_match", "em", "f1", "mcc"), 1.0),
    **dict.fromkeys(("bleu", "chrf", "chrf++"), 100.0),
}
"""The best possible value of lm-eval's usual metrics, by its own name."""


def metric_name(name: str) -> str:
    """A metric's usual name in print; its own where it has no other."""
    return _NAMES.get(name, name)
