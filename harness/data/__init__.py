"""Rows of a data source become examples: read, cleaned, rendered, clustered, split, counted."""

from harness.data.examples import load_examples
from harness.data.sources import source_identity

__all__ = ["load_examples", "source_identity"]
