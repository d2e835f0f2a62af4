"""Broker servers: started on free ports in folders of their own, ended by their process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import cycle, islice
from pathlib import Path

__all__ = ["HOST", "BrokerServer", "free_port", "nats_server", "redis_server"]

HOST = "127.0.0.1"
_START = 20.0
_STOP = 10.0
_FIRST, _SHARES, _SHARE = 10_000, 10, 1_000
"""Ports 10,000 to 19,999; Linux gives away those from 32,768 on (ip_local_port_range)."""


def free_port() -> int:
    """Return a port that nobody listens on, and that the system gives to nobody by itself.

    It is below those that outgoing connections and listeners on port 0 get, and each process that
    runs tests has a share of its own, so that it is free when a server that is to be started comes
    to it. A port is not returned twice before all of the share were.
    """
    for port in islice(_ports, _SHARE):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise RuntimeError(f"all {_SHARE} ports of this process are in use")


def _share() -> Iterator[int]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = _FIRST + int(worker) % _SHARES * _SHARE
    start = os.getpid() % _SHARE  # another run of the tests may be beside this one
    return cycle([first + (start + step) % _SHARE for step in range(_SHARE)])


_ports = _share()


class BrokerServer:
    """One server on one port; it can be killed, stopped for a while and started again."""

    def __init__(self, url: str, command: Sequence[str], folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.port = int(url.rsplit(":", 1)[1])
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it accepts connections.

        Raises:
            RuntimeError: it ended, or took too long; with what it wrote.
        """
        with (self.folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        for _ in range(int(_START / 0.02)):
            if self._accepts():
                return
            if self._has_ended_within(0.02):
                break
        self.kill()
        raise RuntimeError(f"{self._command[0]} did not start:\n{self.output}")

    @property
    def output(self) -> str:
        """Everything that it has written so far."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it at once, without a word to its clients."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """Ask it to end; kill it if it does not."""
        if self._process is not None:
            self._process.terminate()
            if not self._has_ended_within(_STOP):
                self.kill()
            self._process = None

    def freeze(self) -> None:
        """Let it do nothing, with its connections open, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _has_ended_within(self, seconds: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def redis_server(folder: Path, *options: str, port: int = 0) -> BrokerServer:
    """Return a Redis server, not yet started, that keeps nothing on disk unless told to."""
    port = port or free_port()
    command = [_program("redis-server"), "--port", str(port), "--bind", HOST]
    command += ["--dir", str(folder), "--save", "", "--appendonly", "no", *options]
    return BrokerServer(f"redis://{HOST}:{port}", command, folder)


def nats_server(folder: Path, *options: str, port: int = 0) -> BrokerServer:
    """Return a NATS server with JetStream, not yet started."""
    port = port or free_port()
    command = [_program("nats-server"), "-a", HOST, "-p", str(port)]
    command += options or ("-js", "-sd", str(folder / "js"))
    return BrokerServer(f"nats://{HOST}:{port}", command, folder)


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise RuntimeError(f"{name} is not installed: run scripts/test, which installs it")
    return found
