"""An application in one of Granian's workers: its lifespan, its connections and their end.

On SIGINT and SIGTERM Granian stops the input and output of WebSockets at once and leaves the tasks
that serve them where they are. So the signal is kept from it until the connections have ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from .. import closecodes
from ..connection import Connection
from ..types import Receive, Scope, SendMessage
from .base import Application

__all__ = ["Host", "Worker", "start", "stop", "worker_of"]

logger = logging.getLogger("wirework")

_FLUSH = 5.0
"""Seconds for the last frames of connections whose handlers have ended."""

_SETTLE = 0.2
"""Seconds for the server to write its last answers: stopped before, it waits for them for ever."""

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Host(Application, Protocol):
    """The application, with its HTTP side and its lifespan."""

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        """Serve an ASGI scope."""

    def lifespan_context(self) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Start and stop the application."""


class Link(Protocol):
    """One connection, as its worker sees it."""

    connection: Connection
    finished: asyncio.Event
    gone: asyncio.Event

    def leave(self) -> None:
        """Begin to end because the worker stops."""


class Worker:
    """What the connections of one application in this process share."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        """What the lifespan yielded."""
        self.links: set[Link] = set()
        """Handshakes and connections that are not over."""
        self.is_stopping = False
        self.over = asyncio.Event()
        """Set when the server has let go of every socket."""
        self._stopped = asyncio.Event()
        self._lifespan: asyncio.Task[None] | None = None

    async def start(self, app: Host) -> None:
        """Enter the lifespan; what it raises is raised."""
        started = asyncio.Event()
        self._lifespan = asyncio.create_task(self._live(app, started))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([self._lifespan, waiting], return_when=asyncio.FIRST_COMPLETED)
        if self._lifespan.done():
            waiting.cancel()
            self._lifespan.result()

    async def _live(self, app: Host, started: asyncio.Event) -> None:
        """One task from beginning to end: what a lifespan holds may belong to its task."""
        async with app.lifespan_context() as state:
            self.state = dict(state)
            started.set()
            await self._stopped.wait()

    async def drain(self, app: Host) -> None:
        """Close every connection; wait until all is sent and handlers and hooks are done."""
        self.is_stopping = True
        links = list(self.links)
        ending = app.shut_down(spreads=False)  # Granian drops all sockets together in any case
        for link in links:
            link.leave()
        await ending
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH):
                for link in links:
                    await link.gone.wait()
        await asyncio.sleep(_SETTLE)

    async def stop(self) -> None:
        """End what `drain` did not reach, then leave the lifespan. Nothing can be sent now."""
        self.is_stopping = True
        self.over.set()
        for link in list(self.links):
            link.connection.lost(closecodes.RESTARTING, "restarting")
        self._stopped.set()
        if self._lifespan is not None:
            await self._lifespan


class HeldSignals:
    """Keeps SIGINT and SIGTERM from the event loop until `before` is done.

    The same signal once more calls `again`. The other one does not: on Ctrl+C a worker gets SIGINT,
    and SIGTERM from its parent.

    Python writes the number of every signal to a descriptor that the event loop reads. This one
    takes that descriptor's place and passes the numbers on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        before: Callable[[], Coroutine[Any, Any, None]],
        again: Callable[[], object],
    ) -> None:
        self._loop = loop
        self._before = before
        self._again = again
        self._waiting: asyncio.Task[None] | None = None
        self._held = b""
        self._ours, self._written = socket.socketpair()
        self._ours.setblocking(False)
        self._written.setblocking(False)
        self._loops = -1

    def hold(self) -> None:
        """Begin.

        Raises:
            ValueError: not in the main thread.
        """
        written = self._written.fileno()
        self._loops = signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        self._loop.add_reader(self._ours.fileno(), self._read)

    def release(self) -> None:
        """Let the event loop read its signals itself again."""
        self._loop.remove_reader(self._ours.fileno())
        written = self._written.fileno()
        current = signal.set_wakeup_fd(self._loops)
        if current != written:  # somebody has replaced ours since
            signal.set_wakeup_fd(current)
        self.close()

    def close(self) -> None:
        """Free its descriptors."""
        self._ours.close()
        self._written.close()

    def _read(self) -> None:
        numbers = self._ours.recv(4096)
        held = bytes(number for number in numbers if number in _ENDING)
        if not set(held).isdisjoint(self._held):
            self._again()
        self._held += held
        if len(held) < len(numbers):
            self._pass_on(bytes(number for number in numbers if number not in _ENDING))
        if held and self._waiting is None:
            self._waiting = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        try:
            await self._before()
        except Exception:
            logger.exception("the connections could not be closed")
        finally:
            self._pass_on(self._held)
            self.release()

    def _pass_on(self, numbers: bytes) -> None:
        if self._loops >= 0:
            os.write(self._loops, numbers)


_workers: WeakKeyDictionary[Host, Worker] = WeakKeyDictionary()


def worker_of(app: Host) -> Worker:
    """Return what connections of `app` share in this process."""
    found = _workers.get(app)
    if found is None:
        found = _workers[app] = Worker()
    return found


def start(app: Host, loop: asyncio.AbstractEventLoop) -> None:
    """Start the application in a worker that is about to serve; an error ends the worker."""
    worker = worker_of(app)
    try:
        loop.run_until_complete(worker.start(app))
    except BaseException as error:
        logger.error("startup failed: %s: %s", type(error).__name__, error)
        raise
    if sys.platform != "win32":
        loop.call_soon(_hold_signals, app, worker, loop)


def _hold_signals(app: Host, worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
    signals = HeldSignals(loop, partial(worker.drain, app), partial(app.shut_down, at_once=True))
    try:
        signals.hold()
    except ValueError:
        logger.debug("signals are not this thread's: connections end when the worker has stopped")
        signals.close()


def stop(app: Host, loop: asyncio.AbstractEventLoop) -> None:
    """Stop the application in a worker that serves no more."""
    worker = _workers.pop(app, None)
    if worker is None:
        return
    try:
        loop.run_until_complete(worker.stop())
    except Exception:
        logger.exception("shutdown failed")
