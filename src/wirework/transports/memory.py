"""A transport without sockets, for tests: the peer is an object in the same event loop."""

from __future__ import annotations

import asyncio
from typing import ClassVar, NamedTuple

from .. import closecodes
from ..connection import TEXT, State
from ..types import Frame, HeaderList, Scope
from .base import Application

__all__ = ["Accepted", "Closed", "MemoryPeer", "Refused"]


class Accepted(NamedTuple):
    """The handshake was answered with a WebSocket."""

    subprotocol: str | None
    headers: HeaderList


class Refused(NamedTuple):
    """The handshake was answered with an HTTP response."""

    status: int
    headers: HeaderList
    body: bytes


class Closed(NamedTuple):
    """The server's close, the last thing a peer hears."""

    code: int
    reason: str


class MemoryPeer:
    """A client, and the link of its connection, in one.

    `answer` is done once the handshake is answered; `events` holds what the server said since,
    in order.
    """

    name: ClassVar[str] = "memory"
    carries_codes: ClassVar[bool] = True
    joins_texts: ClassVar[bool] = False

    def __init__(self, app: Application, scope: Scope) -> None:
        loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Accepted | Refused] = loop.create_future()
        self.events: asyncio.Queue[Frame | Closed] = asyncio.Queue()
        self.readable = asyncio.Event()
        """Cleared while the server asks for no more frames."""
        self.readable.set()
        self.finished = asyncio.Event()
        self.connection = app.new_connection(self)
        self.connection.on_finished = self.finished.set
        self._reads = True
        self._task = asyncio.create_task(self._serve(app, scope))

    async def _serve(self, app: Application, scope: Scope) -> None:
        try:
            await app.connect(self.connection, scope)
        finally:
            if not self.answer.done():
                self.answer.set_result(Refused(500, (), b""))

    # --- the client's side ----------------------------------------------------------------------

    def send(self, frame: Frame) -> None:
        """Send one frame to the server."""
        self.connection.feed(frame)

    def close(self, code: int = closecodes.NORMAL, reason: str = "") -> None:
        """Close, and have the close answered at once."""
        self.connection.lost(code, reason)

    def stop_reading(self) -> None:
        """Read no more: what the server sends stays in its outbox."""
        self._reads = False

    def start_reading(self) -> None:
        """Read again."""
        self._reads = True
        self._flush()

    async def leave(self) -> None:
        """Wait until the server is done with the connection."""
        await self.finished.wait()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def cancel(self, seconds: float) -> None:
        """Cancel the application's task, and have done with the connection; wait `seconds`."""
        self._task.cancel()
        await asyncio.wait([self._task], timeout=seconds)
        self.connection.finish()

    # --- the connection's calls -----------------------------------------------------------------

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer with a WebSocket."""
        self.answer.set_result(Accepted(subprotocol, list(headers)))

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with an HTTP response."""
        self.answer.set_result(Refused(status, list(headers), body))

    def wake(self) -> None:
        """Deliver at the end of this turn of the event loop."""
        asyncio.get_running_loop().call_soon(self._flush)

    @property
    def backlog(self) -> int:
        """Nobody knows."""
        return 0

    def ping(self) -> bool:
        """Take the peer for alive: it is in this process."""
        return False

    def abort(self) -> None:
        """End without a word."""
        if not self.answer.done():
            self._task.cancel()
            self.answer.set_result(Refused(503, (), b""))
        self._close()

    def pause_reading(self) -> None:
        """Note that the inbox is full."""
        self.readable.clear()

    def resume_reading(self) -> None:
        """Note that the inbox has room."""
        self.readable.set()

    def _flush(self) -> None:
        connection = self.connection
        if not self._reads:
            return
        while (frame := connection.take()) is not None:
            self.events.put_nowait(frame.data.decode() if frame.opcode == TEXT else frame.data)
        if connection.state is State.CLOSING:
            self._close()
            connection.lost()

    def _close(self) -> None:
        code, reason = self.connection.wire_close
        self.events.put_nowait(Closed(code or closecodes.ABNORMAL, reason))
