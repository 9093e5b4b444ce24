"""Runs a suite of several trainings: a run per fold or seed, and one that names them."""

from __future__ import annotations

from harness.console import Reporter
from harness.plan.plan import run_id_of, suite_digest
from harness.run.pipeline import run_suite
from harness.run.state import Options
from harness.schema import Manifest
from harness.store.runs import Store, now
from harness.validate.members import member_files
from harness.validate.suite import CheckedSuite


def run_members(
    file: CheckedSuite, store: Store, options: Options, reporter: Reporter
) -> tuple[Manifest, list[Manifest]]:
    """Run the members of a suite one after another; what is done already is not done again.

    Returns:
        The manifest that names them, and their own.

    Raises:
        UsageError: As ``run_suite``; what was finished is kept.
    """
    files = member_files(file)
    names = tuple(f"{own.suite.name}/{run_id_of(own.suite)}" for own in files.values())
    done: list[Manifest] = []
    with store.running(file.suite.name, run_id_of(file.suite)):
        combined = _write(file, store, options, names, done)
        for label, own in files.items():
            reporter.say(f"{label[0].upper()}{label[1:]}")
            done.append(run_suite(own, store, options, reporter))
            combined = _write(file, store, options, names, done)
    return combined, done


def _write(
    file: CheckedSuite,
    store: Store,
    options: Options,
    names: tuple[str, ...],
    done: list[Manifest],
) -> Manifest:
    """Write the manifest that names the members, of which some are done."""
    suite, run_id, last = file.suite, run_id_of(file.suite), len(done) == len(names)
    with store.locked(), store.holding(suite.name, run_id):
        earlier = store.earlier_manifest(suite.name, run_id)
        manifest = Manifest(
            run_id=run_id,
            suite=suite.name,
            suite_digest=suite_digest(suite),
            spec=suite.model_dump(mode="json"),
            command=options.command,
            created=now() if earlier is None else earlier.created,
            updated=now(),
            complete=last and all(member.complete for member in done),
            planned=0,
            ended=last,
            limit=file.limit,
            variants=(),
            baseline="",
            cells=(),
            environment=done[-1].environment if done else None,
            members=names,
        )
        store.write_manifest(manifest)
    return manifest
