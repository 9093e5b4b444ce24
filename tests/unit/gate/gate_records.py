"""Checks and results of a gate, as the gate would decide them, and texts that mean harm."""

from __future__ import annotations

from typing import Any

from harness.schema import GateCheck, GateResult

HOSTILE = (
    "</failure></testcase><script>alert(1)</script>",
    "]]> <![CDATA[ &amp; &#x0; --> <!-- harness-gate:other -->",
    "\x00\x07\x1b[31mred\x1b[0m \ufffe\uffff",
    "\u202egnp.exe\u2028\u200b",
    "@team closes #12, see https://example.org or www.example.org",
    "| a | **b** | `c` ![x](y)\n\n# heading\n- item",
    "{{ 7 * 7 }} {% include 'x' %}",
    "long " * 40_000,
)


def check(**changes: Any) -> GateCheck:
    """A quality check of ROUGE-L that too little data leaves open, with fields replaced."""
    fields: dict[str, Any] = {
        "subject": "chosen",
        "variant": "checkpoint-80",
        "kind": "quality",
        "task": "summaries",
        "metric": "rougeL",
        "split": "report",
        "verdict": "inconclusive",
        "scale": 1.0,
        "n": 96,
        "clusters": 96,
        "baseline_value": 0.412,
        "value": 0.405,
        "gain": -0.007,
        "low": -0.021,
        "high": 0.009,
        "margin": 0.02,
        "mde": 0.018,
        "needed_n": 1240,
    }
    return GateCheck(**(fields | changes))


def passing(**changes: Any) -> GateCheck:
    """A check that passes."""
    return check(**({"verdict": "pass", "low": -0.012, "needed_n": None} | changes))


def regression(**changes: Any) -> GateCheck:
    """A drop of chrF beyond its margin."""
    fields = {"metric": "chrf", "scale": 100.0, "baseline_value": 31.2, "value": 24.3}
    fields |= {"gain": -6.9, "low": -9.1, "high": -4.2, "margin": 2.0, "mde": 3.1}
    return check(**({"verdict": "regression", "needed_n": None} | fields | changes))


def missing(**changes: Any) -> GateCheck:
    """A score that the baseline has and the run lacks."""
    nothing = dict.fromkeys(("value", "gain", "low", "high", "mde", "needed_n"))
    fields = {"task": "hellaswag", "metric": "acc", "reason": "The run has no score for it."}
    return check(**({"verdict": "missing"} | nothing | fields | changes))


def identical(**changes: Any) -> GateCheck:
    """Equal outputs on every example."""
    same = dict.fromkeys(("gain", "low", "high"), 0.0)
    return check(**({"verdict": "identical", "value": 0.412, "needed_n": None} | same | changes))


def floor(**changes: Any) -> GateCheck:
    """A value below its absolute bound, which has neither gain nor interval."""
    nothing = dict.fromkeys(("baseline_value", "gain", "low", "high", "margin", "mde", "needed_n"))
    fields = {"kind": "floor", "bound": 0.45, "reason": "40.5 is below the floor of 45"}
    return check(**({"verdict": "regression"} | nothing | fields | changes))


def slower(**changes: Any) -> GateCheck:
    """A speed that two repeats too few leave open."""
    fields = {"kind": "measurement", "task": "measure", "metric": "decode_tokens_per_s"}
    fields |= {"split": "64 + 16", "scale": None, "unit": "tok/s", "n": 5, "clusters": 5}
    fields |= {"baseline_value": 812.0, "value": 640.1, "needed_n": 12}
    fields |= {"gain": -0.21, "low": -0.28, "high": -0.14, "margin": 0.2, "mde": 0.09}
    return check(**(fields | changes))


def not_compared(**changes: Any) -> GateCheck:
    """Memory on other hardware."""
    nothing = dict.fromkeys(("gain", "low", "high", "margin", "mde", "needed_n"))
    fields = {"metric": "peak_rss_bytes", "unit": "bytes", "higher_is_better": False}
    fields |= {"baseline_value": 1.23e9, "value": 1.31e9, "reason": "Other hardware."}
    return slower(**({"verdict": "not_compared", "decides": False} | nothing | fields | changes))


def listed(**changes: Any) -> GateCheck:
    """A speed without a margin of its own."""
    fields = {"gain": 0.37, "low": 0.17, "high": 0.48, "metric": "e2e_s", "unit": "s"}
    fields |= {"baseline_value": 0.5, "value": 0.4, "reason": "no margin in gate.measurements"}
    return not_compared(**(fields | changes))


def result(*checks: GateCheck, **changes: Any) -> GateResult:
    """What a gate with these checks says, with fields replaced."""
    fields: dict[str, Any] = {
        "verdict": "regression",
        "exit_code": 1,
        "headline": "Regression: chrF of summaries is worse by 6.9 [-9.1, -4.2].",
        "run": "tiny/r-4f21c0",
        "baseline": "baseline.json",
        "baseline_run": "tiny/r-0011aa",
        "accepted": "2026-03-01T09:30:00+00:00",
        "level": 0.0082,
        "checks": checks,
        "changes": ("torch 2.12.0 -> 2.13.0",),
        "created": "2026-03-02T10:00:00+00:00",
    }
    return GateResult(**(fields | changes))


def mixed(**changes: Any) -> GateResult:
    """One check of every kind."""
    checks = (passing(metric="rouge1"), identical(), check(), not_compared(), slower())
    return result(*checks, missing(), regression(), floor(), **changes)


def incompatible() -> GateResult:
    """A baseline of another prompt."""
    return GateResult(
        verdict="incompatible",
        exit_code=4,
        headline="The baseline cannot be compared with this run.",
        run="tiny/r-4f21c0",
        baseline="baseline.json",
        differences=("tasks.summaries.prompt: aa11 in the baseline, bb22 in the run",),
    )


def hostile() -> GateResult:
    """Texts that mean harm wherever a text of a user or a model can stand."""
    checks = [
        regression(task=text, metric=text, split=text, subject=text, variant=text, reason=text)
        for text in HOSTILE
    ]
    return result(
        *checks,
        headline=HOSTILE[-1],
        run=f"{HOSTILE[1]}/{HOSTILE[0]}",
        baseline=HOSTILE[4],
        baseline_run=HOSTILE[3],
        accepted=HOSTILE[0],
        changes=HOSTILE,
        problems=HOSTILE,
        differences=HOSTILE,
        created=HOSTILE[2],
    )
