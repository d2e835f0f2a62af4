"""WebSockets on any ASGI server (ASGI specification, "WebSocket", version 2.5)."""

from __future__ import annotations

import asyncio
import logging
from typing import ClassVar

from .. import closecodes
from ..connection import TEXT, Connection, State
from ..types import HeaderList, Message, Receive, Scope, SendMessage
from .base import Application

__all__ = ["AsgiLink", "serve"]

logger = logging.getLogger("wirework")


async def serve(app: Application, scope: Scope, receive: Receive, send: SendMessage) -> None:
    """Serve one `websocket` scope: returns when the connection has ended and handlers are done."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    link = AsgiLink(scope, receive, send)
    link.connection = connection = Connection(link, app.settings)
    connection.on_finished = link.finished.set
    reader = asyncio.create_task(link.read())
    link.opening = asyncio.current_task()
    try:
        await app.connect(connection, scope)
        link.opening = None
        await link.finished.wait()
        await link.flushed()
    except asyncio.CancelledError:
        if not await link.refuse_late():
            connection.lost(closecodes.RESTARTING)
            raise
    finally:
        reader.cancel()
        link.stop()
        connection.lost()


class AsgiLink:
    """The ASGI side of one connection."""

    name: ClassVar[str] = "asgi"

    def __init__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        self.connection: Connection
        self.finished = asyncio.Event()
        self.opening: asyncio.Task[None] | None = None
        """The task of the handshake, while it may still be cancelled for being too slow."""
        self._receive = receive
        self._send = send
        self._has_denials = "websocket.http.response" in (scope.get("extensions") or {})
        self._writer: asyncio.Task[None] | None = None
        self._readable = asyncio.Event()
        self._readable.set()
        self._is_late = False

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
        if not self._has_denials:
            await self._try_to_send({"type": "websocket.close", "code": closecodes.FORBIDDEN})
            return
        given = {name.lower() for name, _ in headers}
        answer = list(headers)
        if "content-length" not in given:
            answer.append(("content-length", str(len(body))))
        if body and "content-type" not in given:
            answer.append(("content-type", "text/plain; charset=utf-8"))
        start = {"status": status, "headers": _encode(answer)}
        await self._try_to_send({"type": "websocket.http.response.start", **start})
        await self._try_to_send({"type": "websocket.http.response.body", "body": body})

    def wake(self) -> None:
        """Start to write; the task ends when the outbox is empty."""
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    def abort(self) -> None:
        """Give up: a handshake that takes too long, or a peer that does not read."""
        self.stop()
        if self.opening is not None and not self.connection.is_answered:
            self._is_late = True
            self.opening.cancel()

    def pause_reading(self) -> None:
        """Ask the server for no further message."""
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
            message = await self._receive()
            kind = message["type"]
            if kind == "websocket.receive":
                text = message.get("text")
                connection.feed(text if text is not None else message.get("bytes") or b"")
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
                code, reason = connection.close_code, connection.close_reason
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
                connection.lost()
        except Exception as error:
            self._gone(error)
        finally:
            self._writer = None

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


def _encode(headers: HeaderList) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
