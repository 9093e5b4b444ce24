"""Checkpoints that are judged on a base of other precision than they were trained on."""

from __future__ import annotations

from collections.abc import Iterator

from harness.schema import QUANTIZED, Finding
from harness.suite.spec import Suite, TrainSpec


class SamePrecision:
    """That the adapters' base is quantized as in training.

    The matrix is at the precision of the training unless the suite says otherwise.
    """

    about = Suite

    def findings(self, facts: Suite) -> Iterator[Finding]:
        """A warning where it is not."""
        for name, train in facts.trainings.items():
            yield from _findings(train, facts.precision_of(name))


def _findings(train: TrainSpec, adapters: str) -> Iterator[Finding]:
    qlora = train.method == "qlora"
    trained = train.quantization.bnb_4bit_quant_type if qlora else "unquantized"
    if trained != (adapters if adapters in QUANTIZED else "unquantized"):
        base = f"a base at {trained}" if qlora else "an unquantized base"
        yield Finding(
            check="precision",
            severity="warning",
            what=f"The checkpoints were trained on {base} and are judged at {adapters}.",
            why="Their weights make up for the rounding of the base they were trained on.",
            hint="Set matrix.adapters to the precision they are to be shipped at.",
        )


CHECK = SamePrecision()
