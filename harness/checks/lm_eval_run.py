"""What a run of lm-eval left out, cut, warned of, or computed in another way than asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.schema import Finding

_CHECK = "lm-eval"


@dataclass(frozen=True)
class LmEvalFacts:
    """A task of lm-eval that was run on one variant.

    Attributes:
        task: The suite's name of it.
        scored: Leaf tasks that were scored.
        missing: Leaf task -> why it was not scored.
        truncated: Requests that were cut on the left to the model's length.
        warnings: What lm-eval warned of.
        asked: The engine that the suite asks for.
        engine: What computed log-likelihoods, and why; None where none were asked for.
        turn_end: A token at which texts end beside EOS.
    """

    task: str
    scored: int
    missing: Mapping[str, str]
    truncated: int
    warnings: Sequence[str]
    asked: str = "auto"
    engine: tuple[str, str] | None = None
    turn_end: str | None = None


class LmEvalRun:
    """That a task of lm-eval was run whole, and as it was asked for."""

    about = LmEvalFacts

    def findings(self, facts: LmEvalFacts) -> Iterator[Finding]:
        """A warning for what is missing, cut or slower; notes of what lm-eval and engines say."""
        if facts.missing:
            total = len(facts.missing) + facts.scored
            yield Finding(
                check=_CHECK,
                severity="warning",
                what=f"{facts.task}: {len(facts.missing)} of {total} tasks were not scored: "
                f"{', '.join(sorted(facts.missing))}.",
                why=f"For example {min(facts.missing.items())[1]}.",
                hint="An average over a part of a group compares only with one over the same part.",
            )
        if facts.truncated:
            yield Finding(
                check=_CHECK,
                severity="warning",
                what=f"{facts.task}: {facts.truncated} requests were cut on the left.",
                why="They are longer than the model's context.",
                hint="Use fewer shots (num_fewshot).",
            )
        for text in facts.warnings:
            yield Finding(check=_CHECK, severity="info", what=f"{facts.task}: lm-eval says: {text}")
        if facts.turn_end is not None:
            yield Finding(
                check=_CHECK,
                severity="info",
                what=f"{facts.task}: texts end at {facts.turn_end!r}, too, which ends a turn in "
                "the chat template and is not EOS.",
                why="lm-eval by itself has them written on, unless the model names that token.",
            )
        if facts.engine is not None:
            yield self._engine(facts.task, facts.asked, *facts.engine)

    def _engine(self, task: str, asked: str, engine: str, why: str) -> Finding:
        fell_back = engine == "stock" if asked == "auto" else engine != asked
        slower = "Common prefixes were computed again and again: slower, with the same results."
        return Finding(
            check=_CHECK,
            severity="warning" if fell_back else "info",
            what=f"{task}: engine {engine}: {why}.",
            why=slower if fell_back else "",
        )


CHECK = LmEvalRun()
