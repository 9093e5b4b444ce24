from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from harness.measure.machine import Snapshot, disturbance, snapshot


def test_quiet_machine_has_no_note() -> None:
    """Processes below a quarter of a core leave no mark."""
    before = Snapshot(0.0, 0.0, {1: ("init", 5.0), 2: ("editor", 10.0)})
    after = Snapshot(10.0, 0.2, {1: ("init", 5.0), 2: ("editor", 12.0)})
    assert disturbance(before, after) == ""


def test_busy_processes_are_named_largest_first() -> None:
    """A process over the limit is named with its share; so is one that started in between."""
    before = Snapshot(0.0, 0.5, {1: ("init", 5.0), 2: ("make", 10.0)})
    after = Snapshot(10.0, 1.5, {1: ("init", 5.0), 2: ("make", 15.0), 3: ("cc1", 10.0)})
    assert disturbance(before, after) == (
        "The machine was busy: cc1 (pid 3) used 1.0 cores, make (pid 2) used 0.5 cores; "
        "load average 0.5 before, 1.5 after."
    )


def test_clock_ticks_are_no_disturbance() -> None:
    """In a region of 20 ms one tick of the kernel's clock is half a core, and means nothing."""
    tick = 1 / os.sysconf("SC_CLK_TCK")
    before = Snapshot(0.0, 0.0, {1: ("init", 5.0)})
    after = Snapshot(0.02, 0.0, {1: ("init", 5.0 + tick)})
    assert disturbance(before, after) == ""


def test_snapshot_sees_others_and_not_itself() -> None:
    """A child that keeps a core busy is found by name and number; the caller is not listed."""
    before = snapshot()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            used, limit = 0.0, time.monotonic() + 30
            while used < 0.3 and time.monotonic() < limit:
                time.sleep(0.05)
                used = psutil.Process(child.pid).cpu_times().user
            after = snapshot()
        finally:
            child.kill()
    if used < 0.3:
        pytest.skip("the machine gave the busy child no time")
    assert os.getpid() not in after.cpu_s
    assert after.cpu_s[child.pid][1] >= 0.3
    assert after.at > before.at
