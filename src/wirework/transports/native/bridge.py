"""ASGI on the native transport, for applications that are not Wirework's.

It behaves as Uvicorn's own WebSocket protocols do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected

from ... import closecodes
from ...timers import wheel
from ...types import Frame, Message, Scope
from .deflate import THRESHOLD
from .frames import SHORT_TEXT, frame_header
from .wire import Wire

if TYPE_CHECKING:
    from .protocol import NativeProtocol

__all__ = ["AsgiBridge"]

logger = logging.getLogger("uvicorn.error")
_MAX_WAITING = 64 * 1024
"""Bytes waiting for the application before the socket is read no further."""


class AsgiBridge:
    """The `receive` and `send` of one connection."""

    __slots__ = (
        "_config",
        "_has_closed",
        "_has_ended",
        "_is_reading_paused",
        "_pong_due",
        "_protocol",
        "_queue",
        "_receiver",
        "_response",
        "_waiting",
        "_wire",
        "_writable",
        "is_unused",
        "scope",
    )

    def __init__(self, protocol: NativeProtocol, config: Any, scope: Scope) -> None:
        self.scope = scope
        self.is_unused = False
        """Whether a Wirework application has taken the connection over."""
        self._protocol = protocol
        self._config = config
        self._queue: deque[Frame | Message] = deque([{"type": "websocket.connect"}])
        """What waits for the application: frames as they came, anything else as its message."""
        self._waiting = 0
        """How much of frames waits: bytes, or characters of text."""
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._wire: Wire | None = None
        self._response: tuple[int, list[tuple[str, str]], bytearray] | None = None
        self._has_closed = False
        """Whether the application has closed or refused."""
        self._has_ended = False
        """Whether nothing can be sent any more."""
        self._is_reading_paused = False
        self._pong_due: float | None = None

    # --- what the wire calls --------------------------------------------------------------------

    def feed(self, frame: Frame) -> None:
        """Queue a message for the application."""
        self._waiting += len(frame)
        self._queue.append(frame)
        self._announce()

    def feed_all(self, frames: list[str]) -> None:
        """Queue messages that have come together."""
        self._waiting += sum(map(len, frames))
        self._queue.extend(frames)
        self._announce()

    def lost(self, code: int = closecodes.ABNORMAL, reason: str = "") -> None:
        """Queue the disconnect, and wake whoever waits to send."""
        self._has_ended = True
        wheel().forget(self)
        self._queue.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._wake_receiver()
        self._wake_writer()

    def met(self, limit: str) -> None:
        """Nobody counts for other applications."""

    def pong(self) -> None:
        """The peer has answered a ping."""
        if self._pong_due is not None and not self._has_ended:
            self._pong_due = None
            self._look_after(self._config.ws_ping_interval)

    def tick(self, now: float) -> float | None:
        """Ping, or end a connection whose peer has not answered one; the wheel calls it."""
        wire, timeout = self._wire, self._config.ws_ping_timeout
        if wire is None or self._has_ended:
            return None
        if self._pong_due is not None and not self._is_reading_paused:
            wire.fail(closecodes.INTERNAL_ERROR, "keepalive ping timeout")
            return None
        if self._pong_due is None:
            wire.ping()
            if not timeout:
                return now + float(self._config.ws_ping_interval)
        self._pong_due = now + float(timeout)
        return self._pong_due

    def _look_after(self, seconds: float | None) -> None:
        if seconds:
            clock = wheel()
            clock.watch(self, clock.now() + seconds)

    def _announce(self) -> None:
        """Tell whoever receives that there is something; read no further where it is too much."""
        is_full = self._waiting >= _MAX_WAITING or len(self._queue) >= self._config.ws_max_queue
        if is_full and not self._is_reading_paused:
            self._is_reading_paused = True
            self._protocol.transport.pause_reading()
        self._wake_receiver()

    def _wake_receiver(self) -> None:
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            receiver.set_result(None)

    # --- what the application calls -------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next message."""
        while not self._queue:
            receiver = self._receiver
            if receiver is None or receiver.done():
                receiver = self._receiver = self._protocol.flusher.loop.create_future()
                await receiver
            else:
                await asyncio.wait([receiver])  # two are receiving
        frame = self._queue.popleft()
        if isinstance(frame, dict):
            return frame
        self._waiting -= len(frame)
        if self._is_reading_paused:
            self._read_on()
        if isinstance(frame, str):
            return {"type": "websocket.receive", "text": frame}
        return {"type": "websocket.receive", "bytes": frame}

    def _read_on(self) -> None:
        """Read again, where half of what was too much is handled."""
        has_frames_read = len(self._queue) * 2 <= self._config.ws_max_queue
        if has_frames_read and self._waiting * 2 <= _MAX_WAITING:
            self._is_reading_paused = False
            if not self._protocol.transport.is_closing():
                self._protocol.transport.resume_reading()

    async def send(self, message: Message) -> None:
        """Do what `message` says.

        Raises:
            ClientDisconnected: the peer has gone; an OSError (ASGI, "Disconnected Client").
            RuntimeError: not a message for this state of the connection.
            ValueError: a header or a close code that cannot be sent.
        """
        kind = message["type"]
        wire = self._wire
        if wire is None:
            self._answer(kind, message)
            return
        if wire.is_paused and not self._has_ended:
            await self._until_writable()
        if self._has_ended:
            raise self._refusal(kind, "after sending 'websocket.close'")
        if kind == "websocket.send":
            opcode, data = 2, message.get("bytes")
            if data is None:
                opcode, data = 1, message["text"].encode()
            if wire.deflater is not None:
                wire.write(wire.deflater.frame(opcode, data))
            elif opcode == 1 and len(data) < 126:
                wire.write(SHORT_TEXT[len(data)] + data)
            else:
                wire.write(frame_header(opcode, len(data)) + data)
        elif kind == "websocket.close":
            self._close(wire, message)
        else:
            raise RuntimeError(
                f"Expected ASGI message 'websocket.send' or 'websocket.close', but got {kind!r}."
            )

    def _refusal(self, kind: str, why: str) -> Exception:
        """Return what tells the application that it cannot send."""
        if self._has_closed and not self._protocol.is_lost:
            return RuntimeError(f"Unexpected ASGI message {kind!r}, {why}.")
        return ClientDisconnected("the peer has gone")

    def _answer(self, kind: str, message: Message) -> None:
        if self._has_ended or self._protocol.is_answered:
            raise self._refusal(kind, "after the handshake was refused")
        if self._response is not None:
            self._add_body(kind, message)
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._refuse(403, [], b"")
        elif kind == "websocket.http.response.start":
            status = message["status"]
            if not 100 <= status < 600:
                raise RuntimeError(f"Invalid HTTP status code '{status}' in response.")
            self._response = (status, _decoded(message.get("headers")), bytearray())
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or "
                f"'websocket.http.response.start' but got {kind!r}."
            )

    def _accept(self, message: Message) -> None:
        threshold = THRESHOLD if self._protocol.has_deflate else None
        wire = self._protocol.make_wire(self, self._config.ws_max_size, threshold)
        headers = _decoded(message.get("headers"))
        self._protocol.accept(wire, message.get("subprotocol") or None, headers)
        wire.on_writable = self._wake_writer
        self._wire = wire
        self._look_after(self._config.ws_ping_interval)

    def _add_body(self, kind: str, message: Message) -> None:
        if kind != "websocket.http.response.body":
            raise RuntimeError(
                f"Expected ASGI message 'websocket.http.response.body' but got {kind!r}."
            )
        assert self._response is not None
        status, headers, body = self._response
        body += message.get("body") or b""
        if not message.get("more_body"):
            self._response = None
            self._refuse(status, headers, bytes(body))

    def _refuse(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self._protocol.refuse(status, headers, body)
        self._has_closed = True
        self.lost()

    def _close(self, wire: Wire, message: Message) -> None:
        code = message.get("code") or closecodes.NORMAL
        if not closecodes.is_sendable(code):
            raise ValueError(f"expected a close code that may be sent, got {code!r}")
        reason = closecodes.shorten_reason(message.get("reason") or "")
        wire.close(code, reason)
        self._has_closed = True
        self._is_reading_paused = False
        self.lost(code, reason)

    async def _until_writable(self) -> None:
        if self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._writable)

    def _wake_writer(self) -> None:
        waiter, self._writable = self._writable, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- the end of the application's call --------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        """The application raised."""
        if isinstance(error, ClientDisconnected):
            return
        if not isinstance(error, asyncio.CancelledError):
            logger.error("Exception in ASGI application\n", exc_info=error)
        self._end(closecodes.INTERNAL_ERROR)

    def returned(self, result: object) -> None:
        """The application returned: what it left open is closed."""
        if result is not None:
            logger.error("ASGI callable should return None, but returned '%s'.", result)
        if self._is_unanswered():
            logger.error("ASGI callable returned without completing handshake.")
        self._end(closecodes.NORMAL)

    def _end(self, code: int) -> None:
        if self._wire is not None:
            self._wire.close(code)
            self._has_ended = True
        elif self._is_unanswered():
            self._protocol.refuse(500, (), b"Internal Server Error")

    def _is_unanswered(self) -> bool:
        return not (self.is_unused or self._has_ended or self._protocol.is_answered)


def _decoded(headers: Iterable[tuple[bytes, bytes]] | None) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers or ()]
