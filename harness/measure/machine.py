"""Whether other processes kept the machine busy during a measurement. Torch-free."""

import os
import time
from dataclasses import dataclass

import psutil

BUSY_CORES = 0.25  # another process using more than this share of a core marks the figures
_TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


@dataclass(frozen=True)
class Snapshot:
    """CPU seconds of every other process at one moment, keyed by process id."""

    at: float
    load_average: float
    cpu_s: dict[int, tuple[str, float]]


def snapshot() -> Snapshot:
    """Read the state of the machine. Takes some milliseconds; call it outside timed regions."""
    cpu_s = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if process.pid != os.getpid() and times is not None:
            cpu_s[process.pid] = (process.info["name"] or "?", times.user + times.system)
    return Snapshot(time.monotonic(), psutil.getloadavg()[0], cpu_s)


def disturbance(before: Snapshot, after: Snapshot) -> str:
    """Name the other processes that used the CPU between two snapshots.

    A process counts when it surely used more than ``BUSY_CORES`` cores on average: two ticks of
    the kernel's clock, the error of a difference, are subtracted first. Processes that came and
    went between the snapshots are not seen.

    Returns:
        A sentence for ``Measurement.note``, or the empty string where nothing disturbed.
    """
    elapsed = max(after.at - before.at, 1e-9)
    busy = []
    for pid, (name, seconds) in after.cpu_s.items():
        used = seconds - before.cpu_s.get(pid, ("", 0.0))[1] - 2 * _TICK_S
        if used > BUSY_CORES * elapsed:
            busy.append((used / elapsed, f"{name} (pid {pid})"))
    if not busy:
        return ""
    named = ", ".join(f"{who} used {cores:.1f} cores" for cores, who in sorted(busy)[::-1][:3])
    return (
        f"The machine was busy: {named}; load average {before.load_average:.1f} before, "
        f"{after.load_average:.1f} after."
    )
