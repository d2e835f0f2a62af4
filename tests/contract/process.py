"""Server processes: started on a free port, ended by their handle, their output kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["COMMANDS", "UNMEASURED", "ServerProcess", "start"]

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
START = 45.0
"""Seconds that a server may take until it accepts connections."""
STOP = 15.0
"""Seconds that a server may take to end."""

_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
    "WIREWORK_DRAIN_SPREAD": "0",  # connections that a test has left open end at once
}

_UVICORN = ("uvicorn", "--host", HOST, "--port", "{port}", "--log-level", "warning")
_GRANIAN = ("granian", "--host", HOST, "--port", "{port}", "--loop", "asyncio")

UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""For servers whose coverage shows nothing new: it would take half of their time."""

COMMANDS: dict[str, Sequence[str]] = {
    "native": (*_UVICORN, "--ws", "wirework.transports.native:NativeProtocol"),
    "uvicorn-sansio": (*_UVICORN, "--ws", "websockets-sansio"),
    "uvicorn-wsproto": (*_UVICORN, "--ws", "wsproto"),
    "hypercorn": ("hypercorn", "--bind", f"{HOST}:{{port}}"),
    "granian": (*_GRANIAN, "--interface", "asgi"),
    "rsgi": (*_GRANIAN, "--interface", "rsgi"),
    "daphne": ("daphne", "-b", HOST, "-p", "{port}", "-v", "0"),
}
"""Module and arguments of each server, without the application."""

MEASURED = ("native", "uvicorn-sansio", "rsgi")
"""One for each transport of ours."""


class ServerProcess:
    """One running server."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        **environ: str,
    ) -> None:
        self.name = name
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, 0))
        self.port: int = self._reserved.getsockname()[1]
        self._log = log
        filled = [argument.format(port=self.port) for argument in arguments]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *filled],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT, **environ},
            )

    @property
    def output(self) -> str:
        """Everything that it has written so far."""
        return self._log.read_text(errors="replace")

    def wait_until_it_accepts(self) -> None:
        """Try to connect until it works.

        Raises:
            RuntimeError: it ended, or took too long; with its output.
        """
        for _ in range(int(START / 0.05)):
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
                return
            except OSError:
                if self._has_ended_within(0.05):
                    break
        raise RuntimeError(f"{self.name} did not start:\n{self.output}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, and return its exit code.

        Raises:
            TimeoutExpired: it had to be killed.
        """
        try:
            self.process.send_signal(number)
            return self.process.wait(STOP)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and its workers at once, if they live."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reserved.close()

    def _has_ended_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def start(name: str, application: str, log: Path) -> ServerProcess:
    """Start the server called `name`, and return it once it accepts connections."""
    environ = {} if name in MEASURED else UNMEASURED
    server = ServerProcess(name, (*COMMANDS[name], application), log, **environ)
    try:
        server.wait_until_it_accepts()
    except BaseException:
        server.kill()
        raise
    return server
