"""A peer's process: started on its core, measured through /proc, ended by its id."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .opening import HandshakeFailed, Target, close_all, open_many
from .registry import Peer

__all__ = ["NotStarted", "Server", "free_port"]

ROOT = Path(__file__).parents[1]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """The server did not come up; the text ends with its last words."""


class Server:
    """One running peer.

    It sleeps (SIGSTOP) except between `wake` and `sleep`, so that only one peer at a time has its
    core.
    """

    def __init__(self, peer: Peer, core: int, *, seconds: float = 20.0) -> None:
        self.peer = peer
        self.port = free_port()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", "NODE_ENV": "production"}

        def settle() -> None:
            os.sched_setaffinity(0, {core})
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

        try:
            self._process = subprocess.Popen(
                peer.argv(self.port),
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=settle,
            )
        except OSError as error:
            raise NotStarted(str(error)) from None
        try:
            self._wait(seconds)
        except BaseException:
            self.stop()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process.poll() is None

    def target(self, endpoint: str) -> Target:
        """Return where the endpoint is."""
        return Target(self.port, self.peer.speech, endpoint)

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

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) / _TICK

    def resident(self) -> int:
        """Return the resident memory of the process and its children, in bytes."""
        return sum(_resident_pages(pid) for pid in self._pids()) * _PAGE

    def last_words(self) -> str:
        """Return the last lines that it printed."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        lines = self._log.read().decode(errors="replace").split("\n")
        return " / ".join(line.strip() for line in lines if line.strip())[-300:]

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        problem: Exception | None = None
        while time.monotonic() < end:
            if not self.is_alive:
                raise NotStarted(f"exit {self._process.returncode}: {self.last_words()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    pass
                close_all(open_many(self.target("echo"), 1, seconds=5).sockets)
                return
            except ConnectionRefusedError as error:
                problem = error
            except (OSError, HandshakeFailed) as error:
                raise NotStarted(f"{error}; {self.last_words()}") from None
            time.sleep(0.05)
        raise NotStarted(f"{problem}; {self.last_words()}")

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _pids(self) -> list[int]:
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


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
