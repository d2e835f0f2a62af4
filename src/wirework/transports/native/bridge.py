"""ASGI on the native transport, for applications that are not Wirework's.

It behaves as Uvicorn's own WebSocket protocols do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from ... import closecodes
from ...types import Frame, Message, Scope
from .deflate import THRESHOLD
from .frames import frame_header
from .wire import Wire

if TYPE_CHECKING:
    from .protocol import NativeProtocol

__all__ = ["AsgiBridge"]

logger = logging.getLogger("uvicorn.error")
_MAX_QUEUED = 32
"""Messages waiting for the application before the socket is read no further."""


class AsgiBridge:
    """The `receive` and `send` of one connection."""

    __slots__ = (
        "_has_ended",
        "_is_reading_paused",
        "_messages",
        "_protocol",
        "_receiver",
        "_response",
        "_size",
        "_wire",
        "_writable",
        "scope",
    )

    def __init__(self, protocol: NativeProtocol, config: Any, scope: Scope) -> None:
        self.scope = scope
        self._protocol = protocol
        self._size: int = config.ws_max_size
        self._messages: deque[Message] = deque([{"type": "websocket.connect"}])
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._wire: Wire | None = None
        self._response: tuple[int, list[tuple[str, str]], bytearray] | None = None
        self._has_ended = False
        self._is_reading_paused = False

    # --- what the wire calls --------------------------------------------------------------------

    def feed(self, frame: Frame) -> None:
        """Queue a message for the application."""
        kind = "text" if isinstance(frame, str) else "bytes"
        self._queue({"type": "websocket.receive", kind: frame})
        if len(self._messages) >= _MAX_QUEUED and not self._is_reading_paused:
            self._is_reading_paused = True
            self._protocol.transport.pause_reading()

    def lost(self, code: int = closecodes.ABNORMAL, reason: str = "") -> None:
        """Queue the disconnect, and wake whoever waits to send."""
        self._has_ended = True
        self._queue({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._wake_writer()

    def pong(self) -> None:
        """The peer has answered a ping."""

    def _queue(self, message: Message) -> None:
        self._messages.append(message)
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    # --- what the application calls -------------------------------------------------------------

    async def receive(self) -> Message:
        """Return the next message."""
        while not self._messages:
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        message = self._messages.popleft()
        if self._is_reading_paused and len(self._messages) * 2 <= _MAX_QUEUED:
            self._is_reading_paused = False
            if not self._protocol.transport.is_closing():
                self._protocol.transport.resume_reading()
        return message

    async def send(self, message: Message) -> None:
        """Do what `message` says.

        Raises:
            OSError: the peer has gone (ASGI, "Disconnected Client").
            RuntimeError: not a message for this state of the connection.
        """
        kind = message["type"]
        wire = self._wire
        if wire is None:
            self._answer(kind, message)
            return
        if wire.is_paused and not self._has_ended:
            await self._until_writable()
        if self._has_ended:
            raise _gone()
        if kind == "websocket.send":
            opcode, data = 2, message.get("bytes")
            if data is None:
                opcode, data = 1, message["text"].encode()
            if wire.deflater is None:
                wire.write(frame_header(opcode, len(data)) + data)
            else:
                wire.write(wire.deflater.frame(opcode, data))
        elif kind == "websocket.close":
            self._close(wire, message)
        else:
            raise RuntimeError(
                f"Expected ASGI message 'websocket.send' or 'websocket.close', but got {kind!r}."
            )

    def _answer(self, kind: str, message: Message) -> None:
        if self._protocol.is_lost:
            raise _gone()
        if self._response is not None:
            self._add_body(kind, message)
        elif self._protocol.is_answered:
            raise RuntimeError(
                f"Unexpected ASGI message {kind!r}, after the handshake was refused."
            )
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._log(403)
            self._protocol.refuse(403, (), b"")
            self.lost()
        elif kind == "websocket.http.response.start":
            headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in message["headers"]]
            self._response = (message["status"], headers, bytearray())
            self._log(message["status"])
        else:
            raise RuntimeError(
                "Expected ASGI message 'websocket.accept', 'websocket.close' or "
                f"'websocket.http.response.start' but got {kind!r}."
            )

    def _accept(self, message: Message) -> None:
        headers = message.get("headers") or []
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        threshold = THRESHOLD if self._protocol.has_deflate else None
        wire = self._wire = self._protocol.make_wire(self, self._size, threshold)
        wire.on_writable = self._wake_writer
        self._log("[accepted]")
        self._protocol.accept(wire, message.get("subprotocol"), pairs)

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
            self._protocol.refuse(status, headers, bytes(body))
            self.lost()

    def _close(self, wire: Wire, message: Message) -> None:
        code = message.get("code") or closecodes.NORMAL
        reason = message.get("reason") or ""
        self._has_ended = True
        self._queue({"type": "websocket.disconnect", "code": code, "reason": reason})
        wire.close(code, reason)

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
        if isinstance(error, OSError) and self._has_ended:
            return
        if not isinstance(error, asyncio.CancelledError):
            logger.error("Exception in ASGI application\n", exc_info=error)
        if self._wire is not None:
            self._wire.close(closecodes.INTERNAL_ERROR)
        else:
            self._protocol.refuse(500, (), b"Internal Server Error")

    def returned(self, result: object) -> None:
        """The application returned: what it left open is closed."""
        if result is not None:
            logger.error("ASGI callable should return None, but returned '%s'.", result)
        if self._wire is not None:
            self._wire.close(closecodes.NORMAL)
        elif not self._protocol.is_answered:
            logger.error("ASGI callable returned without completing handshake.")
            self._protocol.refuse(500, (), b"Internal Server Error")

    def _log(self, what: object) -> None:
        client = self.scope["client"]
        address = f"{client[0]}:{client[1]}" if client and client[1] is not None else ""
        query = self.scope["query_string"].decode("ascii")
        path = self.scope["path"] + (f"?{query}" if query else "")
        logger.info('%s - "WebSocket %s" %s', address, path, what)


def _gone() -> OSError:
    return ConnectionResetError("the peer has gone")
