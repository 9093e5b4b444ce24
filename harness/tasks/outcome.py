"""What a task gives back: scores, and the per-example arrays beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.schema import Example, Finding, Score


@dataclass
class TaskOutcome:
    """Scores of one variant on one task.

    Attributes:
        arrays: ``Score.stats`` -> statistics, shape (n, k); ``ids/<split>`` and
            ``clusters/<split>`` -> strings, shape (n,), in the same order.
        samples: Per-document records where the scoring tool gives some (lm-eval).
        findings: What should be shown beside the scores, such as missing subjects.
    """

    scores: list[Score] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def example_arrays(split: str, examples: Sequence[Example]) -> dict[str, NDArray[Any]]:
    """The id and cluster arrays of a split's examples."""
    return {
        f"ids/{split}": np.array([example.id for example in examples], dtype=np.str_),
        f"clusters/{split}": np.array([example.cluster for example in examples], dtype=np.str_),
    }
