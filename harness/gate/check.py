"""``harness gate``: compare a run with the accepted baseline; one verdict, exit code, headline."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from harness.errors import BaselineError, StoreError, told_as
from harness.gate import compatibility
from harness.gate.baseline import BaselineFiles, name_fault, read_baseline, rounded, sidecar_of
from harness.gate.decide import Match, decide
from harness.gate.match_measurements import match_measurements
from harness.gate.match_scores import match_scores
from harness.gate.subjects import GateSubject, gate_rules, no_variant, subjects_of
from harness.gate.words import check_label
from harness.schema import MEASURE, GateResult, Manifest
from harness.store.runs import Store, now, usual_root
from harness.suite.deciding import CANDIDATES
from harness.suite.record import suite_of
from harness.suite.rules import CHOSEN, MERGED, GateSpec

Verdict = Literal["pass", "regression", "inconclusive", "incompatible", "invalid"]


def run_gate(store: Store, manifest: Manifest, path: Path) -> GateResult:
    """Decide whether a run is worse than the baseline allows.

    A baseline that cannot be used and results that cannot be read are outcomes, not errors, so
    that there is always something to write and to show. The rules must be those that the baseline
    was accepted with, so that no change can loosen the gate that it has to pass.

    Args:
        store: Where the run's results lie.
        manifest: The run.
        path: The baseline's JSON file.

    Raises:
        UsageError: The run's rules are invalid, or name a variant, score or measurement that
            neither the run nor the baseline has.
    """
    rules = gate_rules(manifest)
    result = GateResult(
        verdict="invalid",
        exit_code=5,
        headline="",
        run=manifest.name,
        baseline=str(path),
        alpha=rules.alpha,
        on_inconclusive=rules.on_inconclusive,
        created=now(),
    )
    accept = _accept_command(store, result.run, path)
    try:
        baseline = read_baseline(path)
        accepted = baseline.baseline
        result = result.model_copy(
            update={"baseline_run": accepted.run, "accepted": accepted.accepted}
        )
        match = _match(store, manifest, rules, baseline)
    except BaselineError as error:
        return _unusable(result, error, path, accept)
    except StoreError as error:
        return conclude(result.model_copy(update={"problems": (str(error),)}))
    return _decided(result, match, manifest, accepted.suite, accept)


def _decided(
    result: GateResult, match: Match, manifest: Manifest, suite: str, accept: str
) -> GateResult:
    """The result, and where run and baseline differ what can be done about that."""
    known = {"differences": match.differences, "changes": match.changes}
    result = result.model_copy(update=known)
    if match.differences:
        advice = {
            "advice": "If the change is meant, accept this run as the new baseline, with a reason:",
            "hint": accept,
        }
        if manifest.limit is not None:
            advice = {"advice": "Run the eval without --limit."}
        elif manifest.suite != suite:
            advice = {"advice": "Name the baseline of this suite with --baseline."}
        elif not manifest.complete:
            advice = {"advice": _unfinished(manifest)}
        return conclude(result.model_copy(update=advice))
    seed = suite_of(manifest).seed
    decision = decide(match.pairs, match.repeats, alpha=result.alpha, seed=seed)
    checks = (*decision.checks, *match.checks)
    decided = {"checks": checks, "level": decision.level, "problems": match.problems}
    result = conclude(result.model_copy(update=decided))
    if result.verdict == "invalid" and not manifest.complete:
        return result.model_copy(update={"headline": result.problems[0]})
    return result


def _accept_command(store: Store, run: str, path: Path) -> str:
    """The whole command that would make a run the baseline, where this one was called."""
    words = ["harness", "gate", "accept", run, "--baseline", str(path)]
    if store.root != usual_root():
        words += ["--runs-dir", str(store.root)]
    return f'{shlex.join(words)} --reason "..."'


def _unusable(result: GateResult, error: BaselineError, path: Path, accept: str) -> GateResult:
    """The result where there is no baseline, or one that cannot be used."""
    if isinstance(error.__cause__, FileNotFoundError) and error.where == str(path):
        absent = {
            "verdict": "incompatible",
            "exit_code": 4,
            "headline": f"No baseline yet: {path} does not exist.",
            "advice": "Make one from a run you trust, such as this one:",
            "hint": accept,
        }
        return result.model_copy(update=absent)
    where = f"{error.where}: " if error.where else ""
    fault = {"differences": (f"{where}{error.problem}",), "baseline_run": None, "accepted": None}
    if name_fault(path) is not None:
        return conclude(result.model_copy(update={**fault, "advice": error.hint or ""}))
    files = f"{path.name} and {sidecar_of(path).name}"
    advice = f"Restore {files} from version control, or accept a new baseline:"
    return conclude(result.model_copy(update={**fault, "advice": advice, "hint": accept}))


def _match(store: Store, manifest: Manifest, rules: GateSpec, files: BaselineFiles) -> Match:
    """All that run and baseline have in common, and all in which they differ."""
    baseline = files.baseline
    subjects = subjects_of(store, manifest, rules.variants)
    tasks = baseline.fingerprint.get("tasks", {})
    now = rounded(compatibility.fingerprint_of(store, manifest, subjects.values(), tasks))
    before = baseline.fingerprint
    with told_as(BaselineError, "Its fingerprint cannot be compared", where=str(files.path)):
        fields = compatibility.fingerprint_differences(before, now, baseline.splits)
    match = Match(
        differences=(
            *compatibility.limit_differences(manifest),
            *compatibility.rule_differences(baseline.gate, rules),
            *fields,
        ),
        problems=(
            *([] if manifest.complete else [_unfinished(manifest)]),
            *_unsettled(manifest, rules),
        ),
    )
    for name, subject in subjects.items():
        if name in baseline.subjects:
            match += match_scores(store, manifest, rules, files, subject)
            match += match_measurements(manifest, rules, files, subject)
        elif subject.variant is None and name not in (CHOSEN, MERGED):
            raise no_variant(subject)
        else:
            words = f"gate.variants: names {name}, which the baseline does not have"
            match += Match(differences=(f"{words}; accept a new one with it",))
    return match + Match(changes=tuple(_changes(store, manifest, files, subjects)))


def _changes(
    store: Store, manifest: Manifest, files: BaselineFiles, subjects: Mapping[str, GateSubject]
) -> Iterator[str]:
    """What else is not as it was, and may explain a difference."""
    for name, accepted in files.baseline.subjects.items():
        subject = subjects.get(name)
        if subject is None:
            continue  # the rules differ, which says so
        if subject.variant is None and not manifest.complete:
            continue  # it is yet to come
        variant = subject.variant_id or "missing"
        if variant != accepted.variant:
            yield f"{name}: was {accepted.variant}, is {variant}"
        weights = rounded(compatibility.own_weights(store, subject))
        if weights or manifest.complete:
            yield from (
                f"{name}: {line}" for line in compatibility.differences(accepted.weights, weights)
            )
        unmeasured = accepted.measurements is not None and subject.measurements is None
        if unmeasured and not subject.is_pending(manifest, MEASURE):
            yield f"{name}: memory and speed are missing: {subject.unmeasured}"
    context = rounded(compatibility.context_of(store, manifest, subjects.values()))
    before = files.baseline.context  # of what is yet to come nothing is known
    known = {key: before[key] for key in before if manifest.complete or context.get(key)}
    yield from compatibility.differences(known, context)


def _unsettled(manifest: Manifest, rules: GateSpec) -> list[str]:
    """Checkpoints that were not there to be chosen, where the choice is what is gated."""
    selection = manifest.selection
    if selection is None or not {CHOSEN, MERGED} & set(rules.variants):
        return []
    task = selection.task.partition("/")[0]
    done = {cell.variant for cell in manifest.cells if (cell.task, cell.status) == (task, "done")}
    if not manifest.complete:  # then only what failed is more than yet to come
        recorded = {cell.variant for cell in manifest.cells if cell.task == task}
        done |= {variant.id for variant in manifest.variants} - recorded
    left = [v.id for v in manifest.variants if v.kind in CANDIDATES and v.id not in done]
    if not left:
        return []
    return [f"the choice was made without {', '.join(left)}, not scored on {selection.task}"]


def _unfinished(manifest: Manifest) -> str:
    """That a run is not complete, how much of it there is, and how to go on."""
    done, planned = manifest.done_cells, manifest.planned_cells
    there = f"{done} of {planned} cells" if done < planned else f"{done} cells are done"
    return f"The run is not complete ({there}). Run: harness eval SUITE"


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
