"""WebSockets on any ASGI server (ASGI specification, "WebSocket", version 2.5)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import ClassVar

from .. import closecodes
from ..connection import TEXT, Connection, State
from ..types import HeaderList, Message, Receive, Scope, SendMessage
from .base import Application
from .head import fault_of

__all__ = ["AsgiLink", "serve"]

logger = logging.getLogger("wirework")

_GRACE = 5.0
"""Seconds for the end of a connection whose server has cancelled it."""

_PATIENCE = 1.0
"""Seconds that a server may take to tell why it cannot send."""

_PRIVATE = 3000
"""Added to a standard close code for servers that refuse it (Daphne): 1011 becomes 4011."""


async def serve(app: Application, scope: Scope, receive: Receive, send: SendMessage) -> None:
    """Serve one `websocket` scope: returns when the connection has ended and handlers are done."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    link = AsgiLink(scope, receive, send)
    link.connection = connection = app.new_connection(link)
    connection.on_finished = link.finished.set
    link.reader = asyncio.create_task(link.read())
    link.opening = asyncio.current_task()
    try:
        if fault := fault_of(scope["headers"]):
            logger.info("refused a handshake of %r: %s", scope["path"], fault)
            await link.refuse(400, (), fault.encode())
            return
        await app.connect(connection, scope)
        link.opening = None
        await link.finished.wait()
        await link.flushed()
    except asyncio.CancelledError:
        if not await link.refuse_late():
            await link.end()
            raise
    finally:
        link.reader.cancel()
        link.stop()
        connection.lost()


class AsgiLink:
    """The ASGI side of one connection."""

    name: ClassVar[str] = "asgi"
    carries_codes: ClassVar[bool] = True
    joins_texts: ClassVar[bool] = True

    def __init__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        self.connection: Connection
        self.reader: asyncio.Task[None]
        self.finished = asyncio.Event()
        self.opening: asyncio.Task[None] | None = None
        """The task of the handshake, while it may still be cancelled for being too slow."""
        self._receive = receive
        self._send = send
        extensions = scope.get("extensions") or {}
        self._has_denials = "websocket.http.response" in extensions
        self._is_granian = "http.response.pathsend" in extensions
        """Granian stops its sockets before the application: a close then makes it panic."""
        self._writer: asyncio.Task[None] | None = None
        self._readable = asyncio.Event()
        self._readable.set()
        self._is_late = False
        self._is_unwritable = False

    # --- the connection's calls -----------------------------------------------------------------

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Send `websocket.accept`."""
        await self._try_to_send(
            {
                "type": "websocket.accept",
                "subprotocol": subprotocol,
                "headers": _encode(headers),
            }
        )

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Send a denial response, where the server has it; plain 403 elsewhere."""
        await self._end_reading()
        if not self._has_denials:
            await self._try_to_send({"type": "websocket.close", "code": closecodes.FORBIDDEN})
            return
        given = {name.lower() for name, _ in headers}
        answer = list(headers)
        if "content-length" not in given:
            answer.append(("content-length", str(len(body))))
        if body and "content-type" not in given:
            answer.append(("content-type", "text/plain; charset=utf-8"))
        if self._is_granian:
            answer = _unrepeated(answer)
        start = {"status": status, "headers": _encode(answer)}
        await self._try_to_send({"type": "websocket.http.response.start", **start})
        await self._try_to_send({"type": "websocket.http.response.body", "body": body})

    def wake(self) -> None:
        """Start to write; the task ends when the outbox is empty."""
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    @property
    def backlog(self) -> int:
        """Nobody knows."""
        return 0

    def ping(self) -> bool:
        """Leave heartbeats to the server."""
        return False

    def abort(self) -> None:
        """Give up: a handshake that takes too long, or a peer that does not read."""
        self.stop()
        if self.opening is not None and not self.connection.is_answered:
            self._is_late = True
            self.opening.cancel()

    def pause_reading(self) -> None:
        """Ask the server for no further message."""
        if not self._is_unwritable:
            self._readable.clear()

    def resume_reading(self) -> None:
        """Ask for messages again."""
        self._readable.set()

    # --- reading and writing --------------------------------------------------------------------

    async def read(self) -> None:
        """Feed what the server receives, until it says that the peer has gone."""
        connection = self.connection
        while True:
            await self._readable.wait()
            try:
                message = await self._receive()
            except Exception as error:
                self._gone(error)
                return
            kind = message["type"]
            if kind == "websocket.receive":
                text = message.get("text")
                connection.feed(text if text is not None else bytes(message.get("bytes") or b""))
            elif kind == "websocket.disconnect":
                code = message.get("code") or closecodes.NO_STATUS
                connection.lost(code, message.get("reason") or "")
                return

    async def _write(self) -> None:
        connection = self.connection
        try:
            while (frame := connection.take()) is not None:
                if frame.opcode == TEXT:
                    await self._send({"type": "websocket.send", "text": frame.data.decode()})
                else:
                    await self._send({"type": "websocket.send", "bytes": frame.data})
            if connection.state is State.CLOSING:
                await self._end_reading()
                if not (self._is_granian and connection.close_code == closecodes.RESTARTING):
                    code, reason = connection.wire_close
                    await self._close(code or 0, reason)
                connection.lost()
        except Exception as error:
            await self._hear_out()
            self._gone(error)
        finally:
            self._writer = None

    async def _hear_out(self) -> None:
        """Read what had arrived before the peer went, and the code it went with."""
        self._is_unwritable = True
        self._readable.set()
        await asyncio.wait([self.reader], timeout=_PATIENCE)

    async def _close(self, code: int, reason: str) -> None:
        message = {"type": "websocket.close", "code": code, "reason": reason}
        try:
            await self._send(message)
        except Exception:
            if not closecodes.NORMAL < code < _PRIVATE:
                raise
            await self._send({**message, "code": code + _PRIVATE})

    async def _end_reading(self) -> None:
        """Have no `receive` waiting: Granian closes only then, and panics on one after a denial."""
        self.reader.cancel()
        await asyncio.wait([self.reader])

    async def end(self) -> None:
        """End a connection that the server has cancelled: its peer and its hooks learn of it."""
        connection = self.connection
        connection.close(closecodes.RESTARTING, discard=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                if connection.is_accepted:
                    await self.finished.wait()
                await self.flushed()

    async def flushed(self) -> None:
        """Wait until what was sent before the end has gone to the server."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    def stop(self) -> None:
        """End the writer, whatever it is waiting for."""
        if self._writer is not None:
            self._writer.cancel()

    async def refuse_late(self) -> bool:
        """Refuse a handshake that was cancelled for being too slow; False: it was not."""
        task = asyncio.current_task()
        if not self._is_late or task is None:
            return False
        task.uncancel()
        await self.refuse(503, (), b"The handshake was not answered in time")
        return True

    async def _try_to_send(self, message: Message) -> None:
        try:
            await self._send(message)
        except Exception as error:
            self._gone(error)

    def _gone(self, error: Exception) -> None:
        """Servers differ in what they raise when the peer has gone; all of it means that."""
        logger.debug("%s: the server could not send: %r", self.connection.id, error)
        self.connection.lost()


def _unrepeated(headers: HeaderList) -> list[tuple[str, str]]:
    """Join values of one name (RFC 9110 section 5.3): where one repeats, Granian's worker panics.

    Of several Set-Cookie, which cannot be joined, the last remains: the session's.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        is_joined = key in found and key != "set-cookie"
        found[key] = f"{found[key]}, {value}" if is_joined else value
    return list(found.items())


def _encode(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
