"""Text that a training is not about, and that is predicted worse after it."""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.schema import Finding

_FORGOTTEN = 0.05  # nats per token, which is 5 % of perplexity


@dataclass(frozen=True)
class NeutralFacts:
    """Losses on texts of a task with data of its own, in nats per token."""

    task: str
    baseline: str
    loss: float
    baseline_loss: float


class Forgetting:
    """That what was known before is known after."""

    about = NeutralFacts

    def findings(self, facts: NeutralFacts) -> Iterator[Finding]:
        """A warning where the loss is higher by a twentieth of a nat or more."""
        rise = facts.loss - facts.baseline_loss
        if rise >= _FORGOTTEN:
            yield Finding(
                check="forgetting",
                severity="warning",
                what=f"the loss on {facts.task} is {facts.loss:.3f}, {rise:.3f} nats per token "
                f"above that of {facts.baseline}.",
                why="These texts are not those that were trained on: something is forgotten.",
                hint="Train for fewer steps or at a lower learning rate, or mix such texts in.",
            )


CHECK = Forgetting()
