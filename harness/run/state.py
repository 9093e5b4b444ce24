"""One invocation on one suite: what is known so far, and the manifest made of it."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from harness.console import Reporter
from harness.models import hardware
from harness.plan.keys import asked_device, merged_of
from harness.plan.plan import EvalCell, Plan, PlannedCell, WaitingCell, make_plan, run_id_of
from harness.schema import (
    HUMAN,
    CellResult,
    DataReport,
    Environment,
    Finding,
    HumanKeys,
    Manifest,
    MergedModel,
    Precision,
    Selection,
    Variant,
)
from harness.store.runs import Store, now
from harness.validate.suite import CheckedSuite

if TYPE_CHECKING:
    from harness.models.policy import DevicePolicy


@dataclass(frozen=True)
class Options:
    """How to run a suite.

    Attributes:
        only: ``variant/task`` patterns (shell wildcards); empty means everything.
        command: The command line, for the record.
        train_only: Stop after training.
        measure_again: Measure anew what ``only`` lets through, also where the store has it.
        executor: Where cells are computed: ``NAME`` or ``NAME:ADDRESS``.
    """

    only: tuple[str, ...] = ()
    command: str = ""
    train_only: bool = False
    measure_again: bool = False
    executor: str = "local"


@dataclass
class Run:
    """What an invocation knows so far.

    Attributes:
        results: (variant, task) -> its cell. At the start, what an earlier invocation left and
            what is still valid, so that a manifest never forgets a result.
        environment: Where results were made: this machine once the device was decided.
        ended: Whether this invocation has done all that it was asked to.
        measured: Keys of what this invocation measured.
        begun: Cells that this invocation has begun to compute.
        expected: Cells that it computes, as far as it is known yet.
    """

    file: CheckedSuite
    store: Store
    reporter: Reporter
    options: Options
    plan: Plan
    created: str
    results: dict[tuple[str, str], CellResult] = field(default_factory=dict)
    data: dict[str, DataReport] = field(default_factory=dict)
    overlaps: dict[str, str] = field(default_factory=dict)  # task -> key
    findings: list[Finding] = field(default_factory=list)
    selection: Selection | None = None
    human: HumanKeys | None = None
    environment: Environment | None = None
    ended: bool = False
    measured: set[str] = field(default_factory=set)
    begun: int = 0
    expected: int = 0
    _decided: tuple[DevicePolicy, Environment] | None = None

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The resolved suite, as records hold it."""
        return self.file.suite.model_dump(mode="json")

    def decide_device(self) -> tuple[DevicePolicy, Environment]:
        """The device policy for this machine, and the machine as it is kept with each result.

        It is decided once, and loads torch, so this is called only where it is needed.
        """
        from harness.models.device import decide, environment

        if self._decided is None:
            policy = decide(self.file.suite.base)
            self._decided = policy, environment(policy)
            self.environment = self._decided[1]
        return self._decided

    def precision_of(self, variant: Variant) -> Precision:
        """A variant's precision; what ``auto`` means is looked up before torch is loaded for it.

        The policy decides by what was asked for, the hardware and torch. Where an earlier
        invocation recorded its decision on the same three, there is nothing to decide.
        """
        if variant.precision != "auto":
            return variant.precision
        earlier, asked = self.environment, asked_device(self.file.suite)["compute_dtype"]
        torch = hardware.installed_versions(["torch"])
        if (
            earlier is not None
            and earlier.fingerprint == hardware.fingerprint()
            and torch.items() <= earlier.versions.items()
            and asked in ("auto", earlier.compute_dtype)
        ):
            return cast("Precision", earlier.compute_dtype)
        return self.decide_device()[0].compute_dtype

    def wants(self, cell: PlannedCell) -> bool:
        """Whether ``--only`` lets this cell through."""
        patterns = self.options.only
        return not patterns or any(fnmatch.fnmatchcase(cell.id, p) for p in patterns)

    def record(self, result: CellResult) -> None:
        """Keep a cell's result, and write the manifest at once: a run may end at any moment."""
        self.results[(result.variant, result.task)] = result
        self.save()

    def begin(self, cell: EvalCell) -> None:
        """Say that a cell's turn has come."""
        self.begun += 1
        self.reporter.say(f"[{self.begun}/{self.expected}] {cell.id}")

    def take(self, cell: EvalCell) -> None:
        """Take note of a cell whose result the store already has, with the findings beside it."""
        known = self.results.get((cell.variant, cell.task))
        seconds = known.seconds if known is not None and known.status == "done" else None
        self.results[(cell.variant, cell.task)] = cell.done(seconds=seconds)
        kept = self.store.read_records("scores", cell.scores.key, "findings", Finding)
        self.findings += named(cell.variant, kept)

    @property
    def complete(self) -> bool:
        """Whether every cell of the plan is done."""
        done = {place for place, result in self.results.items() if result.status == "done"}
        return all((cell.variant, cell.task) in done for cell in self.plan.cells)

    def save(self) -> Manifest:
        """Write the manifest of what is known so far, and of what others wrote meanwhile."""
        with self.holding():
            self.take_over()
            return self.write()

    def holding(self) -> AbstractContextManager[None]:
        """Hold the manifest from reading to writing it."""
        return self.store.holding(self.file.suite.name, self.plan.run_id)

    def write(self) -> Manifest:
        """Write the manifest of what is known so far; the caller holds it."""
        manifest = self._manifest()
        self.store.write_manifest(manifest)
        return manifest

    def catch_up(self) -> bool:
        """Plan again where this invocation waits for what another may have made meanwhile.

        Returns:
            Whether another invocation left cells that this one did not know.
        """
        latest = self.store.earlier_manifest(self.file.suite.name, self.plan.run_id)
        if any(isinstance(cell, WaitingCell) for cell in self.plan.cells):
            self.plan = make_plan(self.file, self.store, earlier=latest)
        return self.take_over(latest)

    def take_over(self, latest: Manifest | None = None) -> bool:
        """Take over what other commands wrote into the manifest: ratings, and cells of other evals.

        Returns:
            Whether there were such cells.
        """
        latest = latest or self.store.earlier_manifest(self.file.suite.name, self.plan.run_id)
        if latest is None:
            return False
        self.human = latest.human
        self.environment = self.environment or latest.environment
        results = {place: r for place, r in self.results.items() if r.kind != HUMAN}
        valid = [cell for cell in latest.cells if self._is_news(cell)]
        self.results = results | {(cell.variant, cell.task): cell for cell in valid}
        computed = [cell for cell in valid if cell.kind != HUMAN]
        for cell in computed:
            if cell.status == "done" and cell.scores_key is not None:
                kept = self.store.read_records("scores", cell.scores_key, "findings", Finding)
                self.findings += named(cell.variant, kept)
        return bool(computed)

    def _is_news(self, cell: CellResult) -> bool:
        """Whether a cell of the manifest is of this run as it is planned, and not known better."""
        own = self.results.get((cell.variant, cell.task)) if cell.kind != HUMAN else None
        better = own is None or (own.status != "done" and cell.status == "done")
        return better and _is_valid(cell, self.plan, self.store)

    def _manifest(self) -> Manifest:
        plan, suite = self.plan, self.file.suite
        keys = {t.name: t.item.key for t in plan.trainings if t.run is not None}
        return Manifest(
            run_id=plan.run_id,
            suite=suite.name,
            suite_digest=plan.suite_digest,
            spec=self.spec,
            command=self.options.command,
            created=self.created,
            updated=now(),
            complete=self.complete,
            planned=len(self.plan.cells),
            ended=self.ended,
            limit=self.file.limit,
            variants=tuple(self._as_made(variant) for variant in plan.variants),
            baseline=plan.baseline,
            cells=tuple(self.results.values()),
            training_key=keys.pop("", None),
            trainings=keys,
            data=self.data,
            examples={task: item.key for task, item in plan.examples.items()},
            overlaps=self.overlaps,
            selection=self.selection,
            human=self.human,
            findings=tuple(dict.fromkeys(self.findings)),
            environment=self.environment,
        )

    def _as_made(self, variant: Variant) -> Variant:
        """The variant with what was decided and made since it was planned."""
        update: dict[str, Any] = {}
        if variant.precision == "auto" and self.environment is not None:
            update["precision"] = self.environment.compute_dtype
        if variant.kind == "merged":
            item = merged_of(self.file.suite, variant)
            if self.store.has("merged", item.key):
                made = self.store.read_record("merged", item.key, "merged", MergedModel)
                files = {f"merged/{name}": sha256 for name, sha256 in made.files.items()}
                update |= {
                    "merged_into": made.merged_into,
                    "proof": made.proof,
                    "digests": {**variant.digests, **files},
                }
        return variant.model_copy(update=update)


def start(file: CheckedSuite, store: Store, options: Options, reporter: Reporter) -> Run:
    """Begin a run, or go on with it: what an earlier invocation left is carried over if valid."""
    earlier = store.earlier_manifest(file.suite.name, run_id_of(file.suite))
    plan = make_plan(file, store, earlier=earlier)
    run = Run(file, store, reporter, options, plan, created=now())
    if earlier is not None:
        run.created = earlier.created
        run.environment = earlier.environment
        run.human = earlier.human
        valid = [cell for cell in earlier.cells if _is_valid(cell, run.plan, store)]
        run.results = {(cell.variant, cell.task): cell for cell in valid}
        if len(valid) == len(earlier.cells):
            run.selection = earlier.selection
    for cell in run.plan.cells:
        if isinstance(cell, EvalCell) and cell.stored:
            run.take(cell)
    return run


def _is_valid(result: CellResult, plan: Plan, store: Store) -> bool:
    """Whether an earlier result is what the plan would find now."""
    if result.kind == HUMAN:
        return _is_still_rated(result, plan, store)
    cell = next(
        (c for c in plan.cells if (c.variant, c.task) == (result.variant, result.task)), None
    )
    if cell is None or result.status != "done":
        return cell is not None
    if isinstance(cell, EvalCell):
        return cell.scores.key == result.scores_key and (cell.stored or cell.is_in(store))
    key = result.measurements_key
    return key is not None and store.has("measurements", key)


def _is_still_rated(result: CellResult, plan: Plan, store: Store) -> bool:
    """Whether ratings are of what their variant writes now."""
    own = [c for c in plan.cells if isinstance(c, EvalCell) and c.variant == result.variant]
    texts = {cell.predictions.key for cell in own if cell.predictions is not None}
    scores = result.scores_key
    return result.predictions_key in texts and scores is not None and store.has("scores", scores)


def named(variant: str, findings: Sequence[Finding]) -> list[Finding]:
    """Findings with the variant they are about."""
    return [f.model_copy(update={"what": f"{variant}: {f.what}"}) for f in findings]
