"""The first protocol of a socket: upgrades by itself, and leaves the rest of HTTP to Uvicorn's own.

Nothing is lost at the upgrade, and the head of a request has bounds.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from ...timers import wheel
from . import bounded
from .bounded import BoundedHttp
from .bounds import bounds_of, met
from .protocol import NativeProtocol
from .upgrade import BadUpgrade, read_upgrade

__all__ = ["HttpProtocol"]


class HttpProtocol(asyncio.Protocol):
    """Looks at what comes first on a socket.

    A request for a WebSocket that is whole and right goes to `NativeProtocol` at once; anything
    else to Uvicorn's class for httptools, with the bounds of `BoundedHttp`.
    """

    __slots__ = ("_app_state", "_clock", "_config", "_due", "_loop", "_server_state", "transport")

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
        self._due = self._clock.now() + bounded.HEAD_TIMEOUT
        self._clock.watch(self, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone before anything came."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Take the first bytes from the socket, and hand it over."""
        self._leave()
        if not self._upgrades(data):
            protocol = self._give_to(BoundedHttp)
            protocol.await_head(self._due)
            protocol.data_received(data)

    def eof_received(self) -> None:
        """The peer will send no more: the transport closes itself."""

    def shutdown(self) -> None:
        """Uvicorn shuts down: end this connection."""
        self.transport.close()

    def tick(self, now: float) -> None:
        """Nothing came in time; the wheel calls it."""
        met(self._config, "head_timeout")
        self.transport.close()

    def _leave(self) -> None:
        self._clock.forget(self)
        self._server_state.connections.discard(self)

    def _upgrades(self, data: bytes) -> bool:
        """Whether `data` begins with a whole request for a WebSocket, which is then served."""
        kind = self._config.ws_protocol_class
        max_head, max_headers, *_ = bounds_of(self._config.loaded_app)
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
