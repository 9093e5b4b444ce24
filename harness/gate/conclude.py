"""From single checks to the verdict of the whole: one word, one exit code, one headline."""

from collections.abc import Sequence
from typing import Literal

from harness.gate.words import check_label
from harness.schema import GateResult

Verdict = Literal["pass", "regression", "inconclusive", "incompatible", "invalid"]


def conclude(result: GateResult) -> GateResult:
    """Fill verdict, exit code and headline from everything else.

    Incompatible wins over missing or invalid data, that over a regression, that over too little
    data, and that over a pass. A gate in which no score was compared decides nothing, and fails.
    """
    verdict, code, words = _verdict(result)
    headline = f"{verdict.capitalize()}: {words.rstrip('.')}."
    return result.model_copy(update={"verdict": verdict, "exit_code": code, "headline": headline})


def _verdict(result: GateResult) -> tuple[Verdict, int, str]:
    deciding = [check for check in result.checks if check.decides]
    failed = [check for check in deciding if check.verdict in ("missing", "invalid")]
    lost = [check for check in deciding if check.verdict == "regression"]
    unsure = [check for check in deciding if check.verdict == "inconclusive"]
    compared = [c for c in deciding if c.kind == "quality" and c.verdict != "not_compared"]
    if result.differences:
        return "incompatible", 4, f"{result.differences[0]}{_more(result.differences)}"
    if failed or result.problems or not compared:
        reasons = [
            *result.problems,
            *(f"{check_label(c)} is {c.verdict}: {c.reason}" for c in failed),
        ]
        reasons = reasons or ["no score was compared"]
        return "invalid", 5, f"{reasons[0]}{_more(reasons)}"
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        return "regression", 1, f"worse than allowed: {', '.join(map(check_label, lost[:3]))}{more}"
    if unsure:
        fails = result.on_inconclusive == "fail"
        words = f"{len(unsure)} of {len(deciding)} checks cannot be told from a loss beyond the"
        words += " margin" if fails else " margin; let through (on_inconclusive: warn)"
        return "inconclusive", 3 if fails else 0, words
    same = all(check.verdict == "identical" for check in compared)
    scores = "1 score is" if len(compared) == 1 else f"{len(compared)} scores are"
    words = "identical to the baseline" if same else "no worse than the margins allow"
    return "pass", 0, f"{scores} {words}"


def _more(items: Sequence[str]) -> str:
    return f" (and {len(items) - 1} more)" if len(items) > 1 else ""
