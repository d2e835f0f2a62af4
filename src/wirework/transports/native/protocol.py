"""The class that Uvicorn is given: `uvicorn --ws wirework.transports.native:NativeProtocol`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any, Final, TypeGuard, cast

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string

from ... import closecodes
from ...app import App
from ...connection import Connection
from ...security.redaction import redact_query
from ...types import HeaderList
from ..base import Application
from .bridge import AsgiBridge
from .compressed import CompressedWire
from .deflate import negotiate
from .flushing import flusher_of
from .frames import response, switching
from .link import NativeEntry, NativeLink, give_up
from .request import NativeRequest
from .upgrade import BadUpgrade, Upgrade, accept_key, read_upgrade
from .wire import Sink, Wire

__all__ = ["NativeProtocol"]

logger = logging.getLogger("uvicorn.error")
_MAX_EARLY = 64 * 1024
"""Bytes kept that come before the handshake is answered; then the socket is not read."""

_RETRY = "5"
"""Seconds until another server will do, we hope."""

_PROXIED: Final = frozenset((b"x-forwarded-for", b"x-forwarded-proto"))
"""What Uvicorn's middleware for proxies looks at."""


class NativeProtocol(asyncio.Protocol):
    """From the upgrade request that Uvicorn hands over to the answer; then picows has the socket.

    It serves any ASGI application. A Wirework application finds it in the scope's extensions and
    works on the connection itself.
    """

    __slots__ = (
        "_app_state",
        "_config",
        "_early",
        "_is_held",
        "_is_paused",
        "_link",
        "_request",
        "_server_state",
        "_sink",
        "flusher",
        "is_answered",
        "is_lost",
        "transport",
        "wire",
    )

    def __init__(
        self,
        config: Any,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self.flusher = flusher_of(_loop or asyncio.get_running_loop())
        self._early: bytearray | None = bytearray()
        """What came before picows had the socket; None: nothing more is heard."""
        self._sink: Sink | None = None
        self._request: NativeRequest | None = None
        """The request, until it is answered."""
        self._link: NativeLink | None = None
        self._is_held = False
        self._is_paused = False
        self.transport: asyncio.Transport
        self.wire: Wire | None = None
        self.is_answered = False
        self.is_lost = False

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Uvicorn hands over the socket."""
        self.transport = cast(asyncio.Transport, transport)
        self._server_state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """First the request, as Uvicorn puts it together; then what comes before our answer."""
        early = self._early
        if early is None:
            return
        if self._request is None and not self.is_answered:
            self._read(data)
            return
        early += data
        if len(early) >= _MAX_EARLY and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> None:
        """The peer will send no more: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone before picows had it."""
        if self.wire is not None:
            self._hand_over()
            self.wire.connection_lost(exc)
        else:
            self._gone()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        if self.wire is not None:
            self.wire.pause_writing()

    def resume_writing(self) -> None:
        """The socket's buffer has room."""
        if self.wire is not None:
            self.wire.resume_writing()

    def shutdown(self) -> None:
        """Uvicorn shuts down: end this connection; one of a Wirework application in its turn."""
        sink, link = self._sink, self._link
        if link is not None:
            link.leave()
        if self.wire is not None:
            if link is None:
                self.wire.fail(closecodes.RESTARTING, "")
        elif sink is not None and not self.is_answered:
            self.refuse(503, (("Retry-After", _RETRY),), b"")
            sink.lost(closecodes.RESTARTING)
        else:
            self.transport.close()

    def hurry(self) -> None:
        """Uvicorn was told twice to shut down: wait for nothing."""
        if self._link is not None:
            self._link.leave(at_once=True)

    # --- what links call ------------------------------------------------------------------------

    def take_over(self, link: NativeLink, *, is_held: bool) -> None:
        """Let the connection of `link` hear what happens to this one.

        Args:
            link: its connection is told at once if the peer has gone already.
            is_held: the server waits for `release`, beside the end of the socket.
        """
        if isinstance(self._sink, AsgiBridge):
            self._sink.is_unused = True
        self._is_held = is_held
        if self.is_lost:
            link.connection.lost()
        else:
            self._sink = link.connection
            self._link = link

    def release(self) -> None:
        """The application has nothing more to do for a connection that was held."""
        self._is_held = False
        if self.is_lost:
            self._server_state.connections.discard(self)

    def end(self, code: int) -> None:
        """End a connection whose application's call has failed, without more ado."""
        if self.wire is not None:
            self.wire.fail(code, "")
        else:
            self.refuse(500, (), b"Internal Server Error")

    def size_limit(self, connection: Connection) -> int:
        """Return the largest message in bytes that `connection` takes."""
        return connection.max_message_size

    @property
    def has_deflate(self) -> bool:
        """Whether the server's configuration allows compression."""
        return bool(self._config.ws_per_message_deflate)

    def make_wire(self, sink: Sink, max_message_size: int, threshold: int | None) -> Wire:
        """Return the wire for this socket.

        It compresses messages of `threshold` bytes and more if the peer can; None: it does not.
        """
        agreement = None
        if threshold is not None and self._request is not None:
            agreement = negotiate(self._request.upgrade.extensions)
        if threshold is None or agreement is None:
            return Wire(self.transport, sink, max_message_size, self.flusher)
        return CompressedWire(
            self.transport, sink, max_message_size, agreement, threshold, self.flusher
        )

    def accept(self, wire: Wire, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer 101 and give the socket to picows.

        Raises:
            ValueError: a header that cannot be sent; nothing was answered.
        """
        request = self._request
        assert request is not None
        if wire.extension is not None:
            headers = [*headers, ("Sec-WebSocket-Extensions", wire.extension)]
        default = _default_lines(self._server_state.default_headers)
        answer = switching(accept_key(request.upgrade.key), subprotocol, headers, default)
        self.is_answered = True
        self.wire = wire
        wire.on_gone = self._gone
        self._log("[accepted]")
        self.transport.write(answer)
        if self._early or self.transport.get_protocol() is not self:
            asyncio.get_running_loop().call_soon(self._hand_over)
        else:
            self._hand_over()

    def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with an HTTP response and close.

        Raises:
            ValueError: a header that cannot be sent; nothing was answered.
        """
        if self.is_answered or self.transport.is_closing():
            return
        answer = response(status, headers, body)
        self.is_answered = True
        self._early = None
        self._log(status)
        self.transport.write(answer)
        self.transport.close()

    # --- within ---------------------------------------------------------------------------------

    def _read(self, head: bytes) -> None:
        try:
            upgrade = read_upgrade(head)
        except BadUpgrade as error:
            logger.info("Invalid WebSocket upgrade: %s", error.reason)
            self.refuse(error.status, error.headers, error.reason.encode())
            return
        self.begin(head, upgrade)

    def begin(self, head: bytes, upgrade: Upgrade) -> None:
        """Have the application answer a request that is right."""
        app = self._config.loaded_app
        request = self._request = NativeRequest(
            head, upgrade, self._config, self._app_state, self.transport
        )
        own = _own(app, upgrade)
        if own is None:
            self._start(self._call(app, request))
            return
        link = NativeLink(self, own)
        call = self._serve(link, own, request)
        if own.opens_at_once(request.path):
            self._run_at_once(call)
        else:
            self._start(call)

    def _run_at_once(self, call: Coroutine[Any, Any, None]) -> None:
        """Run a call that waits for nothing, but perhaps after an error: a task is not worth it."""
        context = copy_context()
        try:
            awaited = context.run(call.send, None)
        except StopIteration:
            return
        self._start(_go_on(call, awaited), context)

    def _start(self, call: Coroutine[Any, Any, None], context: Context | None = None) -> None:
        tasks = self._server_state.tasks
        task = asyncio.get_running_loop().create_task(call, context=context)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _hand_over(self) -> None:
        """Give the socket to picows, and what came before it had it."""
        early, self._early = self._early, None
        if self.wire is None or early is None:
            return
        if self._is_paused:
            self.transport.resume_reading()
        if early:
            self.wire.take_early(bytes(early))
        if not self.transport.is_closing() and self.transport.get_protocol() is self:
            self.transport.set_protocol(self.wire)

    async def _serve(self, link: NativeLink, app: Application, request: NativeRequest) -> None:
        """Have the server's own application answer; what `serve` does, in fewer steps."""
        connection = link.connection
        connection.on_finished = self.release
        self.take_over(link, is_held=True)
        try:
            await link.open(app, request)
        except BaseException as error:
            await give_up(self, connection, error)
            if not isinstance(error, Exception):
                raise
            logger.error("Exception in ASGI application\n", exc_info=error)

    async def _call(self, app: Any, request: NativeRequest) -> None:
        scope = request.scope()
        scope["extensions"]["wirework.native"] = NativeEntry(self, is_root=_is_root(app))
        bridge = self._sink = AsgiBridge(self, self._config, scope)
        try:
            result = await app(scope, bridge.receive, bridge.send)
        except BaseException as error:
            bridge.failed(error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            bridge.returned(result)

    def _log(self, what: object) -> None:
        """Write the line of the access log that Uvicorn's own protocols write."""
        request, self._request = self._request, None
        if request is not None:
            if logger.isEnabledFor(logging.INFO):
                scope: Any = request.scope()
                app = _bare(self._config.loaded_app)
                hidden = app.secret_parameters if isinstance(app, App) else ()
                scope["query_string"] = redact_query(
                    scope["query_string"].decode("latin-1"), hidden
                ).encode("latin-1")
                address, path = get_client_addr(scope), get_path_with_query_string(scope)
                logger.info('%s - "WebSocket %s" %s', address, path, what)
            request.compact()

    def _gone(self) -> None:
        """The socket is gone: keep nothing, so that nothing waits for the garbage collector."""
        self.is_lost = True
        sink, self._sink = self._sink, None
        self.wire = self._early = self._request = None
        if sink is not None:
            sink.lost()
        link, self._link = self._link, None
        if link is not None:
            link.release()
        if not self._is_held:
            self._server_state.connections.discard(self)


def _own(app: Any, upgrade: Upgrade) -> Application | None:
    """Return the Wirework application that is the server's own, if nothing comes before it."""
    if type(app) is ProxyHeadersMiddleware and _PROXIED.isdisjoint(upgrade.fields):
        app = app.app
    return app if _is_plain(app) else None


def _is_plain(app: Any) -> TypeGuard[App]:
    """Whether this is a Wirework application that is called as such: nothing stands before it."""
    return isinstance(app, App) and type(app).__call__ is App.__call__


@coroutine
def _go_on(call: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Go on with a call that has begun, and waits for `awaited`."""
    try:
        while True:
            try:
                yield awaited
            except BaseException as error:
                awaited = call.throw(error)
            else:
                awaited = call.send(None)
    except StopIteration:
        return


_default: tuple[object, bytes] = (None, b"")


def _default_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the server's own headers as lines; Uvicorn makes a new list each second."""
    global _default
    if _default[0] is not headers:
        _default = headers, b"".join([b"%b: %b\r\n" % pair for pair in headers])
    return _default[1]


def _is_root(app: Any) -> bool:
    """Whether the server calls a Wirework application itself, at most through its own wrappers."""
    return _is_plain(_bare(app))


def _bare(app: Any) -> Any:
    """Return the application without the server's own wrappers."""
    while type(app).__module__.startswith("uvicorn."):
        app = getattr(app, "app", None)
    return app
