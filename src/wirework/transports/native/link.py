"""The native side of a Wirework connection: its outbox leaves once per turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from ... import closecodes
from ...connection import TEXT, Connection, State
from ...handshake import Request
from ...outbox import Waiting, payload_size
from ...types import HeaderList, Scope
from ..base import Application
from .deflate import Deflater
from .frames import SHORT_TEXT, frame_header
from .wire import Wire

if TYPE_CHECKING:
    from .protocol import NativeProtocol

__all__ = ["NativeEntry", "NativeLink", "serve"]

_CLOSING = State.CLOSING
_CHUNK = 256 * 1024
"""Bytes handed to the socket in one write: a peer that stops reading costs not much more."""
_GRACE = 5.0
"""Seconds for the end of a connection whose call the server has cancelled."""


class NativeLink:
    """What a Wirework connection on the native transport calls."""

    __slots__ = (
        "_app",
        "_flusher",
        "_protocol",
        "connection",
        "is_late",
        "opening",
        "wire",
    )

    name: ClassVar[str] = "native"
    carries_codes: ClassVar[bool] = True
    joins_texts: ClassVar[bool] = True

    def __init__(self, protocol: NativeProtocol, app: Application) -> None:
        self._protocol = protocol
        self._flusher = protocol.flusher
        self._app = app
        self.connection = app.new_connection(self)
        self.wire: Wire | None = None
        self.opening: asyncio.Task[None] | None = None
        """The task of the handshake, while it may still be cancelled for being too slow."""
        self.is_late = False

    async def open(self, app: Application, scope: Scope | Request) -> None:
        """Have the application answer the handshake."""
        task = self.opening = asyncio.current_task(self._flusher.loop)
        try:
            await app.connect(self.connection, scope)
        except asyncio.CancelledError:
            if not self.is_late or task is None:
                raise
            task.uncancel()
        finally:
            self.opening = None

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer 101; frames are read from now on."""
        if self._protocol.is_lost:
            return
        connection = self.connection
        size = self._protocol.size_limit(connection)
        settings = self._app.settings
        threshold = settings.compression_threshold if settings.compression else None
        wire = self._protocol.make_wire(connection, size, threshold)
        self._protocol.accept(wire, subprotocol, headers)
        wire.on_writable = self.flush
        self.wire = wire

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with an HTTP response."""
        self._protocol.refuse(status, headers, body)

    def wake(self) -> None:
        """Write at the end of this turn of the event loop."""
        if self.wire is not None:
            self._flusher.add(self)

    @property
    def backlog(self) -> int:
        """Bytes that the socket has not taken yet."""
        return 0 if self.wire is None else self.wire.backlog

    def ping(self) -> bool:
        """Send a ping frame."""
        if self.wire is None:
            return False
        self.wire.ping()
        return True

    def abort(self) -> None:
        """End the socket at once; before the answer, with one."""
        protocol = self._protocol
        if protocol.is_answered:
            protocol.transport.abort()
        else:
            protocol.refuse(503, (), b"The handshake was not answered in time")
            if self.opening is not None:
                self.is_late = True
                self.opening.cancel()

    def pause_reading(self) -> None:
        """Read no further."""
        self._protocol.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._protocol.transport.is_closing():
            self._protocol.transport.resume_reading()

    def release(self) -> None:
        """The socket is gone: keep nothing, so that nothing waits for the garbage collector."""
        self.wire = None
        del self.connection

    def leave(self, *, at_once: bool = False) -> None:
        """The server stops: the application ends its connections, each in its turn."""
        self._app.shut_down(at_once=at_once)

    def flush(self) -> None:
        """Write what is in the outbox, as much as the socket takes, in one write."""
        wire = self.wire
        if wire is None or wire.is_paused:
            return
        connection, transport = self.connection, wire.transport
        if transport.is_closing():
            return
        frames, is_all = connection.take_many(_CHUNK)
        if frames:
            deflater = wire.deflater
            transport.write(_joined(frames) if deflater is None else _deflated(frames, deflater))
        if not is_all:
            if not wire.is_paused:
                self._flusher.add(self)
        elif connection.state is _CLOSING:
            wire.close(*connection.wire_close)


def _joined(frames: Sequence[Waiting]) -> bytes:
    if len(frames) == 1:
        frame = frames[0]
        if type(frame) is bytes and len(frame) < 126:
            return SHORT_TEXT[len(frame)] + frame
        return _framed(frame)
    return b"".join(
        [
            SHORT_TEXT[len(frame)] + frame
            if type(frame) is bytes and len(frame) < 126
            else _framed(frame)
            for frame in frames
        ]
    )


def _framed(frame: Waiting) -> bytes:
    if isinstance(frame, bytes):
        return frame_header(TEXT, len(frame)) + frame
    wire = frame.wire
    if wire is None:  # kept for the other connections that it goes to
        wire = frame.wire = frame_header(frame.opcode, len(frame.data)) + frame.data
    return wire


def _deflated(frames: Sequence[Waiting], deflater: Deflater) -> bytes:
    if max([payload_size(frame) for frame in frames]) < deflater.threshold:
        return _joined(frames)
    return b"".join([_deflated_frame(frame, deflater) for frame in frames])


def _deflated_frame(frame: Waiting, deflater: Deflater) -> bytes:
    """Return a frame, compressed once for all connections with the usual window."""
    if payload_size(frame) < deflater.threshold:
        return _framed(frame)
    if isinstance(frame, bytes):
        return deflater.frame(TEXT, frame)
    if not deflater.is_shared:
        return deflater.frame(frame.opcode, frame.data)
    if frame.deflated is None:
        frame.deflated = deflater.frame(frame.opcode, frame.data)
    return frame.deflated


class NativeEntry:
    """How a Wirework application takes over a connection that it finds in a scope's extensions."""

    __slots__ = ("_is_root", "_protocol")

    def __init__(self, protocol: NativeProtocol, *, is_root: bool) -> None:
        self._protocol: NativeProtocol | None = protocol
        self._is_root = is_root

    async def serve(self, app: Application, scope: Scope) -> None:
        """Serve the connection without ASGI's messages.

        Returns when it has ended; if the application is the server's own, without anything around
        it, when the handshake is answered.

        Raises:
            RuntimeError: it was served or answered before.
        """
        protocol, self._protocol = self._protocol, None
        if protocol is None or protocol.is_answered:
            raise RuntimeError("expected a handshake that is not answered")
        await serve(protocol, NativeLink(protocol, app), app, scope, is_held=self._is_root)


async def serve(
    protocol: NativeProtocol,
    link: NativeLink,
    app: Application,
    scope: Scope | Request,
    *,
    is_held: bool,
) -> None:
    """Have `app` serve the connection of `link`.

    Returns when it has ended; where the protocol holds it, when the handshake is answered.
    """
    finished = None
    connection = link.connection
    if is_held:
        connection.on_finished = protocol.release
    else:
        finished = asyncio.Event()
        connection.on_finished = finished.set
    protocol.take_over(link, is_held=is_held)
    try:
        await link.open(app, scope)
        if finished is not None:
            await finished.wait()
    except BaseException as error:
        await give_up(protocol, connection, error, finished)
        raise


async def give_up(
    protocol: NativeProtocol,
    connection: Connection,
    error: BaseException,
    finished: asyncio.Event | None = None,
) -> None:
    """End a connection whose application's call has failed; `finished` says when it is done."""
    protocol.end(_code_for(error))
    await _end(connection, error, finished)
    protocol.release()


async def _end(
    connection: Connection, error: BaseException, finished: asyncio.Event | None
) -> None:
    """Let a connection whose call was cancelled run its hooks."""
    connection.lost()
    is_cancelled = isinstance(error, asyncio.CancelledError)
    if is_cancelled and connection.is_accepted and finished is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await finished.wait()


def _code_for(error: BaseException) -> int:
    is_cancelled = isinstance(error, asyncio.CancelledError)
    return closecodes.RESTARTING if is_cancelled else closecodes.INTERNAL_ERROR
