"""WebSockets on Granian's RSGI (RSGI specification 1.6).

RSGI carries no subprotocol, no headers and no body with the answer to a handshake, and no code and
no reason with a close. Where an application asks for one of them, the log says so once.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from http.client import responses
from typing import Any, ClassVar, TypeVar

from .. import closecodes
from ..connection import TEXT, Connection, State
from ..types import HeaderList
from .base import Application
from .head import fault_of
from .rsgi_http import serve_http
from .rsgi_scope import Inbound, RsgiScope, WebSocketProtocol, WebSocketTransport, asgi_scope
from .rsgi_worker import Host, Worker, start, stop, worker_of

__all__ = ["RsgiLink", "serve", "serve_websocket", "start", "stop"]

logger = logging.getLogger("wirework")
T = TypeVar("T")

_CLOSE = 0
"""`kind` of the peer's close."""

_said: set[str] = set()


async def serve(app: Host, scope: RsgiScope, protocol: Any) -> None:
    """Serve one RSGI scope, which says what `protocol` is: a WebSocket or an HTTP request."""
    worker = worker_of(app)
    if scope.proto == "http":
        await serve_http(app, scope, protocol, worker.state)
    else:
        await serve_websocket(app, scope, protocol, worker)


async def serve_websocket(
    app: Application, scope: RsgiScope, protocol: WebSocketProtocol, worker: Worker
) -> None:
    """Serve one handshake, and its connection until the peer is gone and handlers are done."""
    if worker.is_stopping or scope.method != "GET" or scope.http_version == "1":
        status = 503 if worker.is_stopping else 400
        logger.info("refused a handshake by %s with %s: %s", scope.method, status, scope.path)
        protocol.close(status)
        return
    request = asgi_scope(scope, worker.state)
    if fault := fault_of(request["headers"]):
        logger.info("refused a handshake of %r: %s", scope.path, fault)
        protocol.close(400)
        return
    link = RsgiLink(protocol, worker, scope.path)
    link.connection = connection = app.new_connection(link)
    connection.on_finished = link.finished.set
    link.opening = asyncio.current_task()
    worker.links.add(link)
    try:
        await app.connect(connection, request)
        link.opening = None
        await link.finished.wait()
        if connection.is_accepted:
            await link.gone.wait()
        if worker.is_stopping:
            await worker.over.wait()
    except asyncio.CancelledError:
        if not link.refuse_late():
            connection.lost(closecodes.RESTARTING)
            raise
    finally:
        worker.links.discard(link)
        link.end()


class _Gone:
    """Stands for a protocol that was let go of: Granian keeps the socket as long as that lives."""

    async def accept(self) -> WebSocketTransport:
        raise ConnectionError("the connection has ended")

    def close(self, status: int | None = None, /) -> None: ...


class RsgiLink:
    """The RSGI side of one connection.

    It owns no task: what the server hands out are futures, and their callbacks read and write.
    """

    name: ClassVar[str] = "rsgi"
    carries_codes: ClassVar[bool] = False
    joins_texts: ClassVar[bool] = True

    def __init__(self, protocol: WebSocketProtocol, worker: Worker, path: str) -> None:
        self.connection: Connection
        self.finished = asyncio.Event()
        """Set when the application is done."""
        self.gone = asyncio.Event()
        """Set when nothing more is expected from the peer."""
        self.opening: asyncio.Task[None] | None = None
        """The task of the handshake, while it may still be cancelled for being too slow."""
        self._protocol = protocol
        self._worker = worker
        self._path = path
        self._context: Context = copy_context()
        self._transport: WebSocketTransport | None = None
        self._receiving: asyncio.Future[Inbound] | None = None
        self._sending: asyncio.Future[None] | None = None
        self._is_paused = False
        self._is_upgraded = False
        self._is_late = False

    # --- the connection's calls -----------------------------------------------------------------

    async def accept(self, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer 101, alone: RSGI carries neither a subprotocol nor headers."""
        connection = self.connection
        if self._is_upgraded:  # an accept that was cancelled: Granian panics at the second
            connection.lost()
            return
        self._is_upgraded = True
        if subprotocol is not None:
            self._say("subprotocol", "the subprotocol %r: the client sees none", subprotocol)
            connection.subprotocol = None
        self._say_headers("the answer to a handshake", headers)
        try:
            self._transport = await self._protocol.accept()
        except Exception as error:
            logger.debug("%s: the handshake could not be answered: %r", connection.id, error)
            connection.lost()
        else:
            self._receive()

    async def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with `status`, alone: RSGI carries neither headers nor a body."""
        status = status if 200 <= status <= 599 else 403  # Granian's worker panics at others
        self._say_headers("a refusal", headers)
        if body and body.decode(errors="replace") != responses.get(status):
            self._say("body", "the body of a refusal: the client sees status %s alone", status)
        self._protocol.close(status)

    def wake(self) -> None:
        """Send the next frame, unless one is on its way."""
        if self._sending is None:
            self._send()

    @property
    def backlog(self) -> int:
        """Nobody knows."""
        return 0

    def ping(self) -> bool:
        """RSGI has no pings."""
        return False

    def abort(self) -> None:
        """Give up: a handshake that takes too long, or a peer that does not read or answer."""
        if self.opening is not None and not self.connection.is_answered:
            self._is_late = True
            self.opening.cancel()
        else:
            self._let_go()

    def pause_reading(self) -> None:
        """Ask the server for no further message."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Ask for messages again."""
        self._is_paused = False
        if self._receiving is None:
            self._receive()

    # --- reading --------------------------------------------------------------------------------

    def _receive(self) -> None:
        if self._transport is not None:
            self._receiving = self._when_done(self._transport.receive(), self._received)

    def _received(self, future: asyncio.Future[Inbound]) -> None:
        if self._receiving is not future:
            return
        self._receiving = None
        try:
            message = future.result()
        except Exception as error:
            _forget_frames(error)
            logger.debug("%s: nothing more to receive: %r", self.connection.id, error)
            self._ended(closecodes.ABNORMAL)
            return
        if message.kind == _CLOSE:
            self._ended(closecodes.NO_STATUS)
            return
        self.connection.feed(message.data)
        if not self._is_paused and self._receiving is None:
            self._receive()

    def _when_done(
        self, awaitable: Awaitable[T], callback: Callable[[asyncio.Future[T]], None]
    ) -> asyncio.Future[T]:
        """Call `callback` with the outcome. RSGI promises awaitables; Granian's are futures."""
        future: Any = awaitable
        if not hasattr(future, "add_done_callback"):
            future = asyncio.ensure_future(awaitable)
        future.add_done_callback(callback, context=self._context)
        found: asyncio.Future[T] = future
        return found

    def _ended(self, code: int) -> None:
        self.connection.lost(code)
        self._let_go()

    def _let_go(self) -> None:
        """Answer the peer's close, or close; the socket ends when the transport is forgotten."""
        self._transport = None
        self._cancel()
        self._protocol.close(None)
        self.gone.set()

    def _cancel(self) -> None:
        receiving, self._receiving = self._receiving, None
        sending, self._sending = self._sending, None
        for future in (receiving, sending):
            if future is not None:
                future.cancel()

    # --- writing --------------------------------------------------------------------------------

    def _send(self) -> None:
        connection = self.connection
        transport = self._transport
        frame = connection.take()
        if frame is None:
            if connection.state is State.CLOSING:
                self._close()
        elif transport is not None:
            data = frame.data
            if frame.opcode == TEXT:
                sending = transport.send_str(data.decode())
            else:
                sending = transport.send_bytes(data)
            self._sending = self._when_done(sending, self._sent)

    def _sent(self, future: asyncio.Future[None]) -> None:
        if self._sending is not future:
            return
        self._sending = None
        try:
            future.result()
        except Exception as error:
            # The peer has gone. Reading tells so too, after what arrived before: wait for that.
            _forget_frames(error)
            logger.debug("%s: the server could not send: %r", self.connection.id, error)
            self.connection.take_many(sys.maxsize)
        self._send()

    def _close(self) -> None:
        """Close without a code: RSGI has none. The peer's answer ends it, or the deadline of that.

        When the worker stops, the server's own drop follows: clients read that as 1006 and come
        back, as they would after 1012, while not all of them do after a close without a code.
        """
        connection = self.connection
        if self._worker.is_stopping:
            connection.lost()
            self._cancel()  # Granian panics, now and then, when it stops with a future pending
            self.gone.set()
            return
        code, reason = connection.close_code, connection.close_reason
        if code != closecodes.NORMAL or reason:
            self._say("close", "the close code %s %r: the client sees 1005", code, reason)
        self._protocol.close(None)

    # --- the end --------------------------------------------------------------------------------

    def refuse_late(self) -> bool:
        """Refuse a handshake that was cancelled for being too slow; False: it was not."""
        task = asyncio.current_task()
        if not self._is_late or task is None:
            return False
        task.uncancel()
        self._protocol.close(503)
        return True

    def leave(self) -> None:
        """Refuse a handshake that is not answered, because the worker stops."""
        if not self.connection.is_answered:
            self.abort()
            self.connection.lost(closecodes.RESTARTING)

    def end(self) -> None:
        """Let go of everything; a handshake that nobody answered is refused."""
        if not self._is_upgraded:
            self._protocol.close(500)
        self.connection.lost()
        self._let_go()
        self._protocol = _Gone()
        self.finished.set()

    # --- what cannot be carried -----------------------------------------------------------------

    def _say_headers(self, answer: str, headers: HeaderList) -> None:
        names = {name.lower() for name, _ in headers} - {"content-type", "content-length"}
        if "set-cookie" in names:
            text = "cookies with %s: a session is not kept; write it in an HTTP route"
            self._say(f"cookies of {answer}", text, answer)
            names.remove("set-cookie")
        if names:
            text = "headers with %s: left out %s"
            self._say(f"headers of {answer}", text, answer, ", ".join(sorted(names)))

    def _say(self, kind: str, text: str, *values: object) -> None:
        """Log, once per process and `kind`, what RSGI cannot carry."""
        if kind not in _said:
            _said.add(kind)
            logger.warning(f"%s: RSGI cannot carry {text} (said once)", self._path, *values)


def _forget_frames(error: Exception) -> None:
    """Break the circle of a future, its error, and the frame that has asked for it.

    The garbage collector cannot: Granian's futures do not tell it what they hold.
    """
    error.__traceback__ = None
