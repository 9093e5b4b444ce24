"""Resident memory of this process."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def peak_rss_bytes() -> int:
    """Highest resident memory of this process since its start, or since `reset_peak_rss`.

    On Linux this is VmHWM and not ``ru_maxrss``: the latter survives exec, so a worker would
    begin with the peak of the process that started it.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def reset_peak_rss() -> bool:
    """Begin a new peak of resident memory.

    Returns:
        Whether the system allowed it. (Linux: 5 written to ``/proc/self/clear_refs``.)
    """
    try:
        _CLEAR_REFS.write_text("5", "ascii")
    except OSError:
        return False
    return True
