"""Metrics' usual names in print."""

from __future__ import annotations

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


def metric_name(name: str) -> str:
    """A metric's usual name in print; its own where it has no other."""
    return _NAMES.get(name, name)
