"""The first protocol of a socket: upgrades by itself, and leaves the rest of HTTP to Uvicorn's own.

Nothing is lost at the upgrade, and the head of a request has bounds.
"""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...app import App
from ...settings import Settings
from ...timers import wheel
from ..head import fault_of
from .frames import response
from .protocol import NativeProtocol
from .upgrade import BadUpgrade, read_upgrade

__all__ = ["HttpProtocol"]

HEAD_TIMEOUT = 9.5
"""Seconds for the head of a request, from its first byte, or from the start of the connection.

The wheel is coarse, so a slow peer is gone within 10.
"""


class HttpProtocol(asyncio.Protocol):
    """Looks at what comes first on a socket.

    A request for a WebSocket that is whole and right goes to `NativeProtocol` at once; anything
    else to Uvicorn's class for httptools, with the bounds of `BoundedHttp`.
    """

    __slots__ = ("_app_state", "_clock", "_config", "_loop", "_server_state", "transport")

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
        self._loop = loop = _loop or asyncio.get_running_loop()
        self._clock = wheel(loop)
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a request."""
        self.transport = cast(asyncio.Transport, transport)
        self._server_state.connections.add(self)
        clock = self._clock
        clock.watch(self, clock.now() + HEAD_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone before anything came."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take the first bytes from the socket, and hand it over."""
        self._leave()
        if not self._upgrades(data):
            self._give_to(BoundedHttp).data_received(data)

    def eof_received(self) -> None:
        """The peer will send no more: the transport closes itself."""

    def shutdown(self) -> None:
        """Uvicorn shuts down: end this connection."""
        self.transport.close()

    def tick(self, now: float) -> None:
        """Nothing came in time; the wheel calls it."""
        _met(self._config, "head_timeout")
        self.transport.close()

    def _leave(self) -> None:
        self._clock.forget(self)
        self._server_state.connections.discard(self)

    def _upgrades(self, data: bytes) -> bool:
        """Whether `data` begins with a whole request for a WebSocket, which is then served."""
        kind = self._config.ws_protocol_class
        max_head, max_headers = _bounds_of(self._config.loaded_app)
        end = data.find(b"\r\n\r\n", 0, max_head)
        if end < 0 or kind is not NativeProtocol or b"websocket" not in data[:end].lower():
            return False
        head = data if end + 4 == len(data) else data[: end + 4]
        if head.count(b"\r\n") > max_headers:
            return False
        try:
            upgrade = read_upgrade(head)
        except BadUpgrade:
            return False
        protocol = self._give_to(NativeProtocol)
        protocol.begin(head, upgrade)
        _pass_on(self.transport, data[end + 4 :])
        return True

    def _give_to(self, kind: Any) -> Any:
        protocol = kind(
            config=self._config,
            server_state=self._server_state,
            app_state=self._app_state,
            _loop=self._loop,
        )
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        return protocol


def _pass_on(transport: Any, data: bytes) -> None:
    """Hand what came with a request to whom the socket belongs now."""
    while data and not transport.is_closing():
        protocol: Any = transport.get_protocol()
        if not isinstance(protocol, asyncio.BufferedProtocol):
            protocol.data_received(data)
            return
        room: Any = protocol.get_buffer(len(data))
        size = min(len(room), len(data))
        room[:size] = data[:size]
        protocol.buffer_updated(size)
        data = data[size:]


@lru_cache(maxsize=16)
def _bounds_of(app: Any) -> tuple[int, int]:
    """Return how many bytes and headers the head of a request may have, as the application says."""
    own = _own(app)
    settings = _DEFAULTS if own is None else own.settings
    return settings.max_header_bytes, settings.max_header_count


_DEFAULTS = Settings()


def _own(app: Any) -> App | None:
    """Return the Wirework application that the server was given, without its own wrappers."""
    while type(app).__module__.startswith("uvicorn."):
        app = app.app
    return app if isinstance(app, App) else None


def _met(config: Any, limit: str) -> None:
    app = _own(config.loaded_app)
    if app is not None:
        app.met(limit)


class BoundedHttp(HttpToolsProtocol):
    """Uvicorn's class, and what it lacks.

    A peer that is slow with the head of its request is ended, a head that is too large is refused
    with 431, and what came glued to an upgrade request is handed over.
    """

    _head_size: int | None = 0
    """Bytes of the head that is being read; None: it is complete."""
    _is_too_large = False

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        wheel().forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._latest = data
        super().data_received(data)
        if self._head_size is not None and not self.transport.is_closing():
            self._head_size += len(data)
            if self._head_size > _bounds_of(self.config.loaded_app)[0]:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """Another request begins."""
        super().on_message_begin()
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, so that no more of them are kept than there may be."""
        super().on_header(name, value)
        self._check_head(0)

    def on_headers_complete(self) -> None:
        """The head is there: judge its size.

        Raises:
            ValueError: too large; the parser then stops, and the answer says why.
        """
        wheel().forget(self)
        self._head_size = None
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._check_head(size)
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        if self._is_too_large:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        """Give the socket to the WebSocket protocol, and the rest of the bytes with it."""
        if self.parser.get_http_version() != "1.1":
            self.send_400_response("An upgrade needs HTTP/1.1.")
            return
        if fault := fault_of(self.headers):
            self.send_400_response(fault)
            return
        error: Any = sys.exc_info()[1]
        rest = self._latest[error.args[0] :] if error is not None and error.args else b""
        super().handle_websocket_upgrade()
        self._latest = b""
        self.parser = None  # type: ignore[assignment]  # it would keep this object alive
        if rest and not self.transport.is_closing():
            protocol: Any = self.transport.get_protocol()
            protocol.data_received(rest)

    def tick(self, now: float) -> None:
        """The head did not come in time; the wheel calls it."""
        _met(self.config, "head_timeout")
        self.transport.close()

    def _await_head(self) -> None:
        self._head_size = 0
        clock = wheel()
        clock.watch(self, clock.now() + HEAD_TIMEOUT)

    def _check_head(self, size: int) -> None:
        max_head, max_headers = _bounds_of(self.config.loaded_app)
        if size > max_head or len(self.headers) > max_headers:
            self._is_too_large = True
            raise ValueError("the head of the request is too large")

    def _refuse_head(self) -> None:
        is_long = len(self.headers) <= _bounds_of(self.config.loaded_app)[1]
        _met(self.config, "max_header_bytes" if is_long else "max_header_count")
        self.transport.write(response(431, (), b"Request Header Fields Too Large"))
        self.transport.close()
