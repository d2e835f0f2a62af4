"""The class that Uvicorn is given: `uvicorn --ws wirework.transports.native:NativeProtocol`."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast
from urllib.parse import unquote

from ...connection import Connection
from ...types import HeaderList, Scope
from .bridge import AsgiBridge
from .compressed import CompressedWire
from .deflate import negotiate
from .frames import response, switching
from .link import Flusher, NativeEntry
from .upgrade import BadUpgrade, Upgrade, accept_key, read_upgrade
from .wire import Sink, Wire

__all__ = ["NativeProtocol"]

logger = logging.getLogger("uvicorn.error")
_MAX_EARLY = 64 * 1024
"""Bytes kept that come before the handshake is answered; then the socket is not read."""

_flushers: dict[asyncio.AbstractEventLoop, Flusher] = {}


class NativeProtocol(asyncio.Protocol):
    """From the upgrade request that Uvicorn hands over to the answer; then picows has the socket.

    It serves any ASGI application. A Wirework application finds it in the scope's extensions and
    works on the connection itself.
    """

    __slots__ = (
        "_app_state",
        "_config",
        "_early",
        "_extra",
        "_server_state",
        "_sink",
        "_task",
        "_upgrade",
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
        self._early = bytearray()
        self._sink: Sink | None = None
        self._upgrade: Upgrade | None = None
        self._task: asyncio.Task[None] | None = None
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
        if self._upgrade is not None:
            self._early += data
            if len(self._early) >= _MAX_EARLY:
                self.transport.pause_reading()
            return
        if self.is_answered:
            return
        try:
            self._upgrade = read_upgrade(data)
        except BadUpgrade as error:
            self.refuse(error.status, error.headers, error.reason.encode())
            return
        self._start(self._upgrade)

    def eof_received(self) -> None:
        """The peer will send no more: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone before a handshake was answered with 101."""
        self._forget()
        if self._sink is not None:
            self._sink.lost()

    def shutdown(self) -> None:
        """Uvicorn shuts down: end this connection."""
        sink = self._sink
        if self.wire is not None:
            self.wire.fail(1012, "")
        elif sink is not None and not self.is_answered:
            self.refuse(503, (), b"")
            sink.lost(1012)
        else:
            self.transport.close()

    # --- what links call ------------------------------------------------------------------------

    def take_over(self, sink: Sink) -> None:
        """Let `sink` hear what happens to this connection."""
        self._sink = sink
        if self.is_lost:
            sink.lost()

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
        if threshold is not None and self._upgrade is not None:
            agreement = negotiate(self._upgrade.extensions)
        if threshold is None or agreement is None:
            return Wire(self.transport, sink, max_message_size)
        return CompressedWire(self.transport, sink, max_message_size, agreement, threshold)

    def accept(self, wire: Wire, subprotocol: str | None, headers: HeaderList) -> None:
        """Answer 101 and give the socket to picows."""
        assert self._upgrade is not None
        own = self._server_state.default_headers
        default = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in own]
        lines = [*default, *headers]
        if wire.extension is not None:
            lines.append(("Sec-WebSocket-Extensions", wire.extension))
        answer = switching(accept_key(self._upgrade.key), subprotocol, lines)
        self.is_answered = True
        self.wire = wire
        wire.on_gone = self._forget
        transport = self.transport
        transport.write(answer)
        early, self._early = bytes(self._early), bytearray()
        self._upgrade = None
        parser = wire.start(early)
        if not transport.is_closing():
            transport.set_protocol(parser)
            if len(early) >= _MAX_EARLY:
                transport.resume_reading()

    def refuse(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer with an HTTP response and close."""
        if self.is_answered or self.transport.is_closing():
            return
        self.is_answered = True
        self.transport.write(response(status, headers, body))
        self.transport.close()

    # --- within ---------------------------------------------------------------------------------

    def _start(self, upgrade: Upgrade) -> None:
        scope = self._scope(upgrade)
        app = self._config.loaded_app
        entry = NativeEntry(self, is_root=_is_root(app))
        scope["extensions"]["wirework.native"] = entry
        bridge = AsgiBridge(self, self._config, scope)
        self._sink = bridge
        tasks = self._server_state.tasks
        self._task = asyncio.get_running_loop().create_task(self._run(app, bridge))
        tasks.add(self._task)
        self._task.add_done_callback(tasks.discard)

    async def _run(self, app: Any, bridge: AsgiBridge) -> None:
        try:
            result = await app(bridge.scope, bridge.receive, bridge.send)
        except BaseException as error:
            if self._sink is bridge:
                bridge.failed(error)
            elif not isinstance(error, asyncio.CancelledError):
                logger.exception("Exception in ASGI application\n")
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            if self._sink is bridge:
                bridge.returned(result)
        finally:
            self._task = None

    def _scope(self, upgrade: Upgrade) -> Scope:
        config, transport = self._config, self.transport
        root: str = config.root_path
        is_secure = transport.get_extra_info("sslcontext") is not None
        return {
            "type": "websocket",
            "asgi": {"version": config.asgi_version, "spec_version": "2.5"},
            "http_version": "1.1",
            "scheme": "wss" if is_secure else "ws",
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "root_path": root,
            "path": root + unquote(upgrade.raw_path.decode("ascii")),
            "raw_path": root.encode("ascii") + upgrade.raw_path,
            "query_string": upgrade.query_string,
            "headers": upgrade.headers,
            "subprotocols": upgrade.subprotocols,
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }

    def _forget(self) -> None:
        self.is_lost = True
        self._server_state.connections.discard(self)


def flusher_of(loop: asyncio.AbstractEventLoop) -> Flusher:
    """Return the flusher of a loop."""
    if loop not in _flushers:
        for old in [old for old in _flushers if old.is_closed()]:
            del _flushers[old]
        _flushers[loop] = Flusher(loop)
    return _flushers[loop]


def _address(address: Any) -> tuple[str, int | None] | None:
    if isinstance(address, (list, tuple)) and len(address) >= 2:
        return str(address[0]), int(address[1])
    return (address, None) if isinstance(address, str) and address else None


def _is_root(app: Any) -> bool:
    """Whether the server calls a Wirework application itself, at most through its own wrappers."""
    while type(app).__module__.startswith("uvicorn."):
        app = getattr(app, "app", None)
    return hasattr(app, "connect") and hasattr(app, "settings")
