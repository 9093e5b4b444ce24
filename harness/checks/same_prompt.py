"""Rows that are asked in another way than they were trained on."""

from collections.abc import Iterator

from harness.schema import Finding
from harness.suite.spec import PromptSpec, Suite

_NO_TEMPLATE = {"references", "stop"}  # of a prompt's parts


class SamePrompt:
    """That a task which takes the training's data takes its prompt, too."""

    about = Suite

    def findings(self, facts: Suite) -> Iterator[Finding]:
        """A warning for each that does not."""
        if facts.train is None or facts.prompt is None:
            return
        for name, task in facts.tasks.items():
            own = getattr(task, "prompt", None)
            if own is None or getattr(task, "data", None) is not None:
                continue
            if _template(own) != _template(facts.prompt):
                yield Finding(
                    check="prompt",
                    severity="warning",
                    what=f"{name} asks with another prompt than the one that was trained on.",
                    why="What a template trains is lost where another one asks.",
                    hint=f"Leave tasks.{name}.prompt out, or write prompt.stop at the top.",
                )


def _template(prompt: PromptSpec) -> dict[str, object]:
    return prompt.model_dump(exclude=_NO_TEMPLATE)


CHECK = SamePrompt()
