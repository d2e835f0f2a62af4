"""The native side of a Wirework connection: its outbox leaves once per turn of the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from ...connection import Connection, Outgoing, State
from ...types import HeaderList, Scope
from ..base import Application
from .deflate import Deflater
from .frames import SHORT, frame_header
from .wire import Wire

if TYPE_CHECKING:
    from .protocol import NativeProtocol

__all__ = ["NativeLink"]

_CHUNK = 256 * 1024
"""Bytes handed to the socket in one write: a peer that stops reading costs not much more."""


class Flusher:
    """Writes for all connections of a loop that have something to write, in one callback."""

    __slots__ = ("_links", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._links: list[NativeLink] = []

    def add(self, link: NativeLink) -> None:
        """Have `link` write at the end of this turn."""
        if not self._links:
            self._loop.call_soon(self._flush)
        self._links.append(link)

    def _flush(self) -> None:
        links, self._links = self._links, []
        for link in links:
            link.flush()


class NativeLink:
    """What a Wirework connection on the native transport calls."""

    __slots__ = ("_flusher", "_protocol", "_threshold", "connection", "wire")

    name: ClassVar[str] = "native"

    def __init__(self, protocol: NativeProtocol, app: Application) -> None:
        self._protocol = protocol
        self._flusher = protocol.flusher
        settings = app.settings
        self._threshold = settings.compression_threshold if settings.compression else None
        self.connection = Connection(self, settings)
        self.wire: Wire | None = None

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer 101; frames are read from now on."""
        connection = self.connection
        if self._protocol.is_lost:
            return
        size = self._protocol.size_limit(connection)
        self.wire = wire = self._protocol.make_wire(connection, size, self._threshold)
        wire.on_writable = self._writable
        self._protocol.accept(wire, subprotocol, headers)

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with an HTTP response."""
        self._protocol.refuse(status, headers, body)

    def wake(self) -> None:
        """Write at the end of this turn of the event loop."""
        self._flusher.add(self)

    def ping(self) -> bool:
        """Send a ping frame."""
        if self.wire is None:
            return False
        self.wire.ping()
        return True

    def abort(self) -> None:
        """End the socket at once."""
        self._protocol.transport.abort()

    def pause_reading(self) -> None:
        """Read no further."""
        self._protocol.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._protocol.transport.is_closing():
            self._protocol.transport.resume_reading()

    def flush(self) -> None:
        """Write what is in the outbox, as much as the socket takes, in one write."""
        wire = self.wire
        if wire is None or wire.is_paused:
            return
        frames, is_all = self.connection.take_many(_CHUNK)
        if frames:
            deflater = wire.deflater
            wire.transport.write(
                _joined(frames) if deflater is None else _deflated(frames, deflater)
            )
        if not is_all:
            if not wire.is_paused:
                self._flusher.add(self)
        elif self.connection.state is State.CLOSING:
            wire.close(self.connection.close_code, self.connection.close_reason)

    def _writable(self) -> None:
        self.flush()


def _joined(frames: list[Outgoing]) -> bytes:
    parts: list[bytes] = []
    for frame in frames:
        wire = frame.wire
        if wire is not None:
            parts.append(wire)
            continue
        data = frame.data
        size = len(data)
        parts.append(SHORT[frame.opcode][size] if size < 126 else frame_header(frame.opcode, size))
        parts.append(data)
    return b"".join(parts)


def _deflated(frames: list[Outgoing], deflater: Deflater) -> bytes:
    return b"".join([_deflated_frame(frame, deflater) for frame in frames])


def _deflated_frame(frame: Outgoing, deflater: Deflater) -> bytes:
    """Return a frame, compressed once for all connections with the usual window."""
    if len(frame.data) < deflater.threshold:
        return _joined([frame])
    if not deflater.is_shared:
        return deflater.frame(frame.opcode, frame.data)
    if frame.deflated is None:
        frame.deflated = deflater.frame(frame.opcode, frame.data)
    return frame.deflated


class NativeEntry:
    """How a Wirework application takes over a connection that it finds in a scope's extensions."""

    def __init__(self, protocol: NativeProtocol, *, is_root: bool) -> None:
        self._protocol = protocol
        self._is_root = is_root

    async def serve(self, app: Application, scope: Scope) -> None:
        """Serve the connection without ASGI's messages.

        Returns when it has ended; if the application is the server's own, without anything around
        it, when the handshake is answered.
        """
        link = NativeLink(self._protocol, app)
        connection = link.connection
        self._protocol.take_over(connection)
        waiter: Any = None
        if not self._is_root:
            waiter = asyncio.get_running_loop().create_future()
            connection.on_finished = lambda: waiter.done() or waiter.set_result(None)
        try:
            await app.connect(connection, scope)
            if waiter is not None:
                await waiter
        except BaseException:
            connection.lost()
            raise
