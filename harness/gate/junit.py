"""What a gate decided as JUnit XML, which CI systems show as tests.

One test case per check. A gate that ends with a code other than 0 has at least one case that
failed or is in error, whatever its checks say, so that no reader of the file sees success.
"""

from collections import Counter
from xml.etree import ElementTree as ET

from harness.gate import words
from harness.printable import visible
from harness.schema import GateCheck, GateResult

_OUTCOMES = {
    "regression": "failure",
    "inconclusive": "failure",
    "missing": "error",
    "invalid": "error",
    "not_compared": "skipped",
}


def render_junit(result: GateResult) -> str:
    r"""Write a gate's result as a JUnit XML document.

    A regression is a failure, and so is an inconclusive check unless the suite says
    ``on_inconclusive: warn``; what is missing or invalid, and a baseline that does not fit, is an
    error; what is not compared, or does not decide, is skipped. Characters that XML has no place
    for appear as escapes such as ``\x1b``.
    """
    cases = [_check(check, result) for check in words.worst_first(result.checks)]
    cases += _others(result)
    if result.exit_code and not any(_outcome(case) in ("failure", "error") for case in cases):
        cases.append(_case(result, "gate", "verdict", "error", result.headline))
    outcomes = Counter(_outcome(case) for case in cases)
    counts = {
        "tests": str(len(cases)),
        "failures": str(outcomes["failure"]),
        "errors": str(outcomes["error"]),
        "skipped": str(outcomes["skipped"]),
    }
    suite = ET.Element("testsuite", {"name": "harness gate", **counts, "time": "0"})
    if result.created:
        suite.set("timestamp", _clean(result.created[:19]))
    suite.append(_properties(result))
    suite.extend(cases)
    lines = [result.headline, *result.changes, *result.problems]
    lines += [words.meaning(result), words.LEGEND] if words.was_tested(result) else []
    _text(suite, "system-out", "\n".join(lines))
    root = ET.Element("testsuites", {"name": "harness gate", **counts, "time": "0"})
    root.append(suite)
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _check(check: GateCheck, result: GateResult) -> ET.Element:
    outcome = _OUTCOMES.get(check.verdict, "")
    warned = check.verdict == "inconclusive" and result.on_inconclusive == "warn"
    if warned:
        outcome = ""
    if not check.decides:
        outcome = "skipped"
    where = f" ({check.split})" if check.split else ""
    floor = " floor" if check.kind == "floor" else ""
    name = f"{check.metric}{where}{floor}"
    text = words.sentence(check)
    case = _case(result, f"{check.subject}.{check.task}", name, outcome, text)
    if not outcome:
        prefix = (
            "inconclusive, only a warning: " if warned else f"{words.check_words(check).verdict}: "
        )
        _text(case, "system-out", prefix + text)
    return case


def _others(result: GateResult) -> list[ET.Element]:
    """Cases for what no check stands for."""
    cases = []
    if result.verdict == "incompatible":
        hint = [part for part in (result.advice, result.hint) if part]
        text = "\n".join([result.headline, *result.differences, *hint])
        cases.append(_case(result, "gate", "baseline is comparable", "error", text))
    if result.problems and result.exit_code:
        text = "\n".join(result.problems)
        cases.append(_case(result, "gate", "data is complete", "error", text))
    return cases


def _case(result: GateResult, place: str, name: str, outcome: str, text: str) -> ET.Element:
    attributes = {"classname": f"{words.suite_of(result)}.{place}", "name": name, "time": "0"}
    case = ET.Element("testcase", {key: _clean(value) for key, value in attributes.items()})
    if outcome:
        message = _clean(text.partition("\n")[0])
        detail = ET.SubElement(case, outcome, {"message": message})
        if outcome != "skipped":
            detail.set("type", outcome)
            detail.text = _clean(text)
    return case


def _outcome(case: ET.Element) -> str:
    return next((c.tag for c in case if c.tag in ("failure", "error", "skipped")), "")


def _properties(result: GateResult) -> ET.Element:
    properties = ET.Element("properties")
    pairs = {
        "verdict": result.verdict,
        "exit_code": str(result.exit_code),
        "run": result.run,
        "baseline": result.baseline,
        "baseline_run": result.baseline_run or "",
        "alpha": f"{result.alpha:g}",
    }
    for name, value in pairs.items():
        ET.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    return properties


def _text(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = _clean(text)


def _clean(text: str) -> str:
    """Text of any origin without what XML 1.0 forbids (section 2.2, Char)."""
    return visible(text)
