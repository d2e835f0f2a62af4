"""The end of all connections of an application: in waves, while handlers finish."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from . import closecodes
from .connection import Connection
from .reception import Reception
from .session import MessageSession
from .settings import Settings
from .types import Frame
from .websocket import WebSocket

__all__ = ["IMMEDIATE", "Shutdown"]

logger = logging.getLogger("wirework")

IMMEDIATE: Final = "_WIREWORK_SHUTDOWN_AT_ONCE"
"""Variable of the environment that a server sets which stops only to start again (a reload)."""

_TURN = 0.02
"""Seconds between two looks at connections that are to end."""

_CLEANUP = 3.0
"""Seconds for the cleanup of cancelled handlers, and for disconnect hooks."""

_HURRY = 1.0
"""Seconds for the same where everything is to end at once."""

_FLUSH = 2.0
"""Seconds for the last frames of connections whose handlers have ended, and peers' answers."""


class Shutdown:
    """Ends what a reception has let in; nobody is let in any more.

    In waves: connections are closed with 1012 one after the other, within `drain_spread`. One
    whose handler is at work takes no further message, and is closed when the handler has
    answered: at the latest after half of the rest of `drain_timeout`, so that one that sends
    for ever ends too. What still runs after `drain_timeout` is cancelled. Disconnect hooks run in
    any case.
    """

    def __init__(self, reception: Reception, settings: Settings) -> None:
        self._reception = reception
        self._timeout = settings.drain_timeout
        self._spread = min(settings.drain_spread, settings.drain_timeout)
        self._is_urgent = bool(os.environ.get(IMMEDIATE))
        self._task: asyncio.Task[None] | None = None
        self._is_late = False
        """Whether there were handlers left when their time was over."""
        self._leaving: list[tuple[WebSocket, float]] = []
        """Those whose turn has come, and until when their handlers may answer."""

    def begin(self, *, spreads: bool, listens: bool) -> asyncio.Task[None]:
        """Begin, the first time; return the task, which raises nothing.

        Args:
            spreads: whether closes are spread; otherwise all have their turn now.
            listens: whether peers can still be told anything, such as a late answer.
        """
        if self._task is None:
            self._reception.is_leaving = True
            spread = self._spread if spreads else 0.0
            patience = (self._timeout - self._spread) / 2 if listens else 0.0
            self._task = asyncio.get_running_loop().create_task(self._run(spread, patience))
        return self._task

    def hurry(self) -> None:
        """Wait for nothing any more."""
        self._is_urgent = True

    async def _run(self, spread: float, patience: float) -> None:
        connections = [ws.connection for ws in self._reception]
        try:
            await self._drain(spread, patience)
            await self._end(connections)
        except asyncio.CancelledError:  # the event loop is to be closed, and waits for its tasks
            self.hurry()
            await self._end(connections)
            raise

    async def _drain(self, spread: float, patience: float) -> None:
        """Close all, each in its turn; wait for handlers and hooks, as long as they may take."""
        clock = asyncio.get_running_loop().time
        begun = now = clock()
        for ws in self._reception:
            if not ws.connection.is_accepted:  # refused by its transport, or now
                self._reception.cancel(ws)
        waiting = deque(self._reception)
        count = len(waiting)
        while self._reception and now < begun + self._timeout and not self._is_urgent:
            while waiting and now >= begun + spread * (1 - len(waiting) / count):
                self._leaving.append((waiting.popleft(), now + patience))
            self._leaving = [each for each in self._leaving if not _close_idle(*each, now)]
            await asyncio.sleep(_TURN)
            now = clock()
        self._is_late = bool(self._reception)

    async def _end(self, connections: list[Connection]) -> None:
        """End what is left, and see that the last frames leave."""
        if self._is_late or self._is_urgent:
            for ws in self._reception:
                _close(ws.connection)
            await asyncio.sleep(_TURN)  # handlers that only wait for messages end by themselves
            for ws in self._reception:
                self._reception.cancel(ws)
            if not await self._until(lambda: not self._reception, _CLEANUP):
                logger.error("%s connections have handlers that do not end", len(self._reception))
        await self._until(lambda: all(each.is_closed for each in connections), _FLUSH)
        for connection in connections:
            if not connection.is_closed:
                connection.link.abort()

    async def _until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, at most `seconds`; False: it is not."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while not is_so():
            if clock() > begun + (min(seconds, _HURRY) if self._is_urgent else seconds):
                return False
            await asyncio.sleep(_TURN)
        return True


def _close_idle(ws: WebSocket, deadline: float, now: float) -> bool:
    """Close a connection when its handler has answered, or at `deadline`; False: not yet."""
    connection = ws.connection
    if connection.is_ended:
        return True
    if not connection.is_accepted:
        return False
    if now < deadline and _is_busy(ws):
        _deafen(ws)
        return False
    _close(connection)
    return True


def _close(connection: Connection) -> None:
    connection.close(closecodes.RESTARTING, "restarting")


def _is_busy(ws: WebSocket) -> bool:
    """Whether the peer may wait for an answer: a handler has a message, and asks for no other."""
    session = ws.conversation
    if isinstance(session, MessageSession):
        return session.is_busy
    return ws.connection.received > 0 and not ws.connection.is_awaited


def _deafen(ws: WebSocket) -> None:
    """Drop messages that wait, and those that come, but hear answers to requests and the like."""
    connection, session = ws.connection, ws.conversation
    if isinstance(connection.intercept, _Deaf):
        return
    if isinstance(session, MessageSession):
        session.listen()
    connection.intercept = _Deaf(connection.intercept)
    connection.sift()


class _Deaf:
    """An `intercept` that leaves nothing for the inbox."""

    def __init__(self, hears: Callable[[Frame], bool] | None) -> None:
        self._hears = hears

    def __call__(self, frame: Frame) -> bool:
        if self._hears is not None:
            self._hears(frame)
        return True
