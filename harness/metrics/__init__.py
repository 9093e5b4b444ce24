"""Metrics: statistics per example, and values of their sums; without torch."""
