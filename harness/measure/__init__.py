"""Memory and speed of one variant, each in a process of its own.

Importing this package brings in no torch: planning and reporting need the identities and the
definitions, and only the worker process loads a model.
"""

from __future__ import annotations

from harness.measure.glossary import definitions
from harness.measure.job import MeasureJob, adapter_shape, measurement_identity
from harness.measure.process import measure

__all__ = ["MeasureJob", "adapter_shape", "definitions", "measure", "measurement_identity"]
