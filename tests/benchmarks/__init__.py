"""Benchmarks of the harness itself; see ``__main__``."""
