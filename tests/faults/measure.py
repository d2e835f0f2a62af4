"""What the processes of a server use, as the system counts it."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

__all__ = ["cpu_seconds", "descriptors", "forget_peak", "peak", "processes", "resident"]

_TICKS = os.sysconf("SC_CLK_TCK")


def processes(session: int) -> list[int]:
    """Return the ids of all processes of a session, that is of a server and its workers."""
    found = []
    for name in os.listdir("/proc"):
        with suppress(ProcessLookupError):
            if name.isdecimal() and os.getsid(int(name)) == session:
                found.append(int(name))
    return found


def resident(pid: int) -> int:
    """Return how many bytes of memory a process has now."""
    return _bytes_of(pid, "VmRSS")


def peak(pid: int) -> int:
    """Return how many bytes of memory a process had at most, since `forget_peak`."""
    return _bytes_of(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Have the peak begin anew from what there is now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _bytes_of(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0
