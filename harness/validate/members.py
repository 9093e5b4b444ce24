"""The members of a suite of several trainings, each as a suite that passed all checks."""

from __future__ import annotations

from dataclasses import replace

from harness.suite.members import members_of
from harness.validate.suite import CheckedSuite, check_suite


def member_files(file: CheckedSuite) -> dict[str, CheckedSuite]:
    """A suite per fold or seed, by what tells it from the others; none of a single training.

    Raises:
        UsageError: Something is wrong with one of them.
    """
    return {
        label: check_suite(replace(file, suite=suite))
        for label, suite in members_of(file.suite).items()
    }
