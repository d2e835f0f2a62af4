"""A process on one core: measured through /proc, put to sleep and ended by its id."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["Process", "free_port"]

ROOT = Path(__file__).parents[1]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_SCHEDULED = 2
"""The kind of clock, in the number of the clock of another process (clock_getcpuclockid)."""


class Process:
    """One program and its children.

    It can sleep (SIGSTOP), so that only one of many has its core.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], core: int, *, environ: Mapping[str, str], folder: Path = ROOT
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115

        def settle() -> None:
            os.sched_setaffinity(0, {core})
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=settle,
            )
        except OSError:
            self._log.close()
            raise

    @property
    def exit_status(self) -> int | None:
        """Of the process that was started; None while it runs."""
        return self._process.poll()

    def wake(self) -> None:
        """Let it run."""
        self._signal(signal.SIGCONT)

    def sleep(self) -> None:
        """Let it stand still."""
        self._signal(signal.SIGSTOP)

    def stop(self) -> None:
        """End it, its children too; twice is fine."""
        if self._log.closed:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._signal(signal.SIGKILL)
        self._process.wait(5)
        self._log.close()

    def kill(self) -> None:
        """End it without a word to anybody, its children too."""
        self._signal(signal.SIGKILL)
        self._process.wait(5)
        self._log.close()

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def resident(self) -> int:
        """Return the resident memory of the process and its children, in bytes."""
        return sum(_resident_pages(pid) for pid in self.pids()) * _PAGE

    def settled(self) -> int:
        """Return the resident memory once it stands still, or after two seconds."""
        last = self.resident()
        for _ in range(8):
            time.sleep(0.25)
            now = self.resident()
            if abs(now - last) < 65536:
                break
            last = now
        return now

    def sockets(self) -> dict[int, int]:
        """Return how many sockets the process and each of its children has, by their ids."""
        return {pid: _socket_count(pid) for pid in self.pids()}

    def last_words(self) -> str:
        """Return the last lines that it printed."""
        log = self._log.fileno()
        said = os.pread(log, 2000, max(0, os.fstat(log).st_size - 2000))  # leaves its place alone
        lines = said.decode(errors="replace").split("\n")
        return " / ".join(line.strip() for line in lines if line.strip())[-300:]

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def pids(self) -> list[int]:
        """Return the process and its children."""
        found = [self._process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                for path in Path(f"/proc/{pid}/task").iterdir():
                    found += map(int, (path / "children").read_text().split())
        return found


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of one process; its clock is finer than the ticks of `stat`."""
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED)
    except OSError:
        return 0.0


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0


def _socket_count(pid: int) -> int:
    count = 0
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                count += str(path.readlink()).startswith("socket:")
    return count
