"""A peer's server: started on its core with its broker, ready when it takes WebSockets."""

from __future__ import annotations

import socket
import time

from .brokers import BrokerServer
from .opening import HandshakeFailed, Target, close_all, open_many
from .process import Process, free_port
from .registry import Peer

__all__ = ["NotStarted", "Server", "free_port"]


_BROKER_SOCKETS = 4
"""Connections to its broker that a worker opens while it starts, at most."""


class NotStarted(Exception):
    """The server did not come up; the text ends with its last words."""


class Server:
    """One running peer.

    It sleeps (SIGSTOP) except between `wake` and `sleep`, so that only one peer at a time has its
    core; so does its broker, which is another process on `broker_core`.
    """

    def __init__(
        self, peer: Peer, core: int, *, seconds: float = 60.0, broker_core: int | None = None
    ) -> None:
        self.peer = peer
        self.port = free_port()
        self.broker: BrokerServer | None = None
        environ = {"PYTHONUNBUFFERED": "1", "NODE_ENV": "production", **dict(peer.environ)}
        try:
            if peer.broker:
                self.broker = BrokerServer(
                    peer.broker, core if broker_core is None else broker_core
                )
                environ |= {"BROKER_URL": self.broker.url, "WIREWORK_BROKER": self.broker.url}
            self._process = Process(peer.argv(self.port), core, environ=environ)
        except OSError as error:
            if self.broker is not None:
                self.broker.stop()
            raise NotStarted(str(error)) from None
        try:
            self._wait(seconds)
        except BaseException:
            self.stop()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process.exit_status is None

    def target(self, endpoint: str) -> Target:
        """Return where the endpoint is."""
        return Target(self.port, self.peer.speech, endpoint)

    def wake(self) -> None:
        """Let it run."""
        if self.broker is not None:
            self.broker.wake()
        self._process.wake()

    def sleep(self) -> None:
        """Let it stand still."""
        self._process.sleep()
        if self.broker is not None:
            self.broker.sleep()

    def stop(self) -> None:
        """End it, its children and its broker too; twice is fine."""
        self._process.stop()
        if self.broker is not None:
            self.broker.stop()

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and its children so far."""
        return self._process.cpu_seconds()

    def resident(self) -> int:
        """Return the resident memory of the process and its children, in bytes."""
        return self._process.resident()

    def settled(self) -> int:
        """Return the resident memory once it stands still, or after two seconds."""
        return self._process.settled()

    def sockets(self) -> dict[int, int]:
        """Return how many sockets the process and each of its children has, by their ids."""
        return self._process.sockets()

    def last_words(self) -> str:
        """Return the last lines that it printed."""
        return self._process.last_words()

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        problem: Exception | None = None
        first = next(iter(self.peer.speech.paths))
        while time.monotonic() < end:
            if not self.is_alive:
                status = self._process.exit_status
                raise NotStarted(f"exit {status}: {self.last_words()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    pass
                if self._accepts(self.target(first)):
                    return
            except ConnectionRefusedError as error:
                problem = error
            except (OSError, HandshakeFailed) as error:
                raise NotStarted(f"{error}; {self.last_words()}") from None
            time.sleep(0.05)
        raise NotStarted(f"{problem}; {self.last_words()}")

    def _accepts(self, target: Target) -> bool:
        """Whether every worker takes connections."""
        workers = self.peer.workers
        before = self.sockets()
        opened = open_many(target, 1 if workers == 1 else 32 * workers, seconds=5).sockets
        after = self.sockets().items()
        takers = [pid for pid, now in after if now > before.get(pid, 0) + _BROKER_SOCKETS]
        close_all(opened)
        return workers == 1 or len(takers) >= workers
