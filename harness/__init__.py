"""Evaluation and benchmarking of QLoRA fine-tuning: which checkpoint to ship, and how sure."""

__version__ = "0.1.0"
