"""A broker's server for one peer: started on a free port, ended by its id."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .process import Process, free_port

__all__ = ["BROKERS", "BrokerServer", "versions"]

BROKERS: dict[str, tuple[str, ...]] = {
    "redis": (
        *("redis-server", "--bind", "127.0.0.1", "--port", "{port}"),
        *("--save", "", "--appendonly", "no", "--dir", "."),
    ),
    "nats": ("nats-server", "-a", "127.0.0.1", "-p", "{port}", "-js", "-sd", "."),
}
"""How each is started, in a folder of its own; `{port}` where the port belongs."""


class BrokerServer(Process):
    """Redis or NATS with JetStream; nothing of it is kept.

    Raises:
        OSError: it is not installed, or does not start.
    """

    def __init__(self, kind: str, core: int, *, seconds: float = 10.0) -> None:
        self.port = free_port()
        self.url = f"{kind}://127.0.0.1:{self.port}"
        self._folder = tempfile.TemporaryDirectory()
        program, *options = (part.replace("{port}", str(self.port)) for part in BROKERS[kind])
        try:
            super().__init__(
                (_found(program), *options), core, environ={}, folder=Path(self._folder.name)
            )
        except OSError:
            self._folder.cleanup()
            raise
        try:
            self._wait(seconds)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it, and remove what it has written."""
        super().stop()
        self._folder.cleanup()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end or self.exit_status is not None:
                    raise OSError(f"no broker: {self.last_words()}") from None
            time.sleep(0.02)


def versions() -> list[str]:
    """Return the servers that are installed, with their versions."""
    found = []
    for command in BROKERS.values():
        try:
            said = subprocess.run(
                (_found(command[0]), "--version"), capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        number = re.search(r"\d+(\.\d+)+", said.stdout)
        found.append(f"{command[0]} {number[0] if number else '?'}")
    return found


def _found(program: str) -> str:
    places = "/usr/sbin:/usr/local/sbin"
    return shutil.which(program) or shutil.which(program, path=places) or program
